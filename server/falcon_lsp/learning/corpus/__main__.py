"""Command line of the corpus builder; see ``--help``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from falcon_lsp.learning.corpus.build import build
from falcon_lsp.learning.corpus.sources import find_projects

_SUMMARY = ("characters", "files", "dropped", "skipped")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a corpus and print its summary; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        manifest = build(
            find_projects(options.sources, options.evaluation),
            options.out,
            characters=int(options.megabytes * 1e6),
            seed=options.seed,
            benchmarks=options.evaluation,
            evaluated=find_projects(options.evaluation_source, options.evaluation),
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({key: manifest[key] for key in _SUMMARY}, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="falcon_lsp.learning.corpus",
        description="Build a training corpus of hand-written code under permissive licences.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="stdlib, installed, mbpp-train, a wheel or source distribution, a folder of them, a "
        "node_modules folder, a git checkout or any other folder",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument(
        "--megabytes", type=float, default=60.0, help="at most, of each language (default: 60)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--evaluation",
        type=Path,
        default=Path("benchmarks/data"),
        metavar="FOLDER",
        help="benchmarks whose tasks must not occur (default: benchmarks/data)",
    )
    parser.add_argument(
        "--evaluation-source",
        action="append",
        default=[],
        metavar="SOURCE",
        help="projects of never-train.txt, whose code must not occur either; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
