"""The versions of what was learned: published whole or not at all, verified before use.

Each version is a folder ``<id>/`` with weights, configuration and manifest; ``current.json`` names
the one to serve. A version becomes visible by one rename, the pointer changes by another, so a
crash at any moment leaves either the old state or the new one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import (
    Busy,
    atomic_write,
    fsync_file,
    fsync_folder,
    locked,
    private_folder,
    sha256_file,
)
from falcon_lsp.core.types import new_id
from falcon_lsp.model.lineage import Kin, Lineage, ancestors
from falcon_lsp.model.verification import (
    MANIFEST,
    WEIGHTS,
    AdapterRefused,
    check_content,
    check_files,
    read_json,
)

__all__ = [
    "BASE",
    "AdapterManifest",
    "AdapterRefused",
    "AdapterRegistry",
    "VerifiedAdapter",
]

logger = logging.getLogger(__name__)

BASE = "base"
"""The id that stands for no adapter at all."""
PROMOTED, SET_ASIDE = "promoted", "set_aside"
LOCK_SECONDS = 10.0

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_POINTER = "current.json"
_TEMPORARY, _TRASH = ".tmp-", ".trash-"


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """Where a version comes from and what the gate said.

    ``base_sha256`` names the weights that it was trained on, ``parent`` the version before it
    (`BASE`: none), ``sha256`` its own weights (filled in by `AdapterRegistry.publish`).
    ``completion_ids`` are the suggestions that it learned from. ``status`` is `PROMOTED`, or
    `SET_ASIDE` when the gate refused it: such a version is never served.
    """

    id: str
    base_sha256: str
    parent: str = BASE
    created: float = field(default_factory=time.time)
    completion_ids: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    status: str = SET_ASIDE
    sha256: str = ""

    @classmethod
    def read(cls, file: Path) -> AdapterManifest:
        """Read a manifest; raises `AdapterRefused` when a field is missing, odd or unknown."""
        raw = read_json(file)
        try:
            for name in ("completion_ids", "reasons"):
                raw[name] = tuple(raw[name])
            manifest = cls(**raw)
        except (TypeError, KeyError) as error:
            raise AdapterRefused("its manifest cannot be understood") from error
        texts = [getattr(manifest, item.name) for item in fields(cls) if item.type == "str"]
        numbers = isinstance(manifest.created, int | float) and isinstance(manifest.metrics, dict)
        if not all(isinstance(text, str) for text in texts) or not numbers:
            raise AdapterRefused("its manifest cannot be understood")
        return manifest

    def to_json(self) -> bytes:
        """Return the file's content."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class VerifiedAdapter:
    """A version whose files have been checked."""

    path: Path
    id: str


class AdapterRegistry:
    """All versions in one folder; any number of processes may read, writers take turns.

    ``base`` maps the base's parameter names to shapes, for a stricter check. ``notice`` says in one
    sentence why the last `current` was not what the pointer names; empty when it was.
    """

    def __init__(self, folder: Path, base: Mapping[str, tuple[int, ...]] | None = None) -> None:
        self.folder = folder
        self.notice = ""
        self._base = base
        self._lineage = Lineage(folder)

    def new_temporary(self) -> Path:
        """Create a folder to save a version in; `publish` renames it."""
        return private_folder(self.folder / new_id(_TEMPORARY.rstrip("-")))

    def publish(self, temporary: Path, manifest: AdapterManifest) -> AdapterManifest:
        """Make the version in ``temporary`` visible, and current when it is promoted.

        Nothing is visible before everything is on disk. Returns the manifest with its ``sha256``;
        raises `AdapterRefused` when the folder would not verify.
        """
        target = self._path(manifest.id)
        check_files(temporary)
        manifest = replace(manifest, sha256=sha256_file(temporary / WEIGHTS))
        (temporary / MANIFEST).write_bytes(manifest.to_json())
        check_content(temporary, manifest.sha256, self._base)
        with self._writing():
            if target.exists():
                raise AdapterRefused(f"there is an adapter {manifest.id} already")
            for file in temporary.iterdir():
                fsync_file(file)
            fsync_folder(temporary)
            temporary.rename(target)
            fsync_folder(self.folder)
            if manifest.status == PROMOTED:
                self._point_to(manifest.id)
        logger.info("published adapter %s as %s", manifest.id, manifest.status)
        return manifest

    def names(self) -> Sequence[str]:
        """Return the ids of all versions on disk, readable or not."""
        return [folder.name for folder in self._folders()]

    def list(self) -> Sequence[AdapterManifest]:
        """Return the manifests of all readable versions, oldest first."""
        found = []
        for folder in self._folders():
            with contextlib.suppress(AdapterRefused):
                found.append(self.show(folder.name))
        return sorted(found, key=lambda manifest: (manifest.created, manifest.id))

    def show(self, adapter_id: str) -> AdapterManifest:
        """Return one manifest; raises `AdapterRefused` when there is none that can be read."""
        folder = self._path(adapter_id)
        if not folder.is_dir():
            raise AdapterRefused(f"there is no adapter {adapter_id}")
        check_files(folder)
        manifest = AdapterManifest.read(folder / MANIFEST)
        if manifest.id != adapter_id:
            raise AdapterRefused("its manifest belongs to another adapter")
        return manifest

    def verify(self, adapter_id: str, base_sha256: str | None) -> VerifiedAdapter:
        """Check every file of a version before anything loads it; raises `AdapterRefused`.

        ``base_sha256`` names the weights that it is to be merged into; None leaves that out.
        """
        manifest = self.show(adapter_id)
        if manifest.status == SET_ASIDE:
            raise AdapterRefused("it did not pass the gate")
        if base_sha256 is not None and manifest.base_sha256 != base_sha256:
            raise AdapterRefused("it was trained for other weights than those in use")
        folder = self._path(adapter_id)
        check_content(folder, manifest.sha256, self._base)
        return VerifiedAdapter(folder, adapter_id)

    def current(self, base_sha256: str | None = None) -> str:
        """Return the id to serve: what the pointer names, if it verifies.

        Otherwise the newest promoted version that does, or `BASE`; `notice` then says so.
        """
        self.notice = ""
        versions = self.list()
        try:
            if (pointed := self._pointed()) is None:
                if not any(manifest.status == PROMOTED for manifest in versions):
                    return BASE
                raise AdapterRefused("the pointer to it is missing")
            if pointed != BASE:
                self.verify(pointed, base_sha256)
        except AdapterRefused as error:
            chosen = self._newest(versions, base_sha256)
            self.notice = f"The current adapter cannot be served ({error}); {chosen} is used."
            logger.warning("falling back to adapter %s: %s", chosen, error)
            return chosen
        return pointed

    def rollback(self, to: str | None = None) -> str:
        """Serve ``to`` (None: the parent of the current version) from now on; return its id.

        Raises `AdapterRefused` when that cannot be served.
        """
        with self._writing():
            now = self.current()
            target = to or (self.show(now).parent if now != BASE else BASE)
            if target != BASE:
                self.verify(target, None)
            self._point_to(target)
        logger.info("rolled back from adapter %s to %s", now, target)
        return target

    def prune(self, keep: int) -> Sequence[str]:
        """Delete all but the newest ``keep`` versions; return the ids that went.

        The current version and the one that a rollback would go to always stay.
        """
        with self._writing():
            now = self.current()
            versions = [manifest.id for manifest in self.list()]
            spared = {now, *versions[len(versions) - keep :]} if keep > 0 else {now}
            if now != BASE:
                spared.add(self.show(now).parent)
            gone = [version for version in versions if version not in spared]
            kin = self._kin()
            for version in gone:
                self._lineage.remember(version, *kin[version])
                self._remove(version)
            self._tidy_lineage()
        return gone

    def drop_descendants(self, completion_ids: Collection[str]) -> Sequence[str]:
        """Delete every version that learned from one of these episodes, or comes from such a one.

        A version whose descent cannot be told (its manifest, or that of a parent, cannot be read)
        goes as well: nothing shows that it is free of them. Serves the nearest ancestor that is
        left; returns the ids that went.
        """
        forgotten = frozenset(completion_ids)
        if not forgotten or not self.folder.is_dir():
            return []
        with self._writing():
            kin, now = self._kin(), self.current()
            gone = [f.name for f in self._folders() if _is_tainted(f.name, kin, forgotten)]
            if gone:
                alive = self.names()
                clean = (v for v in ancestors(now, kin, BASE) if v not in gone and v in alive)
                self._point_to(next(clean, BASE))
            for version in gone:
                self._remove(version)
            self._tidy_lineage()
        return gone

    def _kin(self) -> dict[str, Kin]:
        """Return what is known of the descent of every version, alive or pruned."""
        alive = {m.id: (m.parent, frozenset(m.completion_ids)) for m in self.list()}
        return self._lineage.gone() | alive

    def _tidy_lineage(self) -> None:
        kin = self._kin()
        needed = {each for name in self.names() for each in ancestors(name, kin, BASE)}
        self._lineage.keep(needed - set(self.names()))

    def stamp(self) -> int:
        """Return a number that changes when another version becomes current; cheap to ask."""
        try:
            return (self.folder / _POINTER).stat().st_mtime_ns
        except OSError:
            return 0

    def clean_temporaries(self) -> int:
        """Delete what interrupted publications and deletions left; return how many folders."""
        left = [
            entry
            for entry in (self.folder.iterdir() if self.folder.is_dir() else ())
            if entry.name.startswith((_TEMPORARY, _TRASH, f".{_POINTER}."))
        ]
        for entry in left:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        return len(left)

    def _remove(self, adapter_id: str) -> None:
        """Delete a version; by a rename first, so that it is never seen half gone."""
        trash = self.folder / new_id(_TRASH.rstrip("-"))
        self._path(adapter_id).rename(trash)
        shutil.rmtree(trash, ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with locked(self.folder / ".lock", LOCK_SECONDS):
                yield
        except Busy as error:
            raise AdapterRefused("another process is changing the adapters; try again") from error

    def _path(self, adapter_id: str) -> Path:
        if adapter_id == BASE or not _ID.fullmatch(adapter_id):
            raise AdapterRefused(f"{adapter_id[:80]!r} is not the id of an adapter")
        return self.folder / adapter_id

    def _folders(self) -> Sequence[Path]:
        if not self.folder.is_dir():
            return ()
        return [entry for entry in self.folder.iterdir() if _ID.fullmatch(entry.name)]

    def _pointed(self) -> str | None:
        file = self.folder / _POINTER
        if not file.exists():
            return None
        adapter_id = read_json(file).get("id")
        if not isinstance(adapter_id, str):
            raise AdapterRefused("the pointer to it is damaged")
        return adapter_id

    def _point_to(self, adapter_id: str) -> None:
        atomic_write(self.folder / _POINTER, json.dumps({"id": adapter_id}).encode())

    def _newest(self, versions: Sequence[AdapterManifest], base_sha256: str | None) -> str:
        for manifest in reversed(versions):
            with contextlib.suppress(AdapterRefused):
                if manifest.status == PROMOTED:
                    return self.verify(manifest.id, base_sha256).id
        return BASE


def _is_tainted(version: str, kin: Mapping[str, Kin], forgotten: frozenset[str]) -> bool:
    """Whether a version, or one that it comes from, learned from ``forgotten`` or is unknown."""
    return any(
        each not in kin or kin[each][1] & forgotten for each in ancestors(version, kin, BASE)
    )
