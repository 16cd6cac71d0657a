"""``caloforge info``: what a file of showers holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from caloforge.io import FileInfo

__all__ = ["info"]


def info(
    file: Annotated[Path, typer.Argument(help="HDF5 file of showers.")],
    *,
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables; energies in MeV.")
    ] = False,
) -> None:
    """Say what a file of showers holds: layout, geometry, energies, layers, provenance."""
    import json

    from rich.console import Console

    from caloforge.io import file_info

    found = file_info(file, geometry)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    console = Console()
    console.print(_overview(found))
    console.print(_layers(found))
    if found.provenance:
        console.print(_provenance(found))


def _overview(found: "FileInfo") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from caloforge.units import GeV

    table = Table(title=Text(str(found.path)), show_header=False, title_justify="left")
    geometry = found.geometry
    rows = {
        "layout": found.layout,
        "geometry": f"{geometry.name}: {geometry.n_layers} layers, {geometry.n_voxels} voxels",
        "showers": f"{found.n_showers:,} ({found.dtype}, {found.n_bytes / 1e6:.1f} MB)",
    }
    if found.e_inc_range is not None:
        low, high = (f"{e / GeV:.4g}" for e in found.e_inc_range)
        rows["incident energy"] = f"{low if low == high else f'{low} to {high}'} GeV, {found.spectrum}"
        values = ", ".join(f"{100 * p:g} %: {value:.4f}" for p, value in found.e_ratio_quantiles.items())
        rows["deposited / incident"] = values
    if found.left_out:
        rows["not read"] = ", ".join(found.left_out)
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def _layers(found: "FileInfo") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("layer")
    for name in ("voxels", "mean energy [MeV]", "share", "empty voxels"):
        table.add_column(name, justify="right")
    total = sum(layer.mean_energy for layer in found.layers)
    for layer in found.layers:
        share = f"{100 * layer.mean_energy / total:.2f} %" if total else "-"
        energy, empty = layer.mean_energy, f"{100 * layer.sparsity:.1f} %"
        mean = f"{energy:,.1f}" if energy >= 100 else f"{energy:.4g}"
        if not found.n_showers:
            mean = empty = "-"
        table.add_row(Text(layer.name), str(layer.n_voxels), mean, share, empty)
    return table


def _provenance(found: "FileInfo") -> "Table":
    import json

    from rich.table import Table
    from rich.text import Text

    table = Table("provenance", "")
    entries = {name: value for name, value in found.provenance.items() if name != "attributes"}
    # What a foreign file said of itself, units included, holds for that file, not for one converted from it.
    entries |= {f"attribute {name}": value for name, value in found.provenance.get("attributes", {}).items()}
    for name, value in entries.items():
        if isinstance(value, dict) and isinstance(value.get("spots"), list):
            value = {**value, "spots": f"{len(value['spots'])} digests of showers"}
        table.add_row(Text(name), Text(value if isinstance(value, str) else json.dumps(value)))
    return table
