"""How often a batch says the same as the product's engine, which answers one prompt at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluation import lines, places
from evaluation.batched import COMMENTED, BatchedModel, Question
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.model.engine import GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.fim import FALCON
from falcon_lsp.model.torch_engine import TorchEngine


def agreement(base: Path, adapter: Path | None, wheels: Path, count: int) -> dict[str, Any]:
    """Ask both at ``count`` places of the development draw; return how many texts are equal."""
    fmt = FALCON if adapter else COMMENTED
    drawn = places.draw_places(wheels, count, development=True)
    prompts = [lines.prompt_at(place.request) for place in drawn]
    engine = TorchEngine(ModelFiles(base, "base", fmt, ""))
    if adapter is not None:
        engine.load_adapter(adapter, "adapter")
    token = CancellationToken()
    alone = [engine.generate(prompt, GenerationParams(), token).text for prompt in prompts]
    questions = [Question(prompt, fmt) for prompt in prompts]
    batched = BatchedModel(base, adapter).generate(questions, lambda _done, _count: None)
    equal = sum(one == other.text for one, other in zip(alone, batched, strict=True))
    return {"places": count, "equal": equal}
