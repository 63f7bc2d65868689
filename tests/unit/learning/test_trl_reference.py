"""TRL's trainers are the reference: same model, same data, same seed, same loss, same gradient."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
pytest.importorskip("trl", reason="the reference is not installed: `make install` installs it")

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    SFTConfig,
    SFTTrainer,
)

from falcon_lsp.learning.dataset import Scored
from falcon_lsp.learning.objectives.policy import clipped_loss, group_advantages
from falcon_lsp.learning.objectives.preference import dpo_loss, kto_loss, kto_reference
from falcon_lsp.learning.objectives.supervised import supervised_loss
from falcon_lsp.learning.objectives.tokens import sampled_kl, sequence_logprobs, token_logprobs

PROMPTS = ["def add(a, b):\n    ", "for item in items:\n", "import os\nfrom ", "class Point:\n  "]
LIKED = ["return a + b\n", "    print(item)\n", "pathlib import Path\n", "  def __init__(self):\n"]
REFUSED = ["return b\n", "    pass  # nothing\n", "sys import os\n", "  x = 1\n"]
BETA = 0.1
Model = Any


@pytest.fixture
def model(tiny_model: Path) -> Model:
    """Return a model that has moved away from its base, so that no ratio is trivially 1."""
    return _moved(tiny_model)


@pytest.fixture
def base(tiny_model: Path) -> Model:
    return _load(tiny_model)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerFast:
    file = str(tiny_model / "tokenizer.json")
    return PreTrainedTokenizerFast(
        tokenizer_file=file, eos_token="<|endoftext|>", pad_token="<|im_end|>"
    )


def _load(folder: Path) -> Model:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _moved(folder: Path) -> Model:
    return _move(_load(folder))


def _move(model: Model) -> Model:
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return model


def _options(folder: Path, **more: Any) -> dict[str, Any]:
    common = {
        "output_dir": str(folder), "report_to": [], "use_cpu": True, "bf16": False, "seed": 0,
        "gradient_checkpointing": False, "per_device_train_batch_size": 4, "max_steps": 1,
        "disable_tqdm": True,
    }  # fmt: skip
    return common | more


def _first_batch(trainer: Any) -> dict[str, Any]:
    trainer.model.eval()
    return next(iter(trainer.get_train_dataloader()))


def _sequences(ids: torch.Tensor, attention: torch.Tensor, answer: torch.Tensor) -> list[Scored]:
    """Return the rows of a padded batch as prompt and answer."""
    found = []
    for row, here, mask in zip(ids, attention.bool(), answer.bool(), strict=True):
        found.append(Scored(tuple(row[here & ~mask].tolist()), tuple(row[mask].tolist())))
    return found


@dataclass(frozen=True)
class Batch:
    """Sequences padded on the left; targets and mask are of the last K positions."""

    ids: torch.Tensor
    attention: torch.Tensor
    targets: torch.Tensor
    mask: torch.Tensor


def collate(sequences: list[Scored]) -> Batch:
    width, last = max(map(len, sequences)), max(len(one.answer) for one in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    attention, mask = torch.zeros_like(ids), torch.zeros(len(sequences), last)
    for row, one in enumerate(sequences):
        ids[row, width - len(one) :] = torch.tensor(one.context + one.answer)
        attention[row, width - len(one) :] = 1
        mask[row, last - len(one.answer) :] = 1.0
    return Batch(ids, attention, ids[:, width - last :], mask)


def _logits(model: Model, batch: Batch) -> torch.Tensor:
    positions = (batch.attention.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=batch.ids, attention_mask=batch.attention, position_ids=positions,
        logits_to_keep=batch.targets.shape[1] + 1,
    )  # fmt: skip
    return output.logits[:, :-1]


def _answer_logprobs(model: Model, batch: Batch) -> torch.Tensor:
    return sequence_logprobs(_logits(model, batch), batch.targets, batch.mask)


def _gradients(model: Model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _assert_same(ours: Model, our_loss: torch.Tensor, theirs: Model, loss: torch.Tensor) -> None:
    assert our_loss.item() == pytest.approx(loss.item(), rel=1e-4, abs=1e-6)
    mine, reference = _gradients(ours, our_loss), _gradients(theirs, loss)
    assert mine.keys() == reference.keys()
    largest = max(float(gradient.abs().max()) for gradient in reference.values())
    assert largest > 1e-4
    for name, gradient in reference.items():
        assert torch.allclose(mine[name], gradient, atol=1e-4 * largest, rtol=1e-3), name


def test_supervised(tmp_path: Path, tiny_model: Path, model: Model, tokenizer: Any) -> None:
    data = Dataset.from_dict({"prompt": PROMPTS, "completion": LIKED})
    args = SFTConfig(**_options(tmp_path), completion_only_loss=True)
    trainer = SFTTrainer(model, args, train_dataset=data, processing_class=tokenizer)
    batch = _first_batch(trainer)
    ids, labels = batch["input_ids"], batch["labels"]
    rows = collate(_sequences(ids, batch["attention_mask"], labels != -100))
    ours = _moved(tiny_model)
    loss = supervised_loss(
        _logits(ours, rows), rows.targets, rows.mask, normaliser=float(rows.mask.sum())
    )
    _assert_same(ours, loss, trainer.model, trainer.compute_loss(trainer.model, dict(batch)))


def test_dpo(tmp_path: Path, tiny_model: Path, model: Model, base: Model, tokenizer: Any) -> None:
    data = Dataset.from_dict({"prompt": PROMPTS, "chosen": LIKED, "rejected": REFUSED})
    args = DPOConfig(**_options(tmp_path), beta=BETA)
    trainer = DPOTrainer(model, base, args, train_dataset=data, processing_class=tokenizer)
    batch = _first_batch(trainer)
    rows = collate(
        _sequences(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    )
    ours = _moved(tiny_model)
    liked, refused = _answer_logprobs(ours, rows).chunk(2)
    with torch.no_grad():
        base_liked, base_refused = _answer_logprobs(base, rows).chunk(2)
    loss = dpo_loss(liked, refused, base_liked, base_refused, beta=BETA).mean()
    _assert_same(ours, loss, trainer.model, trainer.compute_loss(trainer.model, dict(batch)))


def test_kto(tmp_path: Path, tiny_model: Path, model: Model, base: Model, tokenizer: Any) -> None:
    """Also what KTO is known for: the reference from answers behind other examples' prompts."""
    texts = [*LIKED[:2], *REFUSED[2:]]
    labels = [True, True, False, False]
    data = Dataset.from_dict({"prompt": PROMPTS, "completion": texts, "label": labels})
    args = KTOConfig(**_options(tmp_path), beta=BETA, desirable_weight=1.0, undesirable_weight=1.5)
    trainer = KTOTrainer(model, base, args, train_dataset=data, processing_class=tokenizer)
    batch = _first_batch(trainer)
    rows = collate(
        _sequences(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    )
    others = collate(
        _sequences(batch["KL_input_ids"], batch["KL_attention_mask"], batch["KL_completion_mask"])
    )
    ours = _moved(tiny_model)
    with torch.no_grad():
        reference = kto_reference(_answer_logprobs(ours, others), _answer_logprobs(base, others))
        base_logprobs = _answer_logprobs(base, rows)
    liked = torch.as_tensor(batch["label"], dtype=torch.bool)
    assert 0 < int(liked.sum()) < len(liked)
    loss = kto_loss(
        _answer_logprobs(ours, rows), base_logprobs, liked, reference, beta=BETA,
        refused_weight=1.5,
    ).mean()  # fmt: skip
    _assert_same(ours, loss, trainer.model, trainer.compute_loss(trainer.model, dict(batch)))


def _length_reward(completions: list[str], **_more: Any) -> list[float]:
    """Anything that differs from sample to sample."""
    return [float(len(text) % 7) for text in completions]


@pytest.fixture
def grpo(tmp_path: Path, tiny_model: Path, tokenizer: Any) -> GRPOTrainer:
    data = Dataset.from_dict({"prompt": PROMPTS[:1]})
    args = GRPOConfig(
        **_options(tmp_path), num_generations=4, max_completion_length=8, beta=0.04,
        loss_type="dapo", epsilon=0.2, delta=3.0, steps_per_generation=1,
    )  # fmt: skip
    trainer = GRPOTrainer(
        str(tiny_model), _length_reward, args, train_dataset=data, processing_class=tokenizer
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.eval()
    return trainer


def test_group_advantages(grpo: GRPOTrainer) -> None:
    seen: list[float] = []

    def reward(completions: list[str], **_more: Any) -> list[float]:
        seen.extend(_length_reward(completions))
        return seen

    grpo.reward_funcs = [reward]
    sampled = grpo._generate_and_score_completions([{"prompt": PROMPTS[0]}] * 4)
    assert len(set(seen)) > 1
    assert sampled["advantages"].tolist() == pytest.approx(group_advantages(seen), abs=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.5], ids=["on policy", "off policy, clipped"])
def test_group_relative_policy_gradient(
    grpo: GRPOTrainer, tiny_model: Path, base: Model, shift: float
) -> None:
    """Clipped on both sides, with the sampled tokens' KL: equal on and off policy."""
    sampled = grpo._generate_and_score_completions([{"prompt": PROMPTS[0]}] * 4)
    theirs, ours = _move(grpo.model), _moved(tiny_model)
    sampled["advantages"] = torch.tensor([1.2, -0.4, -1.1, 0.3])
    answer = sampled["completion_mask"]
    rows = collate(_completions(sampled))
    logprobs = token_logprobs(_logits(ours, rows), rows.targets)
    noise = torch.linspace(-shift, 3 * shift, rows.mask.numel()).reshape(rows.mask.shape)
    behaviour = logprobs.detach() - noise
    with torch.no_grad():
        base_logprobs = token_logprobs(_logits(base, rows), rows.targets)
    sampled["old_per_token_logps"] = _to_right_padding(behaviour, answer)
    sampled["ref_per_token_logps"] = _to_right_padding(base_logprobs, answer)
    weights = sampled["advantages"].unsqueeze(1).expand_as(rows.mask)
    loss = clipped_loss(
        logprobs, behaviour, weights, sampled_kl(logprobs, base_logprobs, behaviour),
        rows.mask,
        clip=0.2, dual_clip=3.0, beta=0.04, normaliser=float(rows.mask.sum()),
    )  # fmt: skip
    assert (loss.clipped > 0) is bool(shift)
    sampled["num_items_in_batch"] = answer.sum()
    _assert_same(ours, loss.value, theirs, grpo._compute_loss(theirs, sampled))


def _completions(sampled: dict[str, torch.Tensor]) -> list[Scored]:
    ids = torch.cat([sampled["prompt_ids"], sampled["completion_ids"]], 1)
    attention = torch.cat([sampled["prompt_mask"], sampled["completion_mask"]], 1)
    prompt = torch.zeros_like(sampled["prompt_mask"])
    return _sequences(ids, attention, torch.cat([prompt, sampled["completion_mask"]], 1))


def _to_right_padding(values: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """Answers end together in our batches and begin together in TRL's."""
    moved = torch.zeros(answer.shape)
    for row, (here, mask) in enumerate(zip(values, answer.bool(), strict=True)):
        moved[row, : int(mask.sum())] = here[len(here) - int(mask.sum()) :]
    return moved
