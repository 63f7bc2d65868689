"""Holes look like a developer's cursor, and example i is the same whoever asks."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from falcon_lsp.learning.corpus import SourceFile
from falcon_lsp.learning.fim_training.batches import POOL, batches_from, collate
from falcon_lsp.learning.fim_training.examples import (
    CONTEXT_WEIGHT,
    MIDDLE_WEIGHT,
    ExampleStream,
    HoleMix,
    draw_hole,
    draw_prompt,
)
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer

BODY = "".join(
    f"def step_{n}(state, value):\n    return state.push(value + {n})\n\n" for n in range(80)
)
FILE = SourceFile("shop/cart.py", "import os\nfrom shop import state\n\n" + BODY)
OTHER = SourceFile("shop/stock.py", BODY.replace("step", "take"))


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> CodeTokenizer:
    return CodeTokenizer.from_folder(tiny_model)


def stream(tokenizer: CodeTokenizer, seed: int = 0) -> ExampleStream:
    return ExampleStream(tokenizer, fim.FALCON, [FILE, OTHER], HoleMix(), seed)


def test_holes_come_in_the_shares_of_the_mix() -> None:
    rng, text, draws = random.Random(1), FILE.text, 2000
    holes = [draw_hole(rng, text, HoleMix()) for _ in range(draws)]
    plain = sum(start == end for start, end in holes)
    block = sum("\n" in text[start:end] for start, end in holes)
    line_start = sum(start == 0 or text[start - 1] == "\n" for start, end in holes if start < end)
    assert plain / draws == pytest.approx(0.15, abs=0.03)
    assert block / draws == pytest.approx(0.25, abs=0.03)
    assert line_start / draws > 0.85 * HoleMix().whole_line
    assert all(text[end : end + 1] in {"", "\n"} for _, end in holes)


def test_prefix_middle_and_suffix_are_one_piece_of_the_file() -> None:
    rng = random.Random(2)
    for _ in range(200):
        prompt, middle = draw_prompt(rng, FILE, [OTHER], HoleMix())
        assert prompt.prefix + middle + prompt.suffix in FILE.text
        assert len(prompt.prefix) <= HoleMix().prefix_chars + HoleMix().suffix_chars + 40


def test_imports_stand_before_a_prefix_that_does_not_show_them() -> None:
    mix = replace(HoleMix(), imports=1.0, related=1.0, prefix_chars=200)
    rng, shown = random.Random(3), 0
    for _ in range(50):
        prompt, _ = draw_prompt(rng, FILE, [OTHER], mix)
        own = [snippet.text for snippet in prompt.snippets if snippet.path == FILE.path]
        hidden = FILE.text[: FILE.text.index(prompt.prefix)].count("import")
        assert own == ["import os\nfrom shop import state"[: 9 if hidden == 1 else None]][:hidden]
        shown += bool(hidden)
        assert OTHER.path in {snippet.path for snippet in prompt.snippets}
    assert shown > 25


def test_an_example_depends_on_seed_and_number_alone(tokenizer: CodeTokenizer) -> None:
    forwards = [stream(tokenizer).example(n).ids for n in range(6)]
    backwards = [stream(tokenizer).example(n).ids for n in reversed(range(6))]
    assert forwards == backwards[::-1]
    assert forwards != [stream(tokenizer, seed=1).example(n).ids for n in range(6)]


def test_each_epoch_visits_every_file_once(tokenizer: CodeTokenizer) -> None:
    files = [SourceFile(f"pkg{n}/m.py", f"name_{n} = {n}\n" * 40) for n in range(7)]
    drawn = ExampleStream(tokenizer, fim.FALCON, files, HoleMix(), 0)
    for epoch in range(3):
        texts = [tokenizer.decode(drawn.example(7 * epoch + n).ids) for n in range(7)]
        assert {n for n in range(7) for text in texts if f"pkg{n}/" in text} == set(range(7))


def test_batches_go_on_where_they_stopped(tokenizer: CodeTokenizer) -> None:
    whole = batches_from(stream(tokenizer), 2, 0)
    first = [next(whole) for _ in range(POOL + 3)]
    for number in (0, 1, POOL - 1, POOL, POOL + 2):
        assert next(batches_from(stream(tokenizer), 2, number)) == first[number]


def test_padding_weighs_nothing_and_a_long_example_keeps_its_answer(
    tokenizer: CodeTokenizer,
) -> None:
    batch = next(batches_from(stream(tokenizer), 4, 5))
    lengths = [len(example.ids) for example in batch]
    ids, weights = collate(batch, max(lengths), "cpu")
    assert (weights > 0).sum(1).tolist() == lengths
    short, _ = collate(batch, 8, "cpu")
    assert [row.tolist() for row in short] == [
        (example.ids[-8:] + [0] * 8)[:8] for example in batch
    ]
    assert ids.shape == weights.shape


def test_the_answer_weighs_more_than_what_stands_around_it(tokenizer: CodeTokenizer) -> None:
    for number in range(20):
        example = stream(tokenizer).example(number)
        assert set(example.weights) <= {CONTEXT_WEIGHT, MIDDLE_WEIGHT}
        assert example.weights[0] == CONTEXT_WEIGHT
