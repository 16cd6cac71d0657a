"""The hits of some showers as a list, with sums over them per shower and zone.

Most voxels of a finely cut calorimeter are empty; what follows from hits and their neighbours is worked out on the
list. Sums run hit by hit in float64, so a number of a shower does not depend on the showers beside it.
"""

import functools
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from caloforge.evaluation.layer_sums import divide, voxel_positions
from caloforge.evaluation.voxel_relations import VoxelRelations, layer_zones, voxel_relations
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = ["SOFTEST", "Hits"]

SOFTEST = 1 * keV
"""Where hit energies begin if no threshold was applied, MeV."""


@final
class Hits:
    """Voxels with energy, in the order of showers and voxels.

    Args:
        showers: Voxels below the threshold are empty already.
        threshold: The read-out threshold that was applied, MeV; 0 if none was.
    """

    def __init__(self, showers: Showers, *, threshold: float = 0.0) -> None:
        self.showers, self.geometry, self.n_showers = showers, showers.geometry, len(showers)
        self.threshold = threshold if threshold > 0 else SOFTEST
        self.zones = layer_zones(self.geometry)
        self.shower, self.voxel = np.nonzero(showers.voxels)
        self.energy = showers.voxels[self.shower, self.voxel].astype(np.float64)
        """MeV."""
        self.log = np.log10(self.energy)
        self.relations: VoxelRelations = voxel_relations(self.geometry)
        self.cell = self.shower * len(self.zones) + self.zones.of_layer[self.relations.layer[self.voxel]]
        """Number of a hit's shower and zone, as one."""

    def __len__(self) -> int:
        return len(self.voxel)

    def total(
        self, values: Float[np.ndarray, " h"] | None = None, *, of: Int[np.ndarray, " h"] | None = None
    ) -> Float[np.ndarray, "n Z"]:
        """Sum of values, or the number, of hits in each shower and zone, ``(n, Z)``.

        Args:
            values: One for each hit.
            of: Numbers of the hits meant; by default all.
        """
        cell = self.cell if of is None else self.cell[of]
        found = np.bincount(cell, values, minlength=self.n_showers * len(self.zones))
        return found.reshape(self.n_showers, len(self.zones)).astype(np.float64)

    @functools.cached_property
    def count(self) -> Float[np.ndarray, "n Z"]:
        """Number of hits of each shower and zone."""
        return self.total()

    @functools.cached_property
    def energies(self) -> Float[np.ndarray, "n Z"]:
        """Energy of each shower and zone, MeV."""
        return self.total(self.energy)

    @functools.cached_property
    def centres(self) -> dict[str, tuple[Float[np.ndarray, "n Z"], Float[np.ndarray, " h"]]]:
        """By axis, x and y: centre of energy of each shower and zone, and distance of each hit from its own, mm."""
        found = {}
        for axis, position in zip("xy", voxel_positions(self.geometry), strict=False):
            x = position[self.voxel]
            mean = divide(self.total(self.energy * x), self.energies)
            found[axis] = mean, x - mean.ravel()[self.cell]
        return found

    @functools.cached_property
    def cut(self) -> str:
        """The axes, of x and y, along which voxels lie at different places."""
        positions = zip("xy", voxel_positions(self.geometry), strict=False)
        return "".join(axis for axis, position in positions if np.ptp(position) > 0)

    @functools.cached_property
    def number(self) -> Int[np.ndarray, "n V+1"]:
        """Number of the hit in each voxel, -1 where there is none, and in a last column, which no voxel has."""
        found = np.full((self.n_showers, self.geometry.n_voxels + 1), -1, dtype=np.int32)
        found[self.shower, self.voxel] = np.arange(len(self), dtype=np.int32)
        return found

    @functools.cached_property
    def neighbours(self) -> dict[str, tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]]:
        """By axis, the pairs of hits that are neighbours along it, each once, as numbers of hits."""
        pairs = {}
        start = self.shower * self.number.shape[1]
        for axis, forward in self.relations.forward.items():
            other = self.number.ravel()[start + forward[self.voxel]]
            first = np.flatnonzero(other >= 0)
            pairs[axis] = first, other[first]
        return pairs

    @functools.cached_property
    def isolated(self) -> Bool[np.ndarray, " h"]:
        """Hits of which no neighbour is hit."""
        alone = np.ones(len(self), dtype=bool)
        for first, second in self.neighbours.values():
            alone[first] = alone[second] = False
        return alone
