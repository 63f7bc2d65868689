"""``falcon-lsp evaluate-policy``: would another threshold have served this developer better?"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from falcon_lsp.commands import UserError, read_config, read_store
from falcon_lsp.completion import features, policy
from falcon_lsp.completion.belief import usual
from falcon_lsp.completion.experience import Progress
from falcon_lsp.config import CompletionOptions
from falcon_lsp.core.types import Lately
from falcon_lsp.memory.episodes import Episode, fold
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.output import show

if TYPE_CHECKING:
    from falcon_lsp.learning.off_policy import Logged
    from falcon_lsp.memory.ledger import Ledger

BATCH = 500
WORTH = 0.25
"""What a declined suggestion costs, as a share of what an accepted one brings (the reward's t)."""


def evaluate_policy(arguments: argparse.Namespace) -> int:
    """Estimate from the ledger what another threshold or aggressiveness would be worth."""
    from falcon_lsp.learning.off_policy import TooLittle, evaluate
    from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable

    config = read_config(arguments)
    options, other = config.completion, _other(arguments, config.completion)
    try:
        with closing(Ledger(read_store(arguments).ledger)) as ledger:
            found = cases(ledger, instant=config.learning.instant)
    except LedgerUnavailable as error:
        raise UserError(f"the ledger cannot be used: {error}") from error
    _refuse_unseen(found, options, other)
    try:
        estimate = evaluate(logged(found, other))
    except TooLittle as error:
        raise UserError(str(error)) from error
    body = {"threshold": policy.threshold(other), "in_use": policy.threshold(options)}
    show(arguments, body | asdict(estimate), _lines)
    return 0


def _other(arguments: argparse.Namespace, options: CompletionOptions) -> CompletionOptions:
    if arguments.threshold is not None:
        return replace(options, threshold=arguments.threshold, aggressiveness="balanced")
    return replace(options, aggressiveness=arguments.aggressiveness or "quiet")


@dataclass(slots=True)
class Case:
    """A suggestion that could be shown, with what was known before its outcome.

    That is the chance that it was given, and what had happened lately: both policies raise their
    thresholds while much is dismissed by hand.
    """

    first: Event
    chance: float
    lately: Lately
    rest: list[Event] = field(default_factory=list)

    def row(self, options: CompletionOptions) -> Logged | None:
        """Return it as a row of the log; None for what nobody has given an opinion on."""
        from falcon_lsp.learning.off_policy import Logged
        from falcon_lsp.learning.rewards import developer_term

        held = self.first.kind is Kind.HELD
        episode: Episode | None = None if held else fold((self.first, *self.rest))
        judged = episode is not None and episode.outcome is not None and episode.outcome.final
        propensity = float(self.first.payload.get("propensity", 1.0))
        if propensity <= 0 or not (held or judged or propensity < 1):
            return None
        invoked = features.asked(tuple(self.first.payload["features"]))
        least = policy.threshold(options, self.lately)
        return Logged(
            propensity,
            policy.show_share(self.chance, least, invoked=invoked),
            not held,
            developer_term(episode) if episode is not None and judged else 0.0,
            self.chance - WORTH,
            f"{self.first.workspace}/{self.first.path}",
        )


def logged(found: Iterable[Case], options: CompletionOptions) -> list[Logged]:
    """Return what could be shown, and what the policy with other ``options`` would do."""
    rows = (case.row(options) for case in found)
    return [row for row in rows if row is not None]


def cases(ledger: Ledger, *, instant: bool = True) -> list[Case]:
    """Return every suggestion of a ledger with numbers of this version, in the order of time.

    What is known of the developer is what was learned by then, never from the outcome itself;
    nothing where nothing is learned at once (``instant`` off).
    """
    found: OrderedDict[str, Case] = OrderedDict()
    progress, memory, seq = Progress(usual()), ShortTermMemory(), 0
    while rows := ledger.events(seq, BATCH):
        seq = rows[-1][0]
        for _, event in rows:
            case = found.get(event.completion_id)
            if case is not None:
                case.rest.append(event)
            elif (given := features.recorded(event.payload)) is not None:
                lately = memory.lately(event.workspace, event.path, "", 0)
                found[event.completion_id] = Case(
                    _light(event), progress.belief.probability(given), lately
                )
            if instant:
                progress.take(event)
                memory.observe(event)
    return list(found.values())


def _refuse_unseen(
    found: Iterable[Case], options: CompletionOptions, other: CompletionOptions
) -> None:
    """Raise `UserError` where the other policy would show what the one in use never shows."""
    every = (case.lately for case in found)
    worst = max(every, key=lambda lately: lately.dismissed, default=policy.UNKNOWN)
    shown = policy.threshold(options, worst) - policy.EXPLORE_BAND
    if policy.threshold(other, worst) < shown:
        raise UserError(
            f"nothing below a chance of {shown:.2f} is ever shown while as much is dismissed as "
            "it has been, so nothing is known about it: set falcon.completion.threshold lower and "
            "work on"
        )


def _light(event: Event) -> Event:
    """Return an event without what the model read and sampled: all of a ledger has to fit."""
    if event.kind is not Kind.SUGGESTED:
        return event
    nothing = {"path": "", "prefix": "", "suffix": ""}
    payload = {**event.payload, "prompt": nothing, "token_ids": (), "logprobs": ()}
    return replace(event, payload=payload)


def _lines(body: dict[str, Any]) -> list[str]:
    """Return the estimates for people, in thousandths of an accepted suggestion."""
    said = [
        f"threshold {body['threshold']:.3g} instead of {body['in_use']:.3g}: "
        f"{body['share_shown']['value']:.0%} of {body['rows']} suggestions shown, "
        f"{body['effective']:.0f} of them in effect speak for it"
    ]
    names = {"logged": "worth now", "ips": "IPS", "snips": "SNIPS", "doubly_robust": "DR"}
    for key, name in names.items():
        found = body[key]
        said.append(
            f"  {name:10} {found['value']:+.4f}  (95 %: {found['low']:+.4f} to "
            f"{found['high']:+.4f}) per suggestion that could be shown"
        )
    return said
