"""``caloforge compare``: several reports of ``caloforge evaluate`` side by side."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT...", help="Folders of reports, or their report.json.")
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Folder to write.")],
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name of a report, once for each, in their order; by default their folders'."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
) -> None:
    """Put several reports side by side: one table, overlaid histograms, one page."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from caloforge.report import compare_reports

    found = compare_reports(reports, output, names=name or None, overwrite=overwrite)
    table = Table("", box=SIMPLE)
    for row in found["rows"]:
        table.add_column(Text(row["name"]), justify="right")
    for column in found["columns"]:
        texts = [row["values"].get(column, {}).get("text", "-") for row in found["rows"]]
        table.add_row(Text(column), *map(Text, texts))
    console = Console(highlight=False)
    console.print(table)
    for note in found["notes"]:
        console.print(note, markup=False)
    console.print(
        f"Written: {output / 'report.html'}, {output / 'report.json'}", markup=False, soft_wrap=True
    )
