"""Progress bars on the error stream; plain lines where it is no terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

if TYPE_CHECKING:
    from caloforge.production import ShardedJob

__all__ = ["progress_bar", "run_with_progress"]


def progress_bar(console: Console) -> Progress:
    """A bar with count, elapsed time and time to go; silent where nobody looks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("ETA"),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[note]}", table_column=Column(overflow="ellipsis")
        ),  # gives way in a narrow window
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def run_with_progress(
    job: "ShardedJob", *, workers: int, scheduler: str | None, resume: bool, overwrite: bool
) -> None:
    """Run a sharded job under a bar with showers per second, and say what it has made."""
    from time import monotonic

    import typer

    from caloforge.production import run_job
    from caloforge.production.parts import PartsFolder

    console = Console(stderr=True)
    begin, here = monotonic(), -1  # the first call tells of showers of an earlier run

    with progress_bar(console) as bar:
        task = bar.add_task("showers", total=job.n_showers, note="")

        def advance(n: int) -> None:
            nonlocal here
            here = 0 if here < 0 else here + n
            bar.update(task, advance=n, note=f"{here / (monotonic() - begin):.3g}/s")

        try:
            run_job(
                job,
                workers=workers,
                scheduler=scheduler,
                resume=resume,
                overwrite=overwrite,
                on_showers=advance,
            )
        except KeyboardInterrupt:
            parts = PartsFolder.beside(job.output).path
            if parts.is_dir():
                console.print(f"Finished parts are in {parts}; --resume continues.", highlight=False)
            raise
    seconds = monotonic() - begin
    typer.echo(f"{job.output}: {job.n_showers:,} showers of {job.geometry.describe()} in {seconds:.1f} s")
