"""Embeddings are unit vectors, the same in every process, and put like code near like code."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import falcon_lsp
from falcon_lsp.memory.embedder import HashedNgramEmbedder

ODD_TEXTS = ["", " ", "\n\n", "a", "😀", "\ud800", "\x00", "(" * 5000, "naïve = 'ß'"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_every_text_has_a_unit_vector(text: str) -> None:
    (vector,) = HashedNgramEmbedder().embed([text])
    assert vector.dtype == np.float32
    assert vector.shape == (256,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_no_texts_are_an_empty_array_and_the_dimension_is_part_of_the_id() -> None:
    small = HashedNgramEmbedder(64)
    assert small.embed([]).shape == (0, 64)
    assert small.id != HashedNgramEmbedder().id


def test_a_text_does_not_depend_on_its_neighbours() -> None:
    embedder = HashedNgramEmbedder()
    alone = embedder.embed(["def f(x):"])[0]
    assert np.array_equal(embedder.embed(["y = 1", "def f(x):"])[1], alone)


def test_another_process_computes_the_same_vectors() -> None:
    script = (
        "import hashlib; from falcon_lsp.memory.embedder import HashedNgramEmbedder as E; "
        "v = E().embed(['def parse_json(text):', 'x']); "
        "print(hashlib.sha256(v.round(4).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    here = HashedNgramEmbedder().embed(["def parse_json(text):", "x"]).round(4).tobytes()
    assert digests == {hashlib.sha256(here).hexdigest()}


@pytest.mark.parametrize(
    ("question", "near", "far"),
    [
        ("def parse_json(text):", "def parseJson(data):", "class Window(Widget):"),
        ("for user in users:\n", "for item in users:\n", "import os, sys\n"),
        ("self.assertEqual(a, b)", "self.assertEqual(x, b)", "return render(request)"),
    ],
)
def test_like_code_is_nearer(question: str, near: str, far: str) -> None:
    asked, alike, other = HashedNgramEmbedder().embed([question, near, far])
    assert asked @ alike > asked @ other + 0.1


def test_the_place_a_text_was_cut_from_is_found_again() -> None:
    """Recall at 1 over this package's own source, asked with the second half of each window."""
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted(Path(falcon_lsp.__file__).parent.glob("memory/*.py"))
    )
    windows = [source[start : start + 600] for start in range(0, len(source) - 600, 600)]
    embedder = HashedNgramEmbedder()
    likeness = embedder.embed([w[300:] for w in windows]) @ embedder.embed(windows).T
    found = np.mean(likeness.argmax(axis=1) == np.arange(len(windows)))
    assert found > 0.95
