"""Correlation matrices of both samples and their difference."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from caloforge.plotting.style import GENERATED, REFERENCE

__all__ = ["draw_correlations"]

_MAX_NAMED = 32


def draw_correlations(
    generated: Float[np.ndarray, "F F"],
    reference: Float[np.ndarray, "F F"],
    labels: Sequence[str],
    *,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """Three matrices: reference, generated, and the difference on a finer scale.

    Args:
        generated: Correlations of the generated sample, ``(F, F)``; NaN is hatched.
        reference: Those of the reference, ``(F, F)``.
        labels: Of the features; drawn where there is room.
        reference_name: What to call the reference.
    """
    named = len(labels) <= _MAX_NAMED
    size = max(2.9, 0.115 * len(labels)) if named else 4.2
    figure = Figure(figsize=(3 * size + (3.6 if named else 1.6), size + 0.6), layout="constrained")
    panels = figure.subplots(1, 3)
    difference = generated - reference
    finite = np.abs(difference[np.isfinite(difference)])
    limit = max(0.05, np.ceil(20 * finite.max()) / 20) if len(finite) else 0.05
    for axes, values, title, scale in (
        (panels[0], reference, reference_name, 1.0),
        (panels[1], generated, GENERATED["label"], 1.0),
        (panels[2], difference, f"{GENERATED['label']} − {reference_name}", limit),
    ):
        axes.patch.set(facecolor="#f7f7f7", edgecolor="#b3b3b3", hatch="////", linewidth=0)
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(values), cmap="PuOr_r", vmin=-scale, vmax=scale, rasterized=True
        )
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.set_title(title, fontsize="medium")
        if named:
            axes.set_xticks([])
            ticks = np.arange(len(labels)) + 0.5
            axes.set_yticks(ticks, labels if axes is panels[0] else [], fontsize=6.5)
            axes.tick_params(length=0)
        figure.colorbar(mesh, ax=axes, shrink=0.8, aspect=25, pad=0.02)
    return figure
