"""``falcon/*`` messages are read, or refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pygls.exceptions import JsonRpcInvalidParams

from falcon_lsp.core.types import Outcome
from falcon_lsp.lsp import extensions

READERS: dict[str, Callable[[Any], Any]] = {
    "feedback": extensions.read_feedback,
    "diagnostics": extensions.read_diagnostics,
    "cursor": extensions.read_cursor,
    "pause": partial(extensions.read_flag, name="paused"),
    "snooze": extensions.read_minutes,
    "forget": extensions.read_forgetting,
    "forgive": partial(extensions.read_text, name="id"),
}
ACCEPTED = {"completionId": "cmp-1", "outcome": "accepted"}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("params", [None, [], ["paused"], "id", 3, True])
def test_what_has_no_names_is_refused(reader: str, params: object) -> None:
    with pytest.raises(JsonRpcInvalidParams):
        READERS[reader](params)


@pytest.mark.parametrize("given", [{}, {"charsKept": None, "eventId": None}])
def test_feedback_that_says_nothing_more_is_about_all_of_the_text(given: dict[str, Any]) -> None:
    said = extensions.read_feedback(ACCEPTED | given)
    assert (said.completion_id, said.outcome, said.chars_kept) == ("cmp-1", Outcome.ACCEPTED, None)
    assert said.event_id


@pytest.mark.parametrize("kept", [True, -1, 1.5, "3"])
def test_what_counts_no_characters_is_refused(kept: object) -> None:
    with pytest.raises(JsonRpcInvalidParams):
        extensions.read_feedback(ACCEPTED | {"charsKept": kept})


@pytest.mark.parametrize("line", [None, True, 1.0])
def test_a_finding_needs_a_line(line: object) -> None:
    with pytest.raises(JsonRpcInvalidParams):
        extensions.read_diagnostics({"uri": "file:///a.py", "diagnostics": [{"line": line}]})
