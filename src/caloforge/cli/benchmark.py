"""``caloforge benchmark``: time per shower of models, of Geant4, and of the same networks in other libraries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from caloforge.cli.weights import CompileOption, PrecisionOption

if TYPE_CHECKING:
    from caloforge.generation import Precision

__all__ = ["benchmark"]


def benchmark(
    *,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Shipped weights, weights files, folders of runs, recipes (untrained); by default what is shipped.",
        ),
    ] = None,
    geant4: Annotated[
        bool, typer.Option("--geant4", help="Time real Geant4 of the same calorimeters and energies, too.")
    ] = False,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Time the same networks in nflows and zuko, too, and those of the CaloFlow papers.",
        ),
    ] = False,
    threads: Annotated[str, typer.Option(metavar="N,...", help="Blocks computed at the same time.")] = "1",
    batches: Annotated[
        str, typer.Option(metavar="N,...", help="Showers per request.")
    ] = "1,10,100,1000,10000",
    precision: PrecisionOption = "float32",
    compiled: CompileOption = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for benchmark.json and benchmark.png."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed repeats; the median counts.")] = 3,
    max_seconds: Annotated[
        float, typer.Option(metavar="S", help="Of the repeats of one figure; slower ones are repeated less.")
    ] = 60.0,
    geant4_showers: Annotated[int, typer.Option(min=1, metavar="N", help="Showers per Geant4 row.")] = 100,
    geant4_data: Annotated[
        Path | None, typer.Option("--geant4-data", metavar="DIR", help="Folder of Geant4's data sets.")
    ] = None,
    physics: Annotated[
        str | None,
        typer.Option(help="Physics list of Geant4; by default that of the training showers, else FTFP_BERT."),
    ] = None,
    particle: Annotated[
        str | None, typer.Option(help="Particle for Geant4 where a model does not say its own.")
    ] = None,
    peer_showers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Showers of a peer that needs one pass per voxel.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the showers.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier benchmark.")] = False,
) -> None:
    """Time models and, if asked, Geant4 and other libraries, in the same run."""
    import shlex
    import sys

    from rich.console import Console

    from caloforge.benchmark import BenchmarkSettings, run_benchmark
    from caloforge.cli.progress import progress_bar

    settings = BenchmarkSettings(
        models=_names(models),
        threads=_numbers("--threads", threads),
        batches=_numbers("--batches", batches),
        precision=cast("Precision", precision),  # checked there
        compiled=compiled,
        device=device,
        repeats=repeats,
        max_seconds=max_seconds,
        geant4=geant4,
        geant4_showers=geant4_showers,
        geant4_data=geant4_data,
        physics=physics,
        particle=particle,
        peers=peers,
        peer_showers=peer_showers,
        seed=seed,
    )
    console = Console(stderr=True)
    latest: dict[str, Any] = {}
    try:
        with progress_bar(console) as bar:
            task = bar.add_task("starting", total=None, note="")
            run_benchmark(
                settings,
                output,
                overwrite=overwrite,
                command=shlex.join(["caloforge", *sys.argv[1:]]),
                on_step=lambda title, done, total: bar.update(
                    task, description=title, completed=done, total=total
                ),
                on_report=latest.update,
            )
    finally:
        if latest:
            _print(latest, output)


def _print(report: dict[str, Any], output: Path | None) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from caloforge.benchmark.schema import BENCHMARK_FILE, PLOT_FILE
    from caloforge.benchmark.tables import COLUMNS, text_rows

    console = Console()
    rows, left_out = text_rows(report), list(_FIRST_TO_GO)
    columns = list(COLUMNS)
    while console.is_terminal and left_out and _width(columns, rows) > console.width:
        columns.remove(left_out.pop(0))
    shown = [COLUMNS.index(column) for column in columns]
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column == COLUMNS[0] else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[k] for k in shown))
    width = console.width if console.is_terminal else _width(columns, rows)
    Console(width=width).print(table)
    machine = report["machine"]
    where = machine["gpu"]["name"] if "gpu" in machine else machine["cpu"]
    typer.echo(f"{where}, {machine['cores_allowed']} cores, torch {machine['torch']}")
    for peak in report["peaks"]:
        typer.echo(
            f"Matrix products, {peak['dtype']}, threads {peak['threads']}: {peak['gflops']:.0f} GFLOP/s"
        )
    typer.echo(_LEGEND)
    for note in report["notes"]:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW)
    if not report["complete"]:
        typer.secho("Incomplete: not everything that was asked for is measured.", fg=typer.colors.YELLOW)
    if output is not None:
        typer.echo(f"Written: {output / BENCHMARK_FILE}, {output / PLOT_FILE}")


_FIRST_TO_GO = ("min-max", "first s", "load s", "GFLOP/s", "MB", "showers/s", "of peak")
"""Columns that a narrow window does without, in this order; benchmark.json has all."""
_LEGEND = (
    "ms/shower: energies to voxels in memory, median of the repeats; loading and the first call are not counted.\n"
    "× Geant4: its processor time per shower over the time per shower and thread. GFLOP/s: matrix products only."
)


def _width(columns: list[str], rows: list[tuple[str, ...]]) -> int:
    """Characters of a table with these columns: each is followed by a space, and the box adds one at either side."""
    from caloforge.benchmark.tables import COLUMNS

    kept = [COLUMNS.index(column) for column in columns]
    return 3 + sum(1 + max(len(row[k]) for row in [COLUMNS, *rows]) + 1 for k in kept)


def _names(text: str | None) -> tuple[str, ...]:
    from caloforge.errors import ConfigError

    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigError(f"--models must be names with commas between them, got {text!r}.")
    return names


def _numbers(option: str, text: str) -> tuple[int, ...]:
    from caloforge.errors import ConfigError

    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() and int(part) for part in parts):
        raise ConfigError(f"{option} must be whole numbers from 1 with commas between them, got {text!r}.")
    return tuple(map(int, parts))
