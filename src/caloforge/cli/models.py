"""``caloforge models``: recipes and shipped weights."""

from typing import Annotated, Any

import typer

__all__ = ["models"]


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List the recipes with their sizes, and the weights that come with the package."""
    import json

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from caloforge.io.physics import Physics
    from caloforge.models.zoo import weights_facts
    from caloforge.recipes import recipe_facts
    from caloforge.units import GeV

    recipes, weights = recipe_facts(), weights_facts()
    if as_json:
        typer.echo(json.dumps({"recipes": recipes, "weights": weights}, indent=1))
        return
    console = Console()
    console.print(
        "Recipes: caloforge train MODEL --preset RECIPE\n"
        "of students: caloforge distill TEACHER --preset RECIPE"
    )
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("recipe", "model", "made for", "parameters per stage"):
        table.add_column(column, no_wrap=True)
    for name, recipe in recipes.items():
        sizes = " + ".join(f"{count:,}" for count in recipe["parameters"].values())
        table.add_row(name, recipe["family"], recipe["geometry"], sizes)
    console.print(table)
    for name, recipe in recipes.items():
        console.print(f"{name}: {recipe['summary']}", highlight=False)
    if not weights:
        console.print("\nNo weights come with this build.")
        return
    console.print("\nWeights in the package: caloforge generate NAME")
    table = Table(box=SIMPLE, padding=0)
    for column in ("name", "physics"):
        table.add_column(column, no_wrap=True)
    for column in ("GeV", *_TESTS.values()):
        table.add_column(column, justify="right", no_wrap=True)
    for name, facts in weights.items():
        energies = "{:.2g}-{:.3g}".format(*(e / GeV for e in facts["e_inc_range"]))
        fidelity = facts.get("fidelity", {})
        measured = [_auc(fidelity, inputs) for inputs in _TESTS]
        physics = Physics.of(facts).physics_list or "unknown"
        table.add_row(name, physics, energies, *measured)
    console.print(table)
    console.print(_LEGEND, highlight=False)


_TESTS = {"log-voxels": "images", "trees": "trees"}
_LEGEND = (
    "Physics list of the Geant4 showers they learned; compare with the same, e.g.\n"
    "caloforge simulate --physics em. In full: caloforge info NAME.\n"
    "AUC of classifier tests on Geant4 showers the weights never saw; 0.5 is\n"
    "perfect. Images: a convolutional network. Trees: boosted, on all features.\n"
    "Empty: not measured yet. All figures: caloforge models --json."
)


def _auc(fidelity: dict[str, Any], inputs: str) -> str:
    """Mean and spread of an AUC, or nothing where it was not measured."""
    value = fidelity.get("auc", {}).get(inputs)
    return f"{value['mean']:.3f} ± {value['std']:.3f}" if value else ""
