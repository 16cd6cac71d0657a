"""``caloforge distill``: a fast student from a trained teacher."""

from pathlib import Path
from typing import Annotated

import typer

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
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run.")],
    preset: Annotated[
        str, typer.Option(help="Recipe of a student (see `caloforge models`) or a TOML file.")
    ] = "caloflow-v2-small",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one setting, e.g. distillation.z_loss=false."
        ),
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
    """Distil a student, which samples in one pass per block, from a frozen teacher.

    Several processes: torchrun --nproc-per-node 2 -m caloforge distill ...
    """
    from caloforge.cli.training import train_into
    from caloforge.cli.weights import check_weights_name
    from caloforge.recipes import load_recipe
    from caloforge.training import RunConfig, Teacher

    check_weights_name(teacher)
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
