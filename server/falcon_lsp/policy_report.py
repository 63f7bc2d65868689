"""``falcon-lsp evaluate-policy``: would another threshold have served this developer better?"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from falcon_lsp.commands import UserError, read_config, read_store
from falcon_lsp.completion import features, policy
from falcon_lsp.completion.belief import usual
from falcon_lsp.completion.experience import Progress
from falcon_lsp.config import CompletionOptions
from falcon_lsp.memory.episodes import Episode, fold
from falcon_lsp.memory.events import Event, Kind
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

    options = read_config(arguments).completion
    other = _other(arguments, options)
    least, now = policy.threshold(other), policy.threshold(options)
    if least < now - policy.EXPLORE_BAND:
        raise UserError(
            f"nothing below a chance of {max(0.0, now - policy.EXPLORE_BAND):.2f} is ever shown, "
            "so nothing is known about it: set falcon.completion.threshold lower and work on"
        )
    try:
        with closing(Ledger(read_store(arguments).ledger)) as ledger:
            estimate = evaluate(list(logged(ledger, least)))
    except LedgerUnavailable as error:
        raise UserError(f"the ledger cannot be used: {error}") from error
    except TooLittle as error:
        raise UserError(str(error)) from error
    body = {"threshold": least, "in_use": now, **asdict(estimate)}
    show(arguments, body, _lines)
    return 0


def _other(arguments: argparse.Namespace, options: CompletionOptions) -> CompletionOptions:
    if arguments.threshold is not None:
        return replace(options, threshold=arguments.threshold, aggressiveness="balanced")
    return replace(options, aggressiveness=arguments.aggressiveness or "quiet")


@dataclass(slots=True)
class _Case:
    """A suggestion that could be shown, with the chance that it was given before its outcome."""

    first: Event
    chance: float
    rest: list[Event] = field(default_factory=list)

    def row(self, least: float) -> Logged | None:
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
        return Logged(
            propensity,
            policy.show_share(self.chance, least, invoked=invoked),
            not held,
            developer_term(episode) if episode is not None and judged else 0.0,
            self.chance - WORTH,
            f"{self.first.workspace}/{self.first.path}",
        )


def logged(ledger: Ledger, least: float) -> Iterator[Logged]:
    """Yield what could be shown, and what the policy with the threshold ``least`` would do.

    The chances are those of the model as it had learned by then, never from the outcome itself.
    """
    for case in _cases(ledger).values():
        if (row := case.row(least)) is not None:
            yield row


def _cases(ledger: Ledger) -> OrderedDict[str, _Case]:
    cases: OrderedDict[str, _Case] = OrderedDict()
    progress, seq = Progress(usual()), 0
    while rows := ledger.events(seq, BATCH):
        seq = rows[-1][0]
        for _, event in rows:
            progress.take(event)
            case = cases.get(event.completion_id)
            if case is not None:
                case.rest.append(event)
            elif (given := features.recorded(event.payload)) is not None:
                cases[event.completion_id] = _Case(
                    _light(event), progress.belief.probability(given)
                )
    return cases


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
