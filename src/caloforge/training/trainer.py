"""Training of a model: its stages in order, each by the same loop, resumable at any iteration."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caloforge.errors import CheckpointError, ValueRangeError
from caloforge.models import ShowerModel, Stage
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.training.config import RunConfig, StageConfig
from caloforge.training.loop import STATE, Run, StageLoop, TrainingEvent
from caloforge.training.parallel import process_group
from caloforge.training.state import Progress, load_state, restore_optimizer

__all__ = ["SAVE_SECONDS", "split_showers", "train", "weights_dtype"]

SAVE_SECONDS = 300.0


def weights_dtype(config: RunConfig) -> torch.dtype:
    """Floating type of a run's weights."""
    return torch.float64 if config.precision == "float64" else torch.float32


def split_showers(n_showers: int, *, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and validation showers, both sorted; a pure function of its arguments.

    Raises:
        ValueRangeError: One of the two would be empty.
    """
    n_validation = round(n_showers * validation)
    if n_validation < 1 or n_validation >= n_showers:
        raise ValueRangeError(
            f"{n_showers} showers cannot be split with validation = {validation}; both parts need at least one."
        )
    order = np.random.default_rng(derive_seed(seed, "split")).permutation(n_showers)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def train(
    model: ShowerModel,
    showers: Showers,
    config: RunConfig,
    folder: Path,
    *,
    stages: Mapping[str, Stage] | None = None,
    device: torch.device | str = "cpu",
    provenance: dict[str, Any] | None = None,
    save_seconds: float = SAVE_SECONDS,
    on_event: Callable[[TrainingEvent], None] = lambda event: None,
) -> ShowerModel:
    """Train all stages of a model; continue if ``folder`` holds the state of an interrupted run.

    Writes ``metrics.csv`` and the resume state into ``folder``, which must exist, and from the first epoch of
    the last stage on ``best.safetensors`` (each stage at its best validation loss) and ``last.safetensors``:
    weights files never hold an untrained stage.

    Args:
        model: Untrained, as :func:`caloforge.models.build_model` makes it.
        showers: Training and validation showers together.
        config: The run.
        folder: Where the files go.
        stages: What to train in place of the model's own stages; its preprocessing has been fitted, then.
        device: Where to compute.
        provenance: Kept in the weights files.
        save_seconds: Time between saves of the resume state within an epoch; after an epoch it is always
            saved. Does not change the result.
        on_event: Told about progress.

    Returns:
        The model with the best weights of each stage, in evaluation mode.

    Raises:
        NonFiniteError: The loss became NaN or infinite; files hold the state before that.
        ValueRangeError: Too few showers.
        OutputError: A file cannot be written.
    """
    device = torch.device(device)
    training, validation = split_showers(len(showers), validation=config.validation, seed=config.seed)
    with process_group(device) as processes:
        run = Run(
            model=model.set_precision(weights_dtype(config)),
            stages=model.stages if stages is None else stages,
            config=config,
            train_showers=showers[training],
            validation_showers=showers[validation],
            folder=folder,
            device=device,
            processes=processes,
            provenance=dict(provenance or {}),
            save_seconds=save_seconds,
            on_event=on_event,
        )
        if stages is None:
            # Range and ratios were fitted in float64 and stay so, whatever the weights are.
            model.fit_range(showers)
        _all_stages(run, fit=stages is None)
    return model.eval()


def _all_stages(run: Run, *, fit: bool) -> None:
    """Train the stages that are not finished; those of a student take over what would be fitted."""
    names = list(run.stages)
    state = run.folder / STATE
    progress, groups = Progress(stage=names[0]), None
    resumed = state.exists()
    if resumed:
        progress, groups = load_state(state)
        try:
            run.model.load_state_dict(groups["weights"])
        except RuntimeError as err:
            problem = " ".join(str(err).split())[:200]
            raise CheckpointError(state, f"is of another model: {problem}") from err
    for name in names[names.index(progress.stage) :]:
        if name != progress.stage:
            progress, groups, resumed = Progress(stage=name, history=progress.history), None, False
        if fit and not resumed:
            # Only now: a stage may need what the stages before it have learned. Showers are on the CPU.
            run.model.cpu()
            run.stages[name].fit(run.train_showers, seed=run.config.seed)
        for module in (run.model, *run.stages.values()):
            module.to(run.device)
        _stage(run, name, progress, groups)


def _stage(
    run: Run, name: str, progress: Progress, groups: dict[str, dict[str, torch.Tensor]] | None
) -> None:
    stage = run.stages[name]
    config = run.config.training.get(name, StageConfig())
    optimizer = torch.optim.AdamW(
        stage.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    best = None
    if groups is not None:
        restore_optimizer(optimizer, groups["optimizer"])
        best = {key: value.to(run.device) for key, value in groups["best"].items()}
    loop = StageLoop(run, name, stage, config, optimizer, progress, best)
    loop.run()
    stage.load_state_dict(loop.best)
    loop.save(final=True)
