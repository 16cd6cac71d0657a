"""``caloforge train``: a model from a file of showers."""

from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli.training import (
    SAVE_EVERY,
    DeviceOption,
    GeometryOption,
    ResumeOption,
    RunOption,
    SaveEveryOption,
    SeedOption,
    StartOption,
    StopOption,
    set_option,
    train_into,
)

__all__ = ["train"]


def train(
    family: Annotated[str, typer.Argument(metavar="MODEL", help="Model family, e.g. caloflow.")],
    *,
    data: Annotated[Path, typer.Option(help="HDF5 file of Geant4 showers, in any layout.")],
    output: RunOption,
    preset: Annotated[
        str | None,
        typer.Option(help="Recipe (see `caloforge models`) or a TOML file; by default MODEL-small."),
    ] = None,
    settings: Annotated[list[str] | None, set_option("training.shape.epochs=20")] = None,
    geometry: GeometryOption = None,
    start: StartOption = 0,
    stop: StopOption = None,
    seed: SeedOption = None,
    device: DeviceOption = "cpu",
    save_every: SaveEveryOption = SAVE_EVERY,
    resume: ResumeOption = False,
) -> None:
    """Train a model on showers; RUN receives weights, metrics and a plot of the losses.

    Several processes: torchrun --nproc-per-node 2 -m caloforge train ...
    """
    from caloforge.errors import ConfigError, UnknownNameError
    from caloforge.models import FAMILIES
    from caloforge.recipes import load_recipe
    from caloforge.training import RunConfig

    if family not in FAMILIES:
        raise UnknownNameError("model family", family, FAMILIES)
    recipe = preset or f"{family}-small"
    config = RunConfig.from_dict(load_recipe(recipe), settings or [])
    if config.family != family:
        raise ConfigError(f"Recipe {recipe!r} is for the family {config.family!r}, not for {family!r}.")
    if seed is not None:
        config = config.with_seed(seed)
    train_into(
        output,
        config,
        recipe=recipe,
        data=data,
        geometry=geometry,
        start=start,
        stop=stop,
        device=device,
        save_every=save_every,
        resume=resume,
    )
