"""Packed rows: a shared beginning is computed once, and nothing sees what it should not."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM

from falcon_lsp.learning.dataset import Scored
from falcon_lsp.learning.objectives.tokens import token_logprobs
from falcon_lsp.learning.policy import attention
from falcon_lsp.learning.policy.attention import Segment, segment_attention
from falcon_lsp.learning.policy.halves import Bounded
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.policy.packing import collate, plant

CONTEXT = tuple(range(20, 60))
ALONE = Scored(CONTEXT, (1, 2, 3))
FAMILY = [ALONE, Scored(CONTEXT, (1, 2, 9, 9)), Scored((*CONTEXT[:-1], 7), (4,)), ALONE]
STRANGER = Scored(tuple(range(90, 60, -1)), (5, 6))


def test_a_shared_beginning_stands_once() -> None:
    tree = plant(FAMILY)
    assert tree.ids[:39] == CONTEXT[:39]
    assert len(tree) == 39 + 3 + 4 + 1 + 3
    assert [tree.positions[at] for at in tree.picks[1]] == [39, 40, 41, 42]
    assert tree.segments[1:] == (
        Segment(39, 42, 0, 39), Segment(42, 46, 0, 39), Segment(46, 47, 0, 39),
        Segment(47, 50, 0, 39),
    )  # fmt: skip


def test_each_pick_is_the_token_before_the_one_that_it_predicts() -> None:
    tree = plant(FAMILY)
    for sequence, picks in zip(FAMILY, tree.picks, strict=True):
        before = (sequence.context + sequence.answer)[-len(sequence.answer) - 1 : -1]
        assert tuple(tree.ids[at] for at in picks) == before


def test_strangers_stand_in_trees_of_their_own() -> None:
    batch = collate([ALONE, STRANGER, ALONE])
    assert [len(tree.picks) for tree in batch.trees] == [1, 1, 1]
    assert len(batch) == 42 + 31 + 42
    assert batch.targets.tolist() == [[1, 2, 3], [0, 5, 6], [1, 2, 3]]
    assert batch.mask.tolist() == [[1, 1, 1], [0, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("sequences", [[ALONE], FAMILY, [STRANGER, *FAMILY, STRANGER]])
def test_packed_together_or_each_alone_says_the_same(tiny_model, sequences) -> None:
    """Against transformers' own model, in fp32."""
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    packed = PolicyModel(tiny_model, None, LoraShape(), 0)
    batch = collate(sequences)
    found = packed.logprobs(batch)
    for row, sequence in enumerate(sequences):
        ids = torch.tensor([sequence.context + sequence.answer])
        count = len(sequence.answer)
        with torch.no_grad():
            wanted = token_logprobs(plain(ids).logits[:, -count - 1 : -1], ids[:, -count:])
        assert torch.allclose(found[row, -count:], wanted[0], atol=0.02)
        alone = packed.logprobs(collate([sequence]))
        assert torch.allclose(found[row, -count:], alone[0], atol=5e-3)


def test_what_was_computed_once_is_not_computed_again(tiny_model, monkeypatch) -> None:
    model, batch = PolicyModel(tiny_model, None, LoraShape(), 0), collate(FAMILY)
    parts: list[int] = []
    original = attention._attend
    monkeypatch.setitem(
        attention.AttentionInterface._global_mapping,
        attention.NAME,
        lambda module, *given, **named: (
            parts.append(module.layer_idx) or original(module, *given, **named)
        ),
    )
    model.logits(batch)
    assert parts == [0, 1]
    model.logits(batch)
    assert parts == [0, 1, 1]
    with model.base():
        first = model.logits(batch)
        assert parts == [0, 1, 1, 1]
        assert torch.equal(model.logits(batch), first)
    assert parts == [0, 1, 1, 1]


def test_the_model_attends_as_ever_beside(tiny_model) -> None:
    """Sampling runs the same model with a cache of its own."""
    model = PolicyModel(tiny_model, None, LoraShape(), 0)
    ids = torch.tensor([CONTEXT])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = model.peft(input_ids=ids).logits
        model.logits(collate(FAMILY))
        assert torch.equal(model.peft(input_ids=ids).logits, before)


SEGMENTS = [
    (Segment(0, 37),),
    (Segment(0, 20), Segment(20, 29, 0, 20), Segment(29, 37, 0, 20)),
    (Segment(0, 5), Segment(5, 30), Segment(30, 33, 5, 30), Segment(33, 37, 5, 30)),
]


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("block", [3, 8, 64])
def test_segments_equal_a_mask_forwards_and_backwards(segments, block, monkeypatch) -> None:
    monkeypatch.setattr(attention, "BLOCK", block)
    torch.manual_seed(0)
    query, key, value = (torch.randn(heads, 37, 8, requires_grad=True) for heads in (6, 2, 2))
    above = torch.randn(6, 37, 8)
    wanted = scaled_dot_product_attention(
        query, key.repeat_interleave(3, 0), value.repeat_interleave(3, 0), mask_of(segments)
    )
    gradients = torch.autograd.grad(wanted, (query, key, value), above)
    found = segment_attention(query, key, value, segments, 8**-0.5)
    assert torch.allclose(found, wanted, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad(found, (query, key, value), above), gradients, strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


def mask_of(segments: tuple[Segment, ...]) -> torch.Tensor:
    mask = torch.zeros(37, 37, dtype=torch.bool)
    for segment in segments:
        own = slice(segment.start, segment.end)
        mask[own, own] = torch.ones(37, 37, dtype=torch.bool).tril()[own, own]
        mask[own, segment.prior : segment.prior_end] = True
    return mask


def test_the_least_recently_used_goes_first() -> None:
    kept = Bounded(3 * 4)
    for name in "abc":
        kept.put(name, torch.zeros(1))
    kept.get("a")
    kept.put("d", torch.zeros(1))
    assert [name for name in "abcd" if kept.get(name) is None] == ["b"]


def test_room_is_made_and_filled_again() -> None:
    kept = Bounded(3 * 4)
    for name in "abc":
        kept.put(name, torch.zeros(1))
    kept.clear()
    for name in "def":
        kept.put(name, torch.zeros(1))
    assert [name for name in "abcdef" if kept.get(name) is not None] == ["d", "e", "f"]


def test_a_model_that_gave_its_memory_back_says_the_same(tiny_model) -> None:
    model = PolicyModel(tiny_model, None, LoraShape(), 0)
    batch = collate(FAMILY)
    with model.base():
        before = model.logits(batch)
    model.release()
    with model.base():
        assert torch.equal(model.logits(batch), before)
