"""Energies of a sample: inside their bounds, of the right shape, and a pure function of seed and index."""

import math

import numpy as np
import pytest

from caloforge.energies import GivenEnergies, Spectrum
from caloforge.errors import ShapeError, ValueRangeError
from caloforge.seeding import digest


@pytest.mark.parametrize("shape", ["uniform", "log-uniform"])
def test_spectrum(shape):
    source, n = Spectrum(low=1e3, high=1e5, shape=shape), 20_000
    e_inc = source.e_inc(1, 0, n)
    assert source.bounds() == (1e3, 1e5)
    assert e_inc.dtype == np.float64
    assert e_inc.min() >= 1e3
    assert e_inc.max() <= 1e5 * (1 + 1e-12)
    flat = e_inc if shape == "uniform" else np.log(e_inc)
    low, high = (1e3, 1e5) if shape == "uniform" else (math.log(1e3), math.log(1e5))
    width = (high - low) / math.sqrt(12)
    assert abs(flat.mean() - (low + high) / 2) < 5 * width / math.sqrt(n)
    assert flat.std() == pytest.approx(width, rel=0.03)
    parts = [source.e_inc(1, start, 100) for start in range(0, n, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), e_inc)
    assert not np.array_equal(source.e_inc(2, 0, n), e_inc)
    assert len(source.e_inc(1, 5, 0)) == 0


def test_one_energy():
    np.testing.assert_array_equal(Spectrum(low=5e4, high=5e4).e_inc(1, 7, 3), [5e4] * 3)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-1, 1), (2, 1), (1, math.inf), (math.nan, 1), (1, math.nan), (math.inf, math.inf)],
)
def test_bad_bounds(low, high):
    with pytest.raises(ValueRangeError, match=f"got {low * 1e-3:.6g} to {high * 1e-3:.6g} GeV"):
        Spectrum(low=low, high=high)


def test_given_energies():
    source = GivenEnergies(np.array([3.0, 1.0, 2.0]))
    assert source.bounds() == (1.0, 3.0)
    np.testing.assert_array_equal(source.e_inc(9, 1, 2), [1.0, 2.0])
    assert len(GivenEnergies(np.zeros(0)).e_inc(1, 0, 0)) == 0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_bad_given_energies(bad):
    with pytest.raises(ValueRangeError, match=f"2 of 4 .* first at index 1: {bad} MeV"):
        GivenEnergies(np.array([1.0, bad, 2.0, bad]))


def test_given_energies_have_one_axis():
    with pytest.raises(ShapeError, match="e_inc has shape"):
        GivenEnergies(np.ones((3, 1)))


@pytest.mark.parametrize(
    ("seed", "expected"),
    [(1, "7df70d3f3844c43b"), (2**63, "f55ee0dd293f52c6"), (2**64 - 1, "3fbe95f0d3777853")],
)
def test_the_energies_of_a_seed_are_frozen(seed, expected):
    """Bit for bit as in version 0.1, where they came from torch in float32: a change is a change of samples."""
    e_inc = Spectrum(low=1e3, high=1e5).e_inc(seed, 10**9, 1000)
    assert digest(e_inc.tobytes()) == expected
