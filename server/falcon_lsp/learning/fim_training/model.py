"""The model that the FIM adapter is trained in: a frozen bf16 base, LoRA, the sentinels' rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from falcon_lsp.learning.policy.fused_loss import fused_cross_entropy
from falcon_lsp.learning.policy.model import linear_layers
from falcon_lsp.model.tokenizer import CodeTokenizer

SENTINEL_WORDS = {
    "<issue_start>": "after below suffix",
    "<issue_comment>": "before above code",
    "<issue_closed>": "<|endoftext|>",
    "<filename>": "file path name",
    "<file_sep>": "file other snippet",
}
"""Words whose mean embedding a sentinel starts from: random rows taught no infilling."""

_TRAINED_ROWS = "embed_tokens.token_adapter.trainable_tokens_delta"
_FROZEN_ROWS = "embed_tokens.token_adapter.base_layer.weight"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters of the FIM adapter; ``rows`` and ``max_tokens`` are those of one batch."""

    rank: int = 32
    alpha: int = 64
    learning_rate: float = 6e-4
    sentinel_learning_rate: float = 1e-3
    warmup_steps: int = 20
    rows: int = 4
    max_tokens: int = 704
    clip: float = 1.0
    seed: int = 0
    gradient_checkpoints: bool = False


def build_model(base: Path, tokenizer: CodeTokenizer, recipe: Recipe, device: str) -> PeftModel:
    """Return the frozen base in bf16 with a fresh fp32 adapter, sentinels started from words."""
    torch.manual_seed(recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(device)
    rows = model.get_input_embeddings().weight
    with torch.no_grad():
        for sentinel, words in SENTINEL_WORDS.items():
            known = words in tokenizer.vocabulary
            ids = [tokenizer.special(words)] if known else tokenizer.encode(" " + words)
            rows[tokenizer.special(sentinel)] = rows[ids].mean(0)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=linear_layers(model),
        trainable_token_indices={"embed_tokens": sentinel_ids(tokenizer)},
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    if recipe.gradient_checkpoints:
        adapted.enable_input_require_grads()
        adapted.gradient_checkpointing_enable()
    return adapted


def sentinel_ids(tokenizer: CodeTokenizer) -> list[int]:
    """Return the ids whose embeddings are trained, in rising order."""
    return sorted(tokenizer.special(mark) for mark in SENTINEL_WORDS)


def start_from(model: PeftModel, adapter: Path) -> None:
    """Copy the weights of an adapter of the same shape into ``model``.

    Raises:
        ValueError: the adapter has other tensors than the model.
    """
    weights = load_file(adapter / "adapter_model.safetensors")
    wanted = set(get_peft_model_state_dict(model))
    if wanted != set(weights):
        strange = len(wanted ^ set(weights))
        raise ValueError(f"{adapter} does not fit this model: {strange} tensors differ")
    set_peft_model_state_dict(model, weights)


class AdaptedLoss:
    """The weighted cross-entropy of an adapted model whose head is its embedding (nats)."""

    def __init__(self, model: PeftModel, sentinels: list[int]) -> None:
        named = dict(model.named_parameters())
        (frozen,) = (p for name, p in named.items() if name.endswith(_FROZEN_ROWS))
        (self._trained,) = (p for name, p in named.items() if _TRAINED_ROWS in name)
        self._body = model.get_base_model().model
        self._head = frozen.detach().clone()
        self._rows = torch.tensor(sentinels, device=frozen.device)

    def __call__(self, ids: Tensor, weights: Tensor) -> Tensor:
        """Return the mean loss of predicting ``ids[:, 1:]``; both are ``(B, T)``."""
        hidden = self._body(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        return fused_cross_entropy(
            hidden.flatten(0, 1),
            self._trained,
            self._head,
            self._rows,
            ids[:, 1:].flatten(),
            weights[:, 1:].flatten(),
        )
