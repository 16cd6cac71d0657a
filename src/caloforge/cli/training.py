"""What the commands that train share: showers in, a run out, and what is shown meanwhile."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from caloforge.training import RunConfig, Teacher, TrainingEvent

__all__ = [
    "SAVE_EVERY",
    "DeviceOption",
    "GeometryOption",
    "ResumeOption",
    "RunOption",
    "SaveEveryOption",
    "SeedOption",
    "StartOption",
    "StopOption",
    "set_option",
    "train_into",
]

RunOption = Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run.")]
GeometryOption = Annotated[
    str | None, typer.Option(help="Name in the catalogue, or a TOML or XML file; by default found out.")
]
StartOption = Annotated[int, typer.Option(help="First shower to use, counted from 0.")]
StopOption = Annotated[int | None, typer.Option(help="Shower to stop before; keep the rest for tests.")]
SeedOption = Annotated[int | None, typer.Option(help="Fixes split, initial weights, order and noise.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")]
SaveEveryOption = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="Time between saves within an epoch.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
SAVE_EVERY: Final = 300.0


def set_option(example: str) -> Any:
    """The option ``--set``, with an example that the command knows."""
    return typer.Option("--set", metavar="KEY=VALUE", help=f"Change one setting, e.g. {example}.")


_DRAW_SECONDS = 30.0  # between plots of the losses while training


def train_into(
    output: Path,
    config: "RunConfig",
    *,
    recipe: str,
    teacher: "Teacher | None" = None,
    data: Path,
    geometry: str | None,
    start: int,
    stop: int | None,
    device: str,
    save_every: float,
    resume: bool,
) -> None:
    """Train, or distil from a teacher, on a file of showers; the arguments are the options of the commands."""
    from rich.console import Console

    from caloforge import io
    from caloforge.devices import check_device
    from caloforge.errors import NonFiniteError
    from caloforge.plotting.losses import plot_losses
    from caloforge.recipes import completed
    from caloforge.training import (
        BEST,
        METRICS,
        DataFacts,
        check_folder,
        check_settings,
        start_or_resume,
    )
    from caloforge.training.parallel import Processes, own_device

    is_main = Processes.from_environment().is_main
    console = Console(stderr=True, quiet=not is_main, highlight=False, soft_wrap=True)
    if is_main:
        check_folder(output, resume=resume)
    found = check_device(own_device(device))
    check_settings(config, recipe=recipe, teacher=teacher, complete=completed)
    known = geometry if teacher is None else geometry or teacher.model.geometry
    showers = io.read(data, geometry=known, start=start, stop=stop)
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
                teacher=teacher,
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

    def __init__(self, console: "Console", folder: Path | None = None) -> None:
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
            watched = "".join(f" {name} {value:.4g}" for name, value in event.record.monitors.items())
            self._validation = f", val {event.record.validation_loss:.4g}{watched}"
            if not self.console.is_terminal:
                self.console.print(
                    f"stage {event.stage} epoch {event.epoch}/{event.n_epochs}: training {event.train_loss:.4f}"
                    f" validation {event.record.validation_loss:.4f}{watched}{best}, {event.record.seconds:.1f} s"
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
