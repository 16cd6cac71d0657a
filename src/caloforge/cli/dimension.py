"""``caloforge dimension``: on a manifold of how many dimensions showers lie."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from caloforge.evaluation import DimensionStudy, RegionDimension

__all__ = ["dimension"]

_FILES = ("dimension.json", "dimension.png")
_NAMED = 3  # slices and layers that a note names; it counts the others


def dimension(
    file: Annotated[Path, typer.Argument(help="HDF5 file of showers.")],
    *,
    k: Annotated[str, typer.Option(help="Numbers of neighbours, e.g. 5,10,20.")] = "5,10,20,50",
    slices: Annotated[int, typer.Option(min=0, help="Slices of the incident energy.")] = 5,
    space: Annotated[
        str, typer.Option(help="What distances are measured in: normalised, log or energy.")
    ] = "normalised",
    threshold: Annotated[
        float, typer.Option(min=0, metavar="MEV", help="Softer voxels count as empty.")
    ] = 1e-3,
    max_showers: Annotated[
        int | None,
        typer.Option(min=1, help="Showers to draw from the file; by default 100000, fewer of many voxels."),
    ] = None,
    queries: Annotated[
        int, typer.Option(min=1, help="Showers whose neighbourhood is measured, at most.")
    ] = 10_000,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder for JSON and plot.")
    ] = None,
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    start: Annotated[int, typer.Option(min=0, help="First shower to use.")] = 0,
    stop: Annotated[int | None, typer.Option(min=0, help="Shower to stop before.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of draws.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
) -> None:
    """Estimate the intrinsic dimension of showers: all, by incident energy, by layer."""
    import json

    from rich.console import Console

    from caloforge import io
    from caloforge.evaluation import dimension_study, drawn_showers
    from caloforge.files import atomic_path, check_output

    ks = _neighbours(k)
    if output is not None:
        _make_folder(output)
        for name in _FILES:
            check_output(output / name, overwrite=overwrite)
    n_showers = len(io.read_energies(file, start=start, stop=stop))
    chunks = io.read_chunks(file, geometry=geometry, start=start, stop=stop)
    showers = drawn_showers(chunks, n_showers, max_showers=max_showers, seed=seed)
    study = dimension_study(
        showers,
        ks=ks,
        n_slices=slices,
        space=space,  # type: ignore[arg-type]  # checked there
        threshold=threshold,
        max_queries=queries,
        seed=seed,
    )
    console = Console(highlight=False, soft_wrap=True)
    drawn = "" if len(showers) == n_showers else f", drawn from {n_showers:,}"
    console.print(f"{len(showers):,} showers{drawn}; distance in space {study.space!r}")
    console.print(_table(study))
    for line in _notes(study):
        console.print(line, markup=False)
    if output is not None:
        from caloforge.plotting.dimension import draw_dimension
        from caloforge.plotting.style import save_figure

        facts = {"file": file.name, "start": start, "showers_in_range": n_showers, "seed": seed}
        with atomic_path(output / _FILES[0]) as part:
            part.write_text(json.dumps(facts | study.to_dict(), indent=1))
        save_figure(draw_dimension(study), output / _FILES[1])
        console.print(f"Written: {output / _FILES[0]}, {output / _FILES[1]}", markup=False)


def _neighbours(text: str) -> list[int]:
    from caloforge.errors import ConfigError

    try:
        ks = sorted({int(part) for part in text.split(",")})
    except ValueError as err:
        raise ConfigError(f"--k {text!r} is no list of whole numbers such as 5,10,20.") from err
    if ks[0] < 2:
        raise ConfigError(f"--k {text!r}: 2 neighbours are the fewest.")
    return ks


def _make_folder(folder: Path) -> None:
    from caloforge.errors import OutputError
    from caloforge.files import explain_os_error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as err:
        raise OutputError(folder, "exists and is no folder; choose another name.") from err
    except OSError as err:
        raise explain_os_error(folder, err) from err


def _table(study: "DimensionStudy") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("showers", no_wrap=True)
    table.add_column("number", justify="right")
    for number in study.ks:
        table.add_column(f"k = {number}", justify="right", no_wrap=True)
    for region in (study.whole, *study.slices, *study.layers):
        found = [f"{e.dimension:.1f} ± {e.error:.1f}" for e in region.estimates]
        table.add_row(_where(region, study), f"{region.n_showers:,}", *(found or ["-"] * len(study.ks)))
    return table


def _notes(study: "DimensionStudy") -> list[str]:
    """What to beware of, in words."""
    notes = []
    whole = study.whole
    if whole.estimates:
        middle = min(whole.estimates, key=lambda e: abs(e.k - 10))
        notes.append(
            f"With half of the showers {middle.half:.1f} instead of {middle.dimension:.1f} (k = {middle.k})."
        )
    if whole.n_constant:
        notes.append(
            f"{whole.n_constant} of {whole.n_voxels} voxels are the same in all showers and were left out."
        )
    regions = (whole, *study.slices, *study.layers)
    layers, everywhere = f"{len(study.layers)} layers", f"{len(regions)} rows"
    empty = [(r, r.n_empty) for r in study.layers if r.n_empty]
    notes += _summary(empty, study, layers, "showers without energy were left out.")
    twins = [(r, r.estimates[0].n_twins) for r in regions if r.estimates and r.estimates[0].n_twins]
    notes += _summary(twins, study, everywhere, "showers equal another one and count once.")
    missing = [(r, r.n_different) for r in regions if not r.estimates]
    equal = [(r, r.n_showers) for r, n in missing if n == 1 < r.n_showers]
    notes += _summary(equal, study, everywhere, "showers are all equal: 0 dimensions.")
    few = [(r, n) for r, n in missing if not n == 1 < r.n_showers]
    largest = max(study.ks)
    text = (
        f"different showers are too few for k = {largest} neighbours; at least {largest + 1} are needed, thousands "
        "for a dimension to mean anything."
    )
    return notes + _summary(few, study, everywhere, text)


def _summary(
    found: "list[tuple[RegionDimension, int]]", study: "DimensionStudy", of: str, text: str
) -> list[str]:
    """One line for all regions that have the same to say: which one, or how many and the range of their numbers."""
    if not found:
        return []
    numbers = sorted(number for _, number in found)
    if len(found) == 1:
        return [f"{_where(found[0][0], study)}: {numbers[0]} {text}"]
    span = f"{numbers[0]}" if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"
    names = [_where(region, study) for region, _ in found[:_NAMED]]
    more = "" if len(found) <= _NAMED else f" and {len(found) - _NAMED} more"
    return [f"{len(found)} of {of} ({', '.join(names)}{more}): {span} {text}"]


def _where(region: "RegionDimension", study: "DimensionStudy") -> str:
    """The region as the table calls it."""
    from caloforge.units import GeV

    if region is study.whole:
        return "all"
    if region.layer is not None:
        return f"layer {region.layer}"
    return f"{region.low / GeV:.3g}-{region.high / GeV:.3g} GeV"
