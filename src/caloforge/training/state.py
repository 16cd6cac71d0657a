"""Where a run stands, as one file: written whole or not at all, so a killed run always continues from it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from caloforge.errors import CheckpointError
from caloforge.files import atomic_path

__all__ = ["Progress", "EpochRecord", "save_state", "load_state", "restore_optimizer"]


@final
@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of ``metrics.csv``."""

    stage: str
    epoch: int
    iteration: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    criterion: float
    """What chooses the best epoch, the less the better: the validation loss unless the stage says otherwise."""
    monitors: dict[str, float] = field(default_factory=dict)
    """What else the stage watches on the validation split; columns of their own."""

    def to_row(self) -> dict[str, Any]:
        """As a line of the table."""
        row = asdict(self)
        return row | row.pop("monitors")


@final
@dataclass(kw_only=True)
class Progress:
    """Counters of a run; with the tensors beside it in the state file they determine its future."""

    stage: str
    epoch: int = 0
    """Epochs of the stage that are finished."""
    iteration: int = 0
    """Iterations of the stage that are finished."""
    epoch_iterations: int = 0
    """Iterations finished in the running epoch."""
    loss_sum: float = 0.0
    """Sum of the running epoch's batch losses."""
    seconds: float = 0.0
    """Time spent in the running epoch."""
    best_criterion: float = float("inf")
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Progress":
        """From JSON text."""
        data: dict[str, Any] = json.loads(text)
        data["history"] = [EpochRecord(**record) for record in data["history"]]
        return cls(**data)


def save_state(
    path: Path,
    progress: Progress,
    *,
    weights: dict[str, Tensor],
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the resume state: progress, current and best weights, and the optimizer's moments."""
    tensors = {f"weights/{k}": v for k, v in weights.items()} | {f"best/{k}": v for k, v in best.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items()}
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    with atomic_path(path) as part:
        try:
            save_file(tensors, part, metadata={"progress": progress.to_json()})
        except SafetensorError as err:
            raise OSError(str(err)) from err


def load_state(path: Path) -> tuple[Progress, dict[str, dict[str, Tensor]]]:
    """Read it back: the progress, and tensors by ``weights``, ``best``, ``optimizer``.

    Raises:
        CheckpointError: The file is damaged or no resume state.
    """
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress.from_json(file.metadata()["progress"])
            for name in file.keys():  # noqa: SIM118 - not a dict
                group, _, key = name.partition("/")
                groups[group][key] = file.get_tensor(name)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as err:
        raise CheckpointError(
            path, f"is no resume state of caloforge or is damaged ({err}); start a new run."
        ) from err
    return progress, groups


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put saved moments back into a fresh optimizer with the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, slot = key.partition("/")
        state.setdefault(int(index), {})[slot] = value
    if state:
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
