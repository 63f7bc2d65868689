"""The dimensions of a network of the Llama kind, read from its ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.model.engine import EngineError

_KINDS = ("llama", "qwen2")
_HEAD_STEP = 16
"""Heads of other sizes cannot be rotated inside the attention operator."""


class UnsupportedArchitecture(EngineError):
    """The network is of another kind: it takes the engine on PyTorch."""


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Sizes of one network; ``biased`` ones add to queries, keys and values (Qwen2)."""

    layers: int
    heads: int
    kv_heads: int
    head_size: int
    hidden: int
    intermediate: int
    vocabulary: int
    context_length: int
    rope_theta: float
    epsilon: float
    biased: bool
    tied: bool

    @classmethod
    def read(cls, folder: Path) -> LlamaShape:
        """Read the configuration in ``folder``; raises `UnsupportedArchitecture`."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
        try:
            return cls._of(config)
        except (KeyError, TypeError) as error:
            raise _unsupported(config) from error

    @classmethod
    def _of(cls, config: Mapping[str, Any]) -> LlamaShape:
        rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = config["model_type"]
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        head_size = config.get("head_dim") or hidden // heads
        if (
            kind not in _KINDS
            or rope.get("rope_type", rope.get("type", "default")) != "default"
            or config.get("hidden_act", "silu") != "silu"
            or config.get("use_sliding_window")
            or config.get("mlp_bias")
            or (config.get("attention_bias") and kind == "llama")
            or head_size % _HEAD_STEP
        ):
            raise _unsupported(config)
        return cls(
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_size=head_size,
            hidden=hidden,
            intermediate=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            context_length=config["max_position_embeddings"],
            rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            epsilon=config["rms_norm_eps"],
            biased=kind == "qwen2",
            tied=bool(config.get("tie_word_embeddings")),
        )


def _unsupported(config: Mapping[str, Any]) -> UnsupportedArchitecture:
    kind = config.get("model_type", "This kind of model")
    return UnsupportedArchitecture(f"{kind} runs on PyTorch only: set falcon.engine to auto.")
