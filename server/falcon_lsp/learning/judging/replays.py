"""What an adapter would have suggested where the developer went on: asked of the real engine.

Greedy answers to prompts of later episodes, compared with what the developer liked there. What is
drafted from that text only saves time: an answer is the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import liked_text, redacted
from falcon_lsp.learning.rewards import Sample, common_characters
from falcon_lsp.learning.rewards.sample import breaks_syntax
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.drafts import Sources
from falcon_lsp.model.engine import Engine, GenerationParams
from falcon_lsp.model.files import ModelFiles

MOST_TOKENS = 32
PREFIX_CHARS, SUFFIX_CHARS = 1200, 400
"""So much of a prompt is read again: enough to compare two adapters by, in half the time."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One answer: the share of the liked text that it holds, whether it breaks the file, tokens."""

    kept: float
    broken: bool
    tokens: int


@dataclass(slots=True)
class Replayer:
    """Asks one engine, loaded when first needed, with one adapter after the other.

    ``most`` bounds the answers per adapter, 0 asks nothing; adapters are told apart by ``label``.
    """

    files: ModelFiles
    threads: int
    most: int
    _engine: Engine | None = None
    _known: dict[tuple[str, str], Replay] = field(default_factory=dict)

    def choose(self, episodes: Sequence[Episode]) -> list[Episode]:
        """Return the latest episodes of which it is known what the developer liked there."""
        fit = [e for e in episodes if liked_text(e).strip() and not redacted(e)]
        return fit[max(0, len(fit) - self.most) :] if self.most else []

    def __call__(
        self,
        adapter: Path | None,
        label: str,
        episodes: Sequence[Episode],
        token: CancellationToken,
    ) -> list[Replay]:
        """Return one answer for each episode; raises `EngineError` and `Cancelled`."""
        missing = [e for e in episodes if (label, e.completion_id) not in self._known]
        if missing:
            engine = self._loaded()
            engine.load_adapter(adapter, label)
            for episode in missing:
                self._known[label, episode.completion_id] = _ask(engine, episode, token)
        return [self._known[label, episode.completion_id] for episode in episodes]

    def _loaded(self) -> Engine:
        if self._engine is None:
            from falcon_lsp.model.torch_engine import TorchEngine

            self._engine = TorchEngine(self.files, threads=self.threads, device="cpu")
        return self._engine


def _ask(engine: Engine, episode: Episode, token: CancellationToken) -> Replay:
    liked = liked_text(episode)
    asked = episode.suggestion.prompt
    prefix, suffix = asked.prefix[-PREFIX_CHARS:], asked.suffix[:SUFFIX_CHARS]
    prompt = Prompt(asked.path, prefix, suffix)
    lines = liked.count("\n")
    params = GenerationParams(
        MOST_TOKENS, single_line=not lines, stop=lambda said: said.count("\n") > lines
    )
    said = engine.generate(prompt, params, token, Sources([prefix + liked]))
    text = "\n".join(said.text.split("\n")[: lines + 1])
    sample = Sample(text, asked.prefix, asked.suffix, episode.language)
    kept = common_characters(text, liked) / len(liked)
    return Replay(kept, breaks_syntax(sample), len(said.token_ids))
