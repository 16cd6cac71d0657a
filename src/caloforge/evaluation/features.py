r"""High-level features: functions of showers that give one number per shower, or per shower and layer.

Legend: :math:`E_v` energy of voxel v, :math:`E_k` energy of layer k, :math:`x_v` position of a voxel's centre.
Sums are over the voxels of one layer and run in float64, shower by shower: a feature of a shower does not depend
on the other showers of the sample. A layer without energy has the value 0 everywhere, as in the CaloChallenge.
To have all of them at once see :func:`~caloforge.evaluation.catalogue.high_level_features`.

References:
    M. Paganini, L. de Oliveira, B. Nachman, CaloGAN: simulating 3D high energy particle showers in multi-layer
    electromagnetic calorimeters with generative adversarial networks, arXiv:1712.10321 (depth, brightest voxels).
    C. Krause, D. Shih, CaloFlow: fast and accurate generation of calorimeter showers with normalizing flows,
    arXiv:2106.05285 (the same, layer fractions, sparsity).
    O. Amram et al., CaloChallenge 2022: a community challenge for fast calorimeter simulation,
    arXiv:2410.21611 (centroids, widths, sparsity).
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from caloforge.evaluation.layer_sums import axis_positions, divide, moments, two_brightest
from caloforge.showers import Showers, check_threshold

__all__ = [
    "e_ratio",
    "layer_energies",
    "layer_fractions",
    "depth_weighted_energy",
    "shower_depth",
    "shower_depth_width",
    "deepest_layer",
    "centroids",
    "widths",
    "radial_centroids",
    "radial_widths",
    "sparsity",
    "brightest_voxel",
    "brightest_share",
    "brightest_ratio",
    "n_hits",
    "occupancy",
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
    return divide(e_layer, e_layer.sum(axis=1, keepdims=True))


def depth_weighted_energy(showers: Showers) -> Float[np.ndarray, " n"]:
    r"""Energy weighted with the layer number, :math:`l_d = \sum_k k E_k`; layers from 0, MeV, ``(n,)``. CaloGAN."""
    e_layer = showers.e_layer
    return np.einsum("nl,l->n", e_layer, np.arange(e_layer.shape[1], dtype=np.float64))


def shower_depth(showers: Showers) -> Float[np.ndarray, " n"]:
    r"""Energy-weighted mean layer number, :math:`s_d = \sum_k k E_k / \sum_k E_k`; layers from 0, ``(n,)``.

    CaloGAN's and CaloFlow's "shower depth", there :math:`l_d / E_{tot}` with :func:`depth_weighted_energy`
    :math:`l_d`. For the layer where a shower ends see :func:`deepest_layer`.
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
    return _lateral_moments(showers, slice(0, 2))[0]


def widths(showers: Showers) -> Float[np.ndarray, "n L 2"]:
    r"""Lateral width of each layer along both axes of :func:`centroids`; mm, ``(n, L, 2)``.

    .. math:: \sigma_x = \sqrt{\overline{x^2} - \bar x^2}
                       = \sqrt{\textstyle\sum_v (x_v - \bar x)^2 E_v / E_k}

    Where the difference loses its digits, as in a layer with a single hit, the second form is taken; the
    CaloChallenge takes the first throughout, cut off at 0.
    """
    return _lateral_moments(showers, slice(0, 2))[1]


def radial_centroids(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Energy-weighted mean radius of each layer, :math:`\bar r = \sum_v r_v E_v / E_k`; mm, ``(n, L)``.

    Defined in the CaloChallenge for polar grids, with the bin midpoint as :math:`r_v`; for a Cartesian grid the
    distance of the voxel's centre from the axis.
    """
    return _lateral_moments(showers, slice(2, 3))[0][..., 0]


def radial_widths(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Energy-weighted standard deviation of the radius of :func:`radial_centroids`; mm, ``(n, L)``."""
    return _lateral_moments(showers, slice(2, 3))[1][..., 0]


def sparsity(showers: Showers, *, threshold: float = 0.0) -> Float[np.ndarray, "n L"]:
    """Share of empty voxels of each layer, 1 - (voxels above threshold) / (voxels); 1, ``(n, L)``.

    The CaloChallenge's definition, 1 for an empty layer. CaloFlow's "sparsity" is 1 minus this.

    Args:
        showers: The showers.
        threshold: Voxels up to this energy count as empty, MeV.
    """
    check_threshold(threshold)
    shares = [(layer > threshold).mean(axis=1) for layer in _layers(showers)]
    return 1.0 - np.stack(shares, axis=1)


def brightest_voxel(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Energy of the brightest voxel of each layer, :math:`E_{(1)}`; MeV, ``(n, L)``."""
    return np.stack([layer.max(axis=1) for layer in _layers(showers)], axis=1).astype(np.float64)


def brightest_share(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""Share of the brightest voxel in its layer's energy, :math:`E_{(1)} / E_k`; 1, ``(n, L)``.

    Between 1 / (voxels) and 1. CaloFlow draws it for each layer, L2LFlows' code calls it brightest voxel.
    """
    return divide(brightest_voxel(showers), showers.e_layer)


def brightest_ratio(showers: Showers) -> Float[np.ndarray, "n L"]:
    r"""How far the brightest voxel of a layer is ahead, :math:`(E_{(1)} - E_{(2)}) / (E_{(1)} + E_{(2)})`.

    :math:`E_{(1)}, E_{(2)}` are the largest and second largest voxel of the layer; 1, ``(n, L)``, between 0
    and 1, and 1 where only one voxel has energy. CaloGAN's and CaloFlow's :math:`E_{ratio,k}`.
    """
    ratios = []
    for layer in _layers(showers):
        first, second = two_brightest(layer.astype(np.float64))
        ratios.append(divide(first - second, first + second))
    return np.stack(ratios, axis=1)


def n_hits(showers: Showers, *, threshold: float = 0.0) -> Int[np.ndarray, " n"]:
    """Number of voxels above a threshold, in all layers; ``(n,)``. BIB-AE, L2LFlows.

    Args:
        showers: The showers.
        threshold: Voxels up to this energy do not count, MeV.
    """
    check_threshold(threshold)
    return np.count_nonzero(showers.voxels > threshold, axis=1)


def occupancy(showers: Showers, *, threshold: float = 0.0) -> Float[np.ndarray, " n"]:
    """Share of all voxels above a threshold; 1, ``(n,)``. L2LFlows.

    Args:
        showers: The showers.
        threshold: Voxels up to this energy do not count, MeV.
    """
    return n_hits(showers, threshold=threshold) / showers.geometry.n_voxels


def _layers(showers: Showers) -> Iterator[Float[np.ndarray, "n v"]]:
    for where in showers.geometry.layer_slices:
        yield showers.voxels[:, where]


def _layer_moments(showers: Showers) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    e_layer = showers.e_layer
    numbers = np.arange(e_layer.shape[1], dtype=np.float64)
    mean, width = moments(e_layer, (numbers,), e_layer.sum(axis=1))
    return mean[:, 0], width[:, 0]


def _lateral_moments(
    showers: Showers, axes: slice
) -> tuple[Float[np.ndarray, "n L d"], Float[np.ndarray, "n L d"]]:
    found = []
    for layer, voxels in zip(showers.geometry.layers, _layers(showers), strict=True):
        energies = voxels.astype(np.float64)
        found.append(moments(energies, axis_positions(layer.grid)[axes], energies.sum(axis=1)))
    mean, width = (np.stack(values, axis=1) for values in zip(*found, strict=True))
    return mean, width
