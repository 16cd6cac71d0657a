"""How all figures look, and how they are written."""

from pathlib import Path

from matplotlib.figure import Figure

from caloforge.files import atomic_path

__all__ = ["GENERATED", "REFERENCE", "save_figure"]

REFERENCE = {"color": "0.35", "label": "Geant4"}
GENERATED = {"color": "tab:blue", "label": "generated"}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole; the suffix chooses the format."""
    with atomic_path(path) as part:
        figure.savefig(part, dpi=130, format=path.suffix.removeprefix(".") or "png")
