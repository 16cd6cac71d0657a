"""How all figures look, and how they are written."""

from pathlib import Path

from matplotlib.figure import Figure

from caloforge.errors import OutputError
from caloforge.files import atomic_path

__all__ = ["GENERATED", "REFERENCE", "save_figure"]

REFERENCE = {"color": "0.35", "label": "Geant4"}
GENERATED = {"color": "tab:blue", "label": "generated"}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole; the suffix chooses the format.

    Raises:
        OutputError: The picture cannot be written, or there is no such format.
    """
    form = path.suffix.removeprefix(".").lower() or "png"
    if form not in (known := figure.canvas.get_supported_filetypes()):
        raise OutputError(path, f"no format for pictures; the suffix must be one of {', '.join(known)}.")
    with atomic_path(path) as part:
        figure.savefig(part, dpi=130, format=form)
