"""How neighbouring voxels fluctuate together, layer by layer, in both samples."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from caloforge.plotting.style import GENERATED, REFERENCE

__all__ = ["draw_voxel_correlations"]

_NUMBERED = 8  # layers up to which the numbers are written into the fields


def draw_voxel_correlations(
    correlations: Mapping[str, Sequence[tuple[int, float, float]]],
    layers: Sequence[str],
    *,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """Two matrices, the reference's and the generated sample's: relations down, layers across.

    Args:
        correlations: By what to call a relation, for each layer that has it: its number, the correlation in the
            generated sample and in the reference.
        layers: Names of the layers.
        reference_name: What to call the reference.
    """
    names = list(correlations)
    matrices = np.full((2, len(names), len(layers)), np.nan)
    for row, name in enumerate(names):
        for layer, generated, reference in correlations[name]:
            matrices[:, row, layer] = reference, generated
    known = matrices[np.isfinite(matrices)]
    limit = max(0.1, np.ceil(10 * np.abs(known).max()) / 10) if len(known) else 0.1
    width = max(2.4, min(4.5, 0.75 * len(layers)))
    figure = Figure(figsize=(2 * width + 2.6, 0.5 * len(names) + 0.9), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, values, title in zip(panels, matrices, (reference_name, GENERATED["label"]), strict=True):
        axes.patch.set(facecolor="#f7f7f7", edgecolor="#b3b3b3", hatch="////", linewidth=0)
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(values), cmap="PuOr_r", vmin=-limit, vmax=limit, rasterized=True
        )
        axes.invert_yaxis()
        axes.set_title(title, fontsize="medium")
        axes.set_yticks(np.arange(len(names)) + 0.5, names if axes is panels[0] else [], fontsize=8)
        axes.tick_params(length=0)
        axes.set_xlabel("layer")
        if len(layers) <= _NUMBERED:
            axes.set_xticks(np.arange(len(layers)) + 0.5, layers)
            for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
                value = values[row, column]
                colour = "#ffffff" if abs(value) > 0.7 * limit else "#262626"
                text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(mesh, ax=panels, shrink=0.9, aspect=12, pad=0.02)
    return figure
