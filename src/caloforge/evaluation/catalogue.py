"""The features by name, one number per shower each, with what a table or a plot needs to know about them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal, final, get_args

import numpy as np
from jaxtyping import Float

from caloforge.evaluation.between_layers import between_layers
from caloforge.evaluation.hit_energies import hit_energies
from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import LayerSums, axis_positions, divide, layer_sums, moments
from caloforge.evaluation.local_structure import local_structure
from caloforge.evaluation.tails import tails
from caloforge.evaluation.zone_feature import ZoneFeature
from caloforge.geometry import PolarGrid
from caloforge.geometry.grid import Grid
from caloforge.showers import Showers

__all__ = [
    "GROUPS",
    "Feature",
    "Group",
    "features_of_hits",
    "features_of_sums",
    "high_level_features",
    "lateral_axes",
    "usual_features",
]

Group = Literal["energies", "shape", "local structure", "hit energies", "correlations between layers"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""What features are about; the first screen of a report says how far a sample is off in each."""


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
    group: Group
    """What it is about."""
    logarithmic: bool = False
    """Whether its histogram has equal bins in the logarithm."""


def high_level_features(
    showers: Showers, *, threshold: float = 0.0, groups: Collection[Group] = GROUPS
) -> tuple[Feature, ...]:
    """Every feature, in a fixed order: the usual ones, then those of hits and their neighbours.

    Args:
        showers: The showers; softer voxels than the threshold are empty already.
        threshold: The read-out threshold that was applied, MeV, where hit energies begin; 0 if none was.
        groups: What the features are to be about; others are not worked out.
    """
    usual = tuple(feature for feature in usual_features(showers) if feature.group in groups)
    return (*usual, *features_of_hits(Hits(showers, threshold=threshold), groups=groups))


def usual_features(showers: Showers) -> tuple[Feature, ...]:
    """What the papers draw: energies, depth, centres, widths, sparsity, brightest voxels; from one pass.

    Those of :mod:`~caloforge.evaluation.features`, and the centre and width of the whole shower. Lateral ones
    are left out where a layer is not cut along the axis. On polar layers x is r cos(alpha), the CaloChallenge's
    eta, and y is r sin(alpha), its phi; r is the ring's.

    Args:
        showers: The showers.
    """
    return features_of_sums(layer_sums(showers))


def features_of_sums(sums: LayerSums) -> tuple[Feature, ...]:
    """As :func:`usual_features`, from sums that were taken before."""
    return (*_whole(sums), *_per_layer(sums), *_lateral(sums))


def features_of_hits(hits: Hits, *, groups: Collection[Group] = GROUPS) -> tuple[Feature, ...]:
    """Local structure, hit energies, correlations between layers and tails, of each layer.

    A calorimeter of more than twelve layers has them for ten runs of consecutive layers, whose names are the numbers
    of the first and the last.
    """
    kinds: tuple[tuple[Group, Iterator[ZoneFeature]], ...] = (
        ("shape", tails(hits)),
        ("local structure", local_structure(hits)),
        ("hit energies", hit_energies(hits)),
        ("correlations between layers", between_layers(hits)),
    )
    return tuple(
        Feature(
            name=f"{found.kind}_{suffix}",
            label=found.label.format(name),
            unit=found.unit,
            values=values,
            group=group,
            logarithmic=found.logarithmic,
        )
        for group, features in kinds
        if group in groups
        for found in features
        for suffix, name, values in zip(hits.zones.suffixes, hits.zones.names, found.values.T, strict=False)
    )


def _whole(sums: LayerSums) -> list[Feature]:
    """One number per shower."""
    numbers = np.arange(sums.geometry.n_layers, dtype=np.float64)
    e_dep = sums.energy.sum(axis=1)
    depth, depth_width = moments(sums.energy, (numbers,), e_dep)
    hits = sums.hits.sum(axis=1)
    found = [
        Feature(
            name="e_ratio",
            label="deposited / incident energy",
            unit="",
            values=e_dep / sums.e_inc,
            group="energies",
        ),
        Feature(
            name="e_dep",
            label="deposited energy",
            unit="MeV",
            values=e_dep,
            group="energies",
            logarithmic=True,
        ),
        Feature(
            name="depth_weighted_energy",
            label="depth-weighted energy",
            unit="MeV",
            values=np.einsum("nl,l->n", sums.energy, numbers),
            group="energies",
            logarithmic=True,
        ),
        Feature(
            name="shower_depth",
            label="shower depth (mean layer)",
            unit="",
            values=depth[:, 0],
            group="energies",
        ),
        Feature(
            name="shower_depth_width",
            label="width of the shower depth",
            unit="",
            values=depth_width[:, 0],
            group="energies",
        ),
        Feature(
            name="n_hits",
            label="voxels with energy",
            unit="",
            values=hits.astype(np.float64),
            group="hit energies",
        ),
        Feature(
            name="occupancy",
            label="share of voxels with energy",
            unit="",
            values=hits / sums.geometry.n_voxels,
            group="hit energies",
        ),
    ]
    mean, width = _shower_moments(sums, e_dep)
    cut = {axis for layer in sums.geometry.layers for axis in lateral_axes(layer.grid)}
    for name, label, values in (
        ("shower_mean", "whole shower's centre", mean),
        ("shower_width", "whole shower's width", width),
    ):
        found += [
            Feature(
                name=f"{name}_{axis}",
                label=f"{label} in {axis}",
                unit="mm",
                values=values[:, number],
                # Layers that are right one by one make a shower of the wrong width if they do not belong together.
                group="correlations between layers",
            )
            for number, axis in enumerate("xyr")
            if axis in cut
        ]
    return found


def _shower_moments(
    sums: LayerSums, e_dep: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Centre and width of whole showers in x, y and r, mm, from those of their layers."""
    share = divide(sums.energy, e_dep[:, None])
    mean = np.einsum("nl,nla->na", share, sums.mean)
    square = sums.width**2 + (sums.mean - mean[:, None]) ** 2
    return mean, np.sqrt(np.einsum("nl,nla->na", share, square))


def _per_layer(sums: LayerSums) -> list[Feature]:
    """One number per layer, whatever its grid."""
    sizes = np.array([layer.n_voxels for layer in sums.geometry.layers])
    per_layer = (
        ("e_layer", "energy in layer {}", "MeV", sums.energy),
        (
            "fraction",
            "energy share of layer {}",
            "",
            divide(sums.energy, sums.energy.sum(axis=1, keepdims=True)),
        ),
        ("sparsity", "empty voxels in layer {}", "", 1.0 - sums.hits / sizes),
        ("brightest", "brightest voxel of layer {}", "MeV", sums.first),
        (
            "brightest_share",
            "brightest voxel's share of layer {}",
            "",
            divide(sums.first, sums.energy),
        ),
        (
            "brightest_ratio",
            "brightest-voxel ratio in layer {}",
            "",
            divide(sums.first - sums.second, sums.first + sums.second),
        ),
    )
    return [
        Feature(
            name=f"{name}_{k}",
            label=label.format(layer.name),
            unit=unit,
            values=values[:, k],
            group="energies" if name in ("e_layer", "fraction") else "hit energies",
            logarithmic=unit == "MeV",
        )
        for name, label, unit, values in per_layer
        for k, layer in enumerate(sums.geometry.layers)
    ]


def _lateral(sums: LayerSums) -> list[Feature]:
    """Centroids, then widths."""
    return [
        Feature(
            name=f"{name}_{axis}_{k}",
            label=f"{name} in {axis}, layer {layer.name}",
            unit="mm",
            values=values[:, k, "xyr".index(axis)],
            group="shape",
        )
        for name, values in (("centroid", sums.mean), ("width", sums.width))
        for k, layer in enumerate(sums.geometry.layers)
        for axis in lateral_axes(layer.grid)
    ]


def lateral_axes(grid: Grid) -> str:
    """The axes, of x, y and r, along which a grid is cut and has lateral features."""
    if isinstance(grid, PolarGrid):
        return "xy" * (grid.n_alpha > 1) + "r" * (grid.shape[1] > 1)
    first, second = grid.shape
    several = len(np.unique(axis_positions(grid)[2].round(9))) > 1
    return "x" * (first > 1) + "y" * (second > 1) + "r" * several
