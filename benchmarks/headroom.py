"""What could an adapter learn of a project at all? Later lines of it, after several ways to train.

A practice is typed and recorded as in `learning.py`. From the same start the shipped model is then
trained in each way: on the practice's episodes under an objective, or by reading the workspace's
files as they stood when the practice ended, every token once. What is measured is how much likelier
the lines become that later commits add, in the prompts that the server would build: nats per token.
No gate is asked, and workspaces have no version of their own: this is about what there is to gain.
The projects are those that choices are made on; it proves nothing of others.

    .venv/bin/python benchmarks/headroom.py --projects pygls markdown-it-py
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from evaluation import ablation, commits, phases
from evaluation.intervals import Ratio, difference
from evaluation.plain import plain_examples
from evaluation.results import machine
from falcon_lsp.completion import context
from falcon_lsp.completion.prompt import build_prompt
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import Encoding, Scored, TrainingExample, encode_text
from falcon_lsp.learning.lessons import build_lesson
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.policy.model import PolicyModel, collate
from falcon_lsp.learning.trainer import Recipe, train
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.sources import History
from learning import speaker, trial_of

HERE = Path(__file__).parent
WINDOW, HOLE = 1600, 200
"""Characters of a file that are read at a time, and the most that its hole has."""
MOST_READ = 80_000
"""Tokens of a workspace that are read."""
READING = Recipe(
    Objective.SUPERVISED, learning_rate=2e-4, epochs=1, minibatch=8, rows=1, most_steps=10_000
)


@dataclass(frozen=True, slots=True)
class Way:
    """How the model is trained, and on what of a finished practice."""

    recipe: Recipe
    examples: Callable[[phases.Trial, Encoding], list[TrainingExample]]


@dataclass(frozen=True, slots=True)
class Line:
    """The rest of a line that ``commit`` adds, behind the server's prompt."""

    commit: str
    sequence: Scored


def main() -> None:
    """Measure what is not known yet, project by project; write after each way."""
    arguments = parse_arguments()
    known = {project.name: project for project in commits.projects("development")}
    body = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {"runs": {}}
    torch.set_num_threads(arguments.threads)
    for name in arguments.projects:
        run = body["runs"].setdefault(name, {"ways": {}})
        missing = [way for way in arguments.ways if way not in run["ways"]]
        for way, found in measured(arguments, known[name], missing):
            run["ways"][way] = found
            body |= {"machine": machine("cpu"), "practice_minutes": arguments.practice}
            atomic_write(arguments.out, f"{json.dumps(body, indent=1)}\n".encode())


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--projects", nargs="+", default=["pygls", "markdown-it-py"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--lines", type=int, default=120, help="lines of later commits to judge by")
    parser.add_argument("--practice", type=float, default=3.0, help="minutes of each practice")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "headroom.json")
    parser.set_defaults(minutes=0.0, set=())  # nothing is examined by typing
    return parser.parse_args()


def measured(
    arguments: argparse.Namespace, project: commits.Project, ways: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each way with what it does to later lines of ``project``."""
    cache = Store.default().cache.absolute()
    checkouts = cache / "benchmarks" / "checkouts"
    history = commits.History(checkouts, project)
    files = find_model(Config(), Store.default())
    encoding = Encoding(CodeTokenizer.from_folder(files.folder), files.fim, files.model_id)
    with Git(checkouts / project.name) as git:
        source = History(git)
        trial = trial_of(arguments, cache, source, arguments.seed)
        begun = phases.practise(trial, speaker(f"{project.name} practice")).begun
        lines = later(history, source.steps[begun:], arguments.lines, encoding)
    model = PolicyModel(files.folder, None, Recipe().shape, arguments.seed)
    start, before = model.state(), scores(model, lines)
    for name in ways:
        way = WAYS[name]
        model.restore(start)
        examples = way.examples(trial, encoding)
        clock = time.process_time()
        run = train(model, examples, _base, way.recipe, lambda _: None, CancellationToken())
        seconds = time.process_time() - clock
        found = {
            "examples": len(examples),
            "tokens": sum(len(each.sequence) for each in run.used),
            "steps": len(run.steps),
            "stopped": run.stopped,
            "processor_s": seconds,
            **compared(lines, before, scores(model, lines)),
        }
        model.release()
        gain = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*found["nats_per_token"])
        print(f"{project.name}, {name}: {gain}", flush=True)
        yield name, found


def later(
    history: commits.History, shas: Sequence[str], count: int, encoding: Encoding
) -> list[Line]:
    """Return at most ``count`` lines, one of a commit, of the first commits that add any."""
    found: list[Line] = []
    options = Config().context
    for moment in filter(None, (commits.draw_moment(history, sha) for sha in shas)):
        if len(found) == count:
            break
        around = ablation.surroundings(history, moment)
        snippets = context.gather(moment.request, options, around, context.BLOCKS)
        prompt = build_prompt(moment.request, snippets, options)
        sequence = encode_text(encoding, prompt, moment.truth)
        if sequence is not None:
            found.append(Line(moment.commit, sequence.text))
    return found


def scores(model: PolicyModel, lines: Sequence[Line]) -> list[float]:
    """Return each line's log-likelihood, in nats."""
    found = []
    for line in lines:
        batch = collate([line.sequence]).to(model.device)
        found.append(float(model.logprobs(batch).sum()))
    return found


def compared(
    lines: Sequence[Line], before: Sequence[float], after: Sequence[float]
) -> dict[str, Any]:
    """Return what was gained per token, with a 95 % interval from lines drawn again."""
    tokens = [float(len(line.sequence.answer)) for line in lines]
    names = [line.commit for line in lines]
    gain = difference(Ratio(before, tokens, names), Ratio(after, tokens, names))
    rose = sum(now > then for then, now in zip(before, after, strict=True))
    return {"lines": len(lines), "before": sum(before) / sum(tokens), "nats_per_token": gain,
            "likelier": rose}  # fmt: skip


def told(objective: Objective) -> Way:
    """Return the way of an objective: what the practice's episodes teach under it."""

    def examples(trial: phases.Trial, encoding: Encoding) -> list[TrainingExample]:
        with closing(Ledger(trial.store.ledger)) as ledger:
            episodes = list(ledger.episodes())
        lessons = (build_lesson(episode, encoding, objective) for episode in episodes)
        return [lesson for lesson in lessons if isinstance(lesson, TrainingExample)]

    return Way(Recipe(objective), examples)


def read(trial: phases.Trial, encoding: Encoding) -> list[TrainingExample]:
    """Return windows of the workspace's files with a hole each, all of whose tokens teach."""
    rng = random.Random(trial.seed)
    windows = []
    for file in sorted(trial.workspace.rglob("*.py")):
        path, text = file.relative_to(trial.workspace).as_posix(), file.read_text("utf-8")
        for start in range(0, len(text), WINDOW):
            piece = text[start : start + WINDOW]
            first, last = sorted(rng.choices(range(len(piece) + 1), k=2))
            last = min(last, first + HOLE)
            hole = Prompt(path, piece[:first], piece[last:])
            sequence = encode_text(encoding, hole, piece[first:last])
            if sequence is not None:
                windows.append((*sequence.context, *sequence.answer))
    rng.shuffle(windows)
    chosen, tokens = [], 0
    for ids in windows:
        tokens += len(ids)
        if tokens > MOST_READ:
            break
        chosen.append(Scored(ids[:1], ids[1:]))
    return plain_examples(chosen)


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        **{str(objective): told(objective) for objective in Objective if objective != "on-policy"},
        "reading": Way(READING, read),
    }
)


def _base(_adapter_id: str) -> None:
    """Everything was sampled by the base, which the practice serves."""


if __name__ == "__main__":
    main()
