"""Each filter alone, and all of them in order, on documents with a cursor mark (U+2038)."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from falcon_lsp.completion import postprocess
from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.core.types import CompletionRequest

FOLDER = Path(__file__).parent / "filters"
CURSOR = "\u2038"
LIST = (*postprocess.FILTERS, *postprocess.LAST)
BY_NAME = {each.__name__: (each,) for each in LIST} | {"whole_list": LIST}


def cases() -> list[Any]:
    return [
        pytest.param(file.stem, case, id=f"{file.stem}: {case['name']}")
        for file in sorted(FOLDER.glob("*.toml"))
        for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    ]


@pytest.mark.parametrize(("filters", "case"), cases())
def test_a_filter_turns_the_candidate_into_what_is_expected(
    filters: str, case: dict[str, Any]
) -> None:
    text, candidate = case["document"], Candidate(case["candidate"], "model")
    if "finish" in case:
        candidate = Candidate(case["candidate"], "model", finish=case["finish"])
    request = CompletionRequest(
        uri="file:///w/a",
        path="a",
        workspace="file:///w",
        language=case["language"],
        version=1,
        text=text.replace(CURSOR, ""),
        offset=text.index(CURSOR),
        invoked=case.get("invoked", False),
    )
    outcome = postprocess.run(candidate, request, BY_NAME[filters])
    if "rejected" in case:
        assert outcome == Rejection(case["rejected"])
    else:
        assert isinstance(outcome, Candidate), outcome
        assert outcome.text == case["expected"]


def test_every_filter_has_its_goldens() -> None:
    assert {file.stem for file in FOLDER.glob("*.toml")} == set(BY_NAME)


def test_sampled_tokens_survive_every_filter() -> None:
    """The trainer scores what was sampled, however much of it was offered."""
    text = "names = sorted()\n"
    request = CompletionRequest("u", "a.py", "w", "python", 1, text, text.index(")"))
    sampled = Candidate("set(names))\nprint", "model", token_ids=(1, 2, 3), logprobs=(-1, -2, -3))
    outcome = postprocess.run(sampled, request, LIST)
    assert isinstance(outcome, Candidate)
    assert outcome.text == "set(names)"
    assert (outcome.token_ids, outcome.logprobs) == ((1, 2, 3), (-1, -2, -3))
