"""Voxels in groups whose members lie far apart, for models that draw a group at a time."""

import math

import numpy as np
from jaxtyping import Int

from caloforge.geometry import Geometry

__all__ = ["voxel_groups"]

_ORDER_SEED = 7


def voxel_groups(geometry: Geometry, n_groups: int) -> Int[np.ndarray, " V"]:
    """Group of each voxel, from 0: a lattice in every layer, so that neighbours are in different groups.

    With few groups, or where the lattice does not fit the turn of a polar layer, some neighbours are in the same.

    What remains between the voxels of one group, given all earlier groups, is little if each has neighbours that
    are known already. The order of the groups is shuffled, so that early groups are spread over the layer like
    late ones; a calorimeter with fewer voxels than groups has fewer groups.

    Args:
        geometry: The calorimeter.
        n_groups: Wanted number of groups.
    """
    step = max(1, round(math.sqrt(n_groups)))
    colours = []
    for k, layer in enumerate(geometry.layers):
        i, j = np.indices(layer.grid.shape)
        colours.append(((i * step + j + k * (n_groups // 3)) % n_groups).ravel())
    shuffled = np.random.default_rng(_ORDER_SEED).permutation(n_groups)[np.concatenate(colours)]
    groups: Int[np.ndarray, " V"] = np.unique(shuffled, return_inverse=True)[1]
    return groups
