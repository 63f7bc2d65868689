"""Do rejected suggestions come back, and what else is lost by keeping them away?

Suggestions are lines of projects that nothing was trained on. Rejections are recorded in a ledger
and read back by a memory that was not there when they were said, as after a restart; then the same
and nearly the same texts are asked about in the same context, and after them everything else that
the projects hold. Writes ``benchmarks/results/rejections.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from evaluation.intervals import Ratio
from evaluation.places import File, draw_files
from falcon_lsp.config import MemoryOptions
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome, Prompt, Suggestion
from falcon_lsp.memory import events
from falcon_lsp.memory.episodes import fold
from falcon_lsp.memory.events import Event, Place
from falcon_lsp.memory.rejections import MAX_REJECTIONS, Rejections
from falcon_lsp.memory.service import MemoryService

RESULT = Path(__file__).parent / "results" / "rejections.json"
SEED = 17
CONTEXT = 6000
"""Characters before the cursor that an episode keeps here."""
QUESTIONS = 4000
"""Questions of which each takes processor time, at the bound of what is remembered."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a project: what stands before its first word, and the rest of it."""

    project: str
    path: str
    before: str
    text: str


def lines_of(file: File) -> Iterator[Line]:
    """Yield every line of a file that says something."""
    offset = 0
    for row in file.text.splitlines(keepends=True):
        text = row.strip()
        if len(text) >= 4:
            start = offset + row.index(text)
            before = file.text[max(0, start - CONTEXT) : start]
            yield Line(file.package, file.path, before, text)
        offset += len(row)


def _changed_token(line: Line, rng: random.Random) -> Line | None:
    """Replace one word of a long line; shorter ones are another suggestion then."""
    words = line.text.split(" ")
    if len(words) < 13 or not words[-2].isidentifier():
        return None
    words[-2] = f"other_{rng.randrange(100)}"
    return dataclasses.replace(line, text=" ".join(words))


def _typed(line: Line, rng: random.Random) -> Line | None:
    at = rng.randrange(1, len(line.text))
    return dataclasses.replace(line, before=line.before + line.text[:at], text=line.text[at:])


def _cut(line: Line, _rng: random.Random) -> Line | None:
    """Cut off the end of a long line, within a word."""
    end = len(line.text) * 9 // 10
    return dataclasses.replace(line, text=line.text[:end]) if end > 40 else None


def _with(**change: Callable[[str], str]) -> Callable[[Line, random.Random], Line | None]:
    def changed(line: Line, _rng: random.Random) -> Line | None:
        new = {name: edit(getattr(line, name)) for name, edit in change.items()}
        return dataclasses.replace(line, **new)

    return changed


VARIANTS: dict[str, Callable[[Line, random.Random], Line | None]] = {
    "the same": _with(),
    "other quotes": _with(text=lambda text: text.replace('"', "'")),
    "other blanks": _with(text=lambda text: text.replace(", ", ",").replace(" = ", "=")),
    "trailing comma": _with(text=lambda text: text + ","),
    "lines below": _with(text=lambda text: text + "\n\n\nfurther = lines(below)"),
    "blank line above": _with(before=lambda text: text[: text.rfind("\n") + 1] + "\n"
                              + text[text.rfind("\n") + 1 :]),
    "CRLF": _with(before=lambda text: text.replace("\n", "\r\n")),
    "from the line above": lambda line, _rng: dataclasses.replace(
        line, before=line.before.rstrip(), text="\n" + line.before.rpartition("\n")[2] + line.text)
        if line.before.strip() and line.before.rpartition("\n")[2].strip() == "" else None,
    "partly typed": _typed,
    "cut short": _cut,
    "one word changed": _changed_token,
}  # fmt: skip


def rejected_events(number: int, line: Line, text: str) -> list[Event]:
    """Return what the ledger would hold of ``text``, rejected where ``line`` stands."""
    place = Place(f"cmp-{number}", line.project, line.path, "python")
    prompt = Prompt(line.path, line.before, "")
    suggestion = Suggestion(place.completion_id, text, len(line.before), prompt, "model", "m", "b")
    no = events.outcome(place, Outcome.REJECTED, chars_kept=0, elapsed_ms=0.0, inferred=False)
    return [events.suggested(place, suggestion), no]


def after_restart(recorded: Sequence[Event]) -> Rejections:
    """Write ``recorded`` with one memory and return what another one knows of it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.default(str(Path(folder) / "data"), str(Path(folder) / "cache"))
        writer = MemoryService(store, MemoryOptions(ignore=()))
        if not writer.record(recorded):
            raise RuntimeError("the rejections could not be recorded")
        writer.close()
        rejections = Rejections()
        reader = MemoryService(store, MemoryOptions(), rejections=rejections)
        reader.open()
        reader.close()
        return rejections


def blocked(rejections: Rejections, line: Line) -> bool:
    """Whether the line's text would be kept away."""
    return rejections.block(line.project, line.before, line.text, time.time())


def reappearances(rejections: Rejections, declined: Sequence[Line]) -> dict[str, dict[str, int]]:
    """Count by variant how often a declined line would be offered again."""
    rng = random.Random(SEED)
    counts = {}
    for name, vary in VARIANTS.items():
        asked = [varied for line in declined if (varied := vary(line, rng)) is not None]
        back = sum(not blocked(rejections, line) for line in asked)
        counts[name] = {"asked": len(asked), "reappeared": back}
    return counts


def lost(rejections: Rejections, others: Sequence[Line]) -> dict[str, Any]:
    """Return the share of ``others`` that is kept away, with its interval over files."""
    hits = [float(blocked(rejections, line)) for line in others]
    ratio = Ratio(hits, [1.0] * len(hits), [line.path for line in others])
    return {
        "asked": len(hits),
        "lost": int(sum(hits)),
        "share": ratio.value,
        "interval_95": list(ratio.interval()),
    }


def most_alike(line: Line, project: Sequence[Line]) -> str | None:
    """Return the other text of the project that a model could most easily mistake it for."""
    word = line.text.split("(")[0].split(" ")[0]
    rivals = {each.text for each in project if each.text.startswith(word)} - {line.text}
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(line.text)

    def likeness(text: str) -> float:
        matcher.set_seq1(text)
        return matcher.quick_ratio()

    return max(sorted(rivals)[:300], key=likeness, default=None)


def question_times(lines: Sequence[Line]) -> dict[str, Any]:
    """Measure one question's processor time with as many rejections as are ever kept."""
    workspace = "one"
    everything = [dataclasses.replace(line, project=workspace) for line in lines]
    declined, asked = everything[:MAX_REJECTIONS], everything[-QUESTIONS:]
    rejections = Rejections()
    for number, line in enumerate(declined):
        if (episode := fold(rejected_events(number, line, line.text))) is not None:
            rejections.take(episode)
    spent = []
    for line in asked:
        started_ns = time.thread_time_ns()
        blocked(rejections, line)
        spent.append((time.thread_time_ns() - started_ns) / 1e6)
    spent.sort()
    return {
        "rejections": len(declined),
        "questions": len(asked),
        "mean_ms": round(statistics.fmean(spent), 4),
        "p99_ms": round(spent[int(len(spent) * 0.99)], 4),
        "max_ms": round(spent[-1], 4),
    }


def main() -> None:
    """Run the replay and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path, help="folder of the projects' wheels, filled if empty")
    parser.add_argument("--rejections", type=int, default=1500)
    parser.add_argument("--mistakes", type=int, default=300)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--others", type=int, default=20_000)
    parser.add_argument("--development", action="store_true", help="the draw for choices")
    arguments = parser.parse_args()
    rng = random.Random(SEED)
    files = draw_files(arguments.wheels, arguments.files, development=arguments.development)
    lines = [line for file in files for line in lines_of(file)]
    rng.shuffle(lines)
    declined, rest = lines[: arguments.rejections], lines[arguments.rejections :]
    by_project = defaultdict(list)
    for line in lines:
        by_project[line.project].append(line)
    mistaken = [
        (line, text)
        for line in rest[: arguments.mistakes]
        if (text := most_alike(line, by_project[line.project])) is not None
    ]
    recorded = [e for n, line in enumerate(declined) for e in rejected_events(n, line, line.text)]
    rejections = after_restart(recorded)
    wrong = [e for n, (line, text) in enumerate(mistaken) for e in rejected_events(n, line, text)]
    result = {
        "draw": "development" if arguments.development else "test",
        "files": len(files),
        "projects": len(by_project),
        "lines": len(lines),
        "rejections": len(declined),
        "reappearances": reappearances(rejections, declined),
        "other_lines": lost(rejections, rest[: arguments.others]),
        "right_line_after_its_likest_was_rejected": lost(
            after_restart(wrong), [line for line, _ in mistaken]
        ),
        "processor_time_of_a_question": question_times(lines),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
