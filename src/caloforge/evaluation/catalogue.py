"""The features by name, one number per shower each, with what a table or a plot needs to know about them."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from caloforge.evaluation import features
from caloforge.geometry import CartesianGrid, Geometry
from caloforge.showers import Showers

__all__ = ["Feature", "high_level_features"]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Feature:
    """One number per shower."""

    name: str
    """Stable identifier, e.g. ``"e_layer_0"``; layers by their number from 0."""
    label: str
    """For people; without the unit."""
    unit: str
    """``"MeV"``, ``"mm"``, or empty for a pure number."""
    values: Float[np.ndarray, " n"]
    """In that unit."""
    logarithmic: bool = False
    """Whether its histogram has equal bins in the logarithm."""


def high_level_features(showers: Showers) -> tuple[Feature, ...]:
    """Every feature of :mod:`~caloforge.evaluation.features`, in a fixed order.

    Lateral ones are left out where a layer is not cut along the axis; on polar layers those along the radius
    are added.

    Args:
        showers: The showers.
    """
    geometry = showers.geometry
    found = [
        Feature(name="e_ratio", label="deposited / incident energy", unit="", values=showers.e_ratio),
        Feature(
            name="shower_depth",
            label="shower depth (mean layer)",
            unit="",
            values=features.shower_depth(showers),
        ),
        Feature(
            name="shower_depth_width",
            label="width of the shower depth",
            unit="",
            values=features.shower_depth_width(showers),
        ),
        Feature(
            name="n_hits",
            label="voxels with energy",
            unit="",
            values=features.n_hits(showers).astype(np.float64),
        ),
    ]
    per_layer = (
        ("e_layer", "energy in layer {}", "MeV", features.layer_energies(showers)),
        ("fraction", "energy share of layer {}", "", features.layer_fractions(showers)),
        ("sparsity", "empty voxels in layer {}", "", features.sparsity(showers)),
        ("brightest_ratio", "brightest-voxel ratio in layer {}", "", features.brightest_ratio(showers)),
    )
    for name, label, unit, values in per_layer:
        found += [
            Feature(
                name=f"{name}_{k}",
                label=label.format(layer.name),
                unit=unit,
                values=values[:, k],
                logarithmic=name == "e_layer",
            )
            for k, layer in enumerate(geometry.layers)
        ]
    return (*found, *_lateral(showers))


def _lateral(showers: Showers) -> list[Feature]:
    """Centroids, then widths."""
    found = []
    for name, label, along, radial in (
        ("centroid", "centroid", features.centroids(showers), features.radial_centroids(showers)),
        ("width", "width", features.widths(showers), features.radial_widths(showers)),
    ):
        for k, axes in enumerate(_axes(showers.geometry)):
            layer = showers.geometry.layers[k].name
            for axis in axes:
                values = radial[:, k] if axis == "r" else along[:, k, "xy".index(axis)]
                found.append(
                    Feature(
                        name=f"{name}_{axis}_{k}",
                        label=f"{label} in {axis}, layer {layer}",
                        unit="mm",
                        values=values,
                    )
                )
    return found


def _axes(geometry: Geometry) -> list[str]:
    """Per layer the axes along which it is cut; for a polar one x is r cos(alpha), y is r sin(alpha)."""
    axes = []
    for layer in geometry.layers:
        first, second = layer.grid.shape
        if isinstance(layer.grid, CartesianGrid):
            axes.append("x" * (first > 1) + "y" * (second > 1))
        else:
            axes.append("xy" * (first > 1) + "r" * (second > 1))
    return axes
