import numpy as np
import pytest

from caloforge.errors import UnknownNameError
from caloforge.evaluation import REFERENCE_E_INC, reference_names, reference_sample, sample_of_particle
from caloforge.evaluation.reference_samples import _FOLDER


def test_shipped_samples():
    assert reference_names() == ("eplus", "gamma", "piplus")
    for particle, name in (("e+", "eplus"), ("gamma", "gamma"), ("pi+", "piplus")):
        assert sample_of_particle(particle) == name
        showers = reference_sample(name)
        assert len(showers) == 400
        assert showers.geometry.name == "calogan"
        assert showers.provenance["attributes"]["particle"] == particle
        low, high = REFERENCE_E_INC
        assert low <= showers.e_inc.min() < showers.e_inc.max() <= high
        expected = (high - low) / np.sqrt(12 * 400)  # uniform
        assert abs(showers.e_inc.mean() - (low + high) / 2) < 5 * expected
        assert (_FOLDER / f"{name}.h5").stat().st_size < 700_000


def test_only_held_out_showers_are_shipped():
    for name, first in (("eplus", 7500), ("gamma", 7500), ("piplus", 8000)):
        assert reference_sample(name).provenance["history"][0]["showers"] == [first, first + 400]


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="Did you mean 'eplus'"):
        reference_sample("eplu")
    assert sample_of_particle(None) == sample_of_particle("mu-") == "eplus"
