"""Small calorimeters and showers with known properties."""

import numpy as np

from caloforge.geometry import CartesianGrid, Geometry, Layer, PolarGrid, uniform_edges
from caloforge.showers import Showers

__all__ = ["cartesian", "geometry_of", "polar", "toy_showers"]


def cartesian(n_x: int, n_y: int) -> CartesianGrid:
    return CartesianGrid(x_edges=uniform_edges(-30, 30, n_x), y_edges=uniform_edges(-20, 20, n_y))


def polar(n_alpha: int, n_r: int) -> PolarGrid:
    return PolarGrid(r_edges=uniform_edges(0, 50, n_r), n_alpha=n_alpha)


def geometry_of(*grids: CartesianGrid | PolarGrid) -> Geometry:
    return Geometry(name="toy", layers=tuple(Layer(name=f"l{k}", grid=g) for k, g in enumerate(grids)))


def toy_showers(geometry: Geometry, n: int, *, seed: int = 0) -> Showers:
    """About half of the voxels empty, a few layers wholly, energies from 1 to 100 GeV."""
    rng = np.random.default_rng(seed)
    e_inc = 10 ** rng.uniform(3, 5, n)
    voxels = rng.exponential(size=(n, geometry.n_voxels)) * (rng.random((n, geometry.n_voxels)) < 0.5)
    for where in geometry.layer_slices:
        voxels[:, where] *= (rng.random((n, 1)) < 0.9) * rng.uniform(0.1, 1.0, (n, 1))
    voxels *= rng.uniform(0.5, 0.9, (n, 1)) * e_inc[:, None] / np.maximum(voxels.sum(1, keepdims=True), 1e-9)
    return Showers(e_inc=e_inc, voxels=voxels, geometry=geometry)
