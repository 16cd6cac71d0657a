"""``caloforge demo``: showers from the shipped weights beside Geant4, in a table and two pictures."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from caloforge.evaluation import FeatureComparison, Moments

__all__ = ["demo"]

_N_BINS = 20  # the reference has a few hundred showers
_IN_TABLE = ("e_ratio", "e_layer_", "shower_depth", "n_hits", "sparsity_", "width_y_")


def demo(
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")] = Path(
        "demo"
    ),
    n_showers: Annotated[int, typer.Option("-n", "--showers", min=1, help="Showers to generate.")] = 1000,
    model: Annotated[
        str, typer.Option(help="Shipped weights, a weights file, or the folder of a run.")
    ] = "caloflow-eplus",
    reference: Annotated[
        str | None,
        typer.Option(help="Shipped Geant4 showers: eplus, gamma or piplus; by default the model's particle."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Shower i depends on the seed and i alone.")] = 1,
) -> None:
    """Generate showers, compare them with Geant4 showers the shipped weights never saw, draw both."""
    from time import perf_counter

    from rich.console import Console

    from caloforge import io
    from caloforge.evaluation import (
        REFERENCE_E_INC,
        average_shower,
        compare,
        reference_sample,
        sample_of_particle,
    )
    from caloforge.files import explain_os_error
    from caloforge.generation import Spectrum, load_model
    from caloforge.plotting.average_showers import plot_average_showers
    from caloforge.plotting.comparison import plot_comparison

    console = Console(highlight=False, soft_wrap=True)
    generator = load_model(model)
    geant4 = reference_sample(reference or sample_of_particle(generator.header.provenance.get("particle")))
    geant4.geometry.require_same_voxels(
        generator.geometry, mine="The reference sample", theirs=f"model {model}"
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise explain_os_error(output, err) from err

    # The extreme energies of a training sample lie a little inside the limits they were drawn from.
    low, high = generator.e_inc_range
    spectrum = Spectrum(low=max(low, REFERENCE_E_INC[0]), high=min(high, REFERENCE_E_INC[1]))
    console.print(f"Generating {n_showers:,} showers with {model} ...")
    begin = perf_counter()
    showers = generator.sample(spectrum.e_inc(seed, 0, n_showers), seed=seed)
    seconds = perf_counter() - begin

    io.write(showers, output / "showers.h5", overwrite=True)
    rows = compare(showers, geant4, n_bins=_N_BINS)
    plot_comparison(rows, output / "comparison.png")
    plot_average_showers(average_shower(showers), average_shower(geant4), output / "average_showers.png")

    console.print(_table(rows, n_generated=len(showers), n_reference=len(geant4)), soft_wrap=False)
    console.print(
        f"{1e3 * seconds / n_showers:.3g} ms per shower: {n_showers:,} in {seconds:.2f} s on one CPU thread, "
        "from energies to voxels in memory; loading the model is not counted.\n"
        "Geant4 took 1772 ms per shower in this calorimeter on one core (CaloGAN, arXiv:1712.10321).\n"
    )
    console.print(
        f"Written: {output / 'showers.h5'}, {output / 'comparison.png'}, {output / 'average_showers.png'}\n"
        "Next:\n"
        f"  caloforge info {output / 'showers.h5'}\n"
        f"  caloforge generate {model} -n 100000 --energies 10:90 -o many.h5\n"
        "  caloforge train caloflow --data YOUR_GEANT4.h5 -o runs/mine\n"
        "  caloforge demo --model runs/mine",
        markup=False,
    )


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
