"""The arms: same base, same data, same number of tokens; they differ in what is named here."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Objective(enum.Enum):
    """What is minimised."""

    NONE = "nothing: the base as it is shipped"
    SUPERVISED = "the cross-entropy of the settled line"
    POLICY = "the group-relative policy gradient"


class Worth(enum.Enum):
    """What a sample is worth."""

    TESTS = "1 when all tests pass, else 0"
    RLTF = "RLTF's coarse and adaptive rewards, its fine one on the tokens"
    MEMORY = "tests, and Memory-R+'s closeness to successes and distance to failures"
    FALCON = "the product's own reward: compiler, tests, gated quality"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to learn. ``ours`` are FALCON and its ablations: no peer of FALCON's."""

    name: str
    objective: Objective = Objective.POLICY
    worth: Worth = Worth.TESTS
    long_term: bool = False
    short_term: bool = False
    meta: bool = False
    ours: bool = False


FALCON = Arm("FALCON", worth=Worth.FALCON, long_term=True, short_term=True, meta=True, ours=True)

ARMS = (
    Arm("frozen", Objective.NONE),
    Arm("supervised", Objective.SUPERVISED),
    Arm("GRPO with tests"),
    Arm("RLTF", worth=Worth.RLTF),
    Arm("Memory-R+", worth=Worth.MEMORY),
    replace(FALCON, name="FALCON without long-term memory", long_term=False),
    replace(FALCON, name="FALCON without short-term memory", short_term=False),
    replace(FALCON, name="FALCON without meta-learning", meta=False),
    FALCON,
)

SMALL = ("frozen", "GRPO with tests", "FALCON")


def named(names: tuple[str, ...] | list[str]) -> list[Arm]:
    """Return the arms of these names, in the order of `ARMS`; raises `ValueError` for others."""
    if unknown := set(names) - {arm.name for arm in ARMS}:
        raise ValueError(f"no such arm: {', '.join(sorted(unknown))}")
    return [arm for arm in ARMS if arm.name in names]
