"""Tiny models with random weights, one of each family: its architecture, its tokenizer's rules.

The tokenizers are what the families publish (pre-tokenizer, normalizer, byte fallback, special
tokens and how they are declared), only with merges learned from a few lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer

CORPUS = [
    f"def {name}(self, {word}):\n    if {word} is None:\n        return {number}\n"
    f"    for item in {word}:\n        self.{name} += item.{word}(index={number})\n"
    f"    return self.{name}\n\n\nimport {word}\nfrom {name} import {word} as _{name}\n"
    for name, word, number in [
        ("total", "prices", 0), ("average", "values", 12), ("count", "names", 345),
        ("parse", "tokens", 6), ("load", "path", 78), ("render", "template", 9),
    ]
]  # fmt: skip
MERGED_SIZE = 480

QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Family:
    """One row: how to build a tiny model, and what its model card says.

    ``special`` and ``plain`` are the marks that its tokenizer declares special, and those that it
    forgot to. ``card`` spells the prompt for `SAMPLE` as the family documents it. ``stop`` is what
    the model says at the end of a middle.
    """

    name: str
    format: str
    config: str
    tokenizer: Callable[[Family], Tokenizer]
    special: tuple[str, ...]
    card: str
    stop: str
    tied: bool
    plain: tuple[str, ...] = ()
    dtype: str = "bfloat16"
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = (
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    )  # fmt: skip

    def build(self, folder: Path, shard: str = "1GB") -> Path:
        """Write weights (in files of at most ``shard``), configuration, tokenizer."""
        import torch
        import transformers

        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = self.tokenizer(self)
        tokenizer.save(str(folder / "tokenizer.json"))
        torch.manual_seed(0)
        config = getattr(transformers, self.config)(
            vocab_size=tokenizer.get_vocab_size() + 13,  # families pad theirs, too
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=self.tied,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
            **self.options,
        )
        model = transformers.AutoModelForCausalLM.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # zero at birth, which would hide a bias that is lost
                torch.nn.init.normal_(parameter, std=0.1)
        model.to(getattr(torch, self.dtype)).save_pretrained(folder, max_shard_size=shard)
        return folder


def cut(*patterns: str) -> list[Any]:
    """Return pre-tokenizers that cut at each pattern in turn."""
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


def learned(words: Any, alphabet: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the pieces and merges of a BPE trained on `CORPUS`, cut by ``words``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = words
    trainer = trainers.BpeTrainer(
        vocab_size=MERGED_SIZE, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return pieces, [tuple(merge) for merge in model["merges"]]


def declare(tokenizer: Tokenizer, family: Family) -> Tokenizer:
    """Add the family's marks as its own ``tokenizer.json`` declares them."""
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in family.special])
    tokenizer.add_tokens([AddedToken(mark, normalized=True) for mark in family.plain])
    return tokenizer


def byte_level(words: Any, normalizer: Any = None) -> Callable[[Family], Tokenizer]:
    """Return a builder of byte-level BPE tokenizers whose words are cut by ``words``."""

    def build(family: Family) -> Tokenizer:
        pieces, merges = learned(words, sorted(pre_tokenizers.ByteLevel.alphabet()))
        tokenizer = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges))
        tokenizer.pre_tokenizer = words
        tokenizer.decoder = decoders.ByteLevel()
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        return declare(tokenizer, family)

    return build


def sentencepiece(
    first: list[str], added: tuple[str, ...], normalizer: Any, pre_tokenizer: Any
) -> Callable[[Family], Tokenizer]:
    """Return a builder of SentencePiece-like tokenizers: byte fallback, U+2581 for a space.

    ``first`` are the vocabulary's first tokens, ``added`` the pieces that are added tokens as well.
    """

    def build(family: Family) -> Tokenizer:
        words = [*cut(r"\n"), pre_tokenizers.Metaspace(prepend_scheme="never")]
        alphabet = ["▁", *map(chr, range(0x21, 0x7F))]
        pieces, merges = learned(pre_tokenizers.Sequence(words), alphabet)
        pieces.remove("\n")  # a byte in Llama's vocabulary, an added token in Gemma's
        fallback = [f"<0x{byte:02X}>" for byte in range(256)]
        runs = ["▁" * length for length in range(2, 9)]
        merges = [("▁" * (length - 1), "▁") for length in range(2, 9)] + merges
        everything = dict.fromkeys([*first, *fallback, *runs, *added, *pieces])
        tokenizer = Tokenizer(
            models.BPE(
                {piece: i for i, piece in enumerate(everything)}, merges,
                unk_token="<unk>", fuse_unk=True, byte_fallback=True,
            )
        )  # fmt: skip
        tokenizer.normalizer = normalizer
        if pre_tokenizer is not None:
            tokenizer.pre_tokenizer = pre_tokenizer
        strip = [] if added else [decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
        )
        tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in first])
        tokenizer.add_tokens([AddedToken(piece, normalized=True) for piece in added])
        return declare(tokenizer, family)

    return build


def llama_sentencepiece(*, legacy: bool) -> Callable[[Family], Tokenizer]:
    """Return Llama's rules: files of 2023 prepend in the normalizer, newer ones in Metaspace."""
    replace = normalizers.Replace(" ", "▁")
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return sentencepiece(
        ["<unk>", "<s>", "</s>"],
        (),
        normalizers.Sequence([normalizers.Prepend("▁"), replace] if legacy else []),
        None if legacy else metaspace,
    )


QWEN = byte_level(
    pre_tokenizers.Sequence(
        [*cut(QWEN_WORDS), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    ),
    normalizers.NFC(),
)
STARCODER = byte_level(
    pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
)
DEEPSEEK = byte_level(
    pre_tokenizers.Sequence(
        [
            *cut(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
)
GEMMA = sentencepiece(
    ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"],
    ("\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁", "<table>"),
    normalizers.Replace(" ", "▁"),
    pre_tokenizers.Split(" ", "merged_with_previous"),
)
STARCODER2_MARKS = (
    "<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>",
    "<file_sep>", "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>",
    "<jupyter_code>", "<empty_output>", "<code_to_intermediate>", "<pr>", "<pr_status>",
)  # fmt: skip
GRANITE_MARKS = (
    "<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>",
    "<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>",
    "<empty_output>", "<commit_before>", "<reponame>",
)  # fmt: skip
LLAMA_MARKS = ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>")
BIASED = {"attention_bias": True, "mlp_bias": True}

QWEN_CARD = (
    "<|repo_name|>project\n<|file_sep|>lib/b.py\n    x = 1\n<|file_sep|>src/a.py\n"
    "<|fim_prefix|>    def total(self):\n<|fim_suffix|>\n    return 12<|fim_middle|>"
)
CODELLAMA = {
    "format": "codellama",
    "config": "LlamaConfig",
    "card": (
        "<s>▁<PRE>{# lib/b.py\n    x = 1\n# src/a.py\n    def total(self):\n}"
        "▁<SUF>~\n    return 12~▁<MID>"
    ),
    "stop": "▁<EOT>",
    "tied": False,
}

FAMILIES = (
    Family(
        "qwen2.5-coder-1.5b", "qwen2.5-coder", "Qwen2Config", QWEN,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        plain=(
            "<tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
            "<|repo_name|>", "<|file_sep|>",
        ),
        card=QWEN_CARD, stop="<|endoftext|>", tied=True,
    ),
    Family(
        "qwen2.5-coder-7b", "qwen2.5-coder", "Qwen2Config", QWEN,
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        plain=(
            "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
            "<|file_sep|>",
        ),
        card=QWEN_CARD, stop="<|fim_pad|>", tied=False,
    ),
    Family(
        "starcoder2", "starcoder2", "Starcoder2Config", STARCODER, special=STARCODER2_MARKS,
        card=(
            "<file_sep>lib/b.py\n    x = 1\n<file_sep><fim_prefix>src/a.py\n    def total(self):\n"
            "<fim_suffix>\n    return 12<fim_middle>"
        ),
        stop="<file_sep>", tied=True, dtype="float32", options={"sliding_window": 24},
        targets=("c_fc", "c_proj", "k_proj", "o_proj", "q_proj", "v_proj"),
    ),
    Family(
        "codegemma", "codegemma", "GemmaConfig", GEMMA,
        special=("<start_of_turn>", "<end_of_turn>"),
        plain=("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_separator|>"),
        card=(
            "<bos>lib/b.py\n    x = 1\n<|file_separator|>src/a.py\n<|fim_prefix|>"
            "    def total(self):\n<|fim_suffix|>\n    return 12<|fim_middle|>"
        ),
        stop="<|file_separator|>", tied=True, options={"head_dim": 32},
    ),
    Family(
        "codellama", tokenizer=llama_sentencepiece(legacy=True), special=LLAMA_MARKS, **CODELLAMA
    ),
    Family(
        "codellama-plain", tokenizer=llama_sentencepiece(legacy=True), special=(),
        plain=LLAMA_MARKS, **CODELLAMA,
    ),
    Family(
        "codellama-metaspace", tokenizer=llama_sentencepiece(legacy=False), special=LLAMA_MARKS,
        **CODELLAMA,
    ),
    Family(
        "codestral", "codestral", "MistralConfig", llama_sentencepiece(legacy=True),
        special=("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[INST]", "[/INST]"),
        card=(
            "<s>[SUFFIX]~\n    return 12~[PREFIX]"
            "{# lib/b.py\n    x = 1\n# src/a.py\n    def total(self):\n}"
        ),
        stop="</s>", tied=False, options={"sliding_window": None},
    ),
    Family(
        "deepseek-coder", "deepseek-coder", "LlamaConfig", DEEPSEEK,
        special=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<|EOT|>"),
        plain=("<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>"),
        card=(
            "<｜begin▁of▁sentence｜><｜fim▁begin｜># lib/b.py\n    x = 1\n# src/a.py\n"
            "    def total(self):\n<｜fim▁hole｜>\n    return 12<｜fim▁end｜>"
        ),
        stop="<｜end▁of▁sentence｜>", tied=False,
    ),
    Family(
        "granite", "granite", "LlamaConfig", STARCODER, special=GRANITE_MARKS,
        card=(
            "<fim_prefix># lib/b.py\n    x = 1\n# src/a.py\n    def total(self):\n"
            "<fim_suffix>\n    return 12<fim_middle>"
        ),
        stop="<|endoftext|>", tied=True, options=BIASED,
    ),
)  # fmt: skip

SAMPLE = Prompt(
    "src/a.py", "    def total(self):\n", "\n    return 12", (Snippet("lib/b.py", "    x = 1"),)
)


def card_ids(family: Family, folder: Path) -> list[int]:
    """Return the ids of the card's prompt by the published ``tokenizer.json``, as it is.

    ``{...}`` is a text of its own, to which SentencePiece adds a space; ``~...~`` continues another
    text, which the families' reference code encodes behind a character that it then drops.
    """
    published = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def encode(text: str) -> list[int]:
        return list(published.encode(text, add_special_tokens=False).ids)

    marks = "|".join(map(re.escape, ("<s>", *family.special, *family.plain)))
    ids: list[int] = []
    for part in re.split(r"(\{[^}]*\}|~[^~]*~)", family.card):
        if part.startswith("~"):
            ids += encode("☺" + part[1:-1])[len(encode("☺")) :]
        elif part.startswith("{"):
            ids += encode(part[1:-1])
        elif re.fullmatch(f"(?:{marks})+", part):
            ids += map(published.token_to_id, re.findall(marks, part))
        else:
            ids += encode(part)
    return ids


def teach(folder: Path, fmt: fim.FimFormat, prompts: Sequence[Prompt], middle: str) -> None:
    """Train the model in ``folder`` until it says ``middle``, and then stops, after ``prompts``."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = CodeTokenizer.from_folder(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    answer = [*tokenizer.encode(middle), tokenizer.special(fmt.stop[0])]
    sequences = [torch.tensor([fim.encode(tokenizer, fmt, each) + answer]) for each in prompts]
    for step in range(300):
        ids = sequences[step % len(sequences)]
        logits = model(ids).logits[0, -len(answer) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, ids[0, -len(answer) :])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if step > 10 * len(sequences) and float(loss.detach()) < 0.01:
            break
    model.save_pretrained(folder)
