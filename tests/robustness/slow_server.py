"""The whole server on an engine that takes its time over each token."""

import sys

from falcon_lsp.config import CompletionOptions, Config
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.server import create_server
from falcon_lsp.lsp.transport import run_stdio
from falcon_lsp.model.fake import FakeEngine

TOKEN_SECONDS = 0.02
PATIENT = Config(completion=CompletionOptions(deadline_ms=30_000, cold_deadline_ms=30_000))
"""However busy the machine is, no deadline decides a test."""


class SlowApplication(Application):
    """Loads nothing, and says fifty tokens a second."""

    def _load_engine(self, *_ignored: object) -> FakeEngine:
        return FakeEngine(token_seconds=TOKEN_SECONDS)


def main() -> int:
    app = SlowApplication()
    try:
        return run_stdio(create_server(app, PATIENT))
    finally:
        app.close()


if __name__ == "__main__":
    sys.exit(main())
