"""Facts about the weights for llama.cpp: the way there and back changes nothing."""

from __future__ import annotations

import pytest
import torch
from gguf import GGUFReader
from safetensors.torch import load_file, save_file

from falcon_lsp.model import convert, fim
from falcon_lsp.model.files import ModelFiles
from keystrokes.gguf_file import gguf_name, pairs_of_heads, write_gguf
from tiny_model import build_tiny_model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = build_tiny_model(tmp_path_factory.mktemp("tiny"))
    weights = load_file(folder / "model.safetensors")
    halved = {name: weight.to(torch.bfloat16) for name, weight in weights.items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    return ModelFiles(folder, "tiny", fim.FALCON, "0" * 64)


@pytest.fixture(scope="module")
def reader(files: ModelFiles) -> GGUFReader:
    target = files.folder / "tiny.gguf"
    write_gguf(files, target)
    return GGUFReader(target)


def test_weights_come_back_as_they_were(files: ModelFiles, reader: GGUFReader) -> None:
    before = load_file(files.folder / "model.safetensors")
    after = dict(convert._weights(reader))
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_tokens_come_back_with_their_numbers(files: ModelFiles, reader: GGUFReader) -> None:
    from falcon_lsp.model.tokenizer import CodeTokenizer

    after = convert._tokenizer(reader)
    vocabulary = CodeTokenizer.from_folder(files.folder).vocabulary
    assert after.get_vocab(with_added_tokens=True) == dict(vocabulary)
    text = "for item in items:\n    return item.x\n"
    ids = CodeTokenizer.from_folder(files.folder).encode(text)
    assert after.encode(text, add_special_tokens=False).ids == list(ids)


def test_the_answer_ends_at_the_mark_of_the_format(files: ModelFiles, reader: GGUFReader) -> None:
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    end = reader.fields["tokenizer.ggml.eos_token_id"].contents()
    assert tokens[end] == fim.FALCON.stop[0]
    assert reader.fields["tokenizer.ggml.add_bos_token"].contents() is False


def test_heads_are_reordered_as_the_converter_undoes_it() -> None:
    weight = torch.arange(48.0).reshape(16, 3)
    assert torch.equal(convert._halves_of_heads(pairs_of_heads(weight, 2), 2), weight)
    assert not torch.equal(pairs_of_heads(weight, 2), weight)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("lm_head.weight", "output.weight"),
        ("model.layers.12.self_attn.o_proj.weight", "blk.12.attn_output.weight"),
        ("model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"),
    ],
)
def test_names_are_those_of_llama_cpp(ours: str, theirs: str) -> None:
    assert gguf_name(ours) == theirs
