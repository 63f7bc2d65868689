"""Facts about the measurements beside the session, on a server with the engine for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from falcon_lsp.core.paths import Store
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.model.files import ModelFiles
from keystrokes import probes
from keystrokes.editor import Editor
from keystrokes.recording import Part
from keystrokes.run import SHIPPED

ORIGINAL = "".join(
    f"def work_{n}(first, second):\n    total = first + second * {n}\n    return total\n\n\n"
    for n in range(12)
)
PART = Part("package", "m.py", ORIGINAL, (), 0.0, ())
FAKE = ModelFiles(Path(), "fake", fim.FALCON, "fake")


def test_an_adapter_like_a_learned_one_is_published(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path)
    published = probes.publish(store, FAKE, SHIPPED)
    assert AdapterRegistry(store.adapters).current("fake") == published


@pytest.fixture
async def editor(tmp_path: Path):
    started = await Editor.launch(tmp_path, tmp_path / "data", "fake")
    await started.until_ready()
    yield started
    await started.shutdown()


async def test_a_swap_is_seen_from_outside(tmp_path: Path, editor: Editor) -> None:
    store = Store(tmp_path / "data", tmp_path)
    found = await probes.swap(editor, tmp_path, PART, store, FAKE, SHIPPED)
    assert found["swapped"]
    assert found["questions"] >= probes.SWAP_AFTER
    assert 0 < found["median_ms"] <= found["longest_ms"]
    assert found["peak_memory_mb"] > 0


async def test_the_processor_rests_after_each_withdrawal(
    tmp_path: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "STOPS", 3)
    found = await probes.stop(editor, tmp_path, PART)
    assert found["withdrawn"] == len(found["rests_after_ms"]) == 3


async def test_every_start_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "STARTS", 2)
    found = await probes.start(tmp_path, PART, "fake")
    assert len(found["initialize_answered_ms"]) == found["starts"] == 2
    pairs = zip(found["initialize_answered_ms"], found["first_completion_s"], strict=True)
    assert all(answered <= first * 1000 + 10 for answered, first in pairs)
