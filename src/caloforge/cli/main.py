"""Entry point: collects the commands and turns our errors into one line and exit code 2."""

import sys
import warnings
from typing import Annotated, TextIO

import typer

from caloforge import __version__
from caloforge.cli.convert import convert
from caloforge.cli.generate import generate
from caloforge.cli.info import info
from caloforge.cli.models import models
from caloforge.cli.train import train
from caloforge.errors import CaloForgeError

__all__ = ["app", "main"]

app = typer.Typer(
    name="caloforge",
    help="Calorimeter showers: train a generative model on Geant4, generate, check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's callback signature
    if value:
        typer.echo(f"caloforge {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Calorimeter showers: train a generative model on Geant4, generate, check."""


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)


def main() -> None:
    """Run the command line; the ``caloforge`` script."""
    warnings.showwarning = _show_warning
    try:
        app()
    except CaloForgeError as err:
        typer.secho(f"error: {err}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("interrupted", err=True)
        sys.exit(130)


for _command in (info, convert, train, generate, models):
    app.command()(_command)


if __name__ == "__main__":
    main()
