"""What may be recorded at all: decided before anything else looks at an event."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator

from falcon_lsp.config import MemoryOptions
from falcon_lsp.memory.events import Event, Kind


class RecordingPolicy:
    """The user's switches and ignore patterns."""

    def __init__(self, options: MemoryOptions) -> None:
        self._options = options

    @property
    def recording(self) -> bool:
        """Whether anything is recorded now."""
        return self._options.record

    def allows(self, path: str) -> bool:
        """Whether something about the file at ``path`` (relative to its workspace) is recorded.

        A pattern that matches a folder covers all that is in it; letter case does not count.
        """
        path = path.replace("\\", "/").lstrip("/")
        return self.recording and not any(
            _compiled(pattern).fullmatch(path) for pattern in self._options.ignore
        )

    def without_ignored(self, event: Event) -> Event:
        """Return ``event`` with no snippet of an ignored file in its prompt.

        Token ids and log-probabilities go along: they belong to the whole prompt.
        """
        if event.kind is not Kind.SUGGESTED:
            return event
        prompt = event.payload["prompt"]
        kept = [snippet for snippet in prompt["snippets"] if self.allows(snippet["path"])]
        if len(kept) == len(prompt["snippets"]):
            return event
        changes = {"prompt": {**prompt, "snippets": kept}, "token_ids": [], "logprobs": []}
        return dataclasses.replace(event, payload={**event.payload, **changes})


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate a glob; one without a slash matches in any folder, as in ``.gitignore``."""
    if "/" not in pattern.rstrip("/"):
        pattern = f"**/{pattern}"
    body = "".join(_pieces(pattern.strip("/")))
    return re.compile(f"(?:{body})(?:/.*)?", re.IGNORECASE | re.DOTALL)


_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|\{[^{}]*\}|.", re.DOTALL)


def _pieces(pattern: str) -> Iterator[str]:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    for token in _TOKEN.findall(pattern):
        if token in known:
            yield known[token]
        elif token[0] == "[" and len(token) > 1:
            inside = token[1:-1].replace("\\", r"\\")
            yield f"[^{inside[1:]}]" if inside[0] in "!^" and len(inside) > 1 else f"[{inside}]"
        elif token[0] == "{" and len(token) > 1:
            yield f"(?:{'|'.join(''.join(_pieces(part)) for part in token[1:-1].split(','))})"
        else:
            yield re.escape(token)
