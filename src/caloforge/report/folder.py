"""A report's folder: whole or not there, and never in the place of something else."""

import shutil
from pathlib import Path
from uuid import uuid4

from caloforge.errors import OutputError
from caloforge.report.plain import read_json
from caloforge.report.schema import REPORT_FILE

__all__ = ["check_folder", "replace_folder"]


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Fail early if a report cannot be written there.

    Raises:
        OutputError: It exists and is not to be replaced, or is no report, or cannot be made.
    """
    if folder.exists() or folder.is_symlink():
        if not folder.is_dir() or folder.is_symlink():
            raise OutputError(folder, "exists and is no folder; choose another name.")
        if any(folder.iterdir()):
            ours = _is_report(folder / REPORT_FILE)
            if not ours:
                raise OutputError(folder, "is a folder with other things in it; choose another name.")
            if not overwrite:
                raise OutputError(folder, "exists already; choose another name or pass --overwrite.")
    if not folder.absolute().parent.is_dir():
        raise OutputError(folder, f"the folder {folder.parent} does not exist; create it first.")


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
