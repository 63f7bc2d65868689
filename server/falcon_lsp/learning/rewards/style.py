"""What a linter says of a text: findings that it adds or removes, for each of its lines.

Ruff only reads; it runs once for a whole batch, with rules of its own choice here, never those of
the workspace: a reward that a file in a repository could set would be no reward.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from falcon_lsp.core.paths import private_folder
from falcon_lsp.learning.rewards.sample import Sample, breaks_syntax

logger = logging.getLogger(__name__)

STYLE_STEP: Final = 0.05
STYLE_MOST: Final = 0.1
RULES: Final = "E4,E7,F,W6,B,C4,SIM,UP,PIE,RET,PERF,PLE,PLW"
IGNORED: Final = "F401,F821,F841,RET503"
"""What a file that is still being written, or that was cut, cannot be blamed for."""

COPY_PREFIX: Final = "log-style-"
"""Folders that begin with ``log-`` go when anything is forgotten, should a kill leave one."""

_RUFF_SECONDS: Final = 60.0
Found = Counter[tuple[str, str]]
"""How often each rule is broken on each line's text."""


def style_term(added: int, removed: int, lines: int) -> float:
    """Return 0.05 for each finding removed per line, less added ones, in [-0.1, 0.1]."""
    change = STYLE_STEP * (removed - added) / max(1, lines)
    return min(max(change, -STYLE_MOST), STYLE_MOST)


def style_terms(samples: Sequence[Sample], folder: Path | None = None) -> list[float]:
    """Return the style term of each sample, by one process of ruff for all of them.

    0 for what is not Python or does not parse, and for all where ruff is missing or fails. It reads
    copies in a folder below ``folder`` that goes at once.
    """
    pairs = {
        number: (before, sample.whole)
        for number, sample in enumerate(samples)
        if (before := sample.baseline()) is not None and not breaks_syntax(sample)
    }
    terms = [0.0] * len(samples)
    if not pairs:
        return terms
    found = _findings([source for pair in pairs.values() for source in pair], folder)
    for place, number in enumerate(pairs):
        old, new = found[2 * place : 2 * place + 2]
        added, removed = (new - old).total(), (old - new).total()
        terms[number] = style_term(added, removed, samples[number].height)
    return terms


def _findings(sources: Sequence[str], parent: Path | None) -> list[Found]:
    """Return the findings in each source; none in any of them where ruff cannot be run."""
    found: list[Found] = [Counter() for _ in sources]
    lines = [source.splitlines() for source in sources]
    for finding in _ruff(sources, parent):
        number = int(Path(finding["filename"]).stem)
        row = int(finding["location"]["row"]) - 1
        text = lines[number][row].strip() if row < len(lines[number]) else ""
        found[number][str(finding["code"]), text] += 1
    return found


def _ruff(sources: Sequence[str], parent: Path | None) -> list[dict[str, Any]]:
    if importlib.util.find_spec("ruff") is None:
        logger.warning("no style reward: ruff is not installed (falcon-lsp[rewards])")
        return []
    if parent is not None:
        private_folder(parent)
    with tempfile.TemporaryDirectory(prefix=COPY_PREFIX, dir=parent) as name:
        folder = Path(name)
        for number, source in enumerate(sources):
            (folder / f"{number}.py").write_text(source, encoding="utf-8", errors="replace")
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter's module, no shell
                [sys.executable, "-P", "-m", "ruff", "check", "--isolated", "--no-cache", "--quiet",
                 "--exit-zero", "--output-format=json", f"--select={RULES}", f"--ignore={IGNORED}",
                 str(folder)],
                capture_output=True, timeout=_RUFF_SECONDS, check=True,
                stdin=subprocess.DEVNULL, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
            found: list[dict[str, Any]] = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            logger.warning("no style reward: ruff failed (%s)", type(error).__name__)
            return []
    return found
