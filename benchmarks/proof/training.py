"""One arm learns, step by step, until its budget of tokens is spent; every step can be resumed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import Encoding, Scored, encode_text
from falcon_lsp.learning.meta import reptile
from falcon_lsp.learning.objectives.supervised import supervised_loss
from falcon_lsp.learning.objectives.tokens import kl_divergence, masked
from falcon_lsp.learning.policy.model import PolicyModel
from falcon_lsp.learning.policy.packing import collate
from falcon_lsp.learning.practice.curriculum import Curriculum
from falcon_lsp.learning.practice.on_policy import Credited, Leash, credit_group, take_step
from falcon_lsp.learning.practice.rollouts import Asked, Rollout, Sampler, Sampling
from falcon_lsp.learning.tasks import MetaRecipe
from proof import checkpoint
from proof.arms import Arm, Objective
from proof.holes import Hole
from proof.judging import Judge
from proof.memories import Lately, SolvedTasks, prompt_of
from proof.worth import Tried, Valuer

VERSION = 2
"""Of what runs and results are made by: those of another are neither gone on with nor mixed in."""

MAX_TOKENS = 48
EMPTY_STEPS = 20
"""So many steps in a row from which nothing can be learned end the run."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all arms share. ``tokens`` is the budget: positions computed in sampling and training.

    ``contexts`` of ``samples`` each make a step; with meta-learning a step is ``tasks`` inner loops
    that share those contexts out. ``epochs`` passes are made over every step's samples.
    """

    tokens: int = 150_000
    contexts: int = 6
    samples: int = 6
    tasks: int = 2
    epochs: int = 2
    learning_rate: float = 4e-4
    batch: int = 12
    leash: Leash = dataclasses.field(default_factory=Leash)


@dataclass(slots=True)
class Run:
    """What became of a run so far; ``spent`` counts tokens."""

    step: int = 0
    spent: int = 0
    empty: int = 0
    stopped: str = ""
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


class Learner:
    """An arm with its model, its memories and its place in the curriculum."""

    def __init__(
        self,
        arm: Arm,
        recipe: Recipe,
        model: PolicyModel,
        encoding: Encoding,
        holes: Sequence[Hole],
        judge: Judge,
        seed: int,
        solved: SolvedTasks | None = None,
    ) -> None:
        self.arm, self.recipe, self.model, self.encoding = arm, recipe, model, encoding
        self.sampler = Sampler(model.peft, encoding.tokenizer, encoding.fmt)
        self.run = Run()
        self.solved = (solved or SolvedTasks()) if arm.long_term else None
        self._holes = {hole.name: hole for hole in holes}
        self._judge, self._seed = judge, seed
        self._curriculum = Curriculum(list(self._holes))
        self._lately = Lately()
        self._valuer = Valuer(arm, encoding.tokenizer)
        self._optimizer = self._fresh_optimizer()
        self._token = CancellationToken()

    def train(self, folder: Path, say: Callable[[str], None]) -> Run:
        """Learn until the budget is spent; what ``folder`` holds of this run is gone on with."""
        checkpoint.load(folder, self)
        while not self.run.stopped:
            measured = self._step()
            self.run.step += 1
            self.run.history.append({"spent": self.run.spent} | measured)
            self._judge_progress(measured)
            checkpoint.save(folder, self)
            numbers = " ".join(f"{name} {value:.4g}" for name, value in measured.items())
            say(f"step {self.run.step}: {self.run.spent} of {self.recipe.tokens} tokens, {numbers}")
        return self.run

    def prompt(self, hole: Hole, *, attempts: bool = False) -> Prompt:
        """Return what the model reads; ``attempts`` adds what short-term memory knows."""
        return prompt_of(hole, self.solved, self._lately if attempts else None)

    @property
    def plan(self) -> dict[str, Any]:
        """What makes a run this one and no other, as plain JSON."""
        recipe = dataclasses.asdict(self.recipe)
        return {"version": VERSION, "arm": self.arm.name, "seed": self._seed, "recipe": recipe}

    def state(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON."""
        return self.plan | {
            "run": dataclasses.asdict(self.run),
            "curriculum": self._curriculum.state(),
            "lately": self._lately.failed,
            "memory": self._valuer.memory.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to an earlier `state`."""
        self.run = Run(**state["run"])
        self._curriculum.restore(state["curriculum"])
        self._lately.failed = {name: tuple(pair) for name, pair in state["lately"].items()}
        self._valuer.memory.restore(state["memory"])

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser whose state outlives a step (with meta-learning none does)."""
        return self._optimizer

    def _judge_progress(self, measured: dict[str, float]) -> None:
        self.run.empty = 0 if measured.get("trained") else self.run.empty + 1
        if measured.get("capped"):
            self.run.stopped = "the KL to the base reached its cap"
        elif self.run.empty >= EMPTY_STEPS:
            self.run.stopped = "nothing left to learn from"
        elif self.run.spent >= self.recipe.tokens:
            self.run.stopped = "budget spent"

    def _step(self) -> dict[str, float]:
        rng = random.Random(f"{self._seed}:{self.run.step}")
        if self.arm.objective is Objective.SUPERVISED:
            return self._supervised(rng)
        return self._meta(rng) if self.arm.meta else self._plain(rng)

    def _supervised(self, rng: random.Random) -> dict[str, float]:
        holes = rng.sample(sorted(self._holes), self.recipe.batch)
        scored = [self._settled(self._holes[name]) for name in holes]
        sequences = [one for one in scored if one is not None]
        total = sum(len(one.answer) for one in sequences)
        self._optimizer.zero_grad(set_to_none=True)
        value = kl = 0.0
        for start in range(0, len(sequences), self.recipe.leash.rows):
            rows = collate(sequences[start : start + self.recipe.leash.rows]).to(self.model.device)
            self.run.spent += len(rows)
            with torch.no_grad(), self.model.base():
                base = self.model.logits(rows)
            logits = self.model.logits(rows)
            loss = supervised_loss(logits, rows.targets, rows.mask, normaliser=float(total))
            loss.backward()
            value += float(loss.detach())
            kl += float(masked(kl_divergence(logits.detach(), base), rows.mask).sum()) / total
        if kl > self.recipe.leash.kl_cap:
            return {"loss": value, "kl": kl, "trained": 0.0, "capped": 1.0}
        torch.nn.utils.clip_grad_norm_(self.model.parameters, self.recipe.leash.gradient_norm)
        self._optimizer.step()
        return {"loss": value, "kl": kl, "trained": float(total)}

    def _settled(self, hole: Hole) -> Scored | None:
        return encode_text(self.encoding, self.prompt(hole), hole.settled)

    def _plain(self, rng: random.Random) -> dict[str, float]:
        """Sample in all contexts, then learn from them together."""
        chosen = self._curriculum.choose(self.recipe.contexts, rng)
        samples, measured = self._explore([self._holes[name] for name in chosen])
        return measured | self._learn(samples, self._optimizer)

    def _meta(self, rng: random.Random) -> dict[str, float]:
        """Adapt to each task from the same start, then move the start towards them (Reptile).

        A task is a handful of functions that long-term memory holds to be alike; its support set is
        what was sampled in them a moment ago. A task whose inner loop led above the cap has no part
        in the step: the start is not where it led. The run ends when that is so of all.
        """
        phi, adapted, found = self.model.state(), [], []
        for _ in range(self.recipe.tasks):
            self.model.restore(phi)
            holes = self._task(rng)
            samples, measured = self._explore(holes)
            measured |= self._learn(samples, self._fresh_optimizer())
            found.append(measured)
            if measured["trained"] and not measured.get("capped"):
                adapted.append(self.model.state())
        self.model.restore(reptile(phi, adapted, MetaRecipe().epsilon) if adapted else phi)
        names = dict.fromkeys(name for one in found for name in one)
        means = {name: sum(one.get(name, 0.0) for one in found) / len(found) for name in names}
        return means | {"capped": float(all(one.get("capped") for one in found))}

    def _task(self, rng: random.Random) -> list[Hole]:
        """Return one context and others of the functions most like its own.

        Without long-term memory nobody knows which are alike: any others.
        """
        count = max(1, self.recipe.contexts // self.recipe.tasks)
        order = self._curriculum.choose(len(self._holes), rng)
        if not order:
            return []
        if self.solved is None:
            return [self._holes[name] for name in order[:count]]
        first = self._holes[order[0]]
        near = self.solved.like(first, 2 * count)
        groups = {first.task, *(task.name for task in near)}
        return [self._holes[name] for name in order if self._holes[name].task in groups][:count]

    def _explore(self, holes: Sequence[Hole]) -> tuple[list[Credited], dict[str, float]]:
        """Sample in each context, judge, and return what each token deserves."""
        places = [hole.helped(self._curriculum.share(hole.name)) for hole in holes]
        first = self.recipe.samples // 2 if self.arm.short_term else self.recipe.samples
        tried = self._sample(places, first, attempts=False)
        if self.arm.short_term:
            again = self._sample(places, self.recipe.samples - first, attempts=True)
            tried = [one + other for one, other in zip(tried, again, strict=True)]
        samples: list[Credited] = []
        passed = 0
        for hole, group in zip(places, tried, strict=True):
            well = sum(one.judged.passed for one in group)
            passed += well
            self._curriculum.record(hole.name, well, len(group))
            rollouts = [one.rollout for one in group]
            samples += credit_group(rollouts, *self._valuer.value(hole, group))
        share = passed / max(1, self.recipe.samples * len(places))
        return samples, {"passed": share, "contexts": float(len(places))}

    def _sample(self, places: Sequence[Hole], count: int, *, attempts: bool) -> list[list[Tried]]:
        asked = [Asked(hole.name, self.prompt(hole, attempts=attempts)) for hole in places]
        drawn = random.Random(f"{self._seed}:{self.run.step}:{attempts}").getrandbits(32)
        sampling = Sampling(count, MAX_TOKENS, seed=drawn)
        groups = self.sampler.sample(asked, sampling, self._token)
        for group in groups:
            self.run.spent += len(group[0].sequence.context)
            self.run.spent += sum(len(one.sequence.answer) for one in group)
        return [self._try(hole, group) for hole, group in zip(places, groups, strict=True)]

    def _try(self, hole: Hole, group: Sequence[Rollout]) -> list[Tried]:
        judged = self._judge.judge([(hole, one.text) for one in group])
        for one in judged:
            self._lately.note(hole, one)
        return [Tried(one, found) for one, found in zip(group, judged, strict=True)]

    def _learn(
        self, samples: Sequence[Credited], optimizer: torch.optim.Optimizer
    ) -> dict[str, float]:
        measured: dict[str, float] = {"trained": 0.0}
        before = self.model.state()
        for _ in range(self.recipe.epochs if samples else 0):
            state = self.model.state()
            taken = take_step(self.model, optimizer, samples, self.recipe.leash, self._token)
            if taken is None:
                self.model.restore(before)  # the step before led too far
                return measured | {"capped": 1.0}
            before = state
            self.run.spent += taken.computed
            measured |= {
                "loss": taken.loss, "kl": taken.kl, "ratio": taken.ratio,
                "clipped": taken.clipped, "trained": measured["trained"] + taken.tokens,
            }  # fmt: skip
        return measured

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        rate = self.recipe.learning_rate
        return torch.optim.AdamW(self.model.parameters, lr=rate, weight_decay=0.0)
