"""The objective of logged episodes; see `falcon_lsp.learning.objectives` for all of them."""

from __future__ import annotations

from falcon_lsp.learning.objectives.policy import Loss, advantages, policy_loss
from falcon_lsp.learning.objectives.tokens import kl_divergence, token_logprobs

__all__ = ["Loss", "advantages", "kl_divergence", "policy_loss", "token_logprobs"]
