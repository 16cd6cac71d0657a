"""``caloforge train``: a model from a file of showers."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from caloforge.training import TrainingEvent

__all__ = ["train"]

_DRAW_SECONDS = 30.0  # between plots of the losses while training


def train(
    family: Annotated[str, typer.Argument(metavar="MODEL", help="Model family, e.g. caloflow.")],
    *,
    data: Annotated[Path, typer.Option(help="HDF5 file of Geant4 showers, in any layout.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run.")],
    preset: Annotated[
        str | None,
        typer.Option(help="Recipe (see `caloforge models`) or a TOML file; by default MODEL-small."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, e.g. training.shape.epochs=20."),
    ] = None,
    geometry: Annotated[
        str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
    ] = None,
    start: Annotated[int, typer.Option(help="First shower to use, counted from 0.")] = 0,
    stop: Annotated[int | None, typer.Option(help="Shower to stop before; keep the rest for tests.")] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes split, initial weights, order and noise.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    save_every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Time between saves within an epoch.")
    ] = 300.0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train a model on showers; RUN receives weights, metrics and a plot of the losses.

    Several processes: torchrun --nproc-per-node 2 -m caloforge train ...
    """
    from rich.console import Console

    from caloforge import io
    from caloforge.devices import check_device
    from caloforge.errors import ConfigError, NonFiniteError, UnknownNameError
    from caloforge.models import FAMILIES
    from caloforge.plotting.losses import plot_losses
    from caloforge.recipes import load_recipe
    from caloforge.training import BEST, METRICS, DataFacts, RunConfig, check_folder, start_or_resume
    from caloforge.training.parallel import Processes, own_device

    is_main = Processes.from_environment().is_main
    console = Console(stderr=True, quiet=not is_main, highlight=False, soft_wrap=True)
    if family not in FAMILIES:
        raise UnknownNameError("model family", family, FAMILIES)
    recipe = preset or f"{family}-small"
    config = RunConfig.from_dict(load_recipe(recipe), settings or [])
    if config.family != family:
        raise ConfigError(f"Recipe {recipe!r} is for the family {config.family!r}, not for {family!r}.")
    if seed is not None:
        config = config.with_seed(seed)
    if is_main:
        check_folder(output, resume=resume)
    found = check_device(own_device(device))
    showers = io.read(data, geometry=geometry, start=start, stop=stop)
    facts = DataFacts.of(showers, file=data.name, start=start)
    console.print(f"{len(showers):,} showers of {showers.geometry.describe()} from {data}")
    display = _Display(console, output if is_main else None)
    try:
        with display.bar:
            start_or_resume(
                output,
                config,
                showers,
                facts,
                recipe=recipe,
                resume=resume,
                device=found,
                save_seconds=save_every,
                on_event=display.show,
            )
    except (NonFiniteError, KeyboardInterrupt):
        if is_main and display.n_records:  # what was trained so far is worth a look
            plot_losses(output / METRICS, output / "loss.png")
        raise
    if is_main:
        plot_losses(output / METRICS, output / "loss.png")
        run = shlex.quote(str(output))
        typer.echo(
            f"{output / BEST}: use it with caloforge generate {run} -n 1000 --energies 50 -o showers.h5"
        )


class _Display:
    """A bar per stage with the losses and the time to go; a line per epoch where there is no terminal.

    Now and then it draws the losses into the run's folder, if one is given, so that a killed run has a plot.
    """

    def __init__(self, console: "Console", folder: Path | None = None) -> None:  # type: ignore[name-defined]
        from caloforge.cli.progress import progress_bar

        self.console, self.bar = console, progress_bar(console)
        self.n_records = 0
        """Epochs seen."""
        self._folder, self._drawn = folder, time.monotonic()
        self._tasks: dict[str, int] = {}
        self._validation = ""

    def show(self, event: "TrainingEvent") -> None:
        """Update the bar; after an epoch, note the validation loss."""
        if event.stage not in self._tasks:
            total = event.n_epochs * event.per_epoch
            self._tasks[event.stage] = self.bar.add_task(f"stage {event.stage}", total=total, note="")
            self._validation = ""
        if event.record is not None:
            self.n_records += 1
            self._draw()
            best = " (best)" if event.is_best else ""
            self._validation = f", val {event.record.validation_loss:.4g}"
            if not self.console.is_terminal:
                self.console.print(
                    f"stage {event.stage} epoch {event.epoch}/{event.n_epochs}: training {event.train_loss:.4f}"
                    f" validation {event.record.validation_loss:.4f}{best}, {event.record.seconds:.1f} s"
                )
        done = event.epoch * event.per_epoch + event.iteration
        note = f"{event.loss_name} {event.train_loss:.4g}{self._validation}"
        self.bar.update(self._tasks[event.stage], completed=done, note=note)  # type: ignore[arg-type]

    def _draw(self) -> None:
        if self._folder is not None and time.monotonic() - self._drawn >= _DRAW_SECONDS:
            from caloforge.plotting.losses import plot_losses
            from caloforge.training import METRICS

            plot_losses(self._folder / METRICS, self._folder / "loss.png")
            self._drawn = time.monotonic()
