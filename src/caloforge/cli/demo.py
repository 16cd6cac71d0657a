"""``caloforge demo``: showers from the shipped weights beside Geant4, in a table and two pictures."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from caloforge.evaluation import FeatureComparison, Moments
    from caloforge.generation import ShowerGenerator
    from caloforge.showers import Showers

__all__ = ["demo"]

_N_BINS = 20  # the reference has a few hundred showers
_LEAST_REFERENCE = 50  # fewer say next to nothing
_MADE_BY = "caloforge demo"
_IN_TABLE = ("e_ratio", "e_layer_", "shower_depth", "n_hits", "sparsity_", "width_y_")


def demo(
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")] = Path(
        "demo"
    ),
    n_showers: Annotated[int, typer.Option("-n", "--showers", min=1, help="Showers to generate.")] = 1000,
    model: Annotated[
        str, typer.Option(help="Shipped weights, a weights file, or the folder of a run.")
    ] = "groupwise-eplus",
    reference: Annotated[
        str | None,
        typer.Option(help="Shipped Geant4 showers: eplus, gamma or piplus; by default the model's particle."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Shower i depends on the seed and i alone.")] = 1,
) -> None:
    """Generate showers, compare them with Geant4 showers the shipped weights never saw, draw both."""
    from rich.console import Console

    from caloforge import io
    from caloforge.evaluation import average_shower, compare, physics_difference
    from caloforge.generation import load_model
    from caloforge.io.physics import Physics
    from caloforge.plotting import plot_average_showers, plot_comparison
    from caloforge.units import GeV

    console = Console(highlight=False, soft_wrap=True)
    generator = load_model(model)
    name, geant4, e_inc_range = _reference(generator, reference, model=model)
    showers_file, *figures = _claim(output)

    low, high = (f"{e / GeV:.4g}" for e in e_inc_range)
    console.print(
        f"Generating {n_showers:,} showers of {low} to {high} GeV with {model}, to compare with "
        f"{len(geant4)} of Geant4 ({name}: {Physics.of(geant4.provenance).describe()}) ...",
        markup=False,
    )
    if difference := physics_difference(generator.header.provenance, geant4.provenance):
        console.print(difference.message, markup=False)
    showers, seconds = _generate(generator, n_showers, e_inc_range, seed=seed)
    io.write(showers, showers_file, overwrite=True)
    rows = compare(showers, geant4, n_bins=_N_BINS)
    plot_comparison(rows, figures[0])
    plot_average_showers(average_shower(showers), average_shower(geant4), figures[1])

    console.print(_table(rows, n_generated=len(showers), n_reference=len(geant4)), soft_wrap=False)
    console.print(
        f"{1e3 * seconds / n_showers:.3g} ms per shower: {n_showers:,} in {seconds:.2f} s on one CPU thread, "
        "from energies to voxels in memory; loading the model is not counted.\n"
        "Geant4 took 1772 ms per shower in this calorimeter on one core (CaloGAN, arXiv:1712.10321).\n"
    )
    console.print(
        f"Written: {', '.join(map(str, (showers_file, *figures)))}\n"
        "Next:\n"
        f"  caloforge info {showers_file}\n"
        f"  caloforge generate {model} -n 100000 --energies 10:90 -o many.h5\n"
        f"  caloforge train {generator.header.family} --data YOUR_GEANT4.h5 -o runs/mine\n"
        "  caloforge demo --model runs/mine",
        markup=False,
    )


def _reference(
    generator: "ShowerGenerator", name: str | None, *, model: str
) -> tuple[str, "Showers", tuple[float, float]]:
    """The Geant4 showers in the energy range of model and reference, their name, and that range, MeV."""
    from caloforge.errors import EnergyRangeError
    from caloforge.evaluation import REFERENCE_E_INC, reference_sample, sample_of_particle
    from caloforge.units import GeV

    name = name or sample_of_particle(generator.header.provenance.get("particle"))
    geant4 = reference_sample(name)
    geant4.geometry.require_same_voxels(
        generator.geometry, mine="The reference sample", theirs=f"model {model}"
    )
    # The extreme energies of a training sample lie a little inside the limits they were drawn from.
    trained = generator.e_inc_range
    low, high = max(trained[0], REFERENCE_E_INC[0]), min(trained[1], REFERENCE_E_INC[1])
    inside = geant4[(geant4.e_inc >= low) & (geant4.e_inc <= high)]
    if len(inside) < _LEAST_REFERENCE:
        raise EnergyRangeError(
            f"Model {model} was trained on {trained[0] / GeV:.4g} to {trained[1] / GeV:.4g} GeV, where the "
            f"reference {name} has {len(inside)} of its {len(geant4)} showers; at least {_LEAST_REFERENCE} are "
            "needed to compare."
        )
    return name, inside, (low, high)


def _claim(folder: Path) -> tuple[Path, Path, Path]:
    """The files to write; those that are there already must be of an earlier demo."""
    from caloforge import io
    from caloforge.errors import FileFormatError, GeometryMismatchError, OutputError
    from caloforge.files import explain_os_error

    files = (folder / "showers.h5", folder / "comparison.png", folder / "average_showers.png")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise explain_os_error(folder, err) from err
    try:
        ours = io.read(files[0], stop=0).provenance.get("made_by") == _MADE_BY
    except (FileFormatError, GeometryMismatchError):
        ours = False
    if not ours and (there := [file for file in files if file.exists()]):
        raise OutputError(
            there[0], "exists already and is not of an earlier demo; choose another folder: -o DIR."
        )
    return files


def _generate(
    generator: "ShowerGenerator", n_showers: int, e_inc_range: tuple[float, float], *, seed: int
) -> tuple["Showers", float]:
    """Showers of a flat spectrum, marked as the demo's, and the seconds they took."""
    from dataclasses import replace
    from time import perf_counter

    from caloforge.generation import Spectrum

    low, high = e_inc_range
    begin = perf_counter()
    showers = generator.sample(Spectrum(low=low, high=high).e_inc(seed, 0, n_showers), seed=seed)
    seconds = perf_counter() - begin
    return replace(showers, provenance={**showers.provenance, "made_by": _MADE_BY}), seconds


def _table(rows: Sequence["FeatureComparison"], *, n_generated: int, n_reference: int) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title=f"{n_generated:,} generated and {n_reference:,} Geant4 showers, mean ± its standard error",
        caption="S: separation power of the histograms, 0 equal, 1 no overlap, * larger than in\n"
        "95 % of pairs of samples of these sizes that have one and the same shape.",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("feature", no_wrap=True)
    for column in ("Geant4", "generated", "S", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        if row.name.startswith(_IN_TABLE):
            table.add_row(
                f"{row.name}, {row.unit}" if row.unit else row.name,
                _mean(row.reference),
                _mean(row.generated),
                f"{row.separation:.3f}{'*' if row.separation > row.floor_95 else ' '}",
                f"{row.floor_95:.3f}",
            )
    return table


def _mean(moments: "Moments") -> str:
    """A mean to two digits of its error."""
    if not moments.mean_error > 0:
        return f"{moments.mean:.4g}"
    digits = max(0, 1 - math.floor(math.log10(moments.mean_error)))
    return f"{moments.mean:.{digits}f} ± {moments.mean_error:.{digits}f}"
