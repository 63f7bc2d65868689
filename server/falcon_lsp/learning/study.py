"""Studying the code at work: it is read before what was said about suggestions in it counts.

Feedback tells a few tokens an episode. The code around each suggestion, which the ledger holds
anyway, tells what this project's names are and how its lines are written. It is read as the shipped
adapter's corpus was: holes drawn as an editor meets them, a loss on the middle and, weaker, on all
that stands around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.corpus.shards import SourceFile
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Encoding, Scored, liked_text, redacted
from falcon_lsp.learning.fim_examples import MIDDLE_WEIGHT, ExampleStream, HoleMix
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.objectives.tokens import kl_divergence
from falcon_lsp.learning.packing import collate
from falcon_lsp.learning.policy_model import PolicyModel
from falcon_lsp.learning.samples import chunks
from falcon_lsp.learning.walk import StepStats, Walk
from falcon_lsp.memory.episodes import Episode

SHORTEST = 200
"""Characters below which code around a suggestion tells nothing."""
LEAST_NEW = 0.5
"""Share of a window's lines that no window chosen before it has."""


@dataclass(frozen=True, slots=True)
class StudyRecipe:
    """How much is read, and how it is learned.

    At most ``windows`` pieces of code, each ``readings`` times with other holes; a step for every
    ``minibatch``, the size of which decays to nothing. 0 windows: nothing is read.
    """

    windows: int = 64
    readings: int = 2
    learning_rate: float = 3e-4
    minibatch: int = 4
    gradient_norm: float = 1.0
    kl_cap: float = 0.15
    seed: int = 0
    mix: HoleMix = field(default_factory=HoleMix)


@dataclass(frozen=True, slots=True)
class Studied:
    """What came of it: the episodes that were read, the steps, and why they ended."""

    episodes: tuple[str, ...] = ()
    steps: tuple[StepStats, ...] = ()
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A hole in a window: token ids ``(T,)``, and the weight of predicting each, ``(T,)``."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def sequence(self) -> Scored:
        """All tokens but the first as an answer."""
        return Scored(self.ids[:1], self.ids[1:])


def study(
    model: PolicyModel,
    episodes: Sequence[Episode],
    encoding: Encoding,
    recipe: StudyRecipe,
    on_step: Callable[[StepStats], None],
    token: CancellationToken,
    journal: Journal = NO_JOURNAL,
    crew: Crew = ALONE,
) -> Studied:
    """Improve ``model`` in place on the code around ``episodes``; raises `Cancelled`.

    A step that led above the KL cap is taken back and ends the run.
    """
    chosen = windows(episodes, recipe.windows)
    read = readings([file for _, file in chosen], encoding, recipe)
    walk = Walk(model, recipe, journal.page(model.state(), (recipe, read)), crew)
    batches = list(chunks(read, recipe.minibatch))

    def gradient(number: int) -> StepStats:
        return _gradient(model, batches[number], number, token, crew)

    if not walk.stopped:
        walk.go(len(batches), gradient, recipe.kl_cap, on_step)
    names = tuple(episode.completion_id for episode, _ in chosen)
    return Studied(names, tuple(walk.steps), walk.stopped)


def windows(episodes: Iterable[Episode], most: int) -> list[tuple[Episode, SourceFile]]:
    """Return the code around the latest episodes, as it stood; what says the same is left out."""
    seen: dict[str, set[str]] = {}
    chosen: list[tuple[Episode, SourceFile]] = []
    for episode in sorted(episodes, key=lambda one: (one.time, one.completion_id), reverse=True):
        if len(chosen) == most:
            break
        text = _standing(episode)
        lines = {line.strip() for line in text.split("\n")} - {""}
        known = seen.setdefault(f"{episode.workspace}\n{episode.path}", set())
        told = len(lines - known) >= LEAST_NEW * len(lines)
        if len(text) >= SHORTEST and told and not redacted(episode):
            known |= lines
            chosen.append((episode, SourceFile(episode.path, text)))
    return chosen


def readings(files: Sequence[SourceFile], encoding: Encoding, recipe: StudyRecipe) -> list[Reading]:
    """Return holes in ``files``, each file ``recipe.readings`` times unless it is too long."""
    if not files:
        return []
    stream = ExampleStream(encoding.tokenizer, encoding.fmt, files, recipe.mix, recipe.seed)
    drawn = (stream.example(index) for index in range(recipe.readings * len(files)))
    fitting = (one for one in drawn if len(one.ids) <= encoding.max_tokens)
    return [Reading(tuple(one.ids), tuple(one.weights)) for one in fitting]


def _standing(episode: Episode) -> str:
    """Return the code around a suggestion, with what the developer wrote there if that is known.

    Else without the cursor's line, of which nobody knows how it ends.
    """
    prompt, written = episode.suggestion.prompt, liked_text(episode)
    if written:
        return prompt.prefix + written + prompt.suffix
    above, below = prompt.prefix.rpartition("\n")[0], prompt.suffix.partition("\n")[2]
    return f"{above}\n{below}"


def _gradient(
    model: PolicyModel,
    batch: Sequence[Reading],
    number: int,
    token: CancellationToken,
    crew: Crew,
) -> StepStats:
    """Leave the gradient of one step in the model, one reading at a time.

    The KL is that of the first reading's middle: what the base says costs a pass of its own.
    """
    model.clear_gradients()
    whole = sum(map(_weight, batch))
    sums = torch.zeros(2)
    for reading in crew.share(list(batch)):
        token.check()
        laid_out = collate([reading.sequence]).to(model.device)
        weights = torch.tensor(reading.weights[1:], device=model.device)
        loss = model.reading_loss(laid_out, weights) * (_weight(reading) / whole)
        loss.backward()  # type: ignore[no-untyped-call]
        kl = _kl(model, reading) if reading is batch[0] else 0.0
        sums += torch.tensor([loss.item(), kl])
    sums = sums.to(model.device)
    crew.add_up([*model.gradients, sums])
    value, kl = sums.tolist()
    tokens = sum(len(reading.ids) - 1 for reading in batch)
    return StepStats(number, value, kl, 1.0, 0.0, tokens, "code")


def _weight(reading: Reading) -> float:
    return sum(reading.weights[1:])


@torch.no_grad()
def _kl(model: PolicyModel, reading: Reading) -> float:
    """Return the mean KL to the base over the tokens of the middle, in nats."""
    start = next((at for at, one in enumerate(reading.weights) if one == MIDDLE_WEIGHT), 1)
    middle = collate([Scored(reading.ids[:start], reading.ids[start:])]).to(model.device)
    with model.base():
        base = model.logits(middle)
    return float(kl_divergence(model.logits(middle), base).mean())
