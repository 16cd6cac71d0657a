"""``caloforge generate``: showers from a trained model, at energies of the user's choice."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from caloforge.generation import EnergySource

__all__ = ["generate"]


def generate(
    model: Annotated[str, typer.Argument(help="Shipped weights, a weights file, or the folder of a run.")],
    *,
    n_showers: Annotated[
        int | None,
        typer.Option("-n", "--showers", min=1, help="How many; with a FILE of energies, by default all."),
    ] = None,
    energy: Annotated[float | None, typer.Option(metavar="GEV", help="One incident energy.")] = None,
    energies: Annotated[
        str | None,
        typer.Option(metavar="LOW:HIGH|FILE", help="Range in GeV, or a shower file whose energies to use."),
    ] = None,
    spectrum: Annotated[str, typer.Option(help="uniform or log-uniform, for LOW:HIGH.")] = "uniform",
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
    from time import monotonic

    from rich.console import Console

    from caloforge.cli.progress import progress_bar
    from caloforge.errors import ConfigError
    from caloforge.generation import GenerationJob, GivenEnergies, run_job

    source = _energy_source(energy, energies, spectrum)
    if n_showers is None:
        if not isinstance(source, GivenEnergies):
            raise ConfigError("Say how many showers: -n N.")
        n_showers = len(source.values)
    job = GenerationJob(
        weights=model,
        n_showers=n_showers,
        energies=source,
        seed=seed,
        output=output,
        layout=layout,
        compression=compression,
        device=device,
        allow_extrapolation=allow_extrapolation,
    )
    console = Console(stderr=True)
    begin = monotonic()
    with progress_bar(console) as bar:
        task = bar.add_task("showers", total=n_showers, note="")
        try:
            run_job(
                job,
                workers=workers,
                scheduler=scheduler,
                resume=resume,
                overwrite=overwrite,
                on_showers=lambda n: bar.advance(task, n),
            )
        except KeyboardInterrupt:
            if job.parts.is_dir():
                console.print(f"Finished parts are in {job.parts}; --resume continues.", highlight=False)
            raise
    typer.echo(f"{output}: {n_showers:,} showers of {job.geometry.describe()} in {monotonic() - begin:.1f} s")


def _energy_source(energy: float | None, energies: str | None, spectrum: str) -> "EnergySource":
    from caloforge import io
    from caloforge.errors import ConfigError, UnknownNameError
    from caloforge.generation import GivenEnergies, Spectrum
    from caloforge.units import GeV

    shapes: dict[str, Literal["uniform", "log-uniform"]] = {
        "uniform": "uniform",
        "log-uniform": "log-uniform",
    }
    if spectrum not in shapes:
        raise UnknownNameError("spectrum", spectrum, shapes)
    if energy is not None and energies is None:
        return Spectrum(low=energy * GeV, high=energy * GeV)
    if energies is None or energy is not None:
        raise ConfigError(
            "Give the incident energies once: --energy 50, --energies 1:100 (GeV), or --energies FILE."
        )
    low, colon, high = energies.partition(":")
    try:
        bounds = (float(low) * GeV, float(high) * GeV) if colon else None
    except ValueError:
        bounds = None  # a colon may also be part of a file's name
    if bounds is not None:
        return Spectrum(low=bounds[0], high=bounds[1], shape=shapes[spectrum])
    if set(energies) <= set("0123456789.:-+eE, ") and not Path(energies).exists():
        raise ConfigError(f"--energies {energies} is neither LOW:HIGH in GeV, such as 1:100, nor a file.")
    return GivenEnergies(io.read_energies(energies))
