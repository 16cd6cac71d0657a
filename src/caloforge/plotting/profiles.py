"""Profiles and spectra: energy along the shower and around its axis, voxel energies."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caloforge.errors import ValueRangeError
from caloforge.plotting.style import GENERATED, REFERENCE

__all__ = ["Curve", "draw_curves"]

_RATIO_RANGE = (0.5, 1.5)

Curve = tuple[str, str, np.ndarray, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], bool]
"""Labels of both axes, bin edges, mean and error of the generated and of the reference sample, whether the first
axis is logarithmic."""


def draw_curves(curves: Sequence[Curve], *, reference_name: str = REFERENCE["label"]) -> Figure:
    """Means per bin of both samples on a logarithmic scale, each with a ratio panel.

    Args:
        curves: What to draw, one panel each.
        reference_name: What to call the reference.

    Raises:
        ValueRangeError: There is nothing to draw.
    """
    if not curves:
        raise ValueRangeError("There are no curves to draw.")
    figure = Figure(figsize=(4.6 * len(curves) + 0.3, 4.2), layout="constrained")
    cells = figure.subfigures(1, len(curves), squeeze=False).ravel()
    for cell, (x_label, y_label, edges, generated, reference, logarithmic) in zip(cells, curves, strict=True):
        upper, lower = cell.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _steps(upper, edges, generated, reference, reference_name)
        upper.set_ylabel(y_label)
        upper.set_yscale("log")
        _ratio(lower, edges, generated, reference)
        lower.set_xlabel(x_label)
        if logarithmic:
            lower.set_xscale("log")
        else:
            lower.xaxis.set_major_locator(MaxNLocator(6, integer="number" in x_label))
        lower.set_xlim(edges[0], edges[-1])
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False
    )
    return figure


def _steps(
    axes: Axes,
    edges: Float[np.ndarray, " b+1"],
    generated: tuple[np.ndarray, np.ndarray],
    reference: tuple[np.ndarray, np.ndarray],
    reference_name: str,
) -> None:
    (mine, my_error), (theirs, their_error) = generated, reference
    positive = np.concatenate([mine[mine > 0], theirs[theirs > 0]])
    bottom = float(positive.min()) / 2 if len(positive) else 1e-3
    colour = REFERENCE["color"]
    axes.stairs(theirs, edges, baseline=bottom, fill=True, color=colour, alpha=0.3, label=reference_name)
    axes.stairs(
        theirs + their_error,
        edges,
        baseline=np.maximum(theirs - their_error, bottom),
        fill=True,
        color=colour,
        alpha=0.45,
        linewidth=0,
    )
    axes.stairs(
        np.maximum(mine, bottom),
        edges,
        baseline=None,
        linewidth=1.3,
        color=GENERATED["color"],
        label=GENERATED["label"],
    )
    shown = mine > 0
    axes.errorbar(
        _centres(edges)[shown],
        mine[shown],
        np.minimum(my_error[shown], 0.95 * mine[shown]),
        fmt="none",
        ecolor=GENERATED["color"],
        elinewidth=0.9,
    )
    axes.set_ylim(bottom, 2 * float(positive.max()) if len(positive) else 1.0)


def _ratio(
    axes: Axes,
    edges: Float[np.ndarray, " b+1"],
    generated: tuple[np.ndarray, np.ndarray],
    reference: tuple[np.ndarray, np.ndarray],
) -> None:
    (mine, my_error), (theirs, their_error) = generated, reference
    low, high = _RATIO_RANGE
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, error, band = mine / theirs, my_error / theirs, their_error / theirs
    known = np.isfinite(ratio)
    axes.stairs(
        np.where(known, 1 + band, np.nan),
        edges,
        baseline=np.where(known, 1 - band, np.nan),
        fill=True,
        color=REFERENCE["color"],
        alpha=0.45,
        linewidth=0,
    )
    axes.axhline(1, color=REFERENCE["color"], linewidth=0.8)
    centres = _centres(edges)
    inside = known & (ratio >= low) & (ratio <= high)
    axes.errorbar(
        centres[inside],
        ratio[inside],
        error[inside],
        fmt="o",
        markersize=2.5,
        elinewidth=0.9,
        color=GENERATED["color"],
    )
    for outside, marker, height in ((known & (ratio > high), "^", high), (known & (ratio < low), "v", low)):
        place = height - np.sign(height - 1) * 0.07 * (high - low)
        axes.plot(
            centres[outside],
            np.full(int(outside.sum()), place),
            marker,
            markersize=4,
            color=GENERATED["color"],
        )
    axes.set_ylim(low, high)
    axes.set_yticks([low, 1.0, high])
    axes.set_ylabel("ratio")


def _centres(edges: Float[np.ndarray, " b+1"]) -> Float[np.ndarray, " b"]:
    left, right = edges[:-1], edges[1:]
    ratios = right[1:] / np.where(right[:-1] > 0, right[:-1], np.nan)
    geometric = left[0] > 0 and len(ratios) > 1 and np.allclose(ratios, ratios[0], rtol=1e-3)
    return np.sqrt(left * right) if geometric else (left + right) / 2
