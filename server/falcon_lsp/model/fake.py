"""An engine without weights: it copies what followed the same text before.

Deterministic and instant. For tests, and for trying everything around a model without one.
"""

from __future__ import annotations

import re
import time
from itertools import count
from pathlib import Path

from falcon_lsp.core.cancellation import CancellationToken, DeadlineExceeded
from falcon_lsp.core.text import count_common
from falcon_lsp.core.types import Prompt
from falcon_lsp.model.drafts import NO_SOURCES, Sources
from falcon_lsp.model.engine import Generation, GenerationParams

_LONGEST_MATCH, _SHORTEST_MATCH = 64, 3
_UNLIKELY = -9.0
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NAME = re.compile(r"[A-Za-z_]\w*")
_BLOCK = re.compile(
    r"\s*(async |class |def |elif |else\b|except\b|finally\b|for |if |try\b|while |with )"
)


class FakeEngine:
    """Tokens are UTF-8 bytes; each is as likely as the length of the match makes it.

    ``token_seconds`` passes before each token. ``calls`` counts generations, ``adapters`` lists
    what `load_adapter` was given, ``prefilled`` what `prefill` was.
    """

    def __init__(self, *, token_seconds: float = 0.0, model_id: str = "fake") -> None:
        self.model_id = model_id
        self.adapter_id = "base"
        self.base_sha256 = model_id
        self.token_seconds = token_seconds
        self.calls = 0
        self.adapters: list[tuple[Path | None, str]] = []
        self.prefilled: list[Prompt] = []

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        sources: Sources = NO_SOURCES,  # noqa: ARG002 - part of the protocol; it drafts nothing
    ) -> Generation:
        """Continue the prefix; sampling parameters other than the bounds do not matter.

        What it says is copied anyhow: it drafts nothing.
        """
        self.calls += 1
        started = time.perf_counter()
        text, matched = _continuation(prompt)
        text, finish = _cut(text, params, fresh_line=prompt.prefix.endswith("\n"))
        said = bytearray()
        try:
            for byte in text.encode("utf-8", "replace"):
                self._wait(token)
                said.append(byte)
                if params.stop is not None and params.stop(said.decode("utf-8", "ignore")):
                    finish = "block"
                    break
            self._wait(token)
        except DeadlineExceeded:
            finish = "deadline"
        return Generation(
            text=said.decode("utf-8", "ignore"),
            token_ids=tuple(said),
            logprobs=(-1.0 / (1 + matched),) * len(said),
            finish=finish,
            prompt_tokens=len(prompt.prefix) + len(prompt.suffix),
            decode_ms=(time.perf_counter() - started) * 1e3,
            passes=len(said),
        )

    def prefill(self, prompt: Prompt, token: CancellationToken) -> None:
        """Note the prompt; nothing is faster for it."""
        self._wait(token)
        token.check()
        self.prefilled.append(prompt)

    def score(self, prompt: Prompt, text: str, token: CancellationToken) -> tuple[float, ...]:
        """Find the bytes likely that it would say itself, and the others very unlikely."""
        token.check()
        said, matched = _continuation(prompt)
        ours, theirs = text.encode("utf-8", "replace"), said.encode("utf-8", "replace")
        agreed = count_common(ours, theirs)
        likely = (-1.0 / (1 + matched),) * (agreed + 1)
        return (*likely, *(_UNLIKELY,) * (len(ours) - agreed))

    def load_adapter(self, adapter: Path | None, adapter_id: str) -> None:
        """Note the adapter; it changes nothing."""
        self.adapters.append((adapter, adapter_id))
        self.adapter_id = adapter_id

    def _wait(self, token: CancellationToken) -> None:
        token.check()
        if self.token_seconds:
            time.sleep(min(self.token_seconds, token.remaining))


def _continuation(prompt: Prompt) -> tuple[str, int]:
    """Return what followed the longest earlier occurrence of the prefix's end, and its length."""
    context = "".join(snippet.text for snippet in prompt.snippets) + prompt.prefix
    best, at = 0, 0
    for length in count(_SHORTEST_MATCH):
        end = context[len(context) - length :]
        found = context.rfind(end, 0, len(context) - 1) if length <= len(prompt.prefix) else -1
        if found < 0 or length > _LONGEST_MATCH:
            break
        best, at = length, found + length
    if best and context[at:].strip():
        return context[at:], best
    return _guess(prompt.prefix), 0


def _guess(prefix: str) -> str:
    """Return a small plausible end of the current line: close brackets, open a block, a name."""
    line = prefix.rpartition("\n")[2]
    open_brackets: list[str] = []
    for character in line:
        if character in _CLOSING:
            open_brackets.append(_CLOSING[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
    closing = "".join(reversed(open_brackets))
    if _BLOCK.match(line) and not line.rstrip().endswith(":"):
        return closing + ":"
    if closing:
        return closing
    names = _NAME.findall(prefix[: len(prefix) - len(line)])
    return names[-1] if names else "pass"


def _cut(text: str, params: GenerationParams, *, fresh_line: bool) -> tuple[str, str]:
    finish = "stop"
    if params.single_line:
        skipped = len(text) - len(text.lstrip("\n")) if fresh_line else 0
        if (end := text.find("\n", skipped)) >= 0:
            text, finish = text[:end], "line"
    kept = text.encode("utf-8", "replace")[: params.max_tokens].decode("utf-8", "ignore")
    return kept, finish if len(kept) == len(text) else "length"
