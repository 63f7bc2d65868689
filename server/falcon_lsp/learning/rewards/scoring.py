"""From what is known of a text to its reward: of a recorded episode, and of a fresh sample.

Many at once are appraised together, and only those that earned anything: of all others the gate
would throw the result away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.rewards.appraisal import Appraiser, Quality
from falcon_lsp.learning.rewards.combination import Evidence, Reward, combine
from falcon_lsp.learning.rewards.developer import developer_term, similarity_term
from falcon_lsp.learning.rewards.execution import (
    TestOutcome,
    runtime_term,
    speed_term,
    suite_term,
)
from falcon_lsp.learning.rewards.sample import (
    Sample,
    breaks_syntax,
    substance,
    syntax_error_line,
)
from falcon_lsp.memory.episodes import Episode

COMPILER_ERROR = -1.0
ERROR_SEVERITY = 1
OWN_COMPILE_CHECK = "falcon"


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """A fresh sample and all that was found out about it.

    ``outcomes`` are of its tests, all of them; ``settled`` is what stands in its place in the end,
    which counts where there are no tests; ``seconds`` are the times of the same work before and
    with it.
    """

    sample: Sample
    outcomes: Sequence[TestOutcome] = ()
    settled: str | None = None
    seconds: tuple[float, float] | None = None


def reward(episode: Episode, outcomes: Sequence[TestOutcome] = ()) -> Reward:
    """Return the reward of an episode as far as it can be told without reading its code closely."""
    return combine(episode_evidence(episode, outcomes))


def reward_all(
    episodes: Sequence[Episode], appraiser: Appraiser, token: CancellationToken | None = None
) -> list[Reward]:
    """Return the reward of each episode, with tests and the gated terms; raises `Cancelled`."""
    pairs = [
        (episode_sample(one), episode_evidence(one, appraiser.outcomes(one, token)))
        for one in episodes
    ]
    return _combine_all(pairs, appraiser, token)


def score(
    sample: Sample,
    outcomes: Sequence[TestOutcome] = (),
    *,
    settled: str | None = None,
    seconds: tuple[float, float] | None = None,
    quality: Quality | None = None,
) -> Reward:
    """Return the reward of a fresh sample; ``quality`` comes from an `Appraiser`, if from any."""
    evidence = trial_evidence(Trial(sample, outcomes, settled, seconds))
    return combine(_with_quality(evidence, quality or Quality()))


def score_all(
    trials: Sequence[Trial], appraiser: Appraiser, token: CancellationToken | None = None
) -> list[Reward]:
    """Return the reward of each trial, with the gated terms; raises `Cancelled`."""
    pairs = [(trial.sample, trial_evidence(trial)) for trial in trials]
    return _combine_all(pairs, appraiser, token)


def mean_terms(rewards: Iterable[Reward]) -> dict[str, float]:
    """Return the mean of each term over the rewards that know it, by name, for the log."""
    known: dict[str, list[float]] = {}
    for one in rewards:
        for name, value in one.terms.items():
            known.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in known.items()}


def episode_evidence(episode: Episode, outcomes: Sequence[TestOutcome] = ()) -> Evidence:
    """Return what an episode tells."""
    sample = episode_sample(episode)
    reported = any(
        finding.source == OWN_COMPILE_CHECK and finding.severity == ERROR_SEVERITY
        for finding in episode.diagnostics_added
    )
    return Evidence(
        compiler=COMPILER_ERROR if reported or breaks_syntax(sample) else 0.0,
        runtime=runtime_term(outcomes),
        tests=suite_term(outcomes),
        developer=developer_term(episode),
        error_lines=error_lines(episode),
        substance=substance(sample),
    )


def trial_evidence(trial: Trial) -> Evidence:
    """Return what a fresh sample's trial tells; raised lines are lines that an error names."""
    sample, outcomes, settled = trial.sample, trial.outcomes, trial.settled
    broken = breaks_syntax(sample)
    named = {outcome.line for outcome in outcomes}
    if broken:
        named.add(syntax_error_line(sample))
    speed = speed_term(*trial.seconds) if trial.seconds else None
    return Evidence(
        compiler=COMPILER_ERROR if broken else 0.0,
        runtime=runtime_term(outcomes),
        tests=suite_term(outcomes),
        similarity=None if settled is None else similarity_term(sample.text, settled),
        speed=speed if outcomes else None,
        error_lines=sample.own_lines(named),
        substance=substance(sample),
    )


def episode_sample(episode: Episode) -> Sample:
    """Return the suggestion of an episode in the context that was recorded with it."""
    prompt = episode.suggestion.prompt
    return Sample(episode.suggestion.text, prompt.prefix, prompt.suffix, episode.language)


def error_lines(episode: Episode) -> frozenset[int]:
    """Return the suggestion's lines that a new error names, counted from its first line."""
    suggestion = episode.suggestion
    if suggestion.line < 0:
        return frozenset()
    height = suggestion.text.count("\n") + 1
    errors = (f for f in episode.diagnostics_added if f.severity == ERROR_SEVERITY)
    relative = {error.line - suggestion.line for error in errors}
    return frozenset(line for line in relative if 0 <= line < height)


def _combine_all(
    pairs: Sequence[tuple[Sample, Evidence]],
    appraiser: Appraiser,
    token: CancellationToken | None,
) -> list[Reward]:
    earning = [at for at, (_, evidence) in enumerate(pairs) if evidence.earned > 0.0]
    found = appraiser.appraise([pairs[at][0] for at in earning], token)
    qualities = dict(zip(earning, found, strict=True))
    return [
        combine(_with_quality(evidence, qualities.get(at, Quality())))
        for at, (_, evidence) in enumerate(pairs)
    ]


def _with_quality(evidence: Evidence, quality: Quality) -> Evidence:
    return dataclasses.replace(
        evidence,
        style=quality.style,
        complexity=quality.complexity,
        instruction=quality.instruction,
    )
