"""A report's folder: whole or not there, and never in the place of something else."""

import shutil
from pathlib import Path
from uuid import uuid4

from caloforge.errors import OutputError
from caloforge.report.plain import read_json
from caloforge.report.schema import PAGE, PLOTS, REPORT_FILE

__all__ = ["check_folder", "replace_folder"]


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Fail early if a report cannot be written there.

    Raises:
        OutputError: It exists and is not to be replaced, or is no report, or cannot be made.
    """
    if folder.name in ("", ".."):
        raise OutputError(folder, "is a folder that cannot be replaced; give the name of one to make.")
    if folder.exists() or folder.is_symlink():
        if not folder.is_dir() or folder.is_symlink():
            raise OutputError(folder, "exists and is no folder; choose another name.")
        if any(folder.iterdir()):
            ours = _is_report(folder / REPORT_FILE)
            if not ours:
                raise OutputError(folder, "is a folder with other things in it; choose another name.")
            if not overwrite:
                raise OutputError(folder, "exists already; choose another name or pass --overwrite.")
            if foreign := _foreign(folder):
                raise OutputError(
                    folder,
                    f"is a report, but holds something else, too ({foreign}), which would be lost; move it away, or "
                    "choose another name.",
                )
    if not folder.absolute().parent.is_dir():
        raise OutputError(folder, f"the folder {folder.parent} does not exist; create it first.")


def _foreign(folder: Path) -> str | None:
    """Something in a report's folder that no report has."""
    plots = folder / PLOTS
    strange = [path for path in folder.iterdir() if path.name not in (REPORT_FILE, PAGE, PLOTS)]
    if plots.is_dir():
        strange += [path for path in plots.iterdir() if path.suffix not in (".png", ".pdf")]
    return str(strange[0].relative_to(folder)) if strange else None


def _is_report(path: Path) -> bool:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and str(data.get("schema", "")).startswith("caloforge")


def replace_folder(part: Path, output: Path, *, overwrite: bool) -> None:
    """Rename the finished folder ``part``; an earlier report goes only once the new one is in place."""
    check_folder(output, overwrite=overwrite)  # it may have appeared meanwhile
    if not output.exists():
        part.rename(output)
        return
    old = output.with_name(f".{output.name}.{uuid4().hex[:8]}.old")
    output.rename(old)
    part.rename(output)
    shutil.rmtree(old, ignore_errors=True)
