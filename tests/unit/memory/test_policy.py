"""Ignore patterns cover what a reader of them expects, and the switches switch."""

from __future__ import annotations

import pytest

from falcon_lsp.config import MemoryOptions
from falcon_lsp.memory.policy import RecordingPolicy


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("**/.env*", [".env", "a/.env.local", "a/b/.envrc"], ["a/env", "my.env"]),
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
