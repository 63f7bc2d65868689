"""What Chroma's graph files hold beyond this index is zeroed; what changed in them is noticed."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_long_term import RECORD

from falcon_lsp.memory import collections_index
from falcon_lsp.memory.embedder import HashedNgramEmbedder
from falcon_lsp.memory.graph_files import Seal, scrub
from falcon_lsp.memory.long_term import LongTermMemory

DIMENSION = 64
LINKS = 4 + 2 * 32 * 4
ELEMENT = LINKS + DIMENSION * 4 + 8
"""Bytes of an element: links with their count, vector, key."""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that has Chroma write a graph of so many elements; gives its folder."""
    monkeypatch.setitem(collections_index._GRAPH, "sync_threshold", 10)
    monkeypatch.setitem(collections_index._GRAPH, "batch_size", 10)

    def write(count: int) -> Path:
        embedder = HashedNgramEmbedder(DIMENSION)
        memory = LongTermMemory(tmp_path / "chroma", embedder, tmp_path / "lock", 10_000)
        assert memory.open(0)
        memory.upsert(
            [
                replace(RECORD, completion_id=f"c{n}", suggested=f"f{n}", context=f"x{n % 7} = {n}")
                for n in range(count)
            ]
        )
        memory.close()
        (header,) = (tmp_path / "chroma").rglob("header.bin")
        return header.parent

    return write


def elements(graph: Path) -> int:
    return int(struct.unpack("<Q", (graph / "header.bin").read_bytes()[20:28])[0])


def test_behind_the_last_element_there_is_room_and_nothing_in_it(graph) -> None:
    folder = graph(40)
    content = (folder / "data_level0.bin").read_bytes()
    assert (elements(folder), len(content)) == (40, 100 * ELEMENT)
    assert any(content[39 * ELEMENT : 40 * ELEMENT])
    assert not any(content[40 * ELEMENT :])
    assert not any((folder / "length.bin").read_bytes()[40 * 4 :])


def test_scrubbing_takes_what_no_element_owns_and_nothing_else(graph) -> None:
    folder = graph(40)
    file = folder / "data_level0.bin"
    clean = file.read_bytes()
    file.write_bytes(clean[: 40 * ELEMENT] + b"canary" * (60 * ELEMENT // 6))
    assert scrub(folder) == 60 * ELEMENT + 60 * 4
    assert file.read_bytes() == clean


def test_a_graph_that_outgrew_its_room_holds_links_vectors_and_keys_only(graph) -> None:
    folder = graph(300)
    content = np.fromfile(folder / "data_level0.bin", np.uint8)
    assert elements(folder) == 300
    rows = content.reshape(300, ELEMENT)
    links = rows[:, 4:LINKS].copy().view(np.uint32)
    vectors = rows[:, LINKS : LINKS + DIMENSION * 4].copy().view(np.float32)
    assert links.max() < 300
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(300), abs=1e-4)
    lengths = np.fromfile(folder / "length.bin", np.float32)
    assert lengths == pytest.approx(np.ones(300), abs=1e-4)


@pytest.mark.parametrize(
    "name",
    ["header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle"],
)
def test_a_seal_notices_every_change(graph, name: str) -> None:
    folder = graph(300)
    assert Seal(folder.parent).holds()
    file = folder / name
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not Seal(folder.parent).holds()
    file.write_bytes(content)
    assert Seal(folder.parent).holds()
    file.unlink()
    assert not Seal(folder.parent).holds()


def test_a_graph_without_a_seal_and_a_seal_without_a_graph_do_not_hold(graph) -> None:
    folder = graph(20)
    (folder.parent / "seal.json").rename(folder.parent / "elsewhere")
    assert not Seal(folder.parent).holds()
    (folder.parent / "elsewhere").rename(folder.parent / "seal.json")
    folder.rename(folder.parent.parent / "gone")
    assert not Seal(folder.parent).holds()
