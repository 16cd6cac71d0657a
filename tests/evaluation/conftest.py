"""Two tiny calorimeters whose features can be worked out on paper."""

import math

import numpy as np
import pytest

from caloforge import Showers
from caloforge.geometry import CartesianGrid, Geometry, Layer, PolarGrid


@pytest.fixture(scope="session")
def squares() -> Geometry:
    """Layer a: 2 x 3 voxels of 10 x 20 mm, x centres -5, 5, y centres -20, 0, 20; layer b: 1 x 2, y centres -5, 5."""
    a = CartesianGrid(x_edges=(-10, 0, 10), y_edges=(-30, -10, 10, 30))
    b = CartesianGrid(x_edges=(-10, 10), y_edges=(-10, 0, 10))
    return Geometry(name="squares", layers=(Layer(name="a", grid=a), Layer(name="b", grid=b)))


@pytest.fixture(scope="session")
def rings() -> Geometry:
    """Layer a: 2 slices (alpha = -pi/2, pi/2) of 2 rings (r = 5, 15 mm); layer b: the rings alone."""
    a = PolarGrid(r_edges=(0, 10, 20), n_alpha=2)
    b = PolarGrid(r_edges=(0, 10, 20), n_alpha=1)
    return Geometry(name="rings", layers=(Layer(name="a", grid=a), Layer(name="b", grid=b)))


@pytest.fixture(scope="session")
def make_showers():
    """Random showers, about half of the voxels empty; a larger ``slope`` is a flatter voxel spectrum."""

    def make(geometry: Geometry, n: int = 50, *, seed: int = 0, slope: float = 1.0) -> Showers:
        rng = np.random.default_rng(seed)
        shape = (n, geometry.n_voxels)
        voxels = rng.exponential(slope, shape) * (rng.random(shape) < 0.5)
        return Showers(
            e_inc=rng.uniform(math.e, 100.0, n), voxels=voxels.astype(np.float32), geometry=geometry
        )

    return make
