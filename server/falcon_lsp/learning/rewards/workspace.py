"""What a workspace's own tests say of an episode's suggestion, for who asked for that.

The file is taken as it is now; where the suggestion's place can still be found in it, the
suggestion is put there instead of what the developer settled on. Tests that pass as the file is
now are expected to pass with the suggestion too.
"""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import folder_of
from falcon_lsp.learning.rewards.execution import TestOutcome, Verdict
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.related import WorkspaceTooLargeError
from falcon_lsp.sandbox.runner import SandboxUnavailableError, unavailable_reason
from falcon_lsp.sandbox.suite import Suite, SuiteResult

log = logging.getLogger(__name__)

SECONDS = 300.0
"""Most time that one process of the trainer spends on tests."""

WIDTHS = (400, 120, 40)
"""Characters on each side by which a place is found again, if they occur once."""

WRONG, LOST = "AssertionError", "no end"
"""The error of a wrong answer, and of a test that passes otherwise and now was not reached."""


class Case(NamedTuple):
    """The tests of a workspace, a file in it, and who may call the whole off."""

    suite: Suite
    path: str
    token: CancellationToken | None


@dataclass(slots=True)
class WorkspaceTests:
    """Runs the tests that belong to an episode, as long as there are ``seconds`` left."""

    interpreter: Interpreter
    seconds: float = SECONDS
    _references: dict[tuple[Path, str, str], SuiteResult | None] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> WorkspaceTests | None:
        """Return what the settings ask for: None unless they do and there is a sandbox."""
        if not config.sandbox.execute or unavailable_reason():
            return None
        try:
            return cls(Interpreter.named(config.sandbox.interpreter))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.warning("no tests are run: %s", type(error).__name__)
            return None

    def outcomes(
        self, episode: Episode, token: CancellationToken | None = None
    ) -> tuple[TestOutcome, ...]:
        """Return what became of each test that should pass; () where tests have nothing to say.

        Raises `Cancelled`.
        """
        if token is not None:
            token.check()
        root = folder_of(episode.workspace)
        if episode.language != "python" or root is None or self.seconds <= 0.0:
            return ()
        try:
            now = _inside(root, episode.path).read_text(encoding="utf-8")
            then = in_place(episode, now)
            if then is None:
                return ()
            return self._compare(
                Case(Suite.at(root, self.interpreter), episode.path, token), now, then
            )
        except (OSError, ValueError, WorkspaceTooLargeError, SandboxUnavailableError) as error:
            log.warning("no tests for %s: %s", episode.completion_id, type(error).__name__)
            return ()

    def _compare(self, case: Case, now: str, then: str) -> tuple[TestOutcome, ...]:
        key = (case.suite.root, case.path, now)
        if key not in self._references:
            self._references[key] = self._judge(case, now)
        reference = self._references[key]
        expected = [] if reference is None else reference.passed
        if not expected:
            return ()
        found = reference if then == now else self._judge(case, then)
        tests = {} if found is None else found.tests
        return tuple(_outcome(tests.get(name, LOST)) for name in expected)

    def _judge(self, case: Case, text: str) -> SuiteResult | None:
        result = case.suite.judge(case.path, text, case.token)
        self.seconds -= 0.0 if result is None else result.execution.seconds
        return result


def in_place(episode: Episode, text: str) -> str | None:
    """Return ``text`` with the suggestion where the developer's own now stands, or None."""
    suggestion = episode.suggestion
    settled = episode.settled_text
    if settled is None and episode.outcome is not None and episode.outcome.positive:
        settled = suggestion.text
    if settled is None:
        return None
    for width in WIDTHS:
        before, after = suggestion.prompt.prefix[-width:], suggestion.prompt.suffix[:width]
        if before + after and text.count(before + settled + after) == 1:
            at = text.index(before + settled + after) + len(before)
            return text[:at] + suggestion.text + text[at + len(settled) :]
    return None


def _inside(root: Path, path: str) -> Path:
    """Return the file; raises `ValueError` when it is not below ``root``."""
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        raise ValueError("the file is not in its workspace")
    return file


def _outcome(error: str) -> TestOutcome:
    if not error:
        return TestOutcome(Verdict.PASSED)
    return TestOutcome(Verdict.FAILED if error == WRONG else Verdict.RAISED, error)
