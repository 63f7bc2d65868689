"""Chroma's graph files: freed of stray memory, and sealed against damage.

Chroma 1.5.9 keeps the graph of each collection in a folder of its own. Two things about them are
not as they should be, both measured (`tests/unit/memory/test_graph_files.py`):

- ``data_level0.bin`` and ``length.bin`` have room for at least 100 elements. What is behind the
  elements that the header counts was never written: it holds whatever stood in freed memory, text
  included. `scrub` zeroes it. Everything before it is vectors, keys and links of this index.
- A changed byte in them can make Chroma read outside its memory. So a digest of every file is kept
  (`Seal`), and what does not agree with it is never opened. The same goes for the SQLite file.

Chroma writes the graph files inside ``upsert`` and ``delete`` only, in place, and not each time.
"""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path

from falcon_lsp.core.paths import atomic_write, sha256_file

_HEADER = struct.Struct("<i6Q")
"""Version, offset of level 0, room, elements, bytes per element, two offsets (hnswlib)."""
_LENGTH_BYTES = 4
_DATABASE = "chroma.sqlite3"


def scrub(graph: Path) -> int:
    """Zero what no element of the graph in this folder owns; returns how many bytes that was."""
    _, _, _, elements, size, *_ = _HEADER.unpack_from((graph / "header.bin").read_bytes())
    return _zero(graph / "data_level0.bin", elements * size) + _zero(
        graph / "length.bin", elements * _LENGTH_BYTES
    )


def _zero(file: Path, start: int) -> int:
    if not file.is_file():
        return 0
    surplus = max(0, file.stat().st_size - start)
    if surplus:
        with file.open("r+b") as stream:
            stream.seek(start)
            stream.write(bytes(surplus))
    return surplus


class Seal:
    """Digests of what is in the Chroma folder ``root``, kept in its ``seal.json``.

    Graphs are sealed whenever they change. The SQLite file, which every change writes to, is sealed
    by `finish`, when Chroma has let go of it, until `start`; after a kill it goes without.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[str, tuple[int, ...]] = {}
        self._digests: dict[str, dict[str, str]] = {}

    def holds(self) -> bool:
        """Whether everything is as it was when it was sealed last; remembers it if so."""
        try:
            sealed = json.loads((self._root / "seal.json").read_text(encoding="utf-8"))
            found = {graph.name: _digests(graph) for graph in self._graphs()}
            if _DATABASE in sealed:
                found[_DATABASE] = self._database()
        except FileNotFoundError:
            return not self._graphs()
        except (OSError, ValueError, TypeError):
            return False
        if sealed != found:
            return False
        self._digests = found
        self._seen = {graph.name: _stamp(graph) for graph in self._graphs()}
        return True

    def start(self) -> None:
        """Take the seal off the SQLite file: Chroma is going to write to it."""
        if self._digests.pop(_DATABASE, None) is not None:
            self._write()

    def renew(self) -> None:
        """Scrub and seal the graphs that changed since the last time."""
        changed = [g for g in self._graphs() if self._seen.get(g.name) != _stamp(g)]
        for graph in changed:
            scrub(graph)
            self._digests[graph.name] = _digests(graph)
            self._seen[graph.name] = _stamp(graph)
        if changed:
            self._write()

    def finish(self) -> None:
        """Seal the SQLite file: Chroma has closed it."""
        with contextlib.suppress(OSError):  # a folder that vanished is sealed well enough
            self._digests[_DATABASE] = self._database()
            self._write()

    def _write(self) -> None:
        atomic_write(self._root / "seal.json", json.dumps(self._digests).encode())

    def _database(self) -> dict[str, str]:
        return {file.name: sha256_file(file) for file in sorted(self._root.glob(f"{_DATABASE}*"))}

    def _graphs(self) -> list[Path]:
        return sorted(header.parent for header in self._root.glob("*/header.bin"))


def _stamp(graph: Path) -> tuple[int, ...]:
    files = [file.stat() for file in sorted(graph.iterdir())]
    return tuple(number for file in files for number in (file.st_size, file.st_mtime_ns))


def _digests(graph: Path) -> dict[str, str]:
    return {file.name: sha256_file(file) for file in sorted(graph.iterdir())}
