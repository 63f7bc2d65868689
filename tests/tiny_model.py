"""A real Llama with random weights and a byte-level tokenizer, small enough for a unit test."""

from __future__ import annotations

import shutil
from pathlib import Path

from falcon_lsp.model import fim

CORPUS = [
    "def add(a, b):\n    return a + b\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "for item in items:\n    print(item)\n",
    "import os\nfrom pathlib import Path\n",
] * 4


def build_tiny_model(folder: Path, seed: int = 0, **changes: object) -> Path:
    """Write weights (safetensors) and ``tokenizer.json`` in FALCON's format; return ``folder``.

    ``changes`` go into the configuration.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    size = build_tiny_tokenizer(folder)
    torch.manual_seed(seed)
    options: dict[str, object] = {
        "vocab_size": size,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    LlamaForCausalLM(LlamaConfig(**options | changes)).save_pretrained(folder)
    return folder


def build_tiny_tokenizer(folder: Path) -> int:
    """Train a byte-level BPE with FALCON's sentinels; return the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=sorted({*fim.FALCON.sentinels, *fim.FALCON.stop}),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def train_nothing(base: Path, folder: Path, layers: list[int], seed: int) -> Path:
    """Save a LoRA adapter with random weights, as PEFT writes it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(
        r=4, lora_alpha=8, layers_to_transform=layers, task_type="CAUSAL_LM",
        target_modules=["q_proj", "v_proj", "down_proj"],
    )  # fmt: skip
    peft = get_peft_model(model, config)
    for name, parameter in peft.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    peft.save_pretrained(folder)
    return folder


def spoil(adapter: Path, folder: Path, fault: str) -> None:
    """Write ``adapter`` to ``folder`` at fault: ``missing``, ``shape``, ``name`` or ``nan``."""
    from safetensors.torch import load_file, save_file

    shutil.copyfile(adapter / "adapter_config.json", folder / "adapter_config.json")
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in tensors if name.endswith("lora_A.weight"))
    if fault == "shape":
        tensors[name] = tensors[name][:, :-1].contiguous()
    if fault == "nan":
        tensors[name] = tensors[name] * float("nan")
    if fault == "name":
        tensors = {n.replace("layers.1", "layers.7"): t for n, t in tensors.items()}
    if fault != "missing":
        save_file(tensors, folder / "adapter_model.safetensors")
