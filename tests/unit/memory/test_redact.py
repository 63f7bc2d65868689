"""Secrets of every documented shape are taken out; ordinary code is left as it is."""

from __future__ import annotations

import base64
import random
import string
import sysconfig
from pathlib import Path

import pytest

import falcon_lsp
from falcon_lsp.core.types import Diagnostic, Snippet
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.redact import MARKER, redact, redact_event
from memory_samples import place, suggested_event

WORD = string.ascii_letters + string.digits
CHANCE = random.Random(20250101)


def letters(count: int, alphabet: str = WORD) -> str:
    """Random characters, at least one digit among them where the alphabet has digits."""
    while True:
        drawn = "".join(CHANCE.choices(alphabet, k=count))
        if not set(alphabet) & set(string.digits) or set(drawn) & set(string.digits):
            return drawn


def encoded(count: int) -> str:
    return base64.b64encode(CHANCE.randbytes(count)).decode()


URL_SAFE = WORD + "-_"
SHAPES = {
    "aws-key": lambda: "AKIA" + letters(16, string.ascii_uppercase + "234567"),
    "github": lambda: CHANCE.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]) + letters(36),
    "github-fine": lambda: f"github_pat_{letters(22)}_{letters(59)}",
    "gitlab": lambda: "glpat-" + letters(20, URL_SAFE),
    "slack-bot": lambda: f"xoxb-{letters(12, string.digits)}-{letters(12, string.digits)}-"
    + letters(24),
    "slack-app": lambda: f"xapp-1-{letters(11).upper()}-{letters(13, string.digits)}-"
    + letters(64, "0123456789abcdef"),
    "slack-webhook": lambda: "https://hooks.slack.com/services/T"
    + f"{letters(8).upper()}/B{letters(8).upper()}/{letters(24)}",
    "stripe": lambda: CHANCE.choice(["sk_live_", "rk_live_", "sk_test_"]) + letters(24),
    "google": lambda: "AIza" + letters(35, URL_SAFE),
    "openai-old": lambda: "sk-" + letters(20) + "T3BlbkFJ" + letters(20),
    "openai": lambda: "sk-proj-" + letters(80, URL_SAFE),
    "anthropic": lambda: "sk-ant-api03-" + letters(93, URL_SAFE) + "AA",
    "huggingface": lambda: "hf_" + letters(34, string.ascii_letters),
    "npm": lambda: "npm_" + letters(36),
    "pypi": lambda: "pypi-AgEIcHlwaS5vcmc" + letters(80, URL_SAFE),
    "jwt": lambda: "eyJ" + letters(33, URL_SAFE) + ".eyJ" + letters(60, URL_SAFE)
    + "." + letters(43, URL_SAFE),
}  # fmt: skip
HOLDERS = ['KEY = "{}"\n', "export TOKEN={}\n", "# {}\n", "curl -H 'X: {}' host\n", "{}"]


@pytest.mark.parametrize("kind", SHAPES)
def test_a_secret_of_a_documented_shape_is_taken_out_wherever_it_stands(kind: str) -> None:
    for holder in HOLDERS * 20:
        secret = SHAPES[kind]()
        core = secret.removeprefix("https://hooks.slack.com/")
        cleaned = redact(holder.format(secret))
        assert core not in cleaned.text
        assert core[-10:] not in cleaned.text
        assert cleaned.count == 1
        assert MARKER in cleaned.text


SHOWN_AT_MOST = {"slack-webhook": 52, "jwt": 46}
"""Characters shown before a secret is known for one (else 24): a webhook begins like any address,
a JSON web token with a header that is no secret."""


@pytest.mark.parametrize("kind", SHAPES)
def test_a_secret_that_is_being_typed_shows_its_beginning_only(kind: str) -> None:
    secret = SHAPES[kind]()
    for end in range(1, len(secret) + 1):
        left = redact(f"# {secret[:end]}").text.removeprefix("# ")
        assert len(left.partition(MARKER)[0]) <= SHOWN_AT_MOST.get(kind, 24)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("postgres://admin:", "@db.local:5432/app"),
        ('password = "', '"'),
        ("password: str = '", "'"),
        ('{"api_key": "', '"}'),
        ("DB_PASSWORD=", "\n"),
        ("client_secret => '", "'"),
        ("Authorization: Bearer ", ""),
        ("//registry.host/:_authToken=", "\n"),
    ],
)
def test_a_random_value_where_secrets_stand_is_taken_out(before: str, after: str) -> None:
    for _ in range(50):
        value = letters(24)
        assert value not in redact(f"{before}{value}{after}").text


@pytest.mark.parametrize("header", ["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""])
def test_a_private_key_goes_whole_and_in_part(header: str) -> None:
    body = "\n".join(encoded(48) for _ in range(12))
    begin, end = f"-----BEGIN {header}PRIVATE KEY-----\n", f"\n-----END {header}PRIVATE KEY-----"
    lines = body.splitlines()
    for text in (begin + body + end, begin + body, "\n".join(lines[3:]) + end):
        cleaned = redact(f'k = """{text}').text
        assert not any(line in cleaned for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        'password = "changeme"',
        'password = os.environ["DB_PASSWORD"]',
        "token = next(tokens)",
        'api_key = "YOUR_API_KEY_HERE"',
        "def authenticate(user: User, password: str = None) -> bool:",
        "secret = get_secret(name)",
        'TOKEN_KIND = "identifier_token"',
        "url = 'https://user:{password}@host/'",
        'key = "session:user:profile"',
        "git_commit = 'd9ac3dc9e72a7a8b7ffb95e4bd7ac1c2ba2f7a9c'",
        "class TokenizerFast(PreTrainedTokenizer):",
    ],
)
def test_ordinary_code_stays(line: str) -> None:
    assert redact(line).text == line


def test_fewer_than_one_line_in_a_thousand_of_ordinary_code_is_touched() -> None:
    library = Path(sysconfig.get_paths()["stdlib"])
    files = [*sorted(library.glob("*.py")), *sorted(Path(falcon_lsp.__file__).parent.rglob("*.py"))]
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    lines = sum(text.count("\n") for text in texts)
    assert lines > 50_000
    assert sum(redact(text).count for text in texts) < lines / 1000


def test_redacting_twice_changes_nothing() -> None:
    text = "\n".join(f'password = "{shape()}"' for shape in SHAPES.values())
    once = redact(text)
    assert redact(once.text) == type(once)(once.text, 0)


# ---------------------------------------------------------------------- events


def test_every_string_of_an_event_is_redacted() -> None:
    secret = SHAPES["github"]()
    event = suggested_event(
        "c1",
        path=f"src/{secret}.py",
        workspace=f"file:///{secret}",
        prefix=f"a = '{secret}'\n",
        suffix=f"\nb = '{secret}'",
        snippets=(Snippet(f"{secret}.py", f"# {secret}"),),
    )
    assert secret not in repr(redact_event(event))
    finding = Diagnostic(1, 1, f"unknown name {secret}", "E1", "ruff")
    for other in (
        ev.diagnostics(place("c1"), [finding], [finding]),
        ev.settled(place("c1"), 10, f"x = '{secret}'"),
    ):
        assert secret not in repr(redact_event(other))


@pytest.mark.parametrize("kind", ["github", "anthropic", "stripe"])
def test_a_secret_across_prefix_suggestion_and_suffix_is_found(kind: str) -> None:
    secret = SHAPES[kind]()
    for first, second in ((12, 24), (20, 20), (25, len(secret)), (0, 18)):
        pieces = secret[:first], secret[first:second], secret[second:]
        event = suggested_event(
            "c1", prefix=f"k = '{pieces[0]}", text=pieces[1], suffix=pieces[2] + "'\n"
        )
        clean = repr(redact_event(event))
        assert not any(piece in clean for piece in pieces if len(piece) > 5)


def test_token_ids_go_with_the_text_that_they_spell_and_only_then() -> None:
    event = suggested_event("c1")
    assert redact_event(event) is event
    secret = SHAPES["npm"]()
    dirty = redact_event(suggested_event("c1", text=f"'{secret}'"))
    assert (dirty.payload["token_ids"], dirty.payload["logprobs"]) == ([], [])
