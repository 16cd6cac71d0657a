"""Samples with known answers, and settings that take a second."""

import numpy as np
import pytest
import torch

from caloforge import Showers
from caloforge.classifier import ClassifierConfig
from caloforge.geometry import Geometry
from support.toys import cartesian, geometry_of


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def squares() -> Geometry:
    return geometry_of(cartesian(2, 2), cartesian(1, 2))


@pytest.fixture(scope="session")
def gaussian(squares):
    """Showers with independent Gaussian voxels, 100 +- 10 MeV, of which the first is ``shift`` widths brighter."""

    def make(n: int, *, shift: float = 0.0, seed: int) -> Showers:
        rng = np.random.default_rng(seed)
        voxels = 100 + 10 * rng.normal(size=(n, squares.n_voxels))
        voxels[:, 0] += 10 * shift
        return Showers(e_inc=rng.uniform(1e3, 2e3, n), voxels=voxels.astype(np.float32), geometry=squares)

    return make


@pytest.fixture(scope="session")
def quick():
    """A test of CaloFlow's network that takes a second."""

    def make(**settings) -> ClassifierConfig:
        return ClassifierConfig(**({"trainings": 2, "epochs": 3, "batch_size": 100} | settings))

    return make
