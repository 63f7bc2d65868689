"""What an episode teaches: sampled tokens, the text that was liked, or that before another."""

from __future__ import annotations

import pytest

from episodes_factory import episode
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.dataset import Reason, TrainingExample, build_example
from falcon_lsp.learning.lessons import build_lesson
from falcon_lsp.learning.losses import Objective
from falcon_lsp.memory.redact import MARKER

CORRECTED = {"what": Outcome.REJECTED, "stands": "a - b"}


def test_the_policy_learns_from_what_was_sampled(encoding) -> None:
    told = episode(token_ids=tuple(encoding.tokenizer.encode("a + b")))
    assert build_lesson(told, encoding, Objective.POLICY) == build_example(told, encoding)


@pytest.mark.parametrize(
    ("fields", "text"), [({}, "a + b"), ({"stands": "a * b"}, "a * b"), (CORRECTED, "a - b")]
)
def test_the_text_that_was_liked_is_learned_whoever_wrote_it(encoding, fields, text) -> None:
    """Also where nothing was sampled: copied suggestions, and what the developer typed instead."""
    lesson = build_lesson(episode(**fields), encoding, Objective.SUPERVISED)
    assert isinstance(lesson, TrainingExample)
    assert encoding.tokenizer.decode(lesson.sequence.answer).lstrip().startswith(text)
    assert lesson.refused is None


@pytest.mark.parametrize(("text", "learned"), [("a * b", 0.0), ("a * b\nreturn c", 1.0)])
def test_the_end_of_a_text_is_learned_only_of_several_lines(encoding, text, learned) -> None:
    lesson = build_lesson(episode(stands=text), encoding, Objective.SUPERVISED)
    assert isinstance(lesson, TrainingExample)
    assert lesson.credit == (1.0,) * (len(lesson.sequence.answer) - 1) + (learned,)


def test_a_pair_is_what_was_written_before_what_was_declined(encoding) -> None:
    lesson = build_lesson(episode(**CORRECTED), encoding, Objective.PREFERENCE)
    assert isinstance(lesson, TrainingExample)
    assert lesson.refused is not None
    texts = [encoding.tokenizer.decode(s.answer) for s in (lesson.sequence, lesson.refused)]
    assert [text.lstrip()[:5] for text in texts] == ["a - b", "a + b"]


@pytest.mark.parametrize(
    ("fields", "texts", "liked"),
    [
        ({}, ["a + b"], True),
        ({"what": Outcome.REJECTED}, ["a + b"], False),
        (CORRECTED, ["a - b", "a + b"], True),
    ],
)
def test_each_text_is_a_lesson_by_itself_liked_or_not(encoding, fields, texts, liked) -> None:
    lesson = build_lesson(episode(**fields), encoding, Objective.KTO)
    assert isinstance(lesson, TrainingExample)
    told = [lesson.sequence] + ([] if lesson.refused is None else [lesson.refused])
    assert [encoding.tokenizer.decode(one.answer).lstrip()[:5] for one in told] == texts
    assert lesson.liked is liked


@pytest.mark.parametrize(
    ("fields", "objective", "reason"),
    [
        ({"what": Outcome.REJECTED}, Objective.SUPERVISED, Reason.NOTHING_LIKED),
        ({"what": Outcome.REJECTED}, Objective.PREFERENCE, Reason.NOTHING_LIKED),
        ({}, Objective.PREFERENCE, Reason.NO_PAIR),
        ({"what": Outcome.IGNORED}, Objective.KTO, Reason.NO_OPINION),
        ({"what": None, "stands": "a"}, Objective.SUPERVISED, Reason.NO_OUTCOME),
        ({"stands": f"key = {MARKER}token>"}, Objective.SUPERVISED, Reason.REDACTED),
    ],
)
def test_what_teaches_nothing_says_why(encoding, fields, objective, reason) -> None:
    assert build_lesson(episode(**fields), encoding, objective) is reason
