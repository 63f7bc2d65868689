"""Settings: defaults, bounds, and what happens to wrong ones."""

from __future__ import annotations

import pytest

from falcon_lsp.config import Config, from_client_options, options, schema


@pytest.mark.parametrize(
    "raw",
    [
        {"completion": {"deadlineMs": 700}},
        {"falcon": {"completion": {"deadlineMs": 700}}},
        {"falcon.completion.deadlineMs": 700},
        {"completion.deadlineMs": 700},
    ],
)
def test_settings_are_read_nested_and_dotted(raw: object) -> None:
    config, problems = from_client_options(raw)
    assert (config.completion.deadline_ms, problems) == (700, [])


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"completion": {"deadlineMs": 1}}, "falcon.completion.deadlineMs"),
        ({"completion": {"deadlineMs": "fast"}}, "falcon.completion.deadlineMs"),
        ({"completion": {"threshold": True}}, "falcon.completion.threshold"),
        ({"engine": "abacus"}, "falcon.engine"),
        ({"languages": "python"}, "falcon.languages"),
        ({"languages": [1]}, "falcon.languages"),
        ([], "falcon"),
        ("text", "falcon"),
    ],
)
def test_a_wrong_value_keeps_the_default_and_is_named_once(raw: object, named: str) -> None:
    config, problems = from_client_options(raw)
    assert config == Config()
    assert len(problems) == 1
    assert problems[0].startswith(named)


def test_settings_build_on_what_stood_before() -> None:
    before, _ = from_client_options({"engine": "fake"})
    after, _ = from_client_options({"completion": {"maxTokens": 9}}, before)
    assert (after.engine, after.completion.max_tokens) == ("fake", 9)


def test_every_default_lies_within_its_own_bounds() -> None:
    for leaf in options():
        if leaf.low is not None and leaf.high is not None:
            assert leaf.low <= leaf.default <= leaf.high, leaf.key
        if leaf.choices:
            assert leaf.default in leaf.choices, leaf.key


def test_what_runs_code_or_names_folders_or_hosts_can_be_set_by_the_machine_only() -> None:
    machine = {key for key, entry in schema().items() if entry["scope"] == "machine"}
    assert machine == {
        "falcon.model",
        "falcon.engine",
        "falcon.dataDir",
        "falcon.cacheDir",
        "falcon.memoryServer",
        "falcon.judgeServer",
        "falcon.judgeModel",
        "falcon.interpreter",
        "falcon.learning.objective",
        "falcon.sandbox.execute",
        "falcon.sandbox.interpreter",
    }
