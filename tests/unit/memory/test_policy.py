"""Ignore patterns cover what a reader of them expects, and the switches switch."""

from __future__ import annotations

from pathlib import Path

import pytest

from falcon_lsp.config import MemoryOptions
from falcon_lsp.memory.policy import (
    GIT_IGNORED,
    IGNORED,
    OPEN,
    PRIVATE,
    SECRET,
    RecordingPolicy,
    Standing,
)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("**/.env*", [".env", "a/.env.local", "a/b/.envrc"], ["a/env", "my.environment"]),
        ("**/*secret*", ["secret.py", "a/my_Secrets.txt", "secrets/a.py"], ["secre/t.py"]),
        ("*.pem", ["key.pem", "a/b/key.PEM"], ["pem", "key.pem.py"]),
        ("src/*.py", ["src/a.py", "/src/a.py", "src\\a.py"], ["src/a/b.py", "lib/src/a.py"]),
        ("src/**", ["src/a.py", "src/a/b.py"], ["lib/a.py"]),
        ("a/**/z.py", ["a/z.py", "a/b/c/z.py"], ["a/bz.py", "z.py"]),
        ("build/", ["build/x.py", "a/build/x.py"], ["builds/x.py"]),
        ("a?.py", ["ab.py"], ["a.py", "a/.py"]),
        ("v[0-9].py", ["v1.py"], ["va.py"]),
        ("v[!0-9].py", ["va.py"], ["v1.py"]),
        ("*.{key,crt}", ["a.key", "b/a.crt"], ["a.keys"]),
        ("(a+b).py", ["(a+b).py"], ["aab.py"]),
        ("[", ["["], ["a"]),
    ],
)
def test_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    policy = RecordingPolicy(MemoryOptions(ignore=(pattern,)))
    assert [path for path in matching if policy.allows(path)] == []
    assert [path for path in others if not policy.allows(path)] == []


def test_nothing_is_allowed_when_recording_is_off() -> None:
    assert not RecordingPolicy(MemoryOptions(record=False)).allows("a.py")
    assert RecordingPolicy(MemoryOptions()).allows("a.py")


@pytest.mark.parametrize(
    ("path", "standing"),
    [
        *[(name, SECRET) for name in (
            ".env", "app/.env", ".env.production", "prod.env", ".envrc", "id_rsa", "id_ed25519",
            "server.pem", "tls/server.KEY", "credentials.json", "credentials", ".npmrc", ".netrc",
            "kubeconfig", "a/.kube/config", ".aws/credentials", ".docker/config.json", ".pypirc",
            "terraform.tfvars", "secrets.yaml", "service-account-prod.json", ".git-credentials",
        )],
        *[(name, PRIVATE) for name in (".env.example", "credentials.py", "my_secrets_test.py")],
        *[(name, OPEN) for name in (
            "environment.py", "keys.py", "config.json", "id_generator.py", "monkey.py", "env.py",
        )],
    ],
)  # fmt: skip
def test_files_that_look_like_ones_of_secrets_are_left_alone(path: str, standing: Standing) -> None:
    policy = RecordingPolicy(MemoryOptions())
    assert policy.standing("file:///w", path) is standing
    assert policy.standing("file:///w", f"deep/{path}") is standing


def test_a_file_of_secrets_is_known_when_its_folder_is_the_workspace() -> None:
    assert RecordingPolicy(MemoryOptions()).standing("file:///home/.kube", "config") is SECRET


def test_a_folder_named_like_a_secret_is_an_ordinary_one() -> None:
    assert (
        RecordingPolicy(MemoryOptions(ignore=())).standing("file:///w", "credentials/a.py") is OPEN
    )


def test_ignored_files_come_first_and_folders_may_have_their_own(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("out/\n")
    policy = RecordingPolicy(MemoryOptions(), ignore=("vendor/",))
    assert policy.standing(tmp_path.as_uri(), "vendor/a.py") is IGNORED
    assert policy.standing(tmp_path.as_uri(), "out/a.py") is GIT_IGNORED
    assert policy.standing(tmp_path.as_uri(), "out/a.py", ("out/",)) is IGNORED
    assert policy.standing(tmp_path.as_uri(), "a.py") is OPEN
    assert not policy.allows("out/a.py", tmp_path.as_uri())
