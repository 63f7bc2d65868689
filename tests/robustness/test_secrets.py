"""No secret of a documented kind reaches a store, by whichever way it comes in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from byte_scan import holding
from e2e.loop_helpers import ready, running
from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Diagnostic, Snippet
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.events import Event
from falcon_lsp.memory.redact import redact
from falcon_lsp.memory.service import MemoryService
from memory_samples import place, suggested_event
from secret_generator import DOCUMENTED, GUESSED

COUNT = 30_000
BATCH = 500
NEEDLE = 8
"""Characters, from the middle of a secret, that are looked for: a part of one is a leak as well."""
SURELY = 6
"""So many more before them make it certain: eight may stand anywhere in a million hashes."""

MOST_MISSED = {
    "password given by name": 0.02,
    "key given by name": 0.01,
    "AWS secret key given by name": 0.01,
    "UUID given by name": 0.01,
    "password without a name": 1.0,
    "hex key without a name": 1.0,
    "password of letters alone": 1.0,
}
"""The shares that docs/memory-and-learning.md states."""


def in_prefix(name: str, line: str, _secret: str) -> Event:
    return suggested_event(name, prefix=f"import os\n{line}\nvalue = ", text="os.getcwd()")


def in_text(name: str, line: str, _secret: str) -> Event:
    return suggested_event(name, prefix="import os\n", text=f"{line}\n")


def in_suffix(name: str, line: str, _secret: str) -> Event:
    return suggested_event(name, suffix=f"\n{line}\n")


def in_snippet(name: str, line: str, _secret: str) -> Event:
    return suggested_event(name, snippets=(Snippet("src/b.py", f"{line}\n"),))


def across(name: str, line: str, secret: str) -> Event:
    """The developer has typed the first half, and the model says the second."""
    cut = line.index(secret) + len(secret) // 2
    return suggested_event(name, prefix=f"x = 1\n{line[:cut]}", text=line[cut:])


def settled(name: str, line: str, _secret: str) -> Event:
    return ev.settled(place(name), 30, f"{line}\n")


def diagnosed(name: str, line: str, _secret: str) -> Event:
    return ev.diagnostics(place(name), [Diagnostic(1, 1, f"unused: {line}", "F401", "ruff")], [])


def in_path(name: str, _line: str, secret: str) -> Event:
    file = f"src/{secret.replace('/', '_')}.py" if "\n" not in secret else "src/a.py"
    return suggested_event(name, path=file)


WAYS: tuple[Callable[[str, str, str], Event], ...] = (
    in_prefix, in_text, in_suffix, in_snippet, across, settled, diagnosed, in_path
)  # fmt: skip


def generated(count: int) -> Iterator[tuple[str, Event]]:
    """Yield secrets of every documented kind, each in one event of one kind, in turn."""
    rng = random.Random(20_261_121)
    kinds = list(DOCUMENTED)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        line, secret = DOCUMENTED[kind](rng)
        way = WAYS[number // len(kinds) % len(WAYS)]
        if way is in_path and kind in {"private key (PEM)", "password in a URL"}:
            way = in_prefix  # neither can be a file's name
        yield secret, way(f"cmp-{number}", line, secret)


def needle(secret: str) -> bytes:
    """Return the part of a secret that is looked for, which ends with `NEEDLE` rarer characters."""
    end = len(secret) // 2 + 2 + NEEDLE
    return secret[:end][-NEEDLE - SURELY :].ljust(NEEDLE, " ").encode()


def found_in(files: Iterable[Path], needles: set[bytes]) -> set[bytes]:
    """Return those of ``needles`` that are anywhere in the files."""
    ends = {each[-NEEDLE:]: each for each in needles}
    wanted = np.sort(np.array([int.from_bytes(each, "little") for each in ends], np.uint64))
    found: set[bytes] = set()
    for file in files:
        raw = file.read_bytes()
        content = np.frombuffer(raw, np.uint8)
        for shift in range(NEEDLE):
            words = content[shift : shift + (len(content) - shift) // 8 * 8].view(np.uint64)
            at = np.searchsorted(wanted, words).clip(max=len(wanted) - 1)
            hits = words[wanted[at] == words]
            probable = {ends[int(hit).to_bytes(8, "little")] for hit in hits}
            found |= {each for each in probable if each in raw}
    return found


def test_thirty_thousand_pasted_secrets_leave_no_byte(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    needles: set[bytes] = set()
    batch: list[Event] = []
    with closing(MemoryService(store, Config().memory)) as memory:
        assert memory.open()
        for secret, event in generated(COUNT):
            needles.add(needle(secret))
            batch.append(event)
            if len(batch) == BATCH:
                memory.record(batch)
                batch.clear()
        assert memory.counters["recorded"] > COUNT * 0.95
        memory.wait_indexed()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(file.stat().st_size for file in files) > 10_000_000
    assert found_in(files, needles) == set()
    planted = tmp_path / "planted"
    planted.write_bytes(b"x" * 13 + min(needles) + b"y")
    assert found_in([planted], needles) == {min(needles)}, "or the scan would show nothing"


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_while_it_is_typed_the_model_s_rest_of_it_is_not_recorded_either(
    tmp_path: Path, kind: str
) -> None:
    """After each character, the model (which has seen it elsewhere) says what is missing."""
    line, secret = DOCUMENTED[kind](random.Random(f"typed {kind}"))
    begin = line.index(secret)
    store = Store(tmp_path / "data", tmp_path / "cache")
    with closing(MemoryService(store, Config().memory)) as memory:
        assert memory.open()
        for typed in range(begin, begin + len(secret)):
            event = suggested_event(f"cmp-{typed}", prefix=line[:typed], text=line[typed:])
            memory.record([event])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert found_in(files, {needle(secret)}) == set()


def test_misses_are_those_that_the_documentation_states() -> None:
    rng = random.Random(7)
    missed: Counter[str] = Counter()
    for kind, make in GUESSED.items():
        for _ in range(1000):
            line, secret = make(rng)
            missed[kind] += secret in redact(f"x = 1\n{line}\ny = 2\n").text
    assert {kind: missed[kind] / 1000 for kind in GUESSED} == {
        kind: pytest.approx(share, abs=0.02) for kind, share in MOST_MISSED.items()
    }


async def test_nothing_of_what_is_typed_into_a_real_server_stays(tmp_path: Path) -> None:
    """Each kind once, character by character, with suggestions, verdicts and findings."""
    rng = random.Random(11)
    made = [make(rng) for make in DOCUMENTED.values()]
    async with running(tmp_path / "store", tmp_path) as client:
        await ready(client)
        for number, (line, secret) in enumerate(made):
            uri = (tmp_path / f"file{number}.py").as_uri()
            head = f"{line}\n\n\ndef total(x):\n    return sum(x)\n\n\n"
            client.open(uri, "python", head)
            at = [head.count("\n"), 0]
            for character in line[: line.index(secret) + len(secret)]:
                client.change(uri, (at[0], at[1]), (at[0], at[1]), character)
                at = [at[0] + 1, 0] if character == "\n" else [at[0], at[1] + 1]
            items = await client.inline_completion(uri, (at[0], at[1]))
            for item in items[:1]:
                (completion_id,) = item["command"]["arguments"]
                outcome = {"completionId": completion_id, "outcome": "accepted"}
                await client.request("falcon/feedback", outcome)
            finding = {"line": 1, "severity": 1, "message": f"undefined: {line}"}
            client.notify("falcon/diagnostics", {"uri": uri, "diagnostics": [finding]})
            client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    kept = [secret for _, secret in made if holding((tmp_path / "store",), secret)]
    assert kept == []
