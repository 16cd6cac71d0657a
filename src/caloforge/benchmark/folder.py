"""Where a benchmark is written: only its own two files, in a folder that may hold others."""

import os
from pathlib import Path
from typing import Any

from caloforge.benchmark.schema import BENCHMARK_FILE, PLOT_FILE
from caloforge.errors import OutputError
from caloforge.files import explain_os_error
from caloforge.report.plain import write_json

__all__ = ["check_folder", "write_benchmark"]


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Fail before anything is measured if a benchmark cannot be written there.

    Raises:
        OutputError: It is no folder, holds a benchmark that is not to be replaced, or cannot be written.
    """
    try:
        if folder.exists() or folder.is_symlink():
            if not folder.is_dir():
                raise OutputError(folder, "exists and is no folder; choose another name.")
            present = [name for name in (BENCHMARK_FILE, PLOT_FILE) if (folder / name).exists()]
            if present and not overwrite:
                raise OutputError(
                    folder / present[0], "exists already; choose another folder or pass --overwrite."
                )
        elif not folder.absolute().parent.is_dir():
            raise OutputError(folder, f"the folder {folder.parent} does not exist; create it first.")
    except OSError as err:
        raise err if isinstance(err, OutputError) else explain_os_error(folder, err) from err
    place = folder if folder.is_dir() else folder.absolute().parent
    if not os.access(place, os.W_OK):
        raise OutputError(folder, f"no permission to write in {place}.")


def write_benchmark(report: dict[str, Any], folder: Path, *, plot: bool) -> None:
    """Write what was measured so far, each file whole; the picture only on request.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        if not plot:
            (folder / PLOT_FILE).unlink(missing_ok=True)  # that of an earlier benchmark would contradict
    except OSError as err:
        raise explain_os_error(folder, err) from err
    write_json(report, folder / BENCHMARK_FILE)
    if plot:
        from caloforge.benchmark.tables import draw
        from caloforge.plotting.style import save_figure

        if (figure := draw(report)) is not None:
            save_figure(figure, folder / PLOT_FILE)
