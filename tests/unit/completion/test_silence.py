"""Each reason for silence is one that a person can do something about."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import falcon_lsp
from falcon_lsp.completion import silence
from falcon_lsp.completion.postprocess import FILTERS, LAST
from falcon_lsp.memory import policy

SOURCES = Path(falcon_lsp.__file__).parent
GIVERS = ("completion/service.py", "lsp/session.py", "lsp/generations.py")


def reasons_in(module: str) -> set[str]:
    """Return what a module gives as a reason: arguments of the calls, and what functions return."""
    found = set()
    for node in ast.walk(ast.parse((SOURCES / module).read_text(encoding="utf-8"))):
        given = node.args[:1] if isinstance(node, ast.Call) else []
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name in {"Answer.nothing", "Rejection"}:
            found |= {e.value for e in given if isinstance(e, ast.Constant)}
            found |= {
                str(e.values[0].value)
                for e in given
                if isinstance(e, ast.JoinedStr) and isinstance(e.values[0], ast.Constant)
            }
    return {str(each).partition(":")[0] for each in found} - {
        "nothing to copy",
        "nothing to repeat",
    }


@pytest.mark.parametrize("module", GIVERS)
def test_every_reason_that_is_given_has_its_advice(module: str) -> None:
    assert reasons_in(module) <= silence.ADVICE.keys()


def test_the_service_gives_reasons_at_all() -> None:
    assert len(reasons_in("completion/service.py")) > 5, "or the test above would show nothing"
    assert FILTERS
    assert LAST


@pytest.mark.parametrize("standing", [policy.IGNORED, policy.SECRET])
def test_what_is_left_alone_has_advice(standing: policy.Standing) -> None:
    assert silence.kind(standing.reason) == standing.reason
    assert "falcon.ignore" in silence.advice(standing.reason)


def test_advice_is_one_sentence() -> None:
    for said in silence.ADVICE.values():
        assert said[0].isupper() or said.startswith("falcon-lsp")
        assert said.endswith(".")
        assert ". " not in said


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("quiet", "quiet"),
        ("filtered: syntax", "filtered: syntax"),
        ("language off: rust", "language off: rust"),
        ("The model needs 3 GB: free some memory.", "engine"),
    ],
)
def test_reasons_are_counted_by_kind_and_engines_cannot_add_any(reason: str, kind: str) -> None:
    assert silence.kind(reason) == kind
    assert silence.advice(reason)
