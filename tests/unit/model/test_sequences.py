"""Which cache a prompt goes on with, and which one is given up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.sequences import KEPT, KeptSequences


class Recorder:
    """Holds tokens and computes nothing; all forks are in ``family``."""

    context_length = 10_000

    def __init__(self, family: list[Recorder] | None = None) -> None:
        self.held: list[int] = []
        self.family = [] if family is None else family
        self.family.append(self)
        self.broken = False

    def feed(self, ids: Sequence[int]) -> Logits:
        return self.feed_each(ids)[-1]

    def feed_each(self, ids: Sequence[int], last: int = 0) -> Logits:
        self.held += ids
        if self.broken:
            raise RuntimeError
        return np.zeros((last or len(ids), 1), np.float32)

    def truncate(self, length: int) -> None:
        del self.held[length:]

    def fork(self) -> Recorder:
        return Recorder(self.family)


def document(number: int, length: int = 40) -> list[int]:
    """Return a prompt that begins like all others and goes on like none."""
    return [7, 7, *range(1000 * number, 1000 * number + length)]


def read(kept: KeptSequences, ids: list[int]) -> int:
    """Feed a prompt; return how much of it was there already."""
    sequence = kept.resume(ids)
    cached = len(sequence)
    sequence.feed(ids[cached:])
    return cached


def test_documents_do_not_push_each_other_out() -> None:
    kept = KeptSequences(Recorder())
    first = [read(kept, document(number)) for number in range(KEPT)]
    again = [read(kept, [*document(number), 5]) for number in range(KEPT)]
    assert first == [0] * KEPT
    assert again == [42] * KEPT


def test_one_document_too_many_takes_the_place_of_the_one_used_longest_ago() -> None:
    model = Recorder()
    kept = KeptSequences(model)
    for number in (*range(KEPT), 0, KEPT):
        read(kept, document(number))
    assert len(model.family) == KEPT
    assert [read(kept, document(number)) for number in (0, KEPT, 1)] == [41, 41, 2]


def test_typing_and_deleting_stay_in_one_sequence() -> None:
    model = Recorder()
    kept = KeptSequences(model)
    typed = [read(kept, document(1, length)) for length in (40, 41, 60, 30, 12, 50)]
    assert typed == [0, 42, 43, 31, 13, 14]
    assert len(model.family) == 1
    assert model.held == document(1, 50)


def test_at_least_one_token_is_left_to_feed() -> None:
    kept = KeptSequences(Recorder())
    assert [read(kept, document(1)) for _ in range(3)] == [0, 41, 41]
    assert read(kept, [7]) == 0


def test_a_failure_empties_the_sequence_and_the_others_stay() -> None:
    model = Recorder()
    kept = KeptSequences(model)
    read(kept, document(1))
    read(kept, document(2))
    model.broken = True
    with pytest.raises(RuntimeError):
        read(kept, [*document(1), 5])
    model.broken = False
    assert [read(kept, document(number)) for number in (2, 1)] == [41, 0]


def test_who_asks_for_the_latest_meanwhile_never_finds_none() -> None:
    kept = KeptSequences(Recorder())
    read(kept, document(0))
    read(kept, document(1))
    seen = kept._sequences
    before = list(seen)
    read(kept, document(0))
    assert seen == before
    assert kept.latest == document(0)


def test_a_reset_forgets_everything() -> None:
    model = Recorder()
    kept = KeptSequences(model)
    for number in range(KEPT):
        read(kept, document(number))
    kept.reset()
    assert [recorder.held for recorder in model.family] == [[]] * KEPT
    assert read(kept, document(0)) == 0
