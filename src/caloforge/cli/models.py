"""``caloforge models``: recipes and shipped weights."""

from typing import Annotated

import typer

__all__ = ["models"]


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List the recipes with their sizes, and the weights that come with the package."""
    import json

    from rich.console import Console
    from rich.table import Table

    from caloforge.models.zoo import weights_facts
    from caloforge.recipes import recipe_facts

    recipes, weights = recipe_facts(), weights_facts()
    if as_json:
        typer.echo(json.dumps({"recipes": recipes, "weights": weights}, indent=1))
        return
    console = Console()
    table = Table(title="Recipes: caloforge train MODEL --preset RECIPE", title_justify="left")
    for column in ("recipe", "model", "made for", "parameters", "what"):
        table.add_column(column, overflow="fold")
    for name, recipe in recipes.items():
        sizes = "\n".join(f"{stage} {count:,}" for stage, count in recipe["parameters"].items())
        table.add_row(name, recipe["family"], recipe["geometry"], sizes, recipe["summary"])
    console.print(table)
    table = Table(title="Weights in the package: caloforge generate NAME", title_justify="left")
    for column in (
        "name",
        "particle",
        "calorimeter",
        "GeV",
        "MB",
        "trained on",
        "fidelity (held-out Geant4)",
    ):
        table.add_column(column, overflow="fold")
    for name, facts in weights.items():
        energies = "{:.3g}-{:.4g}".format(*(e / 1000 for e in facts["e_inc_range"]))
        fidelity = "\n".join(f"{key} {value}" for key, value in facts.get("fidelity", {}).items())
        table.add_row(
            name,
            str(facts.get("particle") or ""),
            facts["geometry"],
            energies,
            f"{facts['bytes'] / 1e6:.1f}",
            str(facts.get("trained_on", "")),
            fidelity,
        )
    console.print(table if weights else "No weights come with this build.")
