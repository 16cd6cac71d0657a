"""``caloforge distill``: a fast student from a trained teacher."""

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

__all__ = ["distill"]


def distill(
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER", help="Trained model: shipped weights, a weights file, or the folder of a run."
        ),
    ],
    *,
    data: Annotated[Path, typer.Option(help="HDF5 file of Geant4 showers, best those of the teacher.")],
    output: RunOption,
    preset: Annotated[
        str, typer.Option(help="Recipe of a student (see `caloforge models`) or a TOML file.")
    ] = "caloflow-v2-small",
    settings: Annotated[list[str] | None, set_option("distillation.z_loss=false")] = None,
    geometry: GeometryOption = None,
    start: StartOption = 0,
    stop: StopOption = None,
    seed: SeedOption = None,
    device: DeviceOption = "cpu",
    save_every: SaveEveryOption = SAVE_EVERY,
    resume: ResumeOption = False,
) -> None:
    """Distil a student, which samples in one pass per block, from a frozen teacher.

    Several processes: torchrun --nproc-per-node 2 -m caloforge distill ...
    """
    from caloforge.recipes import load_recipe
    from caloforge.training import RunConfig, Teacher

    config = RunConfig.from_dict(load_recipe(preset), settings or [])
    if seed is not None:
        config = config.with_seed(seed)
    train_into(
        output,
        config,
        recipe=preset,
        teacher=Teacher.load(teacher),
        data=data,
        geometry=geometry,
        start=start,
        stop=stop,
        device=device,
        save_every=save_every,
        resume=resume,
    )
