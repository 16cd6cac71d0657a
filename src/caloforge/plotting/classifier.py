"""Calibration and learning curves of classifier tests."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from caloforge.plotting.style import MUTED, REFERENCE, SERIES

__all__ = ["draw_calibration", "draw_learning_curves", "draw_separation_by_layer"]

Points = tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"], Float[np.ndarray, " p"]]


def draw_calibration(curves: Mapping[str, Mapping[str, Points]]) -> Figure:
    """Share of reference showers against the score, before and after the calibration.

    Args:
        curves: By the name of a test, then ``"before"`` and ``"after"``: scores, shares, errors of the shares.
    """
    figure = Figure(figsize=(8.2, 3.9), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, when in zip(panels, ("before", "after"), strict=True):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        for (name, both), colour in zip(curves.items(), _colours(len(curves)), strict=True):
            score, share, error = both[when]
            axes.errorbar(
                score, share, error, fmt="o-", markersize=3, linewidth=0.9, color=colour, label=name
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="score of the classifier")
        axes.set_title(f"{when} calibration", fontsize="medium")
    panels[0].set_ylabel("share of reference showers")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=2, fontsize="small", frameon=False)
    return figure


def draw_learning_curves(
    curves: Mapping[str, Points], floors: Mapping[str, tuple[float, float | None]]
) -> Figure:
    """AUC against the number of showers per class.

    Args:
        curves: By the name of a test: numbers of showers, AUCs, and their errors.
        floors: AUC and error of two reference samples, for tests that have them.
    """
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0.5, color=MUTED, linewidth=0.8)
    for (name, (n, auc, error)), colour in zip(curves.items(), _colours(len(curves)), strict=True):
        axes.errorbar(n, auc, error, fmt="o-", markersize=4, linewidth=1.2, color=colour, label=name)
        if name in floors:
            value, spread = floors[name]
            axes.axhspan(
                value - (spread or 0),
                value + (spread or 0),
                color=REFERENCE["color"],
                alpha=0.25,
                linewidth=0,
            )
    axes.set(xscale="log", xlabel="showers per class", ylabel="AUC")
    sizes = sorted({int(k) for n, _, _ in curves.values() for k in n})
    axes.set_xticks(sizes, [f"{k:,}" for k in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.48), max(high, 0.55))
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", fontsize="small", frameon=False
    )
    return figure


def draw_separation_by_layer(
    kinds: Mapping[str, tuple[Sequence[int], Sequence[float]]], floor: float, floor_95: float
) -> Figure:
    """Separation power of every kind of feature against the layer.

    Args:
        kinds: By label: numbers of layers, separation powers.
        floor: Mean of what chance gives, over all of them.
        floor_95: Mean of the 95 % quantiles.
    """
    n_panels = -(-len(kinds) // len(SERIES))
    size = -(-len(kinds) // n_panels)
    figure = Figure(figsize=(4.8 * n_panels, 4.2), layout="constrained")
    panels = figure.subplots(1, n_panels, sharey=True, squeeze=False)[0]
    for number, axes in enumerate(panels):
        axes.axhspan(floor, floor_95, color=REFERENCE["color"], alpha=0.3, linewidth=0)
        part = list(kinds.items())[number * size : (number + 1) * size]
        for (label, (layers, values)), colour in zip(part, _colours(len(part)), strict=True):
            axes.plot(layers, values, "o-", markersize=2.5, linewidth=1.0, color=colour, label=label)
        axes.set(yscale="log", xlabel="layer number")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    panels[0].set_ylabel("separation power")
    return figure


def _colours(n: int) -> list[str]:
    return [SERIES[k % len(SERIES)] for k in range(n)]
