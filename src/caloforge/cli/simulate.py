"""``caloforge simulate``: real Geant4 showers of any calorimeter with a material stack."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["simulate"]


def simulate(
    geometry: Annotated[str, typer.Argument(help="Name in the catalogue, or a TOML file with a stack.")],
    particle: Annotated[str, typer.Argument(help="e-, e+, gamma, pi+, pi-, pi0, K+, K-, p, n, mu-, mu+.")],
    *,
    n_showers: Annotated[
        int | None, typer.Option("-n", "--showers", min=1, help="How many; with a FILE of energies, all.")
    ] = None,
    energies: Annotated[
        str,
        typer.Option(
            metavar="LOW:HIGH|E|E,E,..|FILE", help="Kinetic energies in GeV, or a shower file whose to use."
        ),
    ],
    spectrum: Annotated[str, typer.Option(help="uniform, log-uniform, or list for E,E,..")] = "uniform",
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.h5", help="File to write.")],
    seed: Annotated[int, typer.Option(help="Shower i depends on the seed and i alone.")] = 1,
    physics: Annotated[
        str, typer.Option(help="Physics list of Geant4, or em for e-, e+, gamma.")
    ] = "FTFP_BERT",
    cut: Annotated[float, typer.Option(metavar="MM", help="Production cut.")] = 0.7,
    angle: Annotated[
        float | None, typer.Option(metavar="DEG", help="To the axis of the calorimeter.")
    ] = None,
    spread: Annotated[float | None, typer.Option(metavar="MM", help="Entries in a square of +-MM.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the sample does not depend on it.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS|FILE", help="Work on a Dask cluster instead.")
    ] = None,
    geant4_data: Annotated[
        Path | None, typer.Option("--geant4-data", metavar="DIR", help="Folder of Geant4's data sets.")
    ] = None,
    layout: Annotated[str, typer.Option(help="calochallenge, calogan or ild.")] = "calochallenge",
    compression: Annotated[int, typer.Option(min=0, max=9, help="gzip level; 0 is fastest.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run; one that has finished is an error.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Simulate showers with Geant4, on this machine's cores or a cluster, resumable."""
    from dataclasses import replace

    from caloforge.cli.energies import energy_source, sample_size
    from caloforge.cli.progress import run_with_progress
    from caloforge.geometry import get_geometry
    from caloforge.simulation import SimulationJob

    calorimeter = get_geometry(geometry)
    source = energy_source(energies, spectrum)
    given = {key: value for key, value in {"angle": angle, "spread": spread}.items() if value is not None}
    job = SimulationJob(
        geometry=calorimeter,
        particle=particle,
        n_showers=sample_size(n_showers, source),
        energies=source,
        seed=seed,
        output=output,
        physics=physics,
        production_cut=cut,
        incidence=replace(calorimeter.incidence, **given),
        geant4_data=geant4_data,
        layout=layout,
        compression=compression,
    )
    run_with_progress(job, workers=workers, scheduler=scheduler, resume=resume, overwrite=overwrite)
