"""Which files are left alone: decided before anything else looks at a document or an event.

| file | suggestions in it | recorded, and quoted for other files |
| --- | --- | --- |
| matches ``falcon.ignore`` | no | no |
| looks like one of secrets (`SECRET_FILES`) | no | no |
| git ignores it, or it matches ``falcon.memory.ignore`` | yes, from its own text | no |
| any other | yes | yes |
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from falcon_lsp.config import MemoryOptions
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.gitignore import GitIgnores

SECRET_FILES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore",
    "*.kdbx", "*.ovpn", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc",
    "_netrc", ".npmrc", ".yarnrc*", ".pypirc", ".pgpass", ".my.cnf", ".htpasswd", ".vault-token",
    ".git-credentials", ".dockercfg", "**/.docker/config.json", "**/.aws/credentials",
    "**/.aws/config", "**/.kube/config", "kubeconfig*", "*.kubeconfig", "credentials",
    "credentials.*", "client_secret*.json", "service-account*.json", "service_account*.json",
    "secrets.{json,toml}", "secrets.{yml,yaml,ini}", "*.tfvars", "*.tfvars.json",
    "*.tfstate", "*.tfstate.backup", "terraform.rc", ".terraformrc",
)  # fmt: skip
"""Names (in any folder) of files that hold secrets and little else."""

SAMPLES = (".env.{example,sample,template,dist}", "id_*.pub", "credentials.{py,js,ts,jsx,tsx}")
"""Names that look like those and hold none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be done with a file; ``reason`` says why not everything."""

    suggest: bool
    record: bool
    reason: str = ""


OPEN = Standing(suggest=True, record=True)
IGNORED = Standing(suggest=False, record=False, reason="ignored: falcon.ignore")
SECRET = Standing(suggest=False, record=False, reason="ignored: may hold secrets")
PRIVATE = Standing(suggest=True, record=False, reason="private: falcon.memory.ignore")
GIT_IGNORED = Standing(suggest=True, record=False, reason="private: .gitignore")


class RecordingPolicy:
    """The user's switches and ignore patterns, and what git ignores. Any thread may ask."""

    def __init__(
        self,
        options: MemoryOptions,
        ignore: Sequence[str] = (),
        git: GitIgnores | None = None,
    ) -> None:
        self._options = options
        self._ignore = tuple(ignore)
        self._git = git or GitIgnores()

    @property
    def recording(self) -> bool:
        """Whether anything is recorded now."""
        return self._options.record

    def standing(self, workspace: str, path: str, ignore: Sequence[str] = ()) -> Standing:
        """Return what may be done with ``path`` (relative to ``workspace``, a folder URI).

        ``ignore`` are patterns of this folder alone. A pattern that matches a folder covers all
        that is in it; letter case does not count.
        """
        path = path.replace("\\", "/").lstrip("/")
        folder = workspace.rstrip("/").rpartition("/")[2]
        patterns = (*self._ignore, *ignore)
        found = _by_name(patterns, self._options.ignore, folder, path)
        if found is not OPEN:
            return found
        return GIT_IGNORED if self._git.ignores(workspace, path) else OPEN

    def allows(self, path: str, workspace: str = "") -> bool:
        """Whether something about the file at ``path`` is recorded; see `standing`."""
        return self.recording and self.standing(workspace, path).record

    def without_ignored(self, event: Event) -> Event:
        """Return ``event`` with no snippet of an ignored file in its prompt.

        Token ids and log-probabilities go along: they belong to the whole prompt.
        """
        if event.kind is not Kind.SUGGESTED:
            return event
        prompt = event.payload["prompt"]
        kept = [s for s in prompt["snippets"] if self.allows(s["path"], event.workspace)]
        if len(kept) == len(prompt["snippets"]):
            return event
        changes = {"prompt": {**prompt, "snippets": kept}, "token_ids": [], "logprobs": []}
        return dataclasses.replace(event, payload={**event.payload, **changes})


@functools.lru_cache(maxsize=4096)
def _by_name(
    ignored: tuple[str, ...], private: tuple[str, ...], folder: str, path: str
) -> Standing:
    """Return the standing as far as names tell; ``folder`` is the workspace's own name."""
    if _any(ignored, path):
        return IGNORED
    if _looks_secret(path) or _looks_secret(f"{folder}/{path}"):
        return SECRET
    return PRIVATE if _any(private, path) else OPEN


def _any(patterns: Sequence[str], path: str) -> bool:
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


def _looks_secret(path: str) -> bool:
    """Whether the file itself, not a folder that it lies in, has the name of a secret."""
    return _names(SECRET_FILES, path) and not _names(SAMPLES, path)


def _names(patterns: Sequence[str], path: str) -> bool:
    found = (_compiled(pattern).fullmatch(path) for pattern in patterns)
    return any(match is not None and match[1] is None for match in found)


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate a glob; one without a slash matches in any folder, as in ``.gitignore``."""
    if "/" not in pattern.rstrip("/"):
        pattern = f"**/{pattern}"
    body = "".join(_pieces(pattern.strip("/")))
    return re.compile(f"(?:{body})(/.*)?", re.IGNORECASE | re.DOTALL)


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
