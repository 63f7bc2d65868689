"""What each keystroke was to our server, and the figures of a whole session."""

from __future__ import annotations

import csv
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.intervals import Ratio
from keystrokes.estimates import Times, paired_ratio
from keystrokes.replay import Sample

FAST_MS = 200.0


class Kind(enum.StrEnum):
    """A keystroke's kind; what it says of our server is used for the peer's answers too."""

    COLD = "cold"
    WARM = "warm"
    AHEAD = "typed_through"


MEANING = {
    Kind.COLD: "first request after a file was opened",
    Kind.WARM: "any other request that is answered with a new offer",
    Kind.AHEAD: "answered with the rest of an earlier offer (same completion id)",
    "cancelled": "from the withdrawal, by the next key, to the answer that confirms it",
}
Key = tuple[int, int]


def kinds_of(samples: Iterable[Sample]) -> dict[Key, Kind]:
    """Return each keystroke's kind, by part and step; ``samples`` are ours, in order."""
    seen: set[str] = set()
    found = {}
    for sample in samples:
        kind = Kind.AHEAD if sample.offer and sample.offer in seen else Kind.WARM
        found[sample.part, sample.step] = Kind.COLD if sample.first else kind
        seen.add(sample.offer)
    return found


def summary(samples: Sequence[Sample], kinds: Mapping[Key, Kind]) -> dict[str, Any]:
    """Return shares of all keystrokes, and times by kind.

    Answers without text count nowhere among the times: silence is not speed.
    """
    answered = [sample for sample in samples if sample.answered]
    judged = [sample for sample in answered if sample.exact is not None]
    fast = [sample.answered and (sample.took or 0) <= FAST_MS for sample in samples]
    return {
        "requests": len(samples),
        "withdrawn": sum(sample.took is None for sample in samples),
        "answered_with_nothing": sum(s.took is not None and not s.text for s in samples),
        "share_answered_with_text": _share([s.answered for s in samples], samples),
        "share_answered_with_text_of_those_not_withdrawn": _share(
            [s.answered for s in samples if s.took is not None],
            [s for s in samples if s.took is not None],
        ),
        "share_with_text_within_200_ms": _share(fast, samples),
        "share_of_exact_lines_among_answers": _share([s.exact for s in judged], judged),
        "milliseconds": {
            **{kind.value: times(samples, kinds, {kind}).summary() for kind in Kind},
            "all": times(samples, kinds, set(Kind)).summary(),
            "cancelled": _ends(samples).summary(),
        },
    }


def times(samples: Sequence[Sample], kinds: Mapping[Key, Kind], wanted: set[Kind]) -> Times:
    """Return the times of the kinds ``wanted``: of answers with text, and of what was cut off."""
    rows = [
        (sample.took or sample.given or 0.0, sample.took is not None, sample.part)
        for sample in samples
        if kinds[sample.part, sample.step] in wanted and (sample.answered or sample.took is None)
    ]
    return Times.of(rows)


def against(
    ours: Sequence[Sample], theirs: Sequence[Sample], kinds: Mapping[Key, Kind]
) -> dict[str, Any]:
    """Compare the medians where both answered with text, by what the keystroke was to us."""
    other = {(sample.part, sample.step): sample for sample in theirs if sample.answered}
    both = [s for s in ours if s.answered and (s.part, s.step) in other]
    found = {}
    for name, wanted in [*((kind.value, {kind}) for kind in Kind), ("all", set(Kind))]:
        pairs = [s for s in both if kinds[s.part, s.step] in wanted]
        found[name] = paired_ratio(
            [s.took or 0.0 for s in pairs],
            [other[s.part, s.step].took or 0.0 for s in pairs],
            [s.part for s in pairs],
        )
    return found


COLUMNS = ("system", "part", "step", "kind", "took_ms", "given_ms", "ended_ms", "text", "exact")


def write_samples(
    file: Path, samples: Mapping[str, Sequence[Sample]], kinds: Mapping[Key, Kind]
) -> None:
    """Write one row for each question; of the texts only whether there was one."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        for system, rows in samples.items():
            writer.writerows(_rows(system, rows, kinds))


def _rows(system: str, samples: Sequence[Sample], kinds: Mapping[Key, Kind]) -> Iterator[list[Any]]:
    for s in samples:
        timed = ["" if ms is None else round(ms, 1) for ms in (s.took, s.given, s.ended)]
        exact = "" if s.exact is None else int(s.exact)
        yield [system, s.part, s.step, kinds[s.part, s.step], *timed, int(bool(s.text)), exact]


def _ends(samples: Sequence[Sample]) -> Times:
    return Times.of([(s.ended, True, s.part) for s in samples if s.ended is not None])


def _share(hits: Sequence[bool | None], samples: Sequence[Sample]) -> dict[str, float]:
    ratio = Ratio(
        [float(bool(hit)) for hit in hits], [1.0] * len(hits), [str(s.part) for s in samples]
    )
    low, high = ratio.interval()
    return {"value": round(ratio.value, 3), "low": round(max(0.0, low), 3), "high": round(high, 3)}
