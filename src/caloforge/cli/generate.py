"""``caloforge generate``: showers from a trained model, at energies of the user's choice."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from caloforge.cli.weights import CompileOption, PrecisionOption

if TYPE_CHECKING:
    from caloforge.generation import Precision

__all__ = ["generate"]


def generate(
    model: Annotated[str, typer.Argument(help="Shipped weights, a weights file, or the folder of a run.")],
    *,
    n_showers: Annotated[
        int | None,
        typer.Option("-n", "--showers", min=1, help="How many; with a FILE of energies, by default all."),
    ] = None,
    energies: Annotated[
        str,
        typer.Option(
            metavar="LOW:HIGH|E|E,E,..|FILE", help="In GeV, or a shower file whose energies to use."
        ),
    ],
    spectrum: Annotated[str, typer.Option(help="uniform, log-uniform, or list for E,E,..")] = "uniform",
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.h5", help="File to write.")],
    seed: Annotated[int, typer.Option(help="Shower i depends on the seed and i alone.")] = 1,
    layout: Annotated[str, typer.Option(help="calochallenge, calogan or ild.")] = "calochallenge",
    workers: Annotated[int, typer.Option(min=1, help="Processes; the sample does not depend on it.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|FILE", help="Dask cluster in place of --workers: tcp://host:8786, or its file."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    precision: PrecisionOption = "float32",
    compiled: CompileOption = False,
    compression: Annotated[int, typer.Option(min=0, max=9, help="gzip level; 0 is fastest.")] = 1,
    allow_extrapolation: Annotated[
        bool, typer.Option("--allow-extrapolation", help="Accept energies outside the trained range.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run; one that has finished is an error.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Generate showers into a file, in constant memory and resumable."""
    from caloforge.cli.energies import energy_source, sample_size
    from caloforge.cli.progress import run_with_progress
    from caloforge.generation import GenerationJob

    source = energy_source(energies, spectrum)
    job = GenerationJob(
        weights=model,
        n_showers=sample_size(n_showers, source),
        energies=source,
        seed=seed,
        output=output,
        layout=layout,
        compression=compression,
        device=device,
        compiled=compiled,
        precision=cast("Precision", precision),  # checked where the model is loaded
        allow_extrapolation=allow_extrapolation,
    )
    run_with_progress(job, workers=workers, scheduler=scheduler, resume=resume, overwrite=overwrite)
