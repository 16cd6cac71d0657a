"""A trained model of six voxels."""

import pytest

from caloforge.generation import load_model
from support.tiny_runs import train_tiny


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generation") / "run"
    train_tiny(folder, "training.energies.epochs=1", "training.shape.epochs=1")
    return folder


@pytest.fixture
def generator(run):
    return load_model(run)
