"""The versions of what was learned: published whole or not at all, verified before use.

Each version is a folder ``<id>/`` with weights, configuration and manifest; ``current.json`` names
the one to serve everybody, and those that serve single workspaces instead. A version becomes
visible by one rename, the pointer changes by another, so a crash at any moment leaves either the
old state or the new one.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from falcon_lsp.core.paths import (
    Busy,
    fsync_file,
    fsync_folder,
    locked,
    private_folder,
    sha256_file,
)
from falcon_lsp.core.types import new_id
from falcon_lsp.model.lineage import Kin, Lineage, ancestors
from falcon_lsp.model.manifest import BASE, PROMOTED, SET_ASIDE, AdapterManifest
from falcon_lsp.model.pointers import GLOBAL, Pointers, scope_of
from falcon_lsp.model.verification import (
    MANIFEST,
    WEIGHTS,
    AdapterRefused,
    check_content,
    check_files,
)

__all__ = [
    "BASE",
    "GLOBAL",
    "PROMOTED",
    "SET_ASIDE",
    "AdapterManifest",
    "AdapterRefused",
    "AdapterRegistry",
    "Superseded",
    "VerifiedAdapter",
    "scope_of",
]

logger = logging.getLogger(__name__)

LOCK_SECONDS = 10.0

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_POINTER = "current.json"
_TEMPORARY, _TRASH = ".tmp-", ".trash-"


class Superseded(Exception):
    """A version is not published: it follows one that is served no more."""


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

    def publish(
        self, temporary: Path, manifest: AdapterManifest, replacing: str | None = None
    ) -> AdapterManifest:
        """Make the version in ``temporary`` visible, and current in its scope when it is promoted.

        Nothing is visible before everything is on disk. Returns the manifest with its ``sha256``;
        raises `AdapterRefused` when the folder would not verify, and `Superseded`, with nothing
        done, when a promoted one was to take the place of ``replacing`` and somebody has chosen
        another version meanwhile, there or where this one comes from.
        """
        target = self._path(manifest.id)
        check_files(temporary)
        manifest = replace(manifest, sha256=sha256_file(temporary / WEIGHTS))
        (temporary / MANIFEST).write_bytes(manifest.to_json())
        check_content(temporary, manifest.sha256, self._base)
        with self._writing():
            if target.exists():
                raise AdapterRefused(f"there is an adapter {manifest.id} already")
            if manifest.status == PROMOTED and replacing is not None:
                self._check_wanted(manifest, replacing)
            for file in temporary.iterdir():
                fsync_file(file)
            fsync_folder(temporary)
            temporary.rename(target)
            fsync_folder(self.folder)
            if manifest.status == PROMOTED:
                self._point_to(manifest.id, manifest.scope)
        logger.info("published adapter %s as %s", manifest.id, manifest.status)
        return manifest

    def _check_wanted(self, manifest: AdapterManifest, replacing: str) -> None:
        """Raise `Superseded` when what is served is not what a version was made to follow."""
        served = self.current(manifest.base_sha256, manifest.scope)
        kin = self._kin()
        descent = {BASE, *ancestors(served, kin, BASE)}
        if manifest.scope != GLOBAL:
            descent.update(ancestors(self.current(manifest.base_sha256), kin, BASE))
        if served != replacing or manifest.parent not in descent:
            raise Superseded("another version was chosen meanwhile")

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

    def current(self, base_sha256: str | None = None, scope: str = GLOBAL) -> str:
        """Return the id to serve in ``scope``: what the pointer names, if it verifies.

        A workspace without a version of its own is served what everybody is; everybody, without a
        usable pointer, the newest promoted version that verifies, or `BASE`. `notice` then says so.
        """
        self.notice = ""
        try:
            if own := self._workspace_version(scope, base_sha256):
                return own
        except AdapterRefused as error:
            chosen = self.current(base_sha256)
            self.notice = f"The workspace's adapter cannot be served ({error}); {chosen} is used."
            logger.warning("adapter of %s refused, %s is used: %s", scope, chosen, error)
            return chosen
        versions = self.list()
        try:
            if (pointed := self._pointers().ids.get(GLOBAL)) is None:
                if not any(m.status == PROMOTED and m.scope == GLOBAL for m in versions):
                    return BASE
                raise AdapterRefused("the pointer to it is missing")
            self._check_fit(pointed, base_sha256, GLOBAL)
        except AdapterRefused as error:
            chosen = self._newest(versions, base_sha256)
            self.notice = f"The current adapter cannot be served ({error}); {chosen} is used."
            logger.warning("falling back to adapter %s: %s", chosen, error)
            return chosen
        return pointed

    def served(self) -> Mapping[str, str]:
        """Return the ids that the pointer names, by scope; none when it is missing or damaged."""
        try:
            return self._pointers().ids
        except AdapterRefused:
            return {}

    def _workspace_version(self, scope: str, base_sha256: str | None) -> str:
        """Return the id that a workspace is served instead of everybody's; empty: none."""
        if scope == GLOBAL or not self._file.exists():
            return ""
        try:
            pointed = self._pointers().ids.get(scope, "")
        except AdapterRefused:  # a damaged pointer is everybody's trouble
            return ""
        if pointed:
            self._check_fit(pointed, base_sha256, scope)
        return pointed

    def _check_fit(self, adapter_id: str, base_sha256: str | None, scope: str) -> None:
        """Raise `AdapterRefused` unless the version may be served in ``scope``."""
        if adapter_id == BASE:
            return
        self.verify(adapter_id, base_sha256)
        if self.show(adapter_id).scope not in (GLOBAL, scope):
            raise AdapterRefused("it belongs to another workspace")

    def rollback(self, to: str | None = None, scope: str = GLOBAL) -> str:
        """Serve ``to`` from now on, in its own scope or in ``scope``; return its id.

        Without ``to``, a workspace goes back to what everybody is served, and everybody to the
        nearest ancestor of the current version that is left and verifies; workspaces whose versions
        come from the one that is left go back as well. Raises `AdapterRefused` when ``to`` cannot
        be served.
        """
        with self._writing():
            if to is not None and to != BASE:
                scope = self.show(to).scope or scope
            now = self.current(scope=scope)
            if to is None and scope != GLOBAL:
                self._write(self._pointers().without({scope}))
                return self.current()
            target = to or self._before(now)
            self._check_fit(target, None, scope)
            self._point_to(target, scope)
            if scope == GLOBAL:
                self._leave(now, target)
        logger.info("rolled back from adapter %s to %s", now, target)
        return target

    def _before(self, version: str) -> str:
        """Return the nearest ancestor of ``version`` that may be served to everybody."""
        for each in ancestors(version, self._kin(), BASE)[1:]:
            with contextlib.suppress(AdapterRefused):
                self._check_fit(each, None, GLOBAL)
                return each
        return BASE

    def _leave(self, left: str, target: str) -> None:
        """Serve no workspace what comes from ``left``, unless ``target`` does so itself."""
        kin = self._kin()
        if left == BASE or left in ancestors(target, kin, BASE):
            return
        pointers = self._pointers()
        of = {s for s, each in pointers.ids.items() if left in ancestors(each, kin, BASE)}
        if of - {GLOBAL}:
            self._write(pointers.without(of))

    def prune(self, keep: int) -> Sequence[str]:
        """Delete all but the newest ``keep`` versions of either level; return the ids that went.

        Those that were set aside are counted by themselves: however many were refused, none that
        could be served goes for them. What is served anywhere, and what a rollback would go to,
        always stays.
        """
        with self._writing():
            versions = self.list()
            now = self.current()
            spared = {now, self._before(now), *self.served().values()}
            kinds: dict[tuple[bool, str], list[str]] = {}
            for m in versions:
                kinds.setdefault((m.scope == GLOBAL, m.status), []).append(m.id)
            for ids in kinds.values():
                spared |= set(ids[max(0, len(ids) - keep) :])
            gone = [m.id for m in versions if m.id not in spared]
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
                pointers = self._pointers()
                self._write(pointers.without({s for s, v in pointers.ids.items() if v in gone}))
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

    @property
    def _file(self) -> Path:
        return self.folder / _POINTER

    def _pointers(self) -> Pointers:
        return Pointers.read(self._file)

    def _point_to(self, adapter_id: str, scope: str = GLOBAL) -> None:
        """Serve a version in ``scope``; pointers that were damaged begin anew."""
        try:
            before = self._pointers()
        except AdapterRefused:
            before = Pointers()
        if scope != GLOBAL and GLOBAL not in before.ids:
            before = before.pointing(GLOBAL, self.current())
        self._write(before.pointing(scope, adapter_id))

    def _write(self, pointers: Pointers) -> None:
        pointers.write(self._file)

    def _newest(self, versions: Sequence[AdapterManifest], base_sha256: str | None) -> str:
        for manifest in reversed(versions):
            with contextlib.suppress(AdapterRefused):
                if manifest.status == PROMOTED and manifest.scope == GLOBAL:
                    return self.verify(manifest.id, base_sha256).id
        return BASE


def _is_tainted(version: str, kin: Mapping[str, Kin], forgotten: frozenset[str]) -> bool:
    """Whether a version, or one that it comes from, learned from ``forgotten`` or is unknown."""
    return any(
        each not in kin or kin[each][1] & forgotten for each in ancestors(version, kin, BASE)
    )
