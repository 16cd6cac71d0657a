"""Sums over a sample from which every single voxel can be compared with the same one of another sample.

A voxel's energy and how often it is hit depend most of all on the shower's energy and on that of the layer. What
is compared between two samples is therefore what these do not explain, which a regression in each voxel takes
away: the spread that hides a defect shrinks (of the logarithm of a voxel's energy in CaloGAN's second layer from
1.0 to 0.4), and two samples of different spectra can be compared. All that a regression needs are sums of
products, so a sample is read once, block by block, and only sums are kept.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ValueRangeError
from caloforge.evaluation.sample import equal_blocks
from caloforge.geometry import Geometry
from caloforge.showers import Showers, check_threshold

__all__ = ["N_COVARIATES", "N_OF_ENERGY", "VoxelSums", "voxel_sums"]

N_OF_ENERGY = 4
"""Covariates that depend on the incident energy alone: powers 0 to 3 of its logarithm."""
N_COVARIATES = N_OF_ENERGY + 2
"""With the two of the layer's energy: logarithm of its share of the incident energy, and the square."""
_FLOOR = 1e-4
"""Added to that share: a layer that is nearly empty must not be an outlier of the regression."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelSums:
    """Sums over the showers of a sample in which a voxel's layer has energy; V voxels, L layers, k covariates."""

    geometry: Geometry
    n_showers: int
    threshold: float
    """Softer voxels counted as empty, MeV."""
    e_inc_range: tuple[float, float]
    """Between these the logarithm of the incident energy was scaled to -1 .. 1, MeV."""
    energy: Float[np.ndarray, " V"]
    """Of the energies, MeV."""
    products: Float[np.ndarray, "L k k"]
    """Of the covariates' products, over the showers."""
    hit_products: Float[np.ndarray, "V k k"]
    """The same over the showers in which the voxel is hit; the first entry is their number."""
    share: Float[np.ndarray, "V k"]
    """Of the voxel's share of its layer's energy, times each covariate."""
    share_square: Float[np.ndarray, " V"]
    """Of the share's square."""
    log: Float[np.ndarray, "V k"]
    """Of the hits' logarithm of energy over incident energy, times each covariate."""
    log_square: Float[np.ndarray, " V"]
    """Of that logarithm's square."""


def voxel_sums(
    chunks: Iterable[Showers], *, e_inc_range: tuple[float, float], threshold: float = 0.0
) -> VoxelSums:
    """Take the sums in one pass; of the voxels only a block at a time is in memory.

    The result is the same, bit for bit, however the showers are cut into chunks.

    Args:
        chunks: Showers, e.g. of :func:`~caloforge.io.read_chunks`; or ``[showers]``.
        e_inc_range: Lowest and highest incident energy of both samples that are to be compared, MeV.
        threshold: Softer voxels count as empty, MeV; as :meth:`~caloforge.showers.Showers.above`.

    Raises:
        GeometryMismatchError: The chunks have different voxels.
        ValueRangeError: There are no showers, or the threshold or the range make no sense.
    """
    check_threshold(threshold)
    low, high = map(float, e_inc_range)
    if not 0 < low <= high < math.inf:
        raise ValueRangeError(f"e_inc_range must be two energies in MeV, 0 < low <= high; got {e_inc_range}.")
    gathered: _Sums | None = None
    for block in equal_blocks(chunks):
        gathered = gathered or _Sums(block.geometry, (low, high))
        gathered.add(block.above(threshold) if threshold > 0 else block)
    if gathered is None:
        raise ValueRangeError("The sample has no showers; at least one is needed.")
    return gathered.sums(threshold)


@final
class _Sums:
    def __init__(self, geometry: Geometry, e_inc_range: tuple[float, float]) -> None:
        k, n_voxels = N_COVARIATES, geometry.n_voxels
        self._geometry, self._range, self._n = geometry, e_inc_range, 0
        self._pairs = np.triu_indices(k)
        self._products = np.zeros((geometry.n_layers, k, k))
        self._hits = np.zeros((len(self._pairs[0]), n_voxels))
        self._share, self._log = np.zeros((k, n_voxels)), np.zeros((k, n_voxels))
        self._energy, self._share_square, self._log_square = (np.zeros(n_voxels) for _ in range(3))

    def add(self, block: Showers) -> None:
        self._n += len(block)
        e_inc = block.e_inc.astype(np.float64)
        for layer, where in enumerate(self._geometry.layer_slices):
            voxels = block.voxels[:, where].astype(np.float64)
            energy = voxels.sum(axis=1)
            voxels, of_layer, of_shower = voxels[energy > 0], energy[energy > 0], e_inc[energy > 0]
            covariates = _covariates(of_shower, of_layer, self._range)
            first, second = self._pairs
            pairs = covariates[first] * covariates[second]
            self._products[layer] += covariates @ covariates.T
            hit = voxels > 0
            self._hits[:, where] += pairs @ hit.astype(np.float64)
            self._energy[where] += voxels.sum(axis=0)
            logs = np.zeros_like(voxels)
            np.log(np.divide(voxels, of_shower[:, None], where=hit, out=logs), where=hit, out=logs)
            self._log[:, where] += covariates @ logs
            self._log_square[where] += np.einsum("nv,nv->v", logs, logs)
            voxels /= of_layer[:, None]
            self._share[:, where] += covariates @ voxels
            self._share_square[where] += np.einsum("nv,nv->v", voxels, voxels)

    def sums(self, threshold: float) -> VoxelSums:
        products = np.empty((self._geometry.n_voxels, N_COVARIATES, N_COVARIATES))
        first, second = self._pairs
        products[:, first, second] = products[:, second, first] = self._hits.T
        return VoxelSums(
            geometry=self._geometry,
            n_showers=self._n,
            threshold=threshold,
            e_inc_range=self._range,
            energy=self._energy,
            products=self._products,
            hit_products=products,
            share=self._share.T,
            share_square=self._share_square,
            log=self._log.T,
            log_square=self._log_square,
        )


def _covariates(
    e_inc: Float[np.ndarray, " n"], e_layer: Float[np.ndarray, " n"], e_inc_range: tuple[float, float]
) -> Float[np.ndarray, "k n"]:
    """What a regression may explain a voxel by, all of the order of 1."""
    low, high = map(math.log, e_inc_range)
    half = (high - low) / 2
    u = (np.log(e_inc) - (low + high) / 2) / (half or 1.0)
    w = np.log10(e_layer / e_inc + _FLOOR)
    return np.stack([np.ones_like(u), u, u**2, u**3, w, w**2])
