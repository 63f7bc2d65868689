"""Several processes, on one machine or more, that take every step together.

Started by ``torchrun`` or ``accelerate launch``, all run the same code on the same episodes. Each
computes its share of a step's micro-batches, gradients are added up, and all take the same step.
Only the first leads: it alone leases, judges, publishes and acknowledges.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
PATIENCE = dt.timedelta(hours=6)
"""How long the others wait for the first one, which may be judging or paused."""


@dataclass(frozen=True, slots=True)
class Crew:
    """This process's place among ``size``: 0 leads. Alone, every method does nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that publishes."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return those of ``items`` that this process computes."""
        return items[self.rank :: self.size]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def tell(self, message: Any, teller: int = 0) -> Any:
        """Return the ``message`` (plain JSON) of one process, the leader's, in every process."""
        if self.size == 1:
            return message
        tells = self.rank == teller
        body = json.dumps(message).encode() if tells else b""
        length = torch.tensor([len(body)], device=_device())
        dist.broadcast(length, teller)
        sent = torch.zeros(int(length), dtype=torch.uint8, device=_device())
        if tells:
            sent.copy_(torch.frombuffer(bytearray(body), dtype=torch.uint8))
        dist.broadcast(sent, teller)
        return json.loads(bytes(sent.tolist()))

    def collect(self, message: Any) -> list[Any]:
        """Return the ``message`` (plain JSON) of each process, by rank, in every process."""
        return [self.tell(message, rank) for rank in range(self.size)]

    def follow(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by the leader's."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


ALONE = Crew()


def join() -> Crew:
    """Return this process's place, as the launcher's environment says; connects to the others."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    return Crew(dist.get_rank(), size)


def leave() -> None:
    """Part from the others, if this process had joined any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
