"""Progress bars on the error stream; plain lines where it is no terminal."""

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

__all__ = ["progress_bar"]


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
