"""Secrets as their issuers make them, new ones each time; nothing here knows how they are found.

Each kind is written down from its issuer's own description: prefix, alphabet, lengths, checksums.
`generate` returns the line of a file that holds one, and the secret in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import string
import uuid
import zlib
from collections.abc import Callable

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"
URL = ALNUM + "-_"
BASE64 = ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

Made = tuple[str, str]
"""A line, and the secret in it."""


def some(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def bare(token: str) -> Made:
    return f"client = connect({token!r})", token


def base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[rest] + digits
    return digits.rjust(width, "0")


def github(rng: random.Random) -> Made:
    prefix = rng.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"])
    body = some(rng, ALNUM, 30)
    return bare(prefix + body + base62(zlib.crc32(body.encode()), 6))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def jwt(rng: random.Random) -> Made:
    claims = {"sub": some(rng, string.digits, 9), "iat": rng.randrange(10**9, 2 * 10**9)}
    parts = [
        encoded(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    signed = hmac.digest(rng.randbytes(32), ".".join(parts).encode(), hashlib.sha256)
    return bare(".".join([*parts, encoded(signed)]))


def private_key(rng: random.Random) -> Made:
    name = rng.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
    body = base64.b64encode(rng.randbytes(rng.choice([121, 300, 600]))).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    head, tail = f"-----BEGIN {name}PRIVATE KEY-----", f"-----END {name}PRIVATE KEY-----"
    return "\n".join(['KEY = """' + head, *lines, tail + '"""']), lines[0]


def database(rng: random.Random) -> Made:
    scheme = rng.choice(["postgresql", "mysql", "mongodb+srv", "redis", "amqp"])
    word = some(rng, ALNUM, rng.randrange(14, 24)) + rng.choice(string.digits)
    return f'URL = "{scheme}://app:{word}@db.internal.net:5432/orders"', word


def password(rng: random.Random) -> Made:
    """As password managers make them: every class of characters, 16 to 24 of them."""
    classes = [string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#%&*+-.:?@^_~"]
    chosen = [rng.choice(each) for each in classes]
    chosen += rng.choices("".join(classes), k=rng.randrange(12, 20))
    rng.shuffle(chosen)
    word = "".join(chosen)
    name = rng.choice(["password", "db_password", "PASSWD", "secret", "client_secret"])
    return f'{name} = "{word}"', word


def named(rng: random.Random) -> Made:
    """A key without a shape of its own, told by the name that it is given."""
    alphabet, count = rng.choice([(HEX, 32), (HEX, 40), (HEX, 64), (ALNUM, 32), (BASE64, 40)])
    value = some(rng, alphabet, count)
    name = rng.choice(["api_key", "API_TOKEN", "auth_token", "secret_key", "access_key"])
    return f'{name} = "{value}"', value


def discord(rng: random.Random) -> Made:
    head = encoded(some(rng, string.digits, 18).encode())
    return bare(f"{head}.{some(rng, URL, 6)}.{some(rng, URL, 27)}")


DOCUMENTED: dict[str, Callable[[random.Random], Made]] = {
    "AWS access key id": lambda r: bare(r.choice(["AKIA", "ASIA"]) + some(r, BASE32, 16)),
    "GitHub token": github,
    "GitHub fine-grained token": lambda r: bare(
        f"github_pat_{some(r, ALNUM, 22)}_{some(r, ALNUM, 59)}"
    ),
    "GitLab token": lambda r: bare("glpat-" + some(r, URL, 20)),
    "Slack token": lambda r: bare(
        f"xoxb-{some(r, string.digits, 12)}-{some(r, string.digits, 12)}-{some(r, ALNUM, 24)}"
    ),
    "Stripe key": lambda r: bare(r.choice(["sk_live_", "rk_live_"]) + some(r, ALNUM, 24)),
    "Google API key": lambda r: bare("AIza" + some(r, URL, 35)),
    "Anthropic key": lambda r: bare(f"sk-ant-api03-{some(r, URL, 93)}AA"),
    "OpenAI project key": lambda r: bare(f"sk-proj-{some(r, URL, 48)}"),
    "Hugging Face token": lambda r: bare("hf_" + some(r, string.ascii_letters, 34)),
    "npm token": lambda r: bare("npm_" + some(r, ALNUM, 36)),
    "PyPI token": lambda r: bare("pypi-AgEIcHlwaS5vcmc" + some(r, URL, 150)),
    "JSON Web Token": jwt,
    "private key (PEM)": private_key,
    "password in a URL": database,
    "SendGrid key": lambda r: bare(f"SG.{some(r, URL, 22)}.{some(r, URL, 43)}"),
    "DigitalOcean token": lambda r: bare("dop_v1_" + some(r, HEX, 64)),
    "Shopify token": lambda r: bare("shpat_" + some(r, HEX, 32)),
    "Databricks token": lambda r: bare("dapi" + some(r, HEX, 32)),
    "New Relic key": lambda r: bare("NRAK-" + some(r, string.ascii_uppercase + string.digits, 27)),
    "age key": lambda r: bare("AGE-SECRET-KEY-1" + some(r, BECH32, 58)),
    "Telegram bot token": lambda r: bare(f"{some(r, string.digits, 10)}:AA{some(r, URL, 33)}"),
    "Discord bot token": discord,
}
"""Kinds of which the documentation says that nothing is ever stored."""

GUESSED: dict[str, Callable[[random.Random], Made]] = {
    "password given by name": password,
    "key given by name": named,
    "AWS secret key given by name": lambda r: (
        f'aws_secret_access_key = "{(key := some(r, BASE64, 40))}"', key
    ),
    "UUID given by name": lambda r: (
        f'HEROKU_API_KEY = "{(key := str(uuid.UUID(int=r.getrandbits(128), version=4)))}"', key
    ),
    "password without a name": lambda r: bare(password(r)[1]),
    "hex key without a name": lambda r: bare(some(r, HEX, 40)),
    "password of letters alone": lambda r: (
        f'password = "{(word := some(r, string.ascii_lowercase, 12))}"', word
    ),
}  # fmt: skip
"""Kinds that are guessed by what stands around them, or missed: the documentation lists both."""
