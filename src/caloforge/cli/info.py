"""``caloforge info``: what a file of showers holds, or where weights come from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from caloforge.io import FileInfo

__all__ = ["info"]


def info(
    file: Annotated[
        Path, typer.Argument(help="HDF5 file of showers; or weights: a name, a file, the folder of a run.")
    ],
    *,
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="Say also how the physics differs from that of these showers."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables; energies in MeV.")
    ] = False,
) -> None:
    """Say what a file of showers holds, or where weights come from: layout, geometry, energies, provenance."""
    import json

    from rich.console import Console

    from caloforge.errors import ConfigError
    from caloforge.io import file_info

    if (weights := _weights(file)) is not None:
        from caloforge.models.zoo import file_facts

        if geometry is not None:
            raise ConfigError(f"{file} are weights, which know their calorimeter; leave out --geometry.")
        facts = provenance = file_facts(weights)
        tables = [_weights_overview(str(file), facts), _provenance(_without(facts, _IN_OVERVIEW))]
    else:
        found = file_info(file, geometry)
        facts, provenance = found.to_dict(), found.provenance
        tables = [_overview(found), _layers(found)]
        tables += [_provenance(found.provenance)] if found.provenance else []
    if reference is not None:
        facts |= {"physics_difference": (difference := _difference(file, provenance, reference))}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console()
    for table in tables:
        console.print(table)
    if reference is not None:
        none = f"Nothing is known that differs between the physics of {file} and of {reference}."
        console.print(difference or none, markup=False, highlight=False, soft_wrap=True)


def _weights(path: Path) -> Path | None:
    """The weights file that is meant, if it is one."""
    if path.is_file() and path.suffix != ".safetensors":
        return None
    from caloforge.models.zoo import find_weights, shipped_weights  # loads torch, which showers do not need

    is_meant = path.is_dir() or path.suffix == ".safetensors" or str(path) in shipped_weights()
    return find_weights(path) if is_meant else None


def _difference(path: Path, provenance: dict[str, Any], other: Path) -> str | None:
    """How the physics differs from that of another file or of weights, in one line."""
    from caloforge import io
    from caloforge.evaluation.same_physics import physics_difference

    if (weights := _weights(other)) is not None:
        from caloforge.models.checkpoint import read_header

        theirs = read_header(weights).provenance
    else:
        theirs = io.read(other, stop=0).provenance
    found = physics_difference(
        provenance, theirs, name=f"the showers of {path}", other_name=f"those of {other}"
    )
    return None if found is None else found.message


def _without(entries: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in names}


_IN_OVERVIEW = ("family", "geometry", "bytes", "file", "e_inc_range", "particle")


def _weights_overview(name: str, facts: dict[str, Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from caloforge.io.physics import Physics
    from caloforge.units import GeV

    table = Table(title=Text(name), show_header=False, title_justify="left")
    rows = {
        "model": f"{facts['family']} for {facts['geometry']} ({facts['bytes'] / 1e6:.1f} MB)",
        "particle": str(facts.get("particle") or "unknown"),
        "incident energy": "{:.4g} to {:.4g} GeV".format(*(e / GeV for e in facts["e_inc_range"])),
        "physics learned": Physics.of(facts).describe(),
    }
    for row, value in rows.items():
        table.add_row(row, Text(value))
    return table


def _overview(found: "FileInfo") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from caloforge.io.physics import Physics
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
    physics = Physics.of(found.provenance)
    rows["physics learned" if physics.learned else "physics"] = physics.describe()
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


def _provenance(known: dict[str, Any]) -> "Table":
    import json

    from rich.table import Table
    from rich.text import Text

    table = Table("provenance", "")
    entries = _without(known, ("attributes",))
    # What a foreign file said of itself, units included, holds for that file, not for one converted from it.
    entries |= {f"attribute {name}": value for name, value in known.get("attributes", {}).items()}
    for name, value in entries.items():
        if isinstance(value, dict) and isinstance(value.get("spots"), list):
            value = {**value, "spots": f"{len(value['spots'])} digests of showers"}
        table.add_row(Text(name), Text(value if isinstance(value, str) else json.dumps(value)))
    return table
