"""One training of a network: Adam, an epoch chosen on the selection split, resumable after any epoch."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from caloforge.classifier.config import ClassifierConfig
from caloforge.classifier.inputs import InputRows
from caloforge.classifier.scores import cross_entropy
from caloforge.classifier.splitting import Split
from caloforge.errors import NonFiniteError
from caloforge.files import atomic_path
from caloforge.seeding import derive_seed

__all__ = ["TrainedScores", "train_network"]

OnEpoch = Callable[[int, float | None], None]
"""Told the number of finished epochs and the accuracy on the selection split."""


@final
@dataclass(frozen=True, kw_only=True)
class TrainedScores:
    """Logits of a trained classifier."""

    selection: Float[np.ndarray, " m"]
    test: Float[np.ndarray, " k"]
    epoch: int
    epochs: int


@dataclass(kw_only=True)
class _Progress:
    epoch: int = 0
    best_epoch: int = 0
    accuracy: float = 0.0
    best: float = -math.inf


def train_network(
    net: nn.Module,
    rows: InputRows,
    split: Split,
    config: ClassifierConfig,
    *,
    moments: tuple[Float[np.ndarray, " F"], Float[np.ndarray, " F"]] | None,
    portion: int | None = None,
    seed: int,
    state: Path | None,
    save_seconds: float,
    on_epoch: OnEpoch,
) -> TrainedScores:
    """Train and score; the weights are those of the best epoch on the selection split.

    As the papers do it, an epoch is a pass over the training split, the learning rate is constant, and the best
    epoch has the highest accuracy. With a ``portion`` the time does not grow with the sample: an epoch is so many
    showers, the others follow in the next; the learning rate falls along half a cosine, and the best epoch has the
    lowest cross entropy on at most a portion of the selection split.

    Args:
        net: Untrained, on the device of the rows.
        rows: The inputs.
        split: Which showers do what.
        config: Epochs, batch size, learning rate.
        moments: Mean and width to scale the inputs by, if any.
        portion: Showers of an epoch, at most; by default each once.
        seed: Fixes the order of the showers.
        state: File to continue from and to keep the state in, if any; removed by the caller.
        save_seconds: Time between saves; a save comes after an epoch.
        on_epoch: Told about progress.

    Raises:
        NonFiniteError: The loss became NaN or infinite.
    """
    scale = None if moments is None else [rows.tensor(values) for values in moments]

    def logits(index: Int[np.ndarray, " b"]) -> Tensor:
        x = rows(index)
        return net(x if scale is None else (x - scale[0]) / scale[1])

    def scores(index: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        net.eval()
        with torch.inference_mode():
            parts = [logits(batch).double().cpu() for batch in _batches(index, config.batch_size)]
        return torch.cat(parts).numpy()

    optimizer = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    progress, best = _resume(state, net, optimizer)
    # In the split lie the showers of one class after those of the other: every k-th is as many of both.
    selection = split.selection[:: max(1, -(-len(split.selection) // (portion or len(split.selection))))]
    selection_labels = rows.labels[torch.from_numpy(selection).to(rows.device)].cpu().numpy().astype(int)
    saved = monotonic()
    while progress.epoch < config.epochs and progress.accuracy < 1:
        net.train()
        if portion is None:
            order = _order(split.train, progress.epoch, seed=seed)
        else:
            order = _portion(split.train, progress.epoch, size=portion, seed=seed)
            for group in optimizer.param_groups:
                group["lr"] = (
                    config.learning_rate * (1 + math.cos(math.pi * progress.epoch / config.epochs)) / 2
                )
        for batch in _batches(order, config.batch_size):
            if len(batch) < 2:
                continue  # batch normalisation needs two
            target = rows.labels[torch.from_numpy(batch).to(rows.device)]
            loss = nn.functional.binary_cross_entropy_with_logits(logits(batch), target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if not math.isfinite(loss.item()):
            raise NonFiniteError(
                f"The classifier's loss is {loss.item()} after epoch {progress.epoch + 1}; "
                "lower its learning rate."
            )
        found = scores(selection)
        progress.accuracy = float(((found > 0) == (selection_labels == 1)).mean())
        worth = progress.accuracy if portion is None else -cross_entropy(found, selection_labels)
        progress.epoch += 1
        if worth > progress.best:
            progress.best, progress.best_epoch = worth, progress.epoch
            best = {name: value.detach().clone() for name, value in net.state_dict().items()}
        if state is not None and monotonic() - saved >= save_seconds:
            _save(state, progress, net=net.state_dict(), best=best, optimizer=optimizer)
            saved = monotonic()
        on_epoch(progress.epoch, progress.accuracy)
    net.load_state_dict(best)
    return TrainedScores(
        selection=scores(split.selection),
        test=scores(split.test),
        epoch=progress.best_epoch,
        epochs=progress.epoch,
    )


def _order(index: Int[np.ndarray, " n"], epoch: int, *, seed: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(index)


def _portion(index: Int[np.ndarray, " n"], epoch: int, *, size: int, seed: int) -> Int[np.ndarray, " k"]:
    """Showers of an epoch, from passes over the split in ever new orders that go on where the epoch before ended."""
    size = min(size, len(index))
    first, last = epoch * size, (epoch + 1) * size
    passes = range(first // len(index), (last - 1) // len(index) + 1)
    start = first - passes[0] * len(index)
    return np.concatenate([_order(index, number, seed=seed) for number in passes])[start : start + size]


def _batches(index: Int[np.ndarray, " n"], size: int) -> Iterator[Int[np.ndarray, " b"]]:
    for start in range(0, len(index), size):
        yield index[start : start + size]


def _save(
    path: Path,
    progress: _Progress,
    *,
    net: dict[str, Tensor],
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    tensors = {f"net/{name}": value for name, value in net.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items()}
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as part:
        try:
            save_file(tensors, part, metadata={"progress": json.dumps(asdict(progress))})
        except SafetensorError as err:
            raise OSError(str(err)) from err


def _resume(
    path: Path | None, net: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[_Progress, dict[str, Tensor]]:
    """Where a killed training stood; from the start where nothing is kept, or what is kept is damaged."""
    if path is None or not path.is_file():
        return _Progress(), {}
    try:
        with safe_open(path, framework="pt") as file:
            progress = _Progress(**json.loads(file.metadata()["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return _Progress(), {}
    groups: dict[str, dict[str, Tensor]] = {"net": {}, "best": {}, "optimizer": {}}
    for name, value in tensors.items():
        group, _, key = name.partition("/")
        groups[group][key] = value
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in groups["optimizer"].items():
        index, _, slot = name.partition("/")
        slots.setdefault(int(index), {})[slot] = value
    net.load_state_dict(groups["net"])
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress, groups["best"]
