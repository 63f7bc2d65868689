"""From episodes to what the trainer eats: the sampled tokens, exactly as they were logged.

Two views of one episode: a `TrainingExample` credits the tokens that the model sampled; its
`judgements` are texts that the developer liked or disliked, by which the gate compares adapters.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from falcon_lsp.core.types import Outcome, Prompt, Suggestion
from falcon_lsp.learning.fim_training.examples import MIDDLE_WEIGHT, encode_example
from falcon_lsp.learning.rewards import Reward, reward, token_penalty
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.redact import MARKER
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer


class Reason(enum.StrEnum):
    """Why an episode teaches the model nothing."""

    FORGOTTEN = "the suggestion was forgotten"
    NO_OUTCOME = "no final outcome"
    NO_TOKENS = "not sampled by a model"
    OTHER_MODEL = "sampled by another base model"
    REDACTED = "its context held a secret"
    ZERO_REWARD = "nothing follows from it"
    NO_MATCH = "its tokens do not spell what was offered"
    TOO_LONG = "longer than the training window"
    HELD_OUT = "held out for the gate"
    NO_ADAPTER = "the adapter that sampled it is gone"
    LEARNED = "learned already"
    NOTHING_LIKED = "no text that was liked"
    NO_OPINION = "no text that was liked, and none that was not"
    UNEVEN = "its fresh answers all passed or all failed"
    NO_PAIR = "no text that was liked beside one that was not"
    SURPLUS = "too many from one file in an hour"


@dataclass(frozen=True, slots=True)
class Scored:
    """Token ids of a ``context`` (never trained on) and of the ``answer`` whose odds matter."""

    context: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.context) + len(self.answer)

    @property
    def text(self) -> Scored:
        """All but the token that says where the text ends.

        Where one line is asked for, its end looks the same to the developer whatever ends it.
        """
        return Scored(self.context, self.answer[:-1] or self.answer)


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One suggestion that the model sampled, and what each of its tokens is to blame for.

    ``credit`` has one entry per answer token: 1.0 where the token was shown, 0.0 behind the cut.
    ``penalty`` is added to the advantage of the token itself (lines that an error names).
    ``refused`` is what was disliked in the same place, where the two are compared. ``liked`` is
    False where all that is known is what was disliked, and ``sequence`` is that.
    """

    completion_id: str
    language: str
    time: float
    adapter_id: str
    sequence: Scored
    reward: Reward
    credit: tuple[float, ...]
    penalty: tuple[float, ...]
    refused: Scored | None = None
    liked: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """A text that the developer liked (kept, or wrote instead) or disliked, in its context.

    ``workspace`` and ``path`` say whose judgement it is.
    """

    completion_id: str
    time: float
    liked: bool
    sequence: Scored
    workspace: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the model in use is asked, and how much it may read while training (tokens)."""

    tokenizer: CodeTokenizer
    fmt: fim.FimFormat
    model_id: str
    max_tokens: int = 1536


def build_example(episode: Episode, encoding: Encoding) -> TrainingExample | Reason:
    """Return the training example of ``episode``, or why there is none."""
    suggestion = episode.suggestion
    if episode.outcome is None or not episode.outcome.final:
        return Reason.NO_OUTCOME
    if not suggestion.token_ids:
        return Reason.NO_TOKENS
    if suggestion.model_id != encoding.model_id:
        return Reason.OTHER_MODEL
    if redacted(episode):
        return Reason.REDACTED
    worth = reward(episode)
    if worth.silent:
        return Reason.ZERO_REWARD
    if not _continues(suggestion, encoding.tokenizer):
        return Reason.NO_MATCH
    context = prompt_ids(encoding, suggestion.prompt, suggestion.healed_chars)
    starts = token_starts(encoding.tokenizer, suggestion.token_ids)
    sequence = Scored(tuple(context), suggestion.token_ids)
    if len(sequence) > encoding.max_tokens:
        return Reason.TOO_LONG
    return TrainingExample(
        episode.completion_id,
        episode.language,
        episode.time,
        suggestion.adapter_id,
        sequence,
        worth,
        _credit(episode, encoding, starts),
        token_penalty(suggestion.text, starts, worth.error_lines, suggestion.healed_chars),
    )


def prompt_ids(encoding: Encoding, prompt: Prompt, healed_chars: int) -> list[int]:
    """Return the ids that the engine sampled after: the prompt without its healed characters."""
    keep = len(prompt.prefix) - healed_chars
    return fim.encode(
        encoding.tokenizer, encoding.fmt, replace(prompt, prefix=prompt.prefix[:keep])
    )


def judgements(episode: Episode, encoding: Encoding) -> list[Judgement]:
    """Return what the developer liked and disliked in the place of ``episode``: 0 to 2 texts."""
    if redacted(episode):
        return []
    found: list[Judgement] = []
    for liked, text in ((True, liked_text(episode)), (False, disliked_text(episode))):
        sequence = encode_text(encoding, episode.suggestion.prompt, text) if text else None
        if sequence is not None:
            place = (episode.workspace, episode.path)
            found.append(Judgement(episode.completion_id, episode.time, liked, sequence, *place))
    return found


def liked_text(episode: Episode) -> str:
    """Return what stands there in the end, else what was taken; empty when neither is known."""
    if episode.settled_text:
        return episode.settled_text
    if episode.outcome is None or not episode.outcome.positive or reward(episode).total <= 0.0:
        return ""
    if episode.outcome is Outcome.PARTIAL:
        return episode.suggestion.text[: episode.chars_kept]
    return episode.suggestion.text


def disliked_text(episode: Episode) -> str:
    """Return the suggestion when it was rejected, taken back, or does not compile; else empty."""
    worth = reward(episode)
    refused = episode.outcome in (Outcome.REJECTED, Outcome.UNDONE)
    bad = refused or worth.terms["compiler"] < 0.0
    return episode.suggestion.text if bad and episode.suggestion.text != liked_text(episode) else ""


def encode_text(encoding: Encoding, prompt: Prompt, text: str) -> Scored | None:
    """Encode ``text`` as the middle of ``prompt``; None when it is longer than the window."""
    example = encode_example(encoding.tokenizer, encoding.fmt, prompt, text)
    answer = sum(weight == MIDDLE_WEIGHT for weight in example.weights)
    if len(example.ids) > encoding.max_tokens or not 0 < answer < len(example.ids):
        return None
    return Scored(tuple(example.ids[:-answer]), tuple(example.ids[-answer:]))


def redacted(episode: Episode) -> bool:
    """Whether a secret was cut out of anything that the model would read or say."""
    suggestion = episode.suggestion
    prompt = suggestion.prompt
    texts = [suggestion.text, prompt.prefix, prompt.suffix, episode.settled_text or ""]
    return any(MARKER in text for text in texts + [snippet.text for snippet in prompt.snippets])


def split_by_time(episodes: Iterable[Episode], share: float, least: int) -> float:
    """Return the time from which episodes are held out: the newest ``share``, ``least`` at least.

    With too few episodes the answer is the oldest one's time, and nothing is left to train on.
    """
    times = sorted(episode.time for episode in episodes)
    held = max(least, round(len(times) * share))
    return times[-held] if held <= len(times) else (times[0] if times else 0.0)


def _continues(suggestion: Suggestion, tokenizer: CodeTokenizer) -> bool:
    """Whether the tokens spell the healed characters before the cursor, then what was offered.

    Filters may cut the end; anything else would credit tokens for text that is not theirs.
    """
    prefix, healed = suggestion.prompt.prefix, suggestion.healed_chars
    if not 0 <= healed <= len(prefix):
        return False
    offered = prefix[len(prefix) - healed :] + suggestion.text
    return tokenizer.decode(suggestion.token_ids).startswith(offered)


def token_starts(tokenizer: CodeTokenizer, ids: tuple[int, ...]) -> list[int]:
    """Return where each token begins in the decoded text of all, in characters."""
    return [len(tokenizer.decode(ids[:at]).rstrip("\ufffd")) for at in range(len(ids))]


def _credit(episode: Episode, encoding: Encoding, starts: list[int]) -> tuple[float, ...]:
    """Credit the tokens that were shown, and the one that ended the text by ending the line.

    Tokens that only spell the healed characters again were no choice, and what was sampled behind
    a filter's cut nobody has judged.
    """
    suggestion = episode.suggestion
    shown = suggestion.healed_chars + len(suggestion.text)
    whole = encoding.tokenizer.decode(suggestion.token_ids)
    ended = shown >= len(whole) or whole[shown] in "\r\n"
    last = shown if ended else shown - 1
    ends = (*starts[1:], len(whole) + 1)
    return tuple(
        float(start <= last and end > suggestion.healed_chars)
        for start, end in zip(starts, ends, strict=True)
    )
