"""``caloforge geometry``: the catalogue, and what one calorimeter is made of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from caloforge.geometry import Geometry, Grid, Stack
    from caloforge.simulation import MaterialBudget

__all__ = ["geometry_app"]

geometry_app = typer.Typer(
    help="Calorimeters: list the catalogue, show one in numbers and as a picture.", no_args_is_help=True
)


@geometry_app.command("list")
def list_geometries(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List the geometries that come with the package."""
    import json

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from caloforge.geometry import catalogue, get_geometry
    from caloforge.simulation import why_not_simulatable

    found = {name: get_geometry(name) for name in catalogue()}
    if as_json:
        rows = {
            name: {
                "layers": geometry.n_layers,
                "voxels": geometry.n_voxels,
                "simulatable": why_not_simulatable(geometry) is None,
                "source": geometry.source,
            }
            for name, geometry in found.items()
        }
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("name", no_wrap=True)
    for column in ("layers", "voxels"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("simulate", no_wrap=True)
    table.add_column("source")
    for name, geometry in found.items():
        simulatable = "no" if why_not_simulatable(geometry) else "yes"
        table.add_row(name, str(geometry.n_layers), f"{geometry.n_voxels:,}", simulatable, geometry.source)
    console = Console()
    console.print(table)
    console.print("simulate: whether it has the materials that Geant4 needs.", highlight=False)


@geometry_app.command()
def show(
    geometry: Annotated[str, typer.Argument(help="Name in the catalogue, or a TOML or XML file.")],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Draw the stack; the suffix chooses the format.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture if it exists.")] = False,
) -> None:
    """Show a geometry: depth in X0 and lambda, sampling fraction, Moliere radius, slabs, voxels."""
    import json

    from caloforge.errors import MissingExtraError
    from caloforge.files import check_output
    from caloforge.geometry import get_geometry
    from caloforge.simulation import material_budget, why_not_simulatable

    if output is not None:
        check_output(output, overwrite=overwrite)
    found = get_geometry(geometry)
    budget, missing = None, None
    if found.stack is not None:
        try:
            budget = material_budget(found)
        except MissingExtraError as err:  # what needs no Geant4 is shown all the same
            missing = str(err)
    if output is not None:
        from caloforge.plotting import plot_stack

        edges = None if budget is None else budget.radiation_length_edges
        plot_stack(found, output, radiation_length_edges=edges)
    if as_json:
        shown: dict[str, Any] = {
            "geometry": found.to_dict(),
            "n_layers": found.n_layers,
            "n_voxels": found.n_voxels,
            "not_simulatable_because": why_not_simulatable(found),
            "material": None if budget is None else budget.to_dict(),
        }
        typer.echo(json.dumps(shown, indent=1))
    else:
        _print(found, budget)
    if missing:
        typer.secho(missing, fg=typer.colors.YELLOW, err=True)
    if output is not None:
        typer.echo(f"wrote {output}", err=True)


def _print(geometry: "Geometry", budget: "MaterialBudget | None") -> None:
    from rich.console import Console
    from rich.text import Text

    from caloforge.simulation import why_not_simulatable

    console = Console(highlight=False)
    layers, voxels = _count(geometry.n_layers, "layer"), _count(geometry.n_voxels, "voxel")
    console.print(Text(f"{geometry.name}: {layers}, {voxels}", style="bold"))
    if geometry.source:
        console.print(Text(geometry.source))
    if geometry.stack is not None:
        console.print(_overview(geometry.stack, budget))
        console.print(_sections(geometry.stack, budget))
        if budget is not None:
            console.print(_materials(budget))
    else:
        console.print()
    console.print(_voxels(geometry, budget))
    if why := why_not_simulatable(geometry):
        console.print(Text(f"Cannot be simulated: {why}."))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _table(title: str) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        title_style="italic",
        expand=False,
    )


def _overview(stack: "Stack", budget: "MaterialBudget | None") -> "Table":
    from rich.text import Text

    from caloforge.geometry import Box

    outline = stack.outline
    if isinstance(outline, Box):
        across = f"box, {outline.width_x:g} x {outline.width_y:g} mm"
    else:
        across = f"cylinder, radius {outline.radius:g} mm"
    rows = {"outline": across, "depth": f"{stack.depth:g} mm"}
    if budget is not None:
        rows["depth"] += f" = {budget.radiation_lengths:.2f} X0 = {budget.interaction_lengths:.3f} lambda"
        if (fraction := budget.mip_sampling_fraction) is not None:
            rows["sampling fraction"] = f"{100 * fraction:.2f} % of a minimum-ionising particle's energy loss"
        rows["Moliere radius"] = f"{budget.moliere_radius:.1f} mm"
        rows["mean density"] = f"{budget.density:.3g} g/cm3"
    rows["deposits"] = {"all": "in all slabs", "active": "in active slabs only"}[stack.deposits]
    if stack.sampling_fraction != 1:
        rows["deposits"] += f", divided by {stack.sampling_fraction:g}"
    table = _table("")
    table.show_header, table.title = False, None
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def _sections(stack: "Stack", budget: "MaterialBudget | None") -> "Table":
    """Slabs front to back, a section's sum above them."""
    from rich.text import Text

    table = _table("Stack, front to back (* active)")
    table.add_column("")
    for name in ("mm", "X0", "lambda"):
        table.add_column(name, justify="right", no_wrap=True)
    for k, section in enumerate(stack.sections):
        depths = [f"{section.depth:g}", "", ""]
        if budget is not None:
            total = budget.sections[k]
            depths[1:] = [f"{total.radiation_lengths:.3f}", f"{total.interaction_lengths:.4f}"]
        repeat = f"{section.repeat} x {section.depth / section.repeat:g} mm" if section.repeat > 1 else "once"
        table.add_row(repeat, *depths, style="bold")
        for slab in section.slabs:
            depths = [f"{slab.thickness:g}", "", ""]
            if budget is not None:
                facts = budget.materials[slab.material]
                depths[1:] = [
                    f"{slab.thickness / facts.radiation_length:.3g}",
                    f"{slab.thickness / facts.interaction_length:.3g}",
                ]
            table.add_row(Text(f"   {slab.material}{' *' * slab.active}"), *depths)
    return table


def _materials(budget: "MaterialBudget") -> "Table":
    from rich.text import Text

    table = _table("Materials")
    table.add_column("")
    for name in ("g/cm3", "X0 [mm]", "lambda [mm]", "min. dE/dx [MeV/mm]"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for facts in budget.materials.values():
        loss = facts.min_energy_loss * facts.density / 10
        numbers = (facts.density, facts.radiation_length, facts.interaction_length, loss)
        table.add_row(Text(facts.name), *(f"{number:.4g}" for number in numbers))
    return table


def _voxels(geometry: "Geometry", budget: "MaterialBudget | None") -> "Table":
    """One line for each run of layers with equal grids and thicknesses."""
    from rich.text import Text

    placed = any(layer.z_min is not None for layer in geometry.layers)
    table = _table("Voxels, per layer (mm)")
    table.add_column("layer", no_wrap=True)
    table.add_column("grid")
    columns = ["voxels", *(["z"] if placed else []), *(["X0"] if placed and budget else [])]
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for first, last in _runs(geometry):
        front, back = geometry.layers[first], geometry.layers[last]
        name = front.name if first == last else f"{front.name}..{back.name}"
        z, depth = "-", "-"
        if front.z_min is not None and front.z_max is not None and back.z_max is not None:
            z = _range(front.z_min, front.z_max, back.z_max, "g")
            if budget is not None:
                at = budget.radiation_lengths_at
                depth = _range(at(front.z_min), at(front.z_max), at(back.z_max), ".2f")
        cells = {"voxels": str(front.n_voxels), "z": z, "X0": depth}
        table.add_row(Text(name), _grid(front.grid), *(cells[column] for column in columns))
    return table


def _runs(geometry: "Geometry") -> "Iterator[tuple[int, int]]":
    """Number of the first and the last layer of each run."""
    first = 0
    for k in range(1, geometry.n_layers + 1):
        if k == geometry.n_layers or not _alike(geometry, k - 1, k):
            yield first, k - 1
            first = k


def _alike(geometry: "Geometry", k: int, following: int) -> bool:
    a, b = geometry.layers[k], geometry.layers[following]
    if a.z_min is None or a.z_max is None or b.z_min is None or b.z_max is None:
        return a.grid == b.grid and a.z_min is None and b.z_min is None
    touching = abs(a.z_max - b.z_min) < 1e-6
    return a.grid == b.grid and touching and abs((a.z_max - a.z_min) - (b.z_max - b.z_min)) < 1e-6


def _range(front: float, next_front: float, back: float, form: str) -> str:
    """From front to back, with the step where there is more than one."""
    whole = f"{front:{form if front else 'g'}}..{back:{form}}"
    return whole if next_front == back else f"{whole} by {round(next_front - front, 6):{form}}"


def _grid(grid: "Grid") -> str:
    from caloforge.geometry import CartesianGrid

    if isinstance(grid, CartesianGrid):
        extents = list(dict.fromkeys(_extent(edges) for edges in (grid.x_edges, grid.y_edges)))
        return f"{grid.shape[0]} x {grid.shape[1]} in {', '.join(extents)}"
    n_alpha, n_r = grid.shape
    low, high = grid.r_edges[0], grid.r_edges[-1]
    return f"{n_r} r in {low:g}..{high:g}, {n_alpha} alpha" if low else f"{n_r} r < {high:g}, {n_alpha} alpha"


def _extent(edges: tuple[float, ...]) -> str:
    low, high = edges[0], edges[-1]
    return f"±{high:g}" if low == -high else f"{low:g}..{high:g}"
