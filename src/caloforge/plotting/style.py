"""How all figures look, and how they are written."""

import base64
import io
import re
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from caloforge.errors import OutputError
from caloforge.files import atomic_path

__all__ = ["GENERATED", "MUTED", "REFERENCE", "SERIES", "adaptive_svg", "label_log_axis", "save_figure"]

REFERENCE = {"color": "#595959", "label": "Geant4"}
GENERATED = {"color": "#1f77b4", "label": "generated"}
MUTED: Final = "#6b6b6b"
"""Notes and guides."""
SERIES: Final = ("#1f77b4", "#d55e00", "#009e73", "#a0509a", "#b8860b", "#4b6584")
"""Several samples in one picture; can be told apart by the colour-blind (after Okabe and Ito)."""

_DARK: Final = {
    "#000000": "#e6e6e6",
    "#262626": "#d0d0d0",
    "#404040": "#bdbdbd",
    REFERENCE["color"]: "#a8a8a8",
    MUTED: "#9a9a9a",
    "#b3b3b3": "#5a5a5a",
    "#f7f7f7": "#202327",
    GENERATED["color"]: "#5aa9e6",
    "#d55e00": "#f28e4b",
    "#009e73": "#3fc79a",
    "#a0509a": "#cf8ac9",
    "#b8860b": "#d9ae3c",
    "#4b6584": "#93aecb",
}
"""Colours of a figure on white, and what they become on a dark page."""


def label_log_axis(axis: Axis, low: float, high: float) -> None:
    """Powers of ten on a logarithmic axis; a few plain numbers where it holds hardly one of these."""
    axis.set_minor_formatter(NullFormatter())
    if high < 100 * low:
        subs = (1, 2, 5) if high > 5 * low else ()
        axis.set_major_locator(LogLocator(subs=subs) if subs else MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_major_locator(LogLocator(numticks=6))


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


def adaptive_svg(figure: Figure) -> str:
    """The figure as a ``data:`` address of an SVG without background that follows the page, light or dark."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "caloforge", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    names = {light: f"var(--c{k})" for k, light in enumerate(_DARK)}
    text = re.sub("|".join(_DARK), lambda found: names[found[0]], text)
    light = "".join(f"--c{k}:{colour};" for k, colour in enumerate(_DARK))
    dark = "".join(f"--c{k}:{colour};" for k, colour in enumerate(_DARK.values()))
    # Text and ticks without a colour of their own are black in SVG.
    style = (
        f"<style>svg{{{light}fill:var(--c0)}}"
        f"@media screen and (prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    )
    text = text[text.index("<svg") :]
    head = text.index(">") + 1
    return "data:image/svg+xml;base64," + base64.b64encode(
        (text[:head] + style + text[head:]).encode()
    ).decode("ascii")
