"""Without instant learning the server is as if it had never been told anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from falcon_lsp.core.types import Outcome
from falcon_lsp.lsp.application import Application
from memory_samples import WORKSPACE, episode_events


@pytest.mark.parametrize("instant", [True, False])
def test_feedback_reaches_the_next_suggestion_only_when_it_may(instant):
    app = Application()
    app.config = replace(app.config, learning=replace(app.config.learning, instant=instant))
    before = app.short_term.acceptance(WORKSPACE)
    for number in range(4):
        app.observe(episode_events(f"cmp-{number}", what=Outcome.ACCEPTED))
    assert (app.short_term.acceptance(WORKSPACE) != before) is instant
    app.close()
