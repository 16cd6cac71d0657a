r"""High-level features: functions of showers that give one number per shower, or per shower and layer.

Legend: :math:`E_v` energy of voxel v, :math:`E_k` energy of layer k, :math:`x_v` position of a voxel's centre.
Sums are over the voxels of one layer and run in float64, shower by shower: a feature of a shower does not depend
on the other showers of the sample. A layer without energy has the value 0 everywhere, as in the CaloChallenge.

References:
    C. Krause, D. Shih, CaloFlow: fast and accurate generation of calorimeter showers with normalizing flows,
    arXiv:2106.05285 (depth, layer fractions, sparsity, brightest voxels).
    O. Amram et al., CaloChallenge 2022: a community challenge for fast calorimeter simulation,
    arXiv:2410.21611 (centroids, widths, sparsity).
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from caloforge.errors import ValueRangeError
from caloforge.geometry import PolarGrid
from caloforge.showers import Showers

__all__ = [
    "e_ratio",
    "layer_energies",
    "layer_fractions",
    "shower_depth",
    "shower_depth_width",
    "deepest_layer",
    "centroids",
    "widths",
    "radial_centroids",
    "radial_widths",
    "sparsity",
    "brightest_ratio",
    "n_hits",
]


def e_ratio(showers: Showers) -> Float[np.ndarray, " n"]:
    r"""Deposited over incident energy, :math:`\sum_k E_k / E_{inc}`; 1, ``(n,)``."""
    return showers.e_ratio


def layer_energies(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Energy per layer, :math:`E_k = \sum_{v \in k} E_v`; MeV, ``(n, L)``."""
    return showers.e_layer


def layer_fractions(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Share of each layer in the deposited energy, :math:`E_k / \sum_j E_j`; 1, ``(n, L)``. CaloFlow."""
    e_layer = showers.e_layer
    return _divide(e_layer, e_layer.sum(axis=1, keepdims=True))


def shower_depth(showers: Showers) -> Float[np.ndarray, " n"]:
    r"""Energy-weighted mean layer number, :math:`s_d = \sum_k k E_k / \sum_k E_k`; layers from 0, ``(n,)``.

    CaloGAN's and CaloFlow's "shower depth", there with :math:`\sum_k k E_k` in the notation
    :math:`l_d / E_{tot}`. For the layer where a shower ends see :func:`deepest_layer`.
    """
    return _layer_moments(showers)[0]


def shower_depth_width(showers: Showers) -> Float[np.ndarray, " n"]:
    r"""Energy-weighted standard deviation of the layer number; layers, ``(n,)``. CaloGAN, CaloFlow.

    .. math:: \sigma_{s_d} = \sqrt{\langle k^2 \rangle - \langle k \rangle^2}, \quad
              \langle f \rangle = \sum_k f(k) E_k / \sum_k E_k
    """
    return _layer_moments(showers)[1]


def deepest_layer(showers: Showers, *, threshold: float = 0.0) -> Int[np.ndarray, " n"]:
    r"""Number of the last layer with energy, :math:`\max \{k : E_k > threshold\}`; layers from 0, ``(n,)``.

    CaloFlow draws this one, too, as "maximum depth". A shower without energy has 0.

    Args:
        showers: The showers.
        threshold: Layers up to this energy count as empty, MeV.
    """
    hit = showers.e_layer > threshold
    last = hit.shape[1] - 1 - np.argmax(hit[:, ::-1], axis=1)
    return np.where(hit.any(axis=1), last, 0)


def centroids(showers: Showers) -> Float[np.ndarray, "n L 2"]:
    r"""Centre of energy of each layer along both axes, :math:`\bar x = \sum_v x_v E_v / E_k`; mm, ``(n, L, 2)``.

    The axes are x and y of a Cartesian grid, and :math:`r \cos\alpha`, :math:`r \sin\alpha` (the CaloChallenge's
    "eta" and "phi") of a polar one, with bin midpoints in alpha and r. Rings that are not cut in alpha have 0.
    """
    return _lateral_moments(showers)[0]


def widths(showers: Showers) -> Float[np.ndarray, "n L 2"]:
    r"""Lateral width of each layer along both axes of :func:`centroids`; mm, ``(n, L, 2)``.

    .. math:: \sigma_x = \sqrt{\overline{x^2} - \bar x^2}
                       = \sqrt{\textstyle\sum_v (x_v - \bar x)^2 E_v / E_k}

    The second form is the one computed: the first, which the CaloChallenge uses cut off at 0, loses its
    digits where a layer has a single hit.
    """
    return _lateral_moments(showers)[1]


def radial_centroids(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Energy-weighted mean radius of each layer, :math:`\bar r = \sum_v r_v E_v / E_k`; mm, ``(n, L)``.

    Defined in the CaloChallenge for polar grids, with the bin midpoint as :math:`r_v`; for a Cartesian grid the
    distance of the voxel's centre from the axis.
    """
    return _radial_moments(showers)[0]


def radial_widths(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Energy-weighted standard deviation of the radius of :func:`radial_centroids`; mm, ``(n, L)``."""
    return _radial_moments(showers)[1]


def sparsity(showers: Showers, *, threshold: float = 0.0) -> Float[np.ndarray, "n L"]:
    """Share of empty voxels of each layer, 1 - (voxels above threshold) / (voxels); 1, ``(n, L)``.

    The CaloChallenge's definition, 1 for an empty layer. CaloFlow's "sparsity" is 1 minus this.

    Args:
        showers: The showers.
        threshold: Voxels up to this energy count as empty, MeV.
    """
    shares = [(layer > threshold).mean(axis=1) for layer in _layers(showers)]
    return 1.0 - np.stack(shares, axis=1)


def brightest_ratio(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""How far the brightest voxel of a layer is ahead, :math:`(E_{(1)} - E_{(2)}) / (E_{(1)} + E_{(2)})`.

    :math:`E_{(1)}, E_{(2)}` are the largest and second largest voxel of the layer; 1, ``(n, L)``, between 0
    and 1, and 1 where only one voxel has energy. CaloGAN's and CaloFlow's :math:`E_{ratio,k}`.
    """
    ratios = []
    for layer in _layers(showers):
        first = layer.max(axis=1).astype(np.float64)
        second = np.partition(layer, -2, axis=1)[:, -2].astype(np.float64) if layer.shape[1] > 1 else 0.0
        ratios.append(_divide(first - second, first + second))
    return np.stack(ratios, axis=1)


def n_hits(showers: Showers, *, threshold: float = 0.0) -> Int[np.ndarray, " n"]:
    """Number of voxels above a threshold, in all layers; ``(n,)``. BIB-AE, L2LFlows.

    Args:
        showers: The showers.
        threshold: Voxels up to this energy do not count, MeV.
    """
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueRangeError(f"threshold must be a finite energy in MeV, 0 or more; got {threshold}.")
    return np.count_nonzero(showers.voxels > threshold, axis=1)


def _layers(showers: Showers) -> Iterator[Float[np.ndarray, "n v"]]:
    for where in showers.geometry.layer_slices:
        yield showers.voxels[:, where]


def _divide(a: Float[np.ndarray, "..."], b: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The quotient, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=b > 0)


def _moments(
    weights: Float[np.ndarray, "n v"], x: Float[np.ndarray, " v"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Weighted mean and standard deviation of ``x`` for each row of weights; 0 for a row of zeros."""
    weights = weights.astype(np.float64)
    total = weights.sum(axis=1)
    mean = _divide((weights * x).sum(axis=1), total)
    variance = _divide((weights * (x - mean[:, None]) ** 2).sum(axis=1), total)
    return mean, np.sqrt(variance)


def _layer_moments(showers: Showers) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    return _moments(showers.e_layer, np.arange(showers.geometry.n_layers, dtype=np.float64))


def _lateral_moments(showers: Showers) -> tuple[Float[np.ndarray, "n L 2"], Float[np.ndarray, "n L 2"]]:
    found = [
        [_moments(energies, axis) for axis in layer.grid.centres()]
        for layer, energies in zip(showers.geometry.layers, _layers(showers), strict=True)
    ]
    mean, width = np.moveaxis(np.array(found), (2, 3), (0, 1))  # (L, 2, 2, n) -> (2, n, L, 2)
    return mean, width


def _radial_moments(showers: Showers) -> tuple[Float[np.ndarray, "n L"], Float[np.ndarray, "n L"]]:
    found = []
    for layer, energies in zip(showers.geometry.layers, _layers(showers), strict=True):
        grid = layer.grid
        r = grid.polar_centres()[1] if isinstance(grid, PolarGrid) else np.hypot(*grid.centres())
        found.append(_moments(energies, r))
    mean, width = np.moveaxis(np.array(found), (1, 2), (0, 1))  # (L, 2, n) -> (2, n, L)
    return mean, width
