"""Work that needs PyTorch, once: done by a short-lived process of low priority.

So the server never holds PyTorch's memory, and what is typed meanwhile is answered first. A child
gets one JSON object on its standard input and writes one per line: ``{"progress": text, "share":
0.5}``, and ``{"error": sentence}`` when it cannot do what was asked. Its result is a file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import psutil

from falcon_lsp.model.engine import EngineError, Progress

logger = logging.getLogger(__name__)
SECONDS = 1800.0
NICENESS = 10


def silent(message: str, share: float) -> None:
    """Take no notice of progress."""


def run(name: str, progress: Progress = silent, **arguments: Any) -> None:
    """Have a child do ``name``, one of `ERRANDS`; raises `EngineError` with what it says."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "falcon_lsp.model.errand"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    late = threading.Timer(SECONDS, child.kill)
    late.daemon = True
    late.start()
    with child:  # whatever happens, it is waited for
        try:
            error = _converse(child, {"errand": name, **arguments}, progress)
        except BaseException:
            child.kill()
            raise
        finally:
            late.cancel()
    if error or child.returncode:
        logger.warning("%s ended with %s", name, child.returncode)
        raise EngineError(error or f"{name} ended early: free some memory and try again.")


def _converse(child: subprocess.Popen[str], order: dict[str, Any], progress: Progress) -> str:
    """Tell the child what to do and listen to it; return its error."""
    assert child.stdin is not None  # noqa: S101 - for the type checker: we asked for pipes
    assert child.stdout is not None  # noqa: S101 - as above
    with contextlib.suppress(BrokenPipeError):  # one that failed at once may have said why
        child.stdin.write(json.dumps(order))
        child.stdin.close()
    error = ""
    for line in child.stdout:
        said = json.loads(line)
        error = said.get("error", error)
        if "progress" in said:
            progress(said["progress"], said["share"])
    return error


def _quantise(order: dict[str, Any], _: Progress) -> None:
    import torch

    from falcon_lsp.model.quantise import quantise_into

    torch.set_num_threads(1)
    adapter = Path(order["adapter"]) if order["adapter"] else None
    quantise_into(Path(order["folder"]), adapter, Path(order["file"]))


def _convert(order: dict[str, Any], progress: Progress) -> None:
    from falcon_lsp.model.convert import convert

    def done(share: float) -> None:
        progress("Converting the model", 0.6 + 0.4 * share)

    adapter = Path(order["adapter"]) if order["adapter"] else None
    convert(Path(order["gguf"]), adapter, Path(order["folder"]), done)


ERRANDS: dict[str, Callable[[dict[str, Any], Progress], None]] = {
    "quantise": _quantise,
    "convert": _convert,
}


def _lower_priority() -> None:
    lowest = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", None)
    if lowest is None:
        os.nice(NICENESS)
    else:
        psutil.Process().nice(lowest)


def main(orders: TextIO, answers: TextIO) -> int:
    """Do what ``orders`` says; returns the exit code."""

    def say(**said: Any) -> None:
        print(json.dumps(said), file=answers, flush=True)

    def progress(message: str, share: float) -> None:
        say(progress=message, share=share)

    _lower_priority()
    order = json.load(orders)
    try:
        ERRANDS[order["errand"]](order, progress)
    except EngineError as error:
        say(error=str(error))
    except ImportError as error:
        say(error=f"{error.name} is missing: install falcon-lsp again.")
    except OSError as error:
        say(error=f"{order['errand']} failed ({error.strerror}): free some space and try again.")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
