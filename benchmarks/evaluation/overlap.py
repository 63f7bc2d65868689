"""How much of the evaluated files a training corpus held after all: copies under other names.

The corpus builder leaves out evaluation projects by name and by content; a corpus from elsewhere,
or from before a rule, may still hold vendored pieces of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.intervals import Ratio
from evaluation.places import Place
from evaluation.results import ratio
from falcon_lsp.learning.corpus.grams import Hashes, gram_hashes, hash_words, split_words
from falcon_lsp.learning.corpus.overlap import GRAM_WORDS, without_header
from falcon_lsp.learning.corpus.shards import read_shards

MOST = 0.01
"""Share of a file's runs of 13 words above which its place counts as seen."""

NEAR = 200
"""Characters on each side of a cursor in which no run at all may have been seen."""


def clean_places(places: Sequence[Place], corpora: Sequence[Path]) -> NDArray[np.bool_]:
    """Return for each place whether the corpora hold next to nothing of its file."""
    files = [_grams(without_header(place.file.text)) for place in places]
    around = [_grams(_surroundings(place)) for place in places]
    seen = _seen(np.unique(np.concatenate([*files, *around])), _texts(corpora))
    return np.array([
        np.isin(file, seen).mean() <= MOST and not np.isin(near, seen).any() if len(file) else True
        for file, near in zip(files, around, strict=True)
    ])  # fmt: skip


def describe(
    places: Sequence[Place], corpora: Sequence[Path], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return how many places are clean, and each row's scores on those alone."""
    clean = clean_places(places, corpora)
    cells = {name: row["lines"] for name, row in rows.items() if "lines" in row}
    return {
        "corpora": [path.name for path in corpora],
        "places": len(places),
        "clean": int(clean.sum()),
        "rows": {
            name: {measure: _summary(ratio(cell, measure), clean) for measure in cell["measures"]}
            for name, cell in cells.items()
            if cell["items"] == len(places)
        },
    }


def _texts(corpora: Sequence[Path]) -> Iterator[str]:
    return (file.text for file in chain.from_iterable(map(read_shards, corpora)))


def _seen(wanted: Hashes, texts: Iterable[str]) -> Hashes:
    """Return which of the sorted ``wanted`` runs occur in ``texts``."""
    found = np.zeros(len(wanted), dtype=bool)
    for text in texts:
        grams = _grams(text)
        at = np.minimum(np.searchsorted(wanted, grams), len(wanted) - 1)
        found[at[wanted[at] == grams]] = True
    seen: Hashes = wanted[found]
    return seen


def _grams(text: str) -> Hashes:
    return gram_hashes(hash_words(split_words(text)), GRAM_WORDS)


def _surroundings(place: Place) -> str:
    end = place.offset + len(place.truth)
    return place.file.text[max(0, place.offset - NEAR) : end + NEAR]


def _summary(measured: Ratio, chosen: NDArray[np.bool_]) -> dict[str, float]:
    some = Ratio(
        list(compress(measured.over, chosen)),
        list(compress(measured.under, chosen)),
        list(compress(measured.clusters, chosen)),
    )
    low, high = some.interval()
    return {"value": round(some.value, 4), "low": round(low, 4), "high": round(high, 4)}
