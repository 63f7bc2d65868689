"""Compressed shards of source files: gzip-packed JSON lines, and the manifest beside them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

MANIFEST = "manifest.json"
SHARD_CHARACTERS = 16_000_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the corpus; ``path`` as the model sees it, relative to its project."""

    path: str
    text: str


class CorpusDamagedError(ValueError):
    """A shard does not hold what its manifest says."""


class ShardWriter:
    """Writes files into ``count`` shards of ``folder`` that are all open at once.

    The same files in the same order give the same bytes.
    """

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("shard-*.jsonl.gz"):
            stale.unlink()
        self._paths = [folder / f"shard-{number:04}.jsonl.gz" for number in range(count)]
        self._stack = ExitStack()
        self._streams = [self._open(path) for path in self._paths]

    def write(self, shard: int, file: SourceFile) -> None:
        """Append ``file`` to the shard of that number."""
        line = json.dumps({"path": file.path, "text": file.text}, ensure_ascii=False)
        self._streams[shard].write(line.encode() + b"\n")

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each finished shard by file name."""
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in self._paths}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, path: Path) -> gzip.GzipFile:
        raw = self._stack.enter_context(path.open("wb"))
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        return self._stack.enter_context(packed)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest`` beside the shards, readable by a person."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


def read_shards(folder: Path) -> Iterator[SourceFile]:
    """Yield every file of the corpus in ``folder``, shard by shard.

    Raises:
        CorpusDamagedError: a shard's SHA-256 is not the manifest's.
        FileNotFoundError: there is no corpus.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name, digest in sorted(manifest["shards"].items()):
        packed = (folder / name).read_bytes()
        if hashlib.sha256(packed).hexdigest() != digest:
            raise CorpusDamagedError(f"{name} is damaged: build the corpus again.")
        for line in gzip.decompress(packed).decode().split("\n")[:-1]:
            row = json.loads(line)
            yield SourceFile(row["path"], row["text"])
