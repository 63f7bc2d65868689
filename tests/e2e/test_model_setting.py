"""``falcon.model`` names a folder: the server completes with the model that is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_helpers import SOURCE, document, ready, running

from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from model_families import FAMILIES, Family, teach

MIDDLE = "sum(prices) / len(prices)"
PATIENT = {"deadlineMs": 20_000, "coldDeadlineMs": 20_000}


@pytest.mark.parametrize(
    "family",
    [each for each in FAMILIES if each.name in ("qwen2.5-coder-1.5b", "codellama")],
    ids=lambda family: family.name,
)
async def test_one_setting_changes_the_model(family: Family, tmp_path: Path) -> None:
    folder = family.build(tmp_path / "Other-Coder")
    fmt = next(each for each in fim.FORMATS if each.name == family.format)
    prompts = [Prompt("shop.py", SOURCE, suffix) for suffix in ("", "\n")]
    teach(folder, fmt, prompts, MIDDLE)
    uri, place = document(tmp_path)
    settings = {"engine": "auto", "model": str(folder), "completion": PATIENT}
    async with running(tmp_path, tmp_path, **settings) as client:
        status = await ready(client)
        client.open(uri, "python", SOURCE)
        items = await client.inline_completion(uri, place, invoked=True)
    assert MIDDLE in [item["insertText"] for item in items]
    assert status["model"] == "Other-Coder"
