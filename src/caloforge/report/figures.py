"""All figures of a report: PNG and PDF into a folder, and as data for the page."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from caloforge.geometry import Geometry
from caloforge.plotting import adaptive_svg, draw_average_showers, draw_comparison, save_figure
from caloforge.report.restore import average_of, feature_of

__all__ = ["draw_figures"]


def draw_figures(report: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Draw everything that the report has data for.

    Args:
        report: Contents of ``report.json``.
        folder: Where ``NAME.png`` and ``NAME.pdf`` go.

    Returns:
        Name to ``data:`` address.
    """
    found = {}
    for name, draw in _figures(report):
        figure = draw()
        found[name] = adaptive_svg(figure)
        figure.set_layout_engine("none")  # it has been laid out; doing it again takes as long as drawing
        for suffix in ("png", "pdf"):
            save_figure(figure, folder / f"{name}.{suffix}")
    return found


def _figures(report: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], Figure]]]:
    geometry = Geometry.from_dict(report["geometry"])
    rows = [feature_of(row) for row in report["features"]]
    if worst := report["verdict"]["worst_features"]:
        yield "worst_features", lambda: draw_comparison(rows, names=worst)
    yield "overview", lambda: draw_comparison(rows)
    averages = [average_of(report["average_showers"][name], geometry) for name in ("generated", "reference")]
    if averages[1].mean.any():
        yield "average_showers", lambda: draw_average_showers(*averages)
