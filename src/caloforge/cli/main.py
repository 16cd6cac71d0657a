"""Entry point: collects the commands and turns our errors into one line and exit code 2."""

import sys
import warnings
from typing import Annotated, Any, TextIO

import typer

from caloforge import __version__
from caloforge.cli.benchmark import benchmark
from caloforge.cli.compare import compare
from caloforge.cli.convert import convert
from caloforge.cli.demo import demo
from caloforge.cli.dimension import dimension
from caloforge.cli.distill import distill
from caloforge.cli.evaluate import evaluate
from caloforge.cli.generate import generate
from caloforge.cli.geometry import geometry_app
from caloforge.cli.info import info
from caloforge.cli.models import models
from caloforge.cli.simulate import simulate
from caloforge.cli.train import train
from caloforge.errors import CaloForgeError

__all__ = ["app", "main"]

_INTERRUPTED = 130  # as shells count: 128 + SIGINT

app = typer.Typer(
    name="caloforge",
    help="Calorimeter showers: simulate with Geant4, train a generative model, generate, check.",
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
    """Calorimeter showers: simulate with Geant4, train a generative model, generate, check."""


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)


# Bad options and arguments. Newer typers carry their own click, so its exceptions are reached through typer.
_UsageError: Any = typer.BadParameter.__bases__[0]


def _explain(err: OSError | MemoryError) -> str:
    """What the operating system says, in one line, with the file if it names one."""
    reason = " ".join((getattr(err, "strerror", None) or str(err)).split())
    if isinstance(err, MemoryError):
        return f"not enough memory: {reason}" if reason else "not enough memory."
    where = "" if err.filename is None else f"{err.filename}: "
    return f"{where}{reason or type(err).__name__}."


def main() -> None:
    """Run the command line; the ``caloforge`` script."""
    warnings.showwarning = _show_warning
    try:
        status = app(standalone_mode=False)
    except (CaloForgeError, _UsageError) as err:
        # A call without arguments is a usage error too; its text is the help, which has been shown.
        if text := err.format_message() if isinstance(err, _UsageError) else str(err):
            typer.secho(f"error: {' '.join(text.split())}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except (OSError, MemoryError) as err:  # the last resort: most are turned into ours where they happen
        typer.secho(f"error: {_explain(err)}", fg=typer.colors.RED, err=True)
        sys.exit(2)
    except typer.Abort:
        status = _INTERRUPTED
    if status == _INTERRUPTED:
        typer.secho("interrupted", err=True)
    sys.exit(status)


for _command in (
    demo,
    simulate,
    info,
    convert,
    train,
    distill,
    generate,
    evaluate,
    compare,
    dimension,
    benchmark,
    models,
):
    app.command()(_command)
app.add_typer(geometry_app, name="geometry")


if __name__ == "__main__":
    main()
