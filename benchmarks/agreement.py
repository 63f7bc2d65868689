"""How often what the server infers from edits alone agrees with what really happened.

Without arguments: seeded simulated sessions, in which the developer's intention is known. With
files (written by ``record_session.py``): real ones, against what the extension reported. Prints the
confusion matrix and writes ``benchmarks/results/agreement.json``.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from evaluation.intervals import wilson
from sessions.replay import ESCAPE, UNREPORTED, Replay, read
from sessions.simulate import Developer

RESULT = Path(__file__).parent / "results" / "agreement.json"
SEED = 23
REPORTED = ("accepted", "partial", "undone")
"""What the extension reports and LSP traffic shows."""
INVISIBLE = (ESCAPE, UNREPORTED)


def simulated(texts: list[str], sessions: int, lines: int) -> list[tuple[str, str]]:
    """Return what happened and what was inferred, for every suggestion of all sessions."""
    pairs: list[tuple[str, str]] = []
    for number in range(sessions):
        rng = random.Random(f"{SEED}:{number}")
        session = Developer(rng, rng.sample(texts, 3)).work(lines)
        pairs += Replay().play(session).pairs()
    return pairs


def share(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Return how many pairs agree, with Wilson's interval."""
    found = list(pairs)
    agree = sum(known == inferred for known, inferred in found)
    return {
        "suggestions": len(found),
        "agree": agree,
        "share": round(agree / max(1, len(found)), 4),
        "interval_95": [round(bound, 4) for bound in wilson(agree, len(found))] if found else [],
    }


def matrix(pairs: list[tuple[str, str]]) -> str:
    """Return the confusion matrix as a Markdown table."""
    counts = Counter(pairs)
    rows = sorted({known for known, _ in pairs})
    columns = sorted({inferred for _, inferred in pairs})
    lines = [f"| happened | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for row in rows:
        cells = " | ".join(str(counts[row, column] or "") for column in columns)
        lines.append(f"| {row} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Replay, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recorded", nargs="*", type=Path, help="recorded sessions")
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--lines", type=int, default=40, help="of each of two files per session")
    arguments = parser.parse_args()
    if arguments.recorded:
        pairs = [p for path in arguments.recorded for p in Replay().play(read(path)).pairs()]
    else:
        package = Path(__file__).parent.parent / "server" / "falcon_lsp"
        files = sorted(package.rglob("*.py"))
        texts = [f.read_text(encoding="utf-8") for f in files if f.stat().st_size > 4000]
        pairs = simulated(texts, arguments.sessions, arguments.lines)
    visible = [pair for pair in pairs if pair[0] not in INVISIBLE]
    result = {
        "sessions": "recorded" if arguments.recorded else "simulated",
        "reported_and_visible": share(pair for pair in visible if pair[0] in REPORTED),
        "all_that_is_visible": share(visible),
        "counts": {" / ".join(pair): count for pair, count in sorted(Counter(pairs).items())},
    }
    print(matrix(pairs))
    print(json.dumps({k: v for k, v in result.items() if k != "counts"}, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
