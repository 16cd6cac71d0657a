r"""Correlations between voxels over a sample: do neighbours fluctuate together?

A voxel counts as :math:`y = \log_{10}(E / t)`, with the threshold t, and 0 if it is empty. What incident and layer
energies tell of that is taken off by linear regression. Given is the Pearson correlation, over the showers of the
sample, of what remains, for every pair of voxels that are neighbours or lie behind each other. A model whose voxels
know layer energies but not each other has correlations near 0 where Geant4 has 0.1 to 0.4.

Sums run over blocks of showers, so a sample of any size needs little memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float, Int

from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import LayerSums
from caloforge.evaluation.voxel_relations import layer_zones, voxel_relations
from caloforge.geometry import Geometry

__all__ = [
    "BEHIND",
    "CorrelationRow",
    "VoxelCorrelationSums",
    "VoxelCorrelations",
    "compare_voxel_correlations",
]

BEHIND: Final = "behind"
_RARE = 0.05  # a voxel that is hit in a smaller share of the reference showers tells too little
_SMALL = 1e-3  # MeV, added to the energy of a zone before its logarithm
_VOXELS_AT_A_TIME = 2**17


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelCorrelations:
    """Correlations of one sample, by relation: an axis of neighbours, or ``"behind"``."""

    geometry: Geometry
    n_showers: int
    hit_share: Float[np.ndarray, " V"]
    """Share of the showers in which a voxel is hit."""
    correlation: dict[str, Float[np.ndarray, " p"]]
    """Of each pair, in the order of :func:`pairs_of`; 0 where a voxel does not vary."""


@final
@dataclass(frozen=True, kw_only=True)
class CorrelationRow:
    """Mean correlation of one relation in one layer of two samples."""

    relation: str
    """``"x"``, ``"y"``, ``"alpha"``, ``"r"``: neighbours along it; ``"behind"``: with the next layer."""
    layer: int
    n_pairs: int
    """Pairs of which both voxels are hit in at least 5 % of the reference showers."""
    generated: float
    reference: float


def pairs_of(
    geometry: Geometry, relation: str
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Both voxels of every pair of a relation, and the pair's weight: the overlap of voxels behind each other."""
    relations = voxel_relations(geometry)
    if relation == BEHIND:
        overlap = relations.overlap.tocoo()
        return overlap.row, overlap.col, overlap.data
    first, second = relations.pairs(relation)
    return first, second, np.ones(len(first))


@final
class VoxelCorrelationSums:
    """Sums over blocks of showers from which the correlations follow."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        relations = voxel_relations(geometry)
        self._zones = layer_zones(geometry)
        names = (*relations.axes, *([BEHIND] if relations.overlap.nnz else []))
        self._pairs = {name: pairs_of(geometry, name)[:2] for name in names}
        n_known = 2 + len(self._zones)
        self._n = 0
        self._hits = np.zeros(geometry.n_voxels, dtype=np.int64)
        self._known = np.zeros((n_known, n_known))
        self._mixed = np.zeros((n_known, geometry.n_voxels))
        self._square = np.zeros(geometry.n_voxels)
        self._products = {name: np.zeros(len(first)) for name, (first, _) in self._pairs.items()}

    def add(self, hits: Hits, sums: LayerSums) -> None:
        """Some more showers.

        Args:
            hits: Their hits.
            sums: Their energies.
        """
        n = hits.n_showers
        zone_energy = np.add.reduceat(
            sums.energy, np.unique(self._zones.of_layer, return_index=True)[1], axis=1
        )
        known = np.column_stack([np.ones(n), np.log10(sums.e_inc), np.log10(zone_energy + _SMALL)])
        y = np.zeros((n, self.geometry.n_voxels))
        # Without a threshold there may be softer hits; they must not count as less than nothing.
        y[hits.shower, hits.voxel] = np.maximum(hits.log - np.log10(hits.threshold), 0.0)
        self._n += n
        self._hits += np.bincount(hits.voxel, minlength=self.geometry.n_voxels)
        self._known += known.T @ known
        self._mixed += known.T @ y
        self._square += np.einsum("nv,nv->v", y, y)
        for name, (first, second) in self._pairs.items():
            for start in range(0, len(first), step := max(1, _VOXELS_AT_A_TIME // max(n, 1))):
                part = slice(start, start + step)
                self._products[name][part] += np.einsum("np,np->p", y[:, first[part]], y[:, second[part]])

    def correlations(self) -> VoxelCorrelations:
        """What the sums say."""
        solved = np.linalg.lstsq(self._known, self._mixed, rcond=None)[0]
        variance = np.maximum(self._square - np.einsum("kv,kv->v", self._mixed, solved), 0.0)
        varies = variance > 1e-9 * np.maximum(self._square, 1e-300)
        scale = np.where(varies, np.sqrt(np.where(varies, variance, 1.0)), np.inf)
        found = {}
        for name, (first, second) in self._pairs.items():
            told = np.einsum("kp,kp->p", self._mixed[:, first], solved[:, second])
            found[name] = np.clip((self._products[name] - told) / (scale[first] * scale[second]), -1.0, 1.0)
        return VoxelCorrelations(
            geometry=self.geometry,
            n_showers=self._n,
            hit_share=self._hits / max(self._n, 1),
            correlation=found,
        )


def compare_voxel_correlations(
    generated: VoxelCorrelations, reference: VoxelCorrelations
) -> Sequence[CorrelationRow]:
    """Mean correlation of each relation and layer in both samples; layers without telling pairs are left out.

    Args:
        generated: Of the sample in question.
        reference: Of the right one, which decides what pairs count.

    Raises:
        GeometryMismatchError: The samples have different voxels.
    """
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference sample", theirs="the generated one"
    )
    layer_of, rows = voxel_relations(reference.geometry).layer, []
    often = reference.hit_share >= _RARE
    for relation in reference.correlation:
        first, second, weight = pairs_of(reference.geometry, relation)
        weight = weight * (often[first] & often[second])
        n_layers = reference.geometry.n_layers
        total = np.bincount(layer_of[first], weight, minlength=n_layers)
        counts = np.bincount(layer_of[first], weight > 0, minlength=n_layers)
        means = [
            np.bincount(layer_of[first], weight * sample.correlation[relation], minlength=n_layers)
            for sample in (generated, reference)
        ]
        rows += [
            CorrelationRow(
                relation=relation,
                layer=k,
                n_pairs=int(counts[k]),
                generated=float(means[0][k] / total[k]),
                reference=float(means[1][k] / total[k]),
            )
            for k in np.flatnonzero(total > 0).tolist()
        ]
    return rows
