"""Which tokens pay for the lines that an error names."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from falcon_lsp.learning.rewards.combination import ERROR_LINE


def token_penalty(
    text: str, starts: Sequence[int], lines: Collection[int], healed_chars: int = 0
) -> tuple[float, ...]:
    """Return what each token pays: `ERROR_LINE` where it has characters on one of ``lines``.

    ``starts`` says where each token begins, in characters of the decoded tokens, of which the
    first ``healed_chars`` stand before ``text``. ``lines`` count from the first of ``text``.
    """
    ends = (*starts[1:], healed_chars + len(text))
    return tuple(
        ERROR_LINE if _touches(text, start - healed_chars, end - healed_chars, lines) else 0.0
        for start, end in zip(starts, ends, strict=True)
    )


def _touches(text: str, start: int, end: int, lines: Collection[int]) -> bool:
    first = text.count("\n", 0, max(0, start))
    last = text.count("\n", 0, max(0, end - 1))
    return any(line in lines for line in range(first, last + 1))
