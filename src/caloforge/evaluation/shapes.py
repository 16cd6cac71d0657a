"""The shape of a shower as a point, the same for its mirror images and for whatever energy it is scaled to."""

import math

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float32

from caloforge.geometry import CartesianGrid, Grid
from caloforge.showers import Showers

__all__ = ["has_shape", "shower_shapes"]

_FEW_HITS = 4
"""Showers of fewer hits have shapes that others share by chance."""
_SAME_EDGE = 1e-6
"""Relative to the length of an axis: so far its edges may be from mirrored ones."""


def has_shape(showers: Showers) -> Bool[np.ndarray, " n"]:
    """Whether a shower has at least four voxels with energy; with fewer it is like others by chance."""
    found: Bool[np.ndarray, " n"] = np.count_nonzero(showers.voxels, axis=1) >= _FEW_HITS
    return found


def shower_shapes(showers: Showers) -> Float32[np.ndarray, "n F"]:
    """Points of length 1 whose distances compare the shapes of showers and nothing else.

    A shower is the roots of its voxels' shares of the deposited energy, so that distances (Hellinger's, from 0 to
    the root of 2) depend on no scale, and bright and soft voxels count alike: a change of every voxel by a relative
    amount d moves a shower by d / 2. Parts that are odd under a reflection then lose their sign, and Fourier
    coefficients in alpha their phase. So all mirror images of a shower are one point, and so are all its turns in a
    polar calorimeter and its quarter turns in one with square layers; and two showers are never farther from each
    other than their most similar images.

    Args:
        showers: The showers; those without energy are at the origin.

    Returns:
        ``(n, F)``, F about the number of voxels.
    """
    roots = np.sqrt(showers.voxels, dtype=np.float32)
    length = np.sqrt(np.einsum("if,if->i", roots, roots))
    roots /= np.where(length > 0, length, np.float32(1))[:, None]
    parts = [
        _invariant(roots[:, where].reshape(len(roots), *layer.grid.shape), layer.grid)
        for layer, where in zip(showers.geometry.layers, showers.geometry.layer_slices, strict=True)
    ]
    return np.concatenate([part.reshape(len(roots), -1) for part in parts], axis=1)


def _invariant(layer: Float32[np.ndarray, "n a b"], grid: Grid) -> Float32[np.ndarray, "n *c"]:
    """The layer's voxels, turned into as many numbers that no reflection and no turn of it changes."""
    if not isinstance(grid, CartesianGrid):
        return _without_phase(layer)
    axes = [k for k, edges in ((1, grid.x_edges), (2, grid.y_edges)) if _mirrored(edges)]
    for axis in axes:
        layer = _even_and_odd(layer, axis)
    if axes:
        layer = np.abs(layer)
    if len(axes) == 2 and _alike(grid.x_edges, grid.y_edges):
        layer = _symmetric_and_not(layer)
    return layer


def _mirrored(edges: tuple[float, ...]) -> bool:
    """Whether an axis looks the same from its other end."""
    return _alike(edges, tuple(-edge for edge in reversed(edges)))


def _alike(edges: tuple[float, ...], others: tuple[float, ...]) -> bool:
    """Whether two axes have bins of the same widths."""
    if len(edges) != len(others):
        return False
    return np.allclose(np.diff(edges), np.diff(others), rtol=0, atol=_SAME_EDGE * (edges[-1] - edges[0]))


def _even_and_odd(layer: Float32[np.ndarray, "n a b"], axis: int) -> Float32[np.ndarray, "n a b"]:
    """Sums of each voxel and its image in an axis, then their differences, both over the root of 2."""
    n = layer.shape[axis]
    first, last = (np.take(layer, rows, axis) for rows in (np.arange(n // 2), n - 1 - np.arange(n // 2)))
    middle = np.take(layer, np.arange(n // 2, n - n // 2), axis)
    root = np.float32(math.sqrt(0.5))
    return np.concatenate([root * (first + last), middle, root * (first - last)], axis=axis)


def _symmetric_and_not(layer: Float32[np.ndarray, "n a a"]) -> Float32[np.ndarray, "n c"]:
    """Of each voxel and the one with x and y exchanged, sum and modulus of the difference over the root of 2."""
    i, j = np.triu_indices(layer.shape[1], k=1)
    one, other, root = layer[:, i, j], layer[:, j, i], np.float32(math.sqrt(0.5))
    diagonal = np.einsum("iaa->ia", layer)
    return np.concatenate([diagonal, root * (one + other), root * np.abs(one - other)], axis=1)


def _without_phase(layer: Float32[np.ndarray, "n a r"]) -> Float32[np.ndarray, "n c r"]:
    """Moduli of the Fourier coefficients in alpha; the conjugate ones, which real numbers have twice, counted."""
    n = layer.shape[1]
    modulus = np.abs(scipy.fft.rfft(layer, axis=1, norm="ortho"))
    modulus[:, 1 : (n + 1) // 2] *= np.float32(math.sqrt(2))
    found: Float32[np.ndarray, "n c r"] = modulus
    return found
