"""What every engine can do, whatever runs behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.model.drafts import NO_SOURCES, Sources

Progress = Callable[[str, float], None]
"""Called with a short message and a share done, from 0.0 to 1.0."""


class EngineError(Exception):
    """The engine cannot do what was asked; the message says what the user can do about it."""


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """Bounds on one generation; ``temperature`` 0 is greedy.

    ``stop`` is called, on the engine's thread, with the text said so far after each token: True
    ends the generation there (``finish="block"``).
    """

    max_tokens: int = 48
    single_line: bool = True
    temperature: float = 0.0
    seed: int = 0
    stop: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What came out: ``token_ids`` and ``logprobs`` have one entry per sampled token.

    A mark with which the model ended its answer was sampled too and is the last of them.

    ``text`` starts exactly at the cursor. ``finish`` is ``stop`` (the model ended), ``line`` (the
    line ended), ``block`` (`GenerationParams.stop` said so), ``length`` or ``deadline`` (cut
    short). ``healed_chars`` counts the characters before the cursor that the first tokens spell
    again (token healing). ``cached_tokens`` of the ``prompt_tokens`` came from the cache of an
    earlier request. The answer took ``passes`` through the network, the last of the prompt's
    included; ``accepted`` of its tokens had been drafted.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: str
    healed_chars: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    passes: int = 0
    drafted: int = 0
    accepted: int = 0


class Engine(Protocol):
    """Generates text. Only one thread calls it at a time; `generate` may block."""

    @property
    def model_id(self) -> str:
        """Name of the base weights, for example ``smollm2-135m-falcon``."""

    @property
    def base_sha256(self) -> str:
        """Identity of the base weights: an adapter fits only those that it was trained on."""

    @property
    def adapter_id(self) -> str:
        """Name of the learned adapter in use; ``base`` when there is none."""

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        sources: Sources = NO_SOURCES,
    ) -> Generation:
        """Fill in the middle of ``prompt``.

        From ``sources`` the engine may draft what comes next, since it checks several tokens
        faster than it says them; what is answered depends on it no more than on rounding.

        Raises `Cancelled` between two passes; at the deadline it returns what it has, with
        ``finish="deadline"``.
        """

    def score(self, prompt: Prompt, text: str, token: CancellationToken) -> tuple[float, ...]:
        """Return the natural log-probabilities of the tokens that spell ``text`` as the answer.

        The last one is that of ending there, with the line or for good. Tokens that only spell
        healed characters again are left out. Raises `Cancelled` or `DeadlineExceeded`.
        """

    def prefill(self, prompt: Prompt, token: CancellationToken) -> None:
        """Read ``prompt`` ahead, so that generating from it, or from one that goes on, is sooner.

        Reads in small pieces and raises `Cancelled` between two of them; what was read stays.
        """

    def load_adapter(self, adapter: Path | None, adapter_id: str) -> None:
        """Serve with the adapter in a verified folder (None: the base) from the next call on."""
