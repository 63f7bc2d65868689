"""From episodes to training examples: nothing is re-tokenised, nothing unseen is credited."""

from __future__ import annotations

import pytest

from episodes_factory import PROMPT, episode
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt
from falcon_lsp.learning.dataset import (
    Reason,
    TrainingExample,
    build_example,
    disliked_text,
    judgements,
    liked_text,
    prompt_ids,
    split_by_time,
)
from falcon_lsp.memory.redact import MARKER
from falcon_lsp.model import fim


def sampled(encoding, text="a + b", healed=0, **changes):
    """Return an episode whose tokens spell the healed characters, ``text`` and a line end."""
    prefix = changes.get("prompt", PROMPT).prefix
    spelled = prefix[len(prefix) - healed :] + text + "\n"
    ids = tuple(encoding.tokenizer.encode(spelled))
    return episode(text=text, token_ids=ids, healed_chars=healed, **changes)


def test_tokens_are_those_that_were_logged(encoding) -> None:
    """Odd token choices of the sampler survive: text is never encoded again."""
    odd = tuple(encoding.tokenizer.encode(c)[0] for c in "a + b")
    example = build_example(episode(token_ids=odd), encoding)
    assert isinstance(example, TrainingExample)
    assert example.sequence.answer == odd
    assert example.sequence.context == tuple(fim.encode(encoding.tokenizer, fim.FALCON, PROMPT))
    assert (example.credit, example.penalty) == ((1.0,) * 5, (0.0,) * 5)


def test_healed_prompt_is_what_the_engine_sampled_after(encoding) -> None:
    """``return `` is taken back and spelled again by the first tokens."""
    healed = len("return ")
    short = Prompt(PROMPT.path, PROMPT.prefix[:-healed], PROMPT.suffix)
    assert prompt_ids(encoding, PROMPT, 0) == fim.encode(encoding.tokenizer, fim.FALCON, PROMPT)
    example = build_example(sampled(encoding, healed=healed), encoding)
    assert isinstance(example, TrainingExample)
    assert list(example.sequence.context) == fim.encode(encoding.tokenizer, fim.FALCON, short)


def test_tokens_that_only_spell_healed_characters_get_no_credit(encoding) -> None:
    ids = tuple(encoding.tokenizer.encode(c)[0] for c in "rn a")
    short = Prompt("a.py", "return", "")
    example = build_example(
        episode(text=" a", token_ids=ids, healed_chars=2, prompt=short), encoding
    )
    assert isinstance(example, TrainingExample)
    assert example.credit == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"what": None}, Reason.NO_OUTCOME),
        ({"what": Outcome.SHOWN}, Reason.NO_OUTCOME),
        ({"what": Outcome.SUPERSEDED}, Reason.NO_OUTCOME),
        ({"what": Outcome.IGNORED}, Reason.ZERO_REWARD),
        ({"model_id": "other"}, Reason.OTHER_MODEL),
        ({"prompt": Prompt("a.py", f"key = '{MARKER}'\nx = ", "")}, Reason.REDACTED),
        ({"prompt": Prompt("a.py", "x = 1\n" * 200, "")}, Reason.TOO_LONG),
    ],
)
def test_what_cannot_be_learned_from_is_left_out_with_its_reason(encoding, changes, reason) -> None:
    assert build_example(sampled(encoding, **changes), encoding) is reason


def test_a_copied_suggestion_has_no_tokens(encoding) -> None:
    assert build_example(episode(source="copy"), encoding) is Reason.NO_TOKENS


@pytest.mark.parametrize("healed", [2, -1, 9999])
def test_tokens_that_do_not_spell_the_healed_characters_are_refused(encoding, healed) -> None:
    forged = episode(token_ids=tuple(encoding.tokenizer.encode("zz")), healed_chars=healed)
    assert build_example(forged, encoding) is Reason.NO_MATCH


def test_tokens_of_another_text_are_refused(encoding) -> None:
    ids = tuple(encoding.tokenizer.encode("b + a"))
    assert build_example(episode(text="a + b", token_ids=ids), encoding) is Reason.NO_MATCH


def test_tokens_behind_the_cut_get_no_credit(encoding) -> None:
    ids = tuple(encoding.tokenizer.encode(c)[0] for c in "a + b * c")
    example = build_example(episode(text="a + b", token_ids=ids), encoding)
    assert isinstance(example, TrainingExample)
    assert example.credit == (1.0,) * 5 + (0.0,) * 4


def test_the_token_that_ended_the_text_is_credited(encoding) -> None:
    stop = encoding.tokenizer.special("<issue_closed>")
    ids = (*encoding.tokenizer.encode("a + b"), stop)
    ended = build_example(episode(token_ids=ids), encoding)
    line = build_example(sampled(encoding), encoding)
    assert isinstance(ended, TrainingExample)
    assert isinstance(line, TrainingExample)
    assert ended.credit[-1] == line.credit[-1] == 1.0


def test_only_tokens_of_the_named_line_are_penalised(encoding) -> None:
    text = "a\nb\nc"
    ids = tuple(encoding.tokenizer.encode(c)[0] for c in text)
    error = Diagnostic(8, 1, "bad", source="checker")
    example = build_example(
        episode(text=text, token_ids=ids, line=7, added=[error], language="typescript"), encoding
    )
    assert isinstance(example, TrainingExample)
    assert example.reward.total == 0.0
    assert example.penalty == (0.0, 0.0, -0.3, -0.3, 0.0)


@pytest.mark.parametrize(
    ("told", "liked", "disliked"),
    [
        (episode(), "a + b", ""),
        (episode(stands="a - b"), "a - b", ""),
        (episode(what=Outcome.PARTIAL, kept=3), "a +", ""),
        (episode(what=Outcome.REJECTED), "", "a + b"),
        (episode(what=Outcome.REJECTED, stands="a - b"), "a - b", "a + b"),
        (episode(what=Outcome.UNDONE, stands="a + b"), "a + b", ""),
        (episode(added=[Diagnostic(0, 1, "x", source="falcon")]), "", "a + b"),
        (episode(what=Outcome.IGNORED), "", ""),
    ],
)
def test_what_the_developer_liked(told, liked, disliked) -> None:
    assert (liked_text(told), disliked_text(told)) == (liked, disliked)


def test_judgements_encode_text_as_the_middle_of_its_prompt(encoding) -> None:
    found = judgements(episode(what=Outcome.REJECTED, stands="a - b"), encoding)
    assert [judgement.liked for judgement in found] == [True, False]
    for judgement, text in zip(found, ("a - b", "a + b"), strict=True):
        ids = judgement.sequence.context + judgement.sequence.answer
        assert encoding.tokenizer.decode(ids).endswith(PROMPT.prefix + text)
    stands = episode(stands=MARKER + ">")
    assert judgements(stands, encoding) == []


@pytest.mark.parametrize(("count", "held"), [(50, 10), (20, 4), (8, 4), (3, 3), (0, 0)])
def test_the_newest_fifth_is_held_out(count, held) -> None:
    told = [episode(f"cmp-{n}", time=float(n)) for n in range(count)]
    since = split_by_time(told, 0.2, 4)
    assert sum(one.time >= since for one in told) == held
