"""``caloforge convert``: a file of showers in another layout."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert"]


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="HDF5 file of showers to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="HDF5 file to write.")],
    *,
    layout: Annotated[str, typer.Option(help="Layout of OUT: calochallenge, calogan or ild.")],
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    start: Annotated[int, typer.Option(help="First shower, counted from 0.")] = 0,
    stop: Annotated[int | None, typer.Option(help="Shower to stop before; by default the end.")] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="MEV", help="Set voxels below this energy to 0.")
    ] = None,
    compression: Annotated[int, typer.Option(min=0, max=9, help="gzip level; 0 is fastest.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Write a file of showers in another layout, whole or in part; units are taken care of."""
    from rich.console import Console

    from caloforge import io
    from caloforge.cli.progress import progress_bar

    console = Console(stderr=True)
    with progress_bar(console) as bar:
        task = bar.add_task("converting", total=None, note="")
        n_showers = io.convert(
            source,
            target,
            layout=layout,
            geometry=geometry,
            start=start,
            stop=stop,
            threshold=threshold,
            compression=compression,
            overwrite=overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"{target}: {n_showers:,} showers in layout {layout}")
