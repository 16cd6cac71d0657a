"""Histograms of a generated and a reference sample with their ratio, one panel per feature."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caloforge.errors import UnknownNameError, ValueRangeError
from caloforge.evaluation import BinnedComparison, FeatureComparison
from caloforge.plotting.style import GENERATED, REFERENCE, label_log_axis, save_figure

__all__ = ["default_features", "draw_comparison", "plot_comparison"]

_COLUMNS = 3
_RATIO_RANGE = (0.5, 1.5)
_NOTE = (
    "S: separation power; floor: its mean and 95 % quantile for two samples of these sizes and one shape.\n"
    "Bars and bands: one standard error. Triangles: ratio outside the panel. The outer bins hold the overflow."
)


def default_features(rows: Sequence[FeatureComparison]) -> list[str]:
    """Names for an overview: energy ratio, depth and its width, then the energy of at most six layers."""
    layers = [row.name for row in rows if row.name.startswith("e_layer_")]
    chosen = np.unique(np.linspace(0, len(layers) - 1, min(6, len(layers))).round().astype(int))
    return [*(layers[k] for k in chosen), "e_ratio", "shower_depth", "shower_depth_width"]


def plot_comparison(
    rows: Sequence[FeatureComparison], path: Path, *, names: Sequence[str] | None = None
) -> None:
    """Draw histograms with ratio panels into one picture; see :func:`draw_comparison`.

    Args:
        rows: As there.
        path: Picture to write; its suffix chooses the format.
        names: As there.

    Raises:
        UnknownNameError: As there.
        ValueRangeError: As there.
        OutputError: The picture cannot be written.
    """
    save_figure(draw_comparison(rows, names=names), path)


def draw_comparison(
    rows: Sequence[FeatureComparison],
    *,
    names: Sequence[str] | None = None,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """Histograms with ratio panels.

    The bands and bars are the statistical errors (one standard deviation). The outer bins hold the overflow.

    Args:
        rows: What :func:`caloforge.evaluation.compare` gives.
        names: Features to draw, in this order; by default :func:`default_features`.
        reference_name: What to call the reference.

    Raises:
        UnknownNameError: A name is not among the rows.
        ValueRangeError: There is nothing to draw.
    """
    known = {row.name: row for row in rows}
    chosen = default_features(rows) if names is None and rows else list(names or ())
    for name in chosen:
        if name not in known:
            raise UnknownNameError("feature", name, known)
    if not chosen:
        raise ValueRangeError("No features to draw; give at least one row and one name.")
    n_columns = min(_COLUMNS, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    figure = Figure(figsize=(3.7 * n_columns + 0.3, 3.3 * n_rows + 0.7), layout="constrained")
    cells = figure.subfigures(n_rows, n_columns, squeeze=False).ravel()
    for cell, name in zip(cells, chosen, strict=False):
        upper, lower = cell.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw(upper, lower, known[name], reference_name)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    figure.supxlabel(_NOTE, fontsize="small", color="#404040")
    return figure


def _draw(upper: Axes, lower: Axes, row: FeatureComparison, reference_name: str) -> None:
    bins = row.histograms
    edges = bins.edges
    _steps(upper, bins, reference_name)
    upper.set_ylabel("fraction of showers")
    tops = (bins.generated_fraction + bins.generated_error, bins.reference_fraction + bins.reference_error)
    upper.set_ylim(0, 1.08 * float(np.max(tops)))
    upper.yaxis.set_major_locator(MaxNLocator(4))
    upper.set_title(
        f"S = {row.separation:.3f}, floor {row.floor:.3f} (95 %: {row.floor_95:.3f})",
        fontsize="small",
        color="#404040",
    )
    _ratio(lower, bins)
    lower.set_xlabel(f"{row.label} [{row.unit}]" if row.unit else row.label)
    if bins.logarithmic:
        lower.set_xscale("log")
        label_log_axis(lower.xaxis, edges[0], edges[-1])
    else:
        lower.xaxis.set_major_locator(MaxNLocator(5))
    lower.set_xlim(edges[0], edges[-1])


def _steps(axes: Axes, bins: BinnedComparison, reference_name: str) -> None:
    edges, colour = bins.edges, REFERENCE["color"]
    axes.stairs(bins.reference_fraction, edges, fill=True, color=colour, alpha=0.3, label=reference_name)
    _band(axes, edges, bins.reference_fraction, bins.reference_error, colour)
    axes.stairs(
        bins.generated_fraction, edges, linewidth=1.3, color=GENERATED["color"], label=GENERATED["label"]
    )
    axes.errorbar(
        _centres(bins),
        bins.generated_fraction,
        bins.generated_error,
        fmt="none",
        ecolor=GENERATED["color"],
        elinewidth=0.9,
    )


def _ratio(axes: Axes, bins: BinnedComparison) -> None:
    low, high = _RATIO_RANGE
    ones = np.where(np.isfinite(bins.reference_relative_error), 1.0, np.nan)
    _band(axes, bins.edges, ones, bins.reference_relative_error, REFERENCE["color"])
    axes.axhline(1, color="#595959", linewidth=0.8)
    centres, ratio, inside = _centres(bins), bins.ratio, np.isfinite(bins.ratio)
    shown = inside & (ratio >= low) & (ratio <= high)
    axes.errorbar(
        centres[shown],
        ratio[shown],
        bins.ratio_error[shown],
        fmt="o",
        markersize=2.5,
        color=GENERATED["color"],
        elinewidth=0.9,
    )
    margin = 0.07 * (high - low)
    for outside, marker, height in (
        (inside & (ratio > high), "^", high - margin),
        (inside & (ratio < low), "v", low + margin),
    ):
        axes.plot(
            centres[outside],
            np.full(outside.sum(), height),
            marker,
            markersize=4,
            color=GENERATED["color"],
            linestyle="none",
        )
    axes.set_ylim(low, high)
    axes.set_yticks([low, 1.0, high])
    axes.set_ylabel("ratio")


def _band(
    axes: Axes,
    edges: Float[np.ndarray, " b+1"],
    middle: Float[np.ndarray, " b"],
    error: Float[np.ndarray, " b"],
    colour: str,
) -> None:
    """One standard error around steps."""
    axes.stairs(
        middle + error, edges, baseline=middle - error, fill=True, color=colour, alpha=0.45, linewidth=0
    )


def _centres(bins: BinnedComparison) -> Float[np.ndarray, " b"]:
    left, right = bins.edges[:-1], bins.edges[1:]
    return np.sqrt(left * right) if bins.logarithmic else (left + right) / 2
