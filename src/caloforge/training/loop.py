"""Training of one stage: epochs of iterations, each followed by validation, and the files that keep them.

Nothing random carries over from one iteration to the next: order, noise and dropout are seeded by (run seed,
stage, epoch or iteration). A resume state therefore needs weights, moments and counters only, and a run that
was killed continues exactly as if it had not been.
"""

import csv
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from caloforge.errors import NonFiniteError, ValueRangeError
from caloforge.files import atomic_path
from caloforge.models import Batch, ShowerModel, Stage
from caloforge.models.checkpoint import save_model
from caloforge.models.zoo import BEST, STATE
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.training.config import RunConfig, StageConfig
from caloforge.training.parallel import Processes
from caloforge.training.schedules import accumulation, learning_rate
from caloforge.training.state import EpochRecord, Progress, save_state

__all__ = ["BEST", "LAST", "METRICS", "STATE", "Run", "StageLoop", "TrainingEvent", "best_records"]

LAST, METRICS = "last.safetensors", "metrics.csv"

_CHECK_EVERY = 20  # iterations between looks at the loss: each look waits for the device


@final
@dataclass(frozen=True, kw_only=True)
class TrainingEvent:
    """What a progress display needs; sent every few iterations and after each epoch (``record`` is set)."""

    stage: str
    n_epochs: int
    epoch: int
    iteration: int
    per_epoch: int
    train_loss: float
    record: EpochRecord | None = None
    is_best: bool = False
    loss_name: str = "loss"


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """What all stages of a run share."""

    model: ShowerModel
    stages: Mapping[str, Stage]
    """What is trained, in this order."""
    config: RunConfig
    train_showers: Showers
    validation_showers: Showers
    folder: Path
    device: torch.device
    processes: Processes
    provenance: dict[str, Any]
    save_seconds: float
    on_event: Callable[[TrainingEvent], None]


@final
class StageLoop:
    """Training of one stage."""

    def __init__(
        self,
        run: Run,
        name: str,
        stage: Stage,
        config: StageConfig,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        best: dict[str, Tensor] | None,
    ) -> None:
        self.run_, self.name, self.stage, self.config = run, name, stage, config
        self.optimizer, self.progress = optimizer, progress
        self.best = _copy(stage) if best is None else best
        self.rows = _to(stage.rows(run.train_showers), run.device)
        self.validation_rows = _to(stage.rows(run.validation_showers), run.device)
        self.n_rows = len(run.train_showers)
        size = run.processes.size
        self.batch_size = min(config.batch_size, self.n_rows) // size * size
        if self.batch_size == 0:
            raise ValueRangeError(f"{self.n_rows} training showers are too few for {size} processes.")
        self.per_epoch = self.n_rows // self.batch_size
        self.parallel_stage = run.processes.wrap(stage)

    @property
    def finished(self) -> bool:
        """All epochs done, or no better validation loss for ``patience`` epochs."""
        progress, patience = self.progress, self.config.patience
        stalled = patience is not None and progress.epoch - progress.best_epoch >= patience
        return progress.epoch >= self.config.epochs or stalled

    def run(self) -> None:
        """Epochs until finished."""
        while not self.finished:
            self._epoch()

    def _epoch(self) -> None:
        progress = self.progress
        self.stage.train()
        loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=self.run_.device)
        begin = saved = time.monotonic()
        before, looked = progress.seconds, progress.epoch_iterations
        for index in self._batches(progress.epoch, first=progress.epoch_iterations):
            stepped, loss = self._iteration(index)
            loss_sum += loss
            progress.iteration += 1
            progress.epoch_iterations += 1
            # Gradients are no part of the resume state, so it is saved where there are none to lose.
            if stepped and (
                progress.epoch_iterations - looked >= _CHECK_EVERY
                or progress.epoch_iterations == self.per_epoch
            ):
                looked = progress.epoch_iterations
                progress.loss_sum = self._finite(loss_sum, "training loss")
                progress.seconds = before + time.monotonic() - begin
                self._report()
                if time.monotonic() - saved > self.run_.save_seconds:
                    self._save_within_epoch()
                    saved = time.monotonic()
        self._end_epoch()

    def _end_epoch(self) -> None:
        progress = self.progress
        monitors = self._validate()
        criterion, validation_loss = monitors[self.stage.criterion], monitors.pop("loss")
        progress.epoch += 1
        is_best = criterion < progress.best_criterion
        if is_best:
            progress.best_criterion, progress.best_epoch = criterion, progress.epoch
            self.best = _copy(self.stage)
        record = EpochRecord(
            stage=self.name,
            epoch=progress.epoch,
            iteration=progress.iteration,
            train_loss=progress.loss_sum / self.per_epoch,
            validation_loss=validation_loss,
            learning_rate=self._learning_rate(progress.iteration - 1),
            seconds=round(progress.seconds, 3),
            criterion=criterion,
            monitors=monitors,
        )
        progress.history.append(record)
        progress.epoch_iterations, progress.loss_sum, progress.seconds = 0, 0.0, 0.0
        self.save()
        self._report(record, is_best=is_best)

    def _iteration(self, index: Tensor) -> tuple[bool, Tensor]:
        """One batch: whether a step of the optimizer ended with it; its loss, still on the device."""
        run, progress = self.run_, self.progress
        # Batches of a step: the last of an epoch may have fewer.
        wanted = accumulation(self.config, progress.epoch)
        number = progress.epoch_iterations % wanted
        n_batches = min(wanted, self.per_epoch - progress.epoch_iterations + number)
        seed = derive_seed(run.config.seed, self.name, "iteration", progress.iteration)
        rows = {key: value[index] for key, value in self.rows.items()}
        # Noise is drawn for the whole batch before each process takes its part: two processes see what one would.
        batch = self.stage.draw(rows, torch.Generator(run.device).manual_seed(seed))
        batch = {key: run.processes.share(value) for key, value in batch.items()}
        if number == 0:
            self.optimizer.zero_grad(set_to_none=True)
        with _seeded(derive_seed(seed, run.processes.rank), run.device), self._autocast():
            loss: Tensor = self.parallel_stage(batch).mean()
        (loss / n_batches).backward()  # type: ignore[no-untyped-call]
        stepped = number == n_batches - 1
        if stepped:
            self._step()
        return stepped, run.processes.total(loss.detach().double()) / run.processes.size

    def _step(self) -> None:
        """Move the weights along the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(self.progress.iteration)
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.stage.parameters(), self.config.clip_norm)
        self.optimizer.step()

    def _autocast(self) -> torch.autocast:
        bfloat16 = self.run_.config.precision == "bfloat16"
        return torch.autocast(self.run_.device.type, dtype=torch.bfloat16, enabled=bfloat16)

    def _learning_rate(self, iteration: int) -> float:
        return learning_rate(self.config, iteration, per_epoch=self.per_epoch)

    def _batches(self, epoch: int, *, first: int) -> Iterator[Tensor]:
        """Indices of an epoch's batches from the ``first`` on; what does not fill a batch waits for another epoch."""
        run = self.run_
        generator = torch.Generator().manual_seed(derive_seed(run.config.seed, self.name, "order", epoch))
        order = torch.randperm(self.n_rows, generator=generator).to(run.device)
        for k in range(first, self.per_epoch):
            yield order[k * self.batch_size : (k + 1) * self.batch_size]

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Means over the validation split of what the stage watches, with the same noise every time."""
        run = self.run_
        self.stage.eval()
        generator = torch.Generator(run.device).manual_seed(
            derive_seed(run.config.seed, self.name, "validation")
        )
        totals: dict[str, Tensor] = {}
        n_rows = len(run.validation_showers)
        for start in range(0, n_rows, self.batch_size):
            rows = {
                key: value[start : start + self.batch_size] for key, value in self.validation_rows.items()
            }
            batch = {
                key: run.processes.share(value) for key, value in self.stage.draw(rows, generator).items()
            }
            with self._autocast():
                judged = self.stage.judge(batch)
            for name, values in judged.items():
                totals[name] = totals.get(name, 0) + values.double().sum()
        return {
            name: self._finite(
                run.processes.total(total), "validation loss" if name == "loss" else f"validation {name}"
            )
            / n_rows
            for name, total in totals.items()
        }

    def _finite(self, value: Tensor, what: str) -> float:
        number = float(value)
        if not np.isfinite(number):
            progress = self.progress
            raise NonFiniteError(
                f"The {what} of stage {self.name!r} became {number} in epoch {progress.epoch + 1} near iteration "
                f"{progress.iteration}. Files in {self.run_.folder} hold the last good state; try a smaller "
                f"training.{self.name}.learning_rate or a training.{self.name}.clip_norm."
            )
        return number

    def _report(self, record: EpochRecord | None = None, *, is_best: bool = False) -> None:
        progress = self.progress
        done = progress.epoch_iterations
        loss = record.train_loss if record else progress.loss_sum / max(done, 1)
        event = TrainingEvent(
            stage=self.name,
            n_epochs=self.config.epochs,
            epoch=progress.epoch,
            iteration=done,
            per_epoch=self.per_epoch,
            train_loss=loss,
            record=record,
            is_best=is_best,
            loss_name=self.stage.loss_name,
        )
        self.run_.on_event(event)

    def save(self, *, final: bool = False) -> None:
        """Last and best weights, metrics, resume state; by the main process alone.

        Weights are written in the last stage only: before it, the stages to come are untrained, and a file
        that can be generated with must not hold them. The resume state comes last: a run killed in between
        continues from the one before and writes the others again.
        """
        run = self.run_
        if not run.processes.is_main:
            return
        if self.name == list(run.stages)[-1] and self.progress.epoch_iterations == 0:
            if not final:  # then the model has its best weights, not its last
                self._save_weights(LAST)
            if final or self.progress.best_epoch == self.progress.epoch:
                self._save_weights(BEST)
        _write_metrics(run.folder / METRICS, self.progress.history)
        save_state(
            run.folder / STATE,
            self.progress,
            weights=run.model.state_dict(),
            best=self.best,
            optimizer=self.optimizer,
        )

    def _save_within_epoch(self) -> None:
        """Resume state, unless the last step spoilt the weights, which the next loss will tell."""
        if all(bool(torch.isfinite(p).all()) for p in self.stage.parameters()):
            self.save()

    def _save_weights(self, name: str) -> None:
        run = self.run_
        records = best_records(self.progress.history)
        if name == LAST:
            records[self.name] = self.progress.history[-1]
        provenance = run.provenance | {"training": [asdict(record) for record in records.values()]}
        save_model(run.model, run.folder / name, family=run.config.family, provenance=provenance)


def best_records(history: list[EpochRecord]) -> dict[str, EpochRecord]:
    """Each stage's best epoch, the first of equals."""
    best: dict[str, EpochRecord] = {}
    for record in history:
        if record.stage not in best or record.criterion < best[record.stage].criterion:
            best[record.stage] = record
    return best


class _seeded:
    """Seed torch's global stream (dropout has no other) and give it back untouched."""

    def __init__(self, seed: int, device: torch.device) -> None:
        devices = [device] if device.type == "cuda" else []
        self._seed, self._fork = seed, torch.random.fork_rng(devices=devices)

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *details: Any) -> None:
        self._fork.__exit__(*details)


def _copy(module: torch.nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def _to(rows: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in rows.items()}


def _write_metrics(path: Path, history: list[EpochRecord]) -> None:
    rows = [record.to_row() for record in history]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_path(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
