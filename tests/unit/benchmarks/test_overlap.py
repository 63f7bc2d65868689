"""Facts about copies of evaluated files in a training corpus."""

from __future__ import annotations

from pathlib import Path

from evaluation.overlap import clean_places, describe
from evaluation.places import File, Place
from falcon_lsp.learning.corpus.shards import ShardWriter, SourceFile, write_manifest


def _source(name: str, lines: int = 150) -> str:
    return "".join(
        f"{name}_{n} = combine_{name}({n}, other_{n}, third_{n})\n" for n in range(lines)
    )


def _place(text: str, line: int) -> Place:
    start = sum(map(len, text.splitlines(keepends=True)[:line])) + 8
    return Place(File("p", "p/m.py", text), start, text[start : text.index("\n", start)])


def _corpus(folder: Path, *texts: str) -> Path:
    with ShardWriter(folder, 1) as writer:
        for number, text in enumerate(texts):
            writer.write(0, SourceFile(f"v/{number}.py", text))
    write_manifest(folder, {"shards": writer.digests()})
    return folder


def test_a_copy_and_a_quoted_passage_at_the_cursor_are_seen_a_short_one_elsewhere_is_not(
    tmp_path: Path,
) -> None:
    copied, quoted, new = _source("copied"), _source("quoted"), _source("new")
    passage = "".join(quoted.splitlines(keepends=True)[70:73])
    corpus = _corpus(tmp_path / "corpus", copied.upper(), _source("mine") + passage)
    places = [_place(copied, 9), _place(quoted, 72), _place(quoted, 9), _place(new, 9)]
    assert clean_places(places, [corpus]).tolist() == [False, False, True, True]


def test_scores_are_those_of_the_clean_places_alone(tmp_path: Path) -> None:
    copied, new = _source("copied"), _source("new")
    corpus = _corpus(tmp_path / "corpus", copied)
    places = [_place(copied, 9), _place(new, 9), _place(new, 30)]
    cell = {"items": 3, "clusters": "011", "measures": {"exact": {"over": "110"}}}
    found = describe(places, [corpus], {"a": {"lines": cell}, "b": {}})
    assert (found["places"], found["clean"]) == (3, 2)
    assert found["rows"]["a"]["exact"]["value"] == 0.5
    assert "b" not in found["rows"]
