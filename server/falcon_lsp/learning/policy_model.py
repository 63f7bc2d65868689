"""The model as the trainer sees it: frozen base, one trainable LoRA, log-odds of given tokens.

Weights are fp32 and computation is bf16 (autocast): in half precision small updates would vanish.
Only the upper half of the layers carries an adapter: the backward pass stops there, which is half
as fast again on a CPU (429 against 300 tokens/s), and the engine applies it like any other LoRA.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from falcon_lsp.learning.dataset import Scored
from falcon_lsp.learning.objective import token_logprobs

TRAINED = "default"
BEHAVIOUR = "behaviour"


@dataclass(frozen=True, slots=True)
class LoraShape:
    """Size of a user's adapter."""

    rank: int = 8
    alpha: int = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences padded on the left, so that the answers end together.

    ``ids``, ``attention``, ``positions`` are ``(B, T)``; ``targets`` and ``mask`` are ``(B, K)``,
    the last K tokens, with ``mask`` 1.0 where they belong to the answer.
    """

    ids: Tensor
    attention: Tensor
    positions: Tensor
    targets: Tensor
    mask: Tensor


def collate(sequences: Sequence[Scored]) -> Batch:
    """Pad ``sequences`` into one batch; K is the longest answer."""
    width = max(map(len, sequences))
    last = max(len(sequence.answer) for sequence in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    attention = torch.zeros_like(ids)
    mask = torch.zeros(len(sequences), last)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = torch.tensor(sequence.context + sequence.answer)
        attention[row, width - len(sequence) :] = 1
        mask[row, last - len(sequence.answer) :] = 1.0
    positions = (attention.cumsum(-1) - 1).clamp(min=0)
    return Batch(ids, attention, positions, ids[:, width - last :], mask)


class PolicyModel:
    """A base model with the adapter that is being trained; not thread-safe."""

    def __init__(self, base: Path, adapter: Path | None, shape: LoraShape, seed: int) -> None:
        disable_progress_bar()
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
            self.peft: PeftModel = (
                get_peft_model(model, _lora_config(model, shape))
                if adapter is None
                else PeftModel.from_pretrained(model, adapter, is_trainable=True)
            )
        self.peft.eval()

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The trained tensors, in the model's order."""
        return [parameter for _, parameter in self.named_parameters]

    @property
    def named_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """The trained tensors with their names."""
        return [(n, p) for n, p in self.peft.named_parameters() if f".{TRAINED}." in n]

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits that predict ``batch.targets``: ``(B, K, V)``."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = self.peft(
                input_ids=batch.ids,
                attention_mask=batch.attention,
                position_ids=batch.positions,
                use_cache=False,
                logits_to_keep=batch.targets.shape[1] + 1,
            )
        logits: Tensor = output.logits
        return logits[:, :-1]

    def logprobs(self, batch: Batch) -> Tensor:
        """Return the log-probability of each of ``batch.targets``, without gradient: ``(B, K)``."""
        with torch.no_grad():
            return token_logprobs(self.logits(batch), batch.targets)

    @contextlib.contextmanager
    def base(self) -> Iterator[None]:
        """Compute without any adapter inside the block."""
        with self.peft.disable_adapter():
            yield

    @contextlib.contextmanager
    def behaviour(self, adapter: Path | None) -> Iterator[None]:
        """Compute with the (verified) adapter of ``adapter`` inside the block; None is the base."""
        if adapter is None:
            with self.base():
                yield
            return
        self.peft.load_adapter(adapter, BEHAVIOUR, is_trainable=False)
        self.peft.set_adapter(BEHAVIOUR)
        try:
            yield
        finally:
            self.peft.set_adapter(TRAINED)
            self.peft.delete_adapter(BEHAVIOUR)

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
