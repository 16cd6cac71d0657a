"""Generated showers beside their nearest reference showers, and how near these are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from caloforge.geometry import CartesianGrid, Geometry
from caloforge.plotting.style import GENERATED, MUTED, REFERENCE, SERIES, label_log_axis

__all__ = ["draw_neighbour_distances", "draw_neighbours"]

_MAX_LAYERS = 3
_DECADES = 5


def draw_neighbours(
    pairs: Sequence[tuple[str, Float[np.ndarray, " V"], Float[np.ndarray, " V"]]],
    geometry: Geometry,
    *,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """One row for each pair: the layers of the generated shower, then those of its neighbour.

    Of many layers the three with most energy are drawn.

    Args:
        pairs: Title, voxels of the generated shower and of its nearest reference shower, MeV, ``(V,)``.
        geometry: The calorimeter.
        reference_name: What to call the reference.
    """
    total = sum(
        np.array([v[where].sum() for where in geometry.layer_slices]) for pair in pairs for v in pair[1:]
    )
    layers = np.sort(np.argsort(total)[::-1][:_MAX_LAYERS]).tolist()
    high = max(float(max(mine.max(), theirs.max())) for _, mine, theirs in pairs) or 1.0
    norm = LogNorm(high * 10.0**-_DECADES, high)
    n = len(layers)
    figure = Figure(figsize=(2 * 1.45 * n + 1.5, 1.45 * len(pairs) + 0.8), layout="constrained")
    sides: Any = figure.subfigures(1, 3, width_ratios=(1.45 * n + 0.25, 1.45 * n, 1.1))
    names = GENERATED["label"], f"nearest {reference_name} shower"
    for number, (side, name) in enumerate(zip(sides[:2], names, strict=True)):
        side.suptitle(name, fontweight="bold", fontsize="medium")
        panels = side.subplots(len(pairs), n, squeeze=False)
        for place, (row, (title, *showers)) in enumerate(zip(panels, pairs, strict=True)):
            for axes, k in zip(row, layers, strict=True):
                mesh = _draw_layer(axes, geometry, k, showers[number], norm)
                if place == 0:
                    axes.set_title(f"layer {geometry.layers[k].name}", fontsize="small")
            if number == 0:
                row[0].set_ylabel(title, fontsize="small")
    bar = sides[2].subplots()
    bar.set_axis_off()
    figure.colorbar(mesh, ax=bar, label="voxel energy [MeV]", fraction=0.9, aspect=40, pad=0, extend="min")
    return figure


def _draw_layer(
    axes: Axes, geometry: Geometry, k: int, voxels: Float[np.ndarray, " V"], norm: LogNorm
) -> QuadMesh:
    grid = geometry.layers[k].grid
    axes.patch.set(facecolor="#f7f7f7", linewidth=0)
    if isinstance(grid, CartesianGrid):
        first, second = grid.x_edges, grid.y_edges
        axes.set_aspect("equal")
    else:
        first, second = grid.alpha_edges, grid.r_edges
    values = voxels[geometry.layer_slices[k]].reshape(grid.shape).T
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.pcolormesh(
        first, second, np.ma.masked_less_equal(values, 0), norm=norm, cmap="viridis", rasterized=True
    )


def draw_neighbour_distances(
    edges: Float[np.ndarray, " b+1"],
    counts: Mapping[str, Int[np.ndarray, " b"]],
    label: str,
    *,
    limit: float | None = None,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """Histograms of distances to the nearest neighbour.

    Args:
        edges: Bin edges, ``(b + 1,)``, positive.
        counts: For ``"reference_to_reference"``, ``"generated_to_reference"``, ``"generated_to_generated"``, and
            ``"generated_to_training"``, which may be left out.
        label: Of the axis of distances.
        limit: Distance below which showers are copies.
        reference_name: What to call the reference.
    """
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.stairs(
        counts["reference_to_reference"],
        edges,
        fill=True,
        color=REFERENCE["color"],
        alpha=0.35,
        label=f"{reference_name} to {reference_name}",
    )
    axes.stairs(
        counts["generated_to_reference"],
        edges,
        color=GENERATED["color"],
        linewidth=1.4,
        label=f"{GENERATED['label']} to {reference_name}",
    )
    axes.stairs(
        counts["generated_to_generated"],
        edges,
        color=GENERATED["color"],
        linewidth=1.1,
        linestyle="--",
        label=f"{GENERATED['label']} to {GENERATED['label']}",
    )
    if "generated_to_training" in counts:
        axes.stairs(
            counts["generated_to_training"],
            edges,
            color=SERIES[1],
            linewidth=1.4,
            label=f"{GENERATED['label']} to training showers",
        )
    if limit is not None:
        axes.axvline(limit, color=MUTED, linewidth=0.8, linestyle=":", label="copies are left of this")
    axes.set(xscale="log", xlabel=label, ylabel="showers", ylim=(0, None))
    axes.set_xlim(edges[0], edges[-1])
    label_log_axis(axes.xaxis, edges[0], edges[-1])
    axes.legend(frameon=False, fontsize="small")
    return figure
