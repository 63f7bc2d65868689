"""Take secrets out of text before it is stored.

Each rule names a kind, words of which one must occur (a cheap test that spares most texts the
pattern; none: there is no such word), and the pattern; a group named ``value`` limits what is
replaced. Shapes are those that the issuers document. Minimum lengths are shorter than a whole key,
so that one being typed is taken out too. A marker is the same for every secret of a kind and says
nothing about it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from falcon_lsp.memory.events import Event, Kind

MARKER = "<redacted:"


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without its secrets, and how many were taken out."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]
    guess: bool = False


def _rule(kind: str, words: str, pattern: str, *, guess: bool = False) -> _Rule:
    return _Rule(kind, tuple(words.split()) or ("",), re.compile(pattern), guess)


_EDGE = r"(?<![A-Za-z0-9_-])"
_RULES: tuple[_Rule, ...] = (
    _rule(
        "private-key",
        "PRIVATE",
        r"-----BEGIN[ A-Z0-9]*PRIVATE KEY(?: BLOCK)?-----[\s\S]{8,}?"
        r"(?:-----END[ A-Z0-9]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    _rule(
        "private-key",
        "PRIVATE",
        r"(?:[A-Za-z0-9+/=]{20,}[\s\"'\\n+]+)+-----END[ A-Z0-9]*PRIVATE KEY(?: BLOCK)?-----",
    ),
    _rule(
        "aws-key",
        "AKIA ASIA ABIA ACCA A3T",
        _EDGE + r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{12,16}(?![A-Za-z0-9])",
    ),
    _rule("github", "gh", _EDGE + r"gh[pousr]_[A-Za-z0-9]{12,255}"),
    _rule("github", "github_pat_", r"github_pat_[A-Za-z0-9_]{12,255}"),
    _rule("gitlab", "gl", _EDGE + r"gl(?:pat|dt|ptt|rt|cbt|soat|ft|imt|agent|oas)-[\w.-]{12,}"),
    _rule("gitlab", "GR1348941", r"GR1348941[\w-]{12,}"),
    _rule("slack", "xox", _EDGE + r"xox[a-z]-[A-Za-z0-9-]{12,}"),
    _rule("slack", "xapp-", _EDGE + r"xapp-\d-[A-Za-z0-9-]{12,}"),
    _rule(
        "slack-webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com/(?P<value>(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,})",
    ),
    _rule("stripe", "k_", _EDGE + r"(?:sk|rk|pk)_(?:test|live|prod)_[A-Za-z0-9]{10,}"),
    _rule("stripe", "whsec_", _EDGE + r"whsec_[A-Za-z0-9+/=]{16,}"),
    _rule("google", "AIza", _EDGE + r"AIza[\w-]{20,}"),
    _rule("google", "GOCSPX-", _EDGE + r"GOCSPX-[\w-]{12,}"),
    _rule("google", "ya29.", _EDGE + r"ya29\.[\w-]{16,}"),
    _rule("anthropic", "sk-ant-", _EDGE + r"sk-ant-[\w-]{12,}"),
    _rule("openai", "sk-", _EDGE + r"sk-(?:proj|svcacct|admin|None)-[\w-]{12,}"),
    _rule("openai", "sk-", _EDGE + r"sk-(?=[a-zA-Z]*\d)[A-Za-z0-9]{20,}"),
    _rule("huggingface", "hf_", _EDGE + r"(?:hf|api_org)_[A-Za-z]{20,}"),
    _rule("npm", "npm_", _EDGE + r"npm_[A-Za-z0-9]{20,}"),
    _rule("npm", "_authToken", r"_authToken\s*=\s*(?P<value>[^\s\"'<$]{16,})"),
    _rule("pypi", "pypi-", _EDGE + r"pypi-AgE[\w-]{12,}"),
    _rule("sendgrid", "SG.", _EDGE + r"SG\.[\w-]{10,}(?:\.[\w-]*)?"),
    _rule("digitalocean", "_v1_", _EDGE + r"do[por]_v1_[a-f0-9]{12,}"),
    _rule("shopify", "shp", _EDGE + r"shp(?:at|ca|pa|ss|ua)_[a-fA-F0-9]{12,}"),
    _rule("databricks", "dapi", _EDGE + r"dapi[a-f0-9]{12,}(?![G-Zg-z])"),
    _rule("newrelic", "NRAK-", _EDGE + r"NRAK-[A-Z0-9]{12,}"),
    _rule("age-key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{8,}"),
    _rule("telegram", ":AA", r"(?<![\w:.])\d{8,10}:AA[\w-]{10,}"),
    _rule("discord", "M N O", _EDGE + r"[MNO][A-Za-z\d_-]{22,27}\.[\w-]{6}\.[\w-]{12,}"),
    _rule("jwt", "eyJ", _EDGE + r"eyJ[\w-]{10,}\.(?:eyJ)?[\w-]{10,}(?:\.[\w-]*)?"),
    _rule(
        "password",
        "://",
        r"[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^\s:@/\"'`<>{}$%]{0,100}:"
        r"(?P<value>[^\s:@/\"'`<>{}$%][^\s@/\"'`<>{}]{2,200})(?:@[\w.\[-]|@?(?=[\s\"'`]|\Z))",
        guess=True,
    ),
    _rule(
        "encoded",  # a line of a key, without the one that says so
        "",
        r"(?m)^[ \t\"'bB(]*(?P<bare>[A-Za-z0-9+/]{40,1000}={0,2})[ \t\"'\\n,;)]*$",
        guess=True,
    ),
    _rule(
        "credential",
        "pass pwd secret token key auth credential",
        r"(?i)(?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|api_?key|apikey|"
        r"access_?key|private_?key|signing_?key|encryption_?key|auth|credentials?)[\w.-]{0,30}"
        r"[\"']?\s{0,3}(?::\s*[\w\[\]| ]{1,30}\s*=|=>|:=|=|:)\s{0,3}"
        r"(?:[rbf]?(?P<quote>[\"'`])(?P<quoted>[^\s\"'`]{8,200})(?:(?P=quote)|$)"
        r"|(?P<bare>[A-Za-z0-9+/_=.~-]{16,200})(?=$|[\s,;&#]))",
        guess=True,
    ),
    _rule("bearer", "earer", r"(?i)\bbearer\s+(?P<value>[\w.~+/-]{20,}=*)", guess=True),
    _rule("basic-auth", "asic ", r"(?i)\bbasic\s+(?P<value>[A-Za-z0-9+/]{16,}={0,2})", guess=True),
)

_PLACEHOLDER = re.compile(
    r"(?i)example|placeholder|changeme|change_me|your[_-]|dummy|redacted|xxxx|\*\*\*|\.\.\.|"
    r"<|\$\{|\{\{|%\(|%s|\{\w*\}|password|passwd|^pass$|^secret$|_?token_?$|_?key_?$"
)
_ENTROPY_QUOTED = 3.0
_ENTROPY_BARE = 3.5


def redact(text: str) -> Redacted:
    """Return ``text`` with every secret replaced by ``<redacted:kind>``; idempotent."""
    spans = _spans(text)
    return Redacted(_replace(text, spans), len(spans))


def redact_between(before: str, text: str, after: str) -> str:
    """Return ``text`` redacted as what stands between ``before`` and ``after``."""
    return _redact_parts((before, text, after))[1]


def redact_event(event: Event) -> Event:
    """Return ``event`` with every string of it redacted; the same object when nothing was.

    A suggestion is read together with the text around it, so that a secret which begins in the
    prefix is found too. Token ids and log-probabilities go when that text changed: the ids would
    spell the secret, and the probabilities belong to another prompt.
    """
    payload: Any = event.payload
    if event.kind is Kind.SUGGESTED:
        payload = _redact_suggestion(payload)
    clean = dataclasses.replace(
        event,
        workspace=redact(event.workspace).text,
        path=redact(event.path).text,
        payload=_walk(payload),
    )
    return event if clean == event else clean


def _redact_suggestion(payload: Mapping[str, Any]) -> dict[str, Any]:
    prompt = dict(payload["prompt"])
    before = (prompt["prefix"], payload["text"], prompt["suffix"])
    prefix, text, suffix = _redact_parts(before)
    prefix, suffix = _redact_parts((prefix, suffix))
    changed = {"prompt": {**prompt, "prefix": prefix, "suffix": suffix}, "text": text}
    if (prefix, text, suffix) != before:
        changed |= {"token_ids": [], "logprobs": []}
    return {**payload, **changed}


def _redact_parts(parts: Sequence[str]) -> list[str]:
    """Redact adjoining texts as one, and return them apart again.

    A secret across a border leaves a marker on both sides of it.
    """
    spans = _spans("".join(parts))
    done: list[str] = []
    start = 0
    for part in parts:
        end = start + len(part)
        inside = [
            (max(a, start) - start, min(b, end) - start, kind)
            for a, b, kind in spans
            if a < end and b > start
        ]
        done.append(_replace(part, inside))
        start = end
    return done


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value).text
    if isinstance(value, Mapping):
        return {key: _walk(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_walk, value))
    return value


def _spans(text: str) -> list[tuple[int, int, str]]:
    """Return the secrets' ``(start, end, kind)``, in order and free of overlap."""
    lowered = text.lower()
    found = [
        (*span, rule.kind)
        for rule in _RULES
        if any(word in text or word in lowered for word in rule.words)
        for span in _matches(rule, text)
    ]
    found.sort(key=lambda span: (span[0], -span[1]))
    apart: list[tuple[int, int, str]] = []
    for start, end, kind in found:
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]), apart[-1][2])
        else:
            apart.append((start, end, kind))
    return apart


def _matches(rule: _Rule, text: str) -> Iterator[tuple[int, int]]:
    for match in rule.pattern.finditer(text):
        groups = match.groupdict()
        name = next((n for n in ("value", "quoted", "bare") if groups.get(n)), None)
        span = match.span(name) if name else match.span()
        if not rule.guess or _secretive(text[span[0] : span[1]], bare=name == "bare"):
            yield span


def _secretive(value: str, *, bare: bool) -> bool:
    """Whether a value that merely stands where secrets stand looks like one."""
    if _PLACEHOLDER.search(value):
        return False
    classes = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", r"\d", r"[^\w]"))
    if bare or len(value) >= 16:
        mixed = (
            bool(re.search(r"\d", value)) and classes >= 2 and not re.search(r"[.]\w+[.]", value)
        )
        return mixed and _entropy(value) >= (_ENTROPY_BARE if bare else _ENTROPY_QUOTED)
    return classes >= 3 and bool(re.search(r"\d", value)) and _entropy(value) >= 2.5


def _entropy(value: str) -> float:
    """Return the Shannon entropy of ``value`` in bits per character."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values())


def _replace(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end, kind in spans:
        pieces += (text[at:start], f"{MARKER}{kind}>")
        at = end
    return "".join((*pieces, text[at:]))
