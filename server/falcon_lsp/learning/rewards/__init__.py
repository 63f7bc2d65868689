"""What a text was worth: bounded terms, each a pure function, combined in one place."""

from falcon_lsp.learning.rewards.appraisal import Appraiser, Quality
from falcon_lsp.learning.rewards.asserts import (
    Step,
    TestProgram,
    assemble,
    assert_steps,
    check_steps,
)
from falcon_lsp.learning.rewards.combination import ERROR_LINE, Evidence, Reward, combine
from falcon_lsp.learning.rewards.developer import (
    THRESHOLD,
    common_characters,
    developer_term,
    kept_characters,
    similarity_term,
)
from falcon_lsp.learning.rewards.execution import TestOutcome, Verdict
from falcon_lsp.learning.rewards.judge import Judge, judge_host
from falcon_lsp.learning.rewards.mask import token_penalty
from falcon_lsp.learning.rewards.sample import Sample
from falcon_lsp.learning.rewards.scoring import (
    Trial,
    mean_terms,
    reward,
    reward_all,
    score,
    score_all,
)
from falcon_lsp.learning.rewards.workspace import WorkspaceTests

__all__ = [
    "ERROR_LINE",
    "THRESHOLD",
    "Appraiser",
    "Evidence",
    "Judge",
    "Quality",
    "Reward",
    "Sample",
    "Step",
    "TestOutcome",
    "TestProgram",
    "Trial",
    "Verdict",
    "WorkspaceTests",
    "assemble",
    "assert_steps",
    "check_steps",
    "combine",
    "common_characters",
    "developer_term",
    "judge_host",
    "kept_characters",
    "mean_terms",
    "reward",
    "reward_all",
    "score",
    "score_all",
    "similarity_term",
    "token_penalty",
]
