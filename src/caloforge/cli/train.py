"""``caloforge train``: a model from a file of showers."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    family: Annotated[str, typer.Argument(metavar="MODEL", help="Model family, e.g. caloflow.")],
    *,
    data: Annotated[Path, typer.Option(help="HDF5 file of Geant4 showers, in any layout.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run.")],
    preset: Annotated[
        str | None,
        typer.Option(help="Recipe (see `caloforge models`) or a TOML file; by default MODEL-small."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. training.shape.epochs=20."),
    ] = None,
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    start: Annotated[int, typer.Option(help="First shower to use, counted from 0.")] = 0,
    stop: Annotated[int | None, typer.Option(help="Shower to stop before; keep the rest for tests.")] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes split, initial weights, order and noise.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    save_every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Time between saves within an epoch.")
    ] = 300.0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train a model on showers; RUN receives weights, metrics and a plot of the losses.

    Several processes: torchrun --nproc-per-node 2 -m caloforge train ...
    """
    from caloforge.cli.training import train_into
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
