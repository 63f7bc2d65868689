"""From the folder that our engines load to a GGUF file: the way back of `model.convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from safetensors.torch import load_file
from torch import Tensor

from falcon_lsp.model.files import ModelFiles

_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
PRETOKENIZER = "smollm"


def write_gguf(files: ModelFiles, target: Path) -> None:
    """Write the weights in bf16, as they are, with the tokens of ``files``.

    The format's stop mark becomes the end of text, so that llama.cpp ends where our engine does.
    """
    config = json.loads((files.folder / "config.json").read_bytes())
    temporary = target.with_suffix(".tmp")
    writer = GGUFWriter(temporary, "llama")
    _write_shape(writer, config)
    _write_tokens(writer, files)
    weights = load_file(files.folder / "model.safetensors")
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for name, weight in weights.items():
        _write_weight(writer, gguf_name(name), weight.float(), heads)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(target)


def gguf_name(name: str) -> str:
    """Return llama.cpp's name of a parameter of the Llama family."""
    module = name.removesuffix(".weight")
    if module in _NAMES:
        return f"{_NAMES[module]}.weight"
    _, _, layer, part = module.split(".", 3)
    return f"blk.{layer}.{_NAMES[part]}.weight"


def pairs_of_heads(weight: Tensor, heads: int) -> Tensor:
    """Return llama.cpp's order of rotary pairs: (x0 x1 ... y0 y1 ...) becomes (x0 y0 x1 y1 ...)."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return halves.transpose(1, 2).reshape(weight.shape).contiguous()


def _write_weight(writer: GGUFWriter, name: str, weight: Tensor, heads: dict[str, int]) -> None:
    part = name.removesuffix(".weight").rpartition(".")[2]
    if part in heads:
        weight = pairs_of_heads(weight, heads[part])
    if weight.ndim == 1:
        writer.add_tensor(name, weight.numpy())
    else:
        kind = GGMLQuantizationType.BF16
        writer.add_tensor(name, quants.quantize(weight.numpy(), kind), raw_dtype=kind)


def _write_shape(writer: GGUFWriter, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(LlamaFileType.MOSTLY_BF16)


def _write_tokens(writer: GGUFWriter, files: ModelFiles) -> None:
    tokenizer = json.loads((files.folder / "tokenizer.json").read_bytes())
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    marks = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = sorted({**ids, **marks}, key={**ids, **marks}.__getitem__)
    kinds = [TokenType.CONTROL if token in marks else TokenType.NORMAL for token in tokens]
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRETOKENIZER)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(marks[files.fim.stop[0]])
    writer.add_add_bos_token(False)
