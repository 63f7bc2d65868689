"""The model as the trainer sees it: frozen base, one trainable LoRA, log-odds of given tokens.

The base's matrices are bf16, in which they are multiplied anyway; the adapter, and all that runs
between the layers, is fp32: in half precision small updates would vanish. Only the upper half of
the layers carries an adapter: the backward pass stops there, what lies below is computed once for a
sequence (`falcon_lsp.learning.policy.halves`), and the engine applies it like any other LoRA.
"""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from falcon_lsp.core.heap import give_back
from falcon_lsp.learning.objectives.tokens import token_logprobs
from falcon_lsp.learning.policy.halves import Bounded, Halves
from falcon_lsp.learning.policy.packing import Batch, collate

__all__ = ["Batch", "LoraShape", "PolicyModel", "choose_device", "collate", "linear_layers"]

TRAINED = "default"
BEHAVIOUR = "behaviour"
MOST_BASE_STATES = 64 * 1024 * 1024
"""Bytes of the base's answers that are remembered: 29,000 tokens of the built-in model."""


@dataclass(frozen=True, slots=True)
class LoraShape:
    """Size of a user's adapter."""

    rank: int = 8
    alpha: int = 16


class PolicyModel:
    """A base model with the adapter that is being trained; not thread-safe."""

    def __init__(self, base: Path, adapter: Path | None, shape: LoraShape, seed: int) -> None:
        disable_progress_bar()
        torch.manual_seed(seed)
        self.device = choose_device()
        model = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
            self.peft: PeftModel = (
                get_peft_model(model, _lora_config(model, shape))
                if adapter is None
                else PeftModel.from_pretrained(model, adapter, is_trainable=True)
            )
        _narrow(self.peft)
        self.peft.eval().to(self.device)
        self._body: nn.Module = model.get_decoder()
        self._head: Tensor = model.get_output_embeddings().weight.detach()
        self._halves = Halves(self._body, _first_adapted(self.peft))
        self._base_states = Bounded(MOST_BASE_STATES)
        self._adapted = True

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The trained tensors, in the model's order."""
        return [parameter for _, parameter in self.named_parameters]

    @property
    def named_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The trained tensors with their names."""
        return [(n, p) for n, p in self.peft.named_parameters() if f".{TRAINED}." in n]

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits that predict ``batch.targets``, in fp32: ``(B, K, V)``."""
        return batch.spread(self._states(batch)) @ self._head.T

    def logprobs(self, batch: Batch) -> Tensor:
        """Return the log-probability of each of ``batch.targets``, without gradient: ``(B, K)``."""
        with torch.no_grad():
            return token_logprobs(self.logits(batch), batch.targets)

    def release(self) -> None:
        """Give back the memory of what was computed before; the next pass computes it again."""
        self._halves.release()
        self._base_states.clear()
        give_back()

    @contextlib.contextmanager
    def base(self) -> Iterator[None]:
        """Compute without any adapter inside the block; what is asked again is remembered."""
        before, self._adapted = self._adapted, False
        try:
            with self.peft.disable_adapter():
                yield
        finally:
            self._adapted = before

    @contextlib.contextmanager
    def behaviour(self, adapter: Path | None) -> Iterator[None]:
        """Compute with the (verified) adapter of ``adapter`` inside the block; None is the base."""
        if adapter is None:
            with self.base():
                yield
            return
        self.peft.load_adapter(adapter, BEHAVIOUR, is_trainable=False)
        self.peft.set_adapter(BEHAVIOUR)
        trained, first = self._halves, _first_adapted(self.peft)
        self._halves = trained if first >= trained.cut else Halves(self._body, first)
        try:
            yield
        finally:
            self.peft.set_adapter(TRAINED)
            self.peft.delete_adapter(BEHAVIOUR)
            self._halves = trained

    def _states(self, batch: Batch) -> Tensor:
        """Return the last hidden state before each answer token: ``(N, H)``."""
        if self._adapted:
            return self._halves(batch.trees)
        for tree in batch.trees:
            if self._base_states.get(tree) is None:
                with torch.no_grad():
                    self._base_states.put(tree, self._halves((tree,)))
        return torch.cat([self._base_states[tree] for tree in batch.trees])

    @property
    def gradients(self) -> list[Tensor]:
        """The trained tensors' gradients; zeros where nothing has reached one."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> list[Tensor]:
        """Return a copy of the trained tensors."""
        return [parameter.detach().clone() for parameter in self.parameters]

    def restore(self, state: Sequence[Tensor]) -> None:
        """Go back to an earlier `state`."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters, state, strict=True):
                parameter.copy_(value)

    def finite(self) -> bool:
        """Whether every trained number is finite."""
        return all(bool(torch.isfinite(parameter).all()) for parameter in self.parameters)

    def save(self, folder: Path, model_id: str) -> None:
        """Write safetensors and configuration, equal byte for byte for equal weights.

        PEFT would also write a model card, the folder that the base was read from, and lists in the
        order of a hash; and, left to itself, ask a hub whether the vocabulary has changed.
        """
        self.peft.save_pretrained(
            folder,
            selected_adapters=[TRAINED],
            safe_serialization=True,
            save_embedding_layers=False,
        )
        (folder / "README.md").unlink(missing_ok=True)
        file = folder / "adapter_config.json"
        config = json.loads(file.read_text("utf-8"))
        config["base_model_name_or_path"] = model_id
        config["target_modules"] = sorted(config["target_modules"])
        file.write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Return the names of the linear layers inside a decoder layer, whatever the family.

    Llama has ``gate_proj``, ``up_proj`` and ``down_proj`` where StarCoder2 has ``c_fc`` and
    ``c_proj``.
    """
    output = model.get_output_embeddings()
    linear = (
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    )
    return sorted(set(linear))


def _lora_config(model: PreTrainedModel, shape: LoraShape) -> LoraConfig:
    layers = int(model.config.num_hidden_layers)
    return LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=linear_layers(model),
        layers_to_transform=list(range(layers // 2, layers)),
        task_type="CAUSAL_LM",
    )


def choose_device() -> torch.device:
    """Return the accelerator of this machine (CUDA, MPS), else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _narrow(model: nn.Module) -> None:
    """Turn the frozen matrices of linear layers to bf16, in which they are multiplied anyway.

    The embedding stays: it is the head too, and what it says is the residual stream.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False  # autocast would cast it back
        if isinstance(module, nn.Linear) and module is not head:
            for parameter in module.parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.to(torch.bfloat16)


def _first_adapted(model: nn.Module) -> int:
    """Return the lowest layer that any adapter changes."""
    names = (name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer))
    layers = (re.search(r"\.layers\.(\d+)\.", name) for name in names)
    return min(int(layer[1]) if layer else 0 for layer in layers)
