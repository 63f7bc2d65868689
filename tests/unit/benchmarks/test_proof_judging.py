"""Facts about rewards in the ablation: every test counts, whatever the arm."""

from __future__ import annotations

import pytest

from falcon_lsp.learning.dataset import Scored
from falcon_lsp.learning.practice.rollouts import Rollout
from falcon_lsp.learning.rewards.asserts import Step
from falcon_lsp.sandbox.runner import unavailable_reason
from proof import holes
from proof.arms import ARMS, FALCON, Worth
from proof.holes import Hole
from proof.judging import SYNTAX, WRONG, Judge
from proof.worth import Tried, Valuer

pytestmark = pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason())

HOLE = Hole(
    "x/L1", "x", "def double(value):\n", "\n", "    return value * 2", "double a value",
    tuple(Step(f"assert double({at}) == {2 * at}", counts=True) for at in (2, 3, 4)),
)  # fmt: skip
RIGHT, FIRST_ONLY, WRONG_ALL = "    return value + value", "    return value + 2", "    return 0"
RAISES, BROKEN, FOR_EVER = "    return missing", "    return (", "    while True: pass"
ARMS_OF_WORTH = [next(arm for arm in ARMS if arm.worth is worth) for worth in Worth]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


class _Letters:
    """A tokenizer of one token a character."""

    def decode(self, ids) -> str:
        return "".join(map(chr, ids))


def _tried(judge: Judge, texts: list[str]) -> list[Tried]:
    found = judge.judge([(HOLE, text) for text in texts])
    rollouts = []
    for text in texts:
        ids = tuple(map(ord, text))
        zeros = (0.0,) * len(ids)
        rollouts.append(Rollout("x", text, Scored((1,), ids), zeros, (1.0,) * len(ids), "line", 0))
    return [Tried(one, judged) for one, judged in zip(rollouts, found, strict=True)]


def test_verdicts_say_what_went_wrong(judge: Judge) -> None:
    texts = [RIGHT, FIRST_ONLY, WRONG_ALL, RAISES, BROKEN, FOR_EVER]
    found = judge.judge([(HOLE, text) for text in texts])
    assert [one.passes for one in found] == [3, 1, 0, 0, 0, 0]
    assert [one.passed for one in found] == [True] + [False] * 5
    assert [one.error for one in found] == ["", WRONG, WRONG, "NameError", SYNTAX, "no end"]
    assert [one.error_line for one in found][:5] == [-1, -1, -1, 1, 1]


def test_published_solutions_pass_in_the_sandbox(judge: Judge) -> None:
    some = (*holes.training()[::120], *holes.testing()[::110])
    found = judge.judge([(hole, hole.settled) for hole in some])
    assert [one.passed for one in found] == [True] * len(some)


def test_an_answer_is_run_once(judge: Judge) -> None:
    ran = []
    counting = Judge(lambda program: ran.append(program) or b"")
    counting.judge([(HOLE, RIGHT), (HOLE, RIGHT), (HOLE, WRONG_ALL)])
    counting.judge([(HOLE, RIGHT)])
    assert len(ran) == 2


@pytest.mark.parametrize("arm", ARMS_OF_WORTH, ids=lambda arm: arm.worth.name)
def test_passing_the_first_test_alone_is_worth_less_than_passing_all(judge: Judge, arm) -> None:
    rewards, _ = Valuer(arm, _Letters()).value(HOLE, _tried(judge, [RIGHT, FIRST_ONLY, WRONG_ALL]))
    assert rewards[0] > rewards[1] >= rewards[2]


@pytest.mark.parametrize("arm", ARMS_OF_WORTH, ids=lambda arm: arm.worth.name)
def test_nothing_that_fails_outweighs_what_passes(judge: Judge, arm) -> None:
    texts = [RIGHT, FIRST_ONLY, WRONG_ALL, RAISES, BROKEN]
    rewards, penalties = Valuer(arm, _Letters()).value(HOLE, _tried(judge, texts))
    assert rewards[0] > max(rewards[1:])
    assert [len(one) for one in penalties] == [len(text) for text in texts]
    assert not any(penalties[0])


def test_only_short_term_memory_blames_lines(judge: Judge) -> None:
    tried = _tried(judge, [RAISES])
    blamed = {
        arm.name: any(Valuer(arm, _Letters()).value(HOLE, tried)[1][0])
        for arm in ARMS
        if arm.worth is Worth.FALCON
    }
    assert blamed.pop("FALCON without short-term memory") is False
    assert set(blamed.values()) == {True}


def test_long_term_memory_shapes_the_reward_of_other_contexts(judge: Judge) -> None:
    valuer = Valuer(FALCON, _Letters())
    other = Hole("y/L1", "y", HOLE.prefix, HOLE.suffix, "", HOLE.about, HOLE.steps)
    valuer.value(other, _tried(judge, [RIGHT, WRONG_ALL]))
    rewards, _ = valuer.value(HOLE, _tried(judge, [RIGHT, RIGHT + "  # the same", WRONG_ALL]))
    plain, _ = Valuer(
        next(arm for arm in ARMS if "without long-term" in arm.name), _Letters()
    ).value(HOLE, _tried(judge, [RIGHT, RIGHT + "  # the same", WRONG_ALL]))
    gains = [one - bare for one, bare in zip(rewards, plain, strict=True)]
    assert gains[0] > gains[2]
    assert all(0.0 <= gain <= 0.2 for gain in gains)
