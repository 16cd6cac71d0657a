"""Average showers as pictures: reference, generated and their ratio, one column per layer."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from caloforge.errors import ValueRangeError
from caloforge.evaluation import AverageShower, average_ratio
from caloforge.geometry import CartesianGrid, Layer
from caloforge.plotting.style import GENERATED, REFERENCE, save_figure

__all__ = ["draw_average_showers", "plot_average_showers"]

_MAX_LAYERS = 6
_DECADES = 6


def plot_average_showers(
    generated: AverageShower, reference: AverageShower, path: Path, *, layers: Sequence[int] | None = None
) -> None:
    """Draw both averages and their ratio into one picture; see :func:`draw_average_showers`.

    Args:
        generated: As there.
        reference: As there.
        path: Picture to write; its suffix chooses the format.
        layers: As there.

    Raises:
        GeometryMismatchError: As there.
        ValueRangeError: As there.
        OutputError: The picture cannot be written.
    """
    save_figure(draw_average_showers(generated, reference, layers=layers), path)


def draw_average_showers(
    generated: AverageShower,
    reference: AverageShower,
    *,
    layers: Sequence[int] | None = None,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """Mean energy per voxel of both samples on one colour scale, and the ratio.

    Cartesian layers are drawn to scale in x and y, polar ones unrolled in alpha and r. Voxels without energy
    are hatched, in the ratio those whose reference has too large an error.

    Args:
        generated: Average of the generated showers.
        reference: Average of the reference showers.
        layers: Numbers of the layers to draw; by default all, or six spread over the depth.
        reference_name: What to call the reference.

    Raises:
        GeometryMismatchError: The averages are of different voxels.
        ValueRangeError: A layer does not exist, or the reference has no energy at all.
    """
    geometry = reference.geometry
    ratio = average_ratio(generated, reference)
    if layers is None:
        spread = np.linspace(0, geometry.n_layers - 1, min(_MAX_LAYERS, geometry.n_layers))
        layers = spread.round().astype(int).tolist()
    if not layers or not all(0 <= k < geometry.n_layers for k in layers):
        raise ValueRangeError(f"layers must be numbers from 0 to {geometry.n_layers - 1}, got {layers}.")
    scale = _colour_scale(reference.mean)
    shared = len({_vertical(geometry.layers[k]) for k in layers}) == 1
    figure = Figure(figsize=(2.6 * len(layers) + 1.7, 7.6), layout="constrained")
    panels = figure.subplots(3, len(layers), squeeze=False)
    titles = (
        f"{reference_name}\n{reference.n_showers:,} showers",
        f"{GENERATED['label']}\n{generated.n_showers:,} showers",
        f"{GENERATED['label']} / {reference_name}",
    )
    norms = (scale, scale, LogNorm(0.5, 2.0))
    maps = ("viridis", "viridis", "PuOr_r")
    shown = (np.where(reference.mean > 0, reference.mean, np.nan), _positive(generated.mean), ratio)
    meshes = []
    for row, (values, norm, colours) in enumerate(zip(shown, norms, maps, strict=True)):
        for axes, k in zip(panels[row], layers, strict=True):
            layer = geometry.layers[k]
            mesh = _draw_layer(axes, layer, values[geometry.layer_slices[k]], norm=norm, colours=colours)
            _label(axes, layer, top=row == 0, bottom=row == 2)
            if not shared or axes is panels[row][0]:
                axes.set_ylabel("y [mm]" if isinstance(layer.grid, CartesianGrid) else "r [mm]")
            else:
                axes.tick_params(labelleft=False)
        panels[row][0].annotate(
            titles[row],
            (0, 0.5),
            xytext=(-52, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="center",
            multialignment="center",
            fontweight="bold",
        )
        meshes.append(mesh)
    figure.colorbar(
        meshes[0], ax=panels[:2], label="mean energy per voxel [MeV]", aspect=40, pad=0.02, extend="min"
    )
    bar = figure.colorbar(meshes[2], ax=panels[2], label="ratio", aspect=20, pad=0.02, extend="both")
    bar.ax.yaxis.set_major_locator(FixedLocator([0.5, 0.7, 1.0, 1.4, 2.0]))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    return figure


def _positive(values: Float[np.ndarray, " V"]) -> Float[np.ndarray, " V"]:
    return np.where(values > 0, values, np.nan)


def _colour_scale(mean: Float[np.ndarray, " V"]) -> LogNorm:
    """From the largest mean of the reference down to its smallest, six decades at most."""
    positive = mean[mean > 0]
    if not len(positive):
        raise ValueRangeError("The reference showers have no energy, so there is nothing to draw.")
    high = float(positive.max())
    low = max(float(positive.min()), high * 10.0**-_DECADES)
    return LogNorm(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high * 1.001)))


def _draw_layer(
    axes: Axes, layer: Layer, values: Float[np.ndarray, " v"], *, norm: Normalize, colours: str
) -> QuadMesh:
    grid = layer.grid
    axes.patch.set(facecolor="#f7f7f7", edgecolor="#b3b3b3", hatch="////", linewidth=0)
    image = np.ma.masked_invalid(values.reshape(grid.shape).T)
    first, second = (
        (grid.x_edges, grid.y_edges) if isinstance(grid, CartesianGrid) else (grid.alpha_edges, grid.r_edges)
    )
    if isinstance(grid, CartesianGrid):
        axes.set_aspect("equal")
    return axes.pcolormesh(first, second, image, norm=norm, cmap=colours, rasterized=True)


def _label(axes: Axes, layer: Layer, *, top: bool, bottom: bool) -> None:
    cartesian = isinstance(layer.grid, CartesianGrid)
    if top:
        axes.set_title(f"layer {layer.name}")
    if bottom:
        axes.set_xlabel("x [mm]" if cartesian else r"$\alpha$ [rad]")
    if not cartesian:
        axes.set_xticks([-math.pi, 0, math.pi], [r"$-\pi$", "0", r"$\pi$"])
    axes.tick_params(labelbottom=bottom)


def _vertical(layer: Layer) -> tuple[str, float, float]:
    grid = layer.grid
    edges = grid.y_edges if isinstance(grid, CartesianGrid) else grid.r_edges
    return grid.kind, edges[0], edges[-1]
