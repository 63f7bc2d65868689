"""Texts that nobody suggested, as the trainer takes them."""

from __future__ import annotations

from collections.abc import Iterable

from falcon_lsp.learning.dataset import Scored, TrainingExample
from falcon_lsp.learning.rewards import Reward
from falcon_lsp.model.adapters import BASE


def plain_examples(texts: Iterable[Scored]) -> list[TrainingExample]:
    """Return one example of each text, in their order; every token of an answer counts alike."""
    return [
        TrainingExample(
            f"text-{at}", "python", float(at), BASE, text, Reward(1.0, {}),
            (1.0,) * len(text.answer), (0.0,) * len(text.answer),
        )
        for at, text in enumerate(texts)
    ]  # fmt: skip
