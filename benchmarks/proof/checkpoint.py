"""A run on disk after every step: tensors as safetensors, all else as JSON, one generation each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from falcon_lsp.core.paths import atomic_write

if TYPE_CHECKING:
    from proof.training import Learner

STATE = "state.json"


def save(folder: Path, learner: Learner) -> None:
    """Write the tensors under a name of this step, then the state that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = folder / f"tensors-{learner.run.step}.safetensors"
    save_file(_tensors(learner), tensors)
    atomic_write(folder / STATE, json.dumps(learner.state()).encode())
    for old in folder.glob("tensors-*.safetensors"):
        if old != tensors:
            old.unlink()


def load(folder: Path, learner: Learner) -> None:
    """Take up a run where it stood.

    ``learner`` stays at its beginning where there is none, or where it was another run.
    """
    file = folder / STATE
    if not file.is_file():
        return
    state = json.loads(file.read_text(encoding="utf-8"))
    if any(state.get(name) != value for name, value in learner.plan.items()):
        return
    learner.restore(state)
    tensors = load_file(folder / f"tensors-{learner.run.step}.safetensors")
    count = len(learner.model.parameters)
    device = learner.model.device
    learner.model.restore([tensors[f"parameter.{at}"].to(device) for at in range(count)])
    known = learner.optimizer.state_dict()
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("moment."):
            _, at, kind = name.split(".")
            moments.setdefault(int(at), {})[kind] = tensor
    learner.optimizer.load_state_dict(known | {"state": moments})


def _tensors(learner: Learner) -> dict[str, torch.Tensor]:
    found = {f"parameter.{at}": one for at, one in enumerate(learner.model.state())}
    state: dict[int, dict[str, Any]] = learner.optimizer.state_dict()["state"]
    for at, moments in state.items():
        found |= {f"moment.{at}.{kind}": value for kind, value in moments.items()}
    return {name: one.detach().cpu().contiguous() for name, one in found.items()}
