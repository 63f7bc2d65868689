"""On-policy learning: answer afresh in logged places, see what it is worth, take a step, again.

A round asks for a group of answers in a few places and judges them; the groups that some of the
answers pass teach the one step that follows, so that the policy which sampled is the one that
learns. What is too hard comes back with the beginning of the settled text (`curriculum`). Rounds,
like steps, are on the journal's page before anything is built on them: a kill asks nobody twice,
and ends in the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Encoding, Reason, Scored, TrainingExample, token_starts
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.policy.model import PolicyModel
from falcon_lsp.learning.practice.curriculum import Curriculum, teaches
from falcon_lsp.learning.practice.drills import Drill, passed, score_answers
from falcon_lsp.learning.practice.on_policy import Credited, Leash, credit_group, find_gradient
from falcon_lsp.learning.practice.rollouts import Asked, Rollout, Sampler, Sampling
from falcon_lsp.learning.rewards import Appraiser, Reward, token_penalty
from falcon_lsp.learning.samples import chunks
from falcon_lsp.learning.trainer import Recipe, TrainingRun
from falcon_lsp.learning.walk import StepStats, Walk
from falcon_lsp.memory.episodes import Episode

LONGEST = 48
"""Tokens of an answer, as many as the editor asks for by default."""

TOGETHER = {"cpu": 1}
"""Places in which answers grow at a time, where not all do: what they have read takes memory, and
on a processor more of them are no faster."""


@dataclass(slots=True)
class Diary:
    """What practice has come to so far, as plain JSON.

    ``waiting`` are groups that the next step learns from, ``taught`` the places of all such groups,
    ``rewards`` what every answer was worth.
    """

    round: int = 0
    curriculum: dict[str, Any] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    taught: list[str] = field(default_factory=list)
    rewards: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Practice:
    """Practises with ``model`` in the places of ``episodes`` (by id); ``emit`` hears of each round.

    The processes of a ``crew`` share asking and learning; its leader alone judges.
    """

    model: PolicyModel
    encoding: Encoding
    recipe: Recipe
    appraiser: Appraiser
    episodes: Mapping[str, Episode]
    emit: Callable[[dict[str, Any]], None]
    token: CancellationToken
    journal: Journal = NO_JOURNAL
    crew: Crew = ALONE

    def run(self, examples: Sequence[TrainingExample]) -> TrainingRun:
        """Improve the model in place; raises `Cancelled` between two tokens or passes.

        A step that led above the KL cap is taken back and ends the run.
        """
        page = self.journal.page(self.model.state(), (self.recipe, examples))
        walk = Walk(self.model, self.recipe, page, self.crew)
        names = [example.completion_id for example in examples]
        drills = {name: Drill.of(self.episodes[name]) for name in names}
        diary, curriculum = Diary(**walk.notes), Curriculum(list(drills))
        curriculum.restore(diary.curriculum)
        while not walk.stopped:
            if diary.waiting:
                self._step(walk, drills, diary)
            elif chosen := self._choose(drills, curriculum, diary.round):
                self._round(chosen, curriculum, diary)
                walk.notes = asdict(diary)
                walk.write()
                self._tell(diary)
            else:
                self._end(walk, drills, diary, "all rounds done")
        used = tuple(one for one in examples if one.completion_id not in walk.skipped)
        rewards = tuple(map(Reward.from_json, diary.rewards))
        return TrainingRun(used, walk.skipped, tuple(walk.steps), walk.stopped, rewards)

    def _choose(
        self, drills: Mapping[str, Drill], curriculum: Curriculum, number: int
    ) -> list[Drill]:
        """Return where to ask in round ``number``, with what help; nowhere when it is enough."""
        recipe = self.recipe
        most = min(recipe.most_steps, ceil(recipe.epochs * len(drills) / recipe.contexts))
        if number >= most:
            return []
        names = curriculum.choose(recipe.contexts, random.Random(f"{recipe.seed}:{number}"))
        return [drills[name].helped(curriculum.share(name)) for name in names]

    def _round(self, chosen: Sequence[Drill], curriculum: Curriculum, diary: Diary) -> None:
        """Ask, judge, and note it all in ``diary``."""
        groups = self._ask(chosen, diary.round)
        told = self.crew.tell(self._judge(chosen, groups) if self.crew.leads else None)
        for drill, said in zip(chosen, told, strict=True):
            curriculum.record(drill.name, said["passed"], self.recipe.samples)
            diary.rewards += said["rewards"]
            if said["teaches"]:
                diary.waiting.append(said["teaches"])
                diary.taught.append(drill.name)
        diary.round += 1
        diary.curriculum = curriculum.state()

    def _ask(self, chosen: Sequence[Drill], number: int) -> list[list[Rollout]]:
        """Return a group of fresh answers in each place; each process asks in its share of them."""
        sampler = Sampler(self.model.peft, self.encoding.tokenizer, self.encoding.fmt)
        seed = random.Random(f"{self.recipe.seed}:{number}:answers").getrandbits(32)
        mine, said = self.crew.share(chosen), {}
        together = TOGETHER.get(self.model.device.type, len(chosen))
        for single in (True, False):
            sampling = Sampling(self.recipe.samples, LONGEST, single_line=single, seed=seed)
            places = [drill for drill in mine if drill.single_line is single]
            for some in chunks(places, together):
                asked = [Asked(drill.name, drill.prompt) for drill in some]
                for group in sampler.sample(asked, sampling, self.token):
                    said[group[0].name] = [asdict(one) for one in group]
        everything = {
            name: group for part in self.crew.collect(said) for name, group in part.items()
        }
        return [[_rollout(one) for one in everything[drill.name]] for drill in chosen]

    def _judge(
        self, chosen: Sequence[Drill], groups: Sequence[Sequence[Rollout]]
    ) -> list[dict[str, Any]]:
        """Return of each group how many passed, all rewards, and what it teaches, if anything."""
        texts = [[one.text for one in group] for group in groups]
        answers = list(zip(chosen, texts, strict=True))
        found = score_answers(answers, self.appraiser, self.token)
        return [self._judged(*pair) for pair in zip(groups, found, strict=True)]

    def _judged(self, group: Sequence[Rollout], rewards: Sequence[Reward]) -> dict[str, Any]:
        well = sum(map(passed, rewards))
        taught: list[Credited] = []
        if teaches(well, len(group)):
            penalties = [self._penalty(*pair) for pair in zip(group, rewards, strict=True)]
            taught = credit_group(group, [reward.total for reward in rewards], penalties)
        said = [reward.as_json() for reward in rewards]
        return {"passed": well, "rewards": said, "teaches": _packed(taught) if taught else None}

    def _penalty(self, one: Rollout, worth: Reward) -> tuple[float, ...]:
        """Return what each token pays for lines that an error names."""
        starts = token_starts(self.encoding.tokenizer, one.sequence.answer)
        return token_penalty(one.text, starts, worth.error_lines, one.healed_chars)

    def _step(self, walk: Walk, drills: Mapping[str, Drill], diary: Diary) -> None:
        """Learn from the groups that wait."""
        recipe = self.recipe
        leash = Leash(recipe.clip, recipe.dual_clip, recipe.beta)
        groups = [_unpacked(one) for one in diary.waiting]
        found = find_gradient(self.model, groups, leash, self.token, self.crew)
        diary.waiting = []
        walk.notes = asdict(diary)
        number = len(walk.steps)
        stats = StepStats(number, found.loss, found.kl, found.ratio, found.clipped, found.tokens)
        if too_far := walk.led_too_far(stats):
            self._end(walk, drills, diary, too_far)
            return
        walk.take(stats)
        self.emit({"event": "step", **asdict(stats)})

    def _end(self, walk: Walk, drills: Mapping[str, Drill], diary: Diary, reason: str) -> None:
        unused = drills.keys() - {*diary.taught}
        walk.skipped = dict.fromkeys(sorted(unused), Reason.UNEVEN)
        walk.end(reason)

    def _tell(self, diary: Diary) -> None:
        """Say that a round is done, which need not be done again."""
        answers, teaching = len(diary.rewards), len(diary.waiting)
        self.emit(
            {"event": "round", "round": diary.round, "answers": answers, "teaching": teaching}
        )


def _packed(group: Sequence[Credited]) -> dict[str, Any]:
    """Return the answers of one context as plain JSON."""
    answers = [[one.sequence.answer, one.behaviour, one.advantages, one.weight] for one in group]
    return {"context": group[0].sequence.context, "answers": answers}


def _unpacked(group: Mapping[str, Any]) -> list[Credited]:
    """Return what `_packed` has packed."""
    context = tuple(group["context"])
    rows = [tuple(map(tuple, one)) for one in group["answers"]]
    return [Credited(Scored(context, answer), *rest) for answer, *rest in rows]


def _rollout(said: Mapping[str, Any]) -> Rollout:
    """Return the answer that another process has written down."""
    told = said["sequence"]
    sequence = Scored(tuple(told["context"]), tuple(told["answer"]))
    numbers = {name: tuple(said[name]) for name in ("logprobs", "credit")}
    return Rollout(**{**said, **numbers, "sequence": sequence})
