"""Toy calorimeters and showers for the tests of files."""

import numpy as np
import pytest

from caloforge import Showers
from caloforge.geometry import CartesianGrid, Geometry, Layer, PolarGrid, uniform_edges


def _square(n: int, m: int) -> CartesianGrid:
    return CartesianGrid(x_edges=uniform_edges(-10, 10, n), y_edges=uniform_edges(-10, 10, m))


@pytest.fixture(scope="session")
def mixed() -> Geometry:
    """Three different layers, one of them polar: 6 + 4 + 15 voxels."""
    grids = (_square(2, 3), _square(2, 2), PolarGrid(r_edges=uniform_edges(0, 30, 5), n_alpha=3))
    return Geometry(
        name="mixed", layers=tuple(Layer(name=f"part{k}", grid=grid) for k, grid in enumerate(grids))
    )


@pytest.fixture(scope="session")
def cube() -> Geometry:
    """Three equal square layers, as the ILD layout wants them: 3 x 4 x 4 voxels."""
    return Geometry(name="cube", layers=tuple(Layer(name=f"part{k}", grid=_square(4, 4)) for k in range(3)))


@pytest.fixture(scope="session")
def make_showers():
    """Showers with a plausible ratio of deposited to incident energy, half of the voxels empty."""

    def make(geometry: Geometry, n: int = 20, *, dtype=np.float32, seed: int = 0, **provenance) -> Showers:
        rng = np.random.default_rng(seed)
        e_inc = rng.uniform(1e3, 1e5, n)
        voxels = rng.random((n, geometry.n_voxels)) * (rng.random((n, geometry.n_voxels)) < 0.5)
        ratio = sum(geometry.e_ratio_range) / 2
        voxels *= ratio * (e_inc / np.maximum(voxels.sum(axis=1), 1e-9))[:, None]
        return Showers(e_inc=e_inc, voxels=voxels.astype(dtype), geometry=geometry, provenance=provenance)

    return make
