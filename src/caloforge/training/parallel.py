"""Several processes on one run, started by ``torchrun``: who am I, and sums over all of us."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["Processes", "own_device", "process_group"]


@final
@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those of the run."""

    rank: int = 0
    size: int = 1

    @classmethod
    def from_environment(cls) -> "Processes":
        """As ``torchrun`` says; a ``RANK`` without other processes (some batch systems set it) means nothing."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        return cls(rank=int(os.environ.get("RANK", "0")), size=size) if size > 1 else cls()

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are averaged over all processes."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of a batch; the parts have equal size."""
        return rows[self.rank :: self.size]

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value


def own_device(device: str) -> str:
    """``cuda`` among several processes of a machine is the GPU of the process's own number."""
    rank = os.environ.get("LOCAL_RANK")
    several = Processes.from_environment().size > 1
    return f"cuda:{rank}" if device == "cuda" and rank is not None and several else device


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; alone, without it, there is nothing to join."""
    processes = Processes.from_environment()
    if processes.size == 1:
        yield processes
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield processes
    finally:
        dist.destroy_process_group()
