import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ConfigError
from caloforge.geometry import CartesianGrid, PolarGrid, uniform_edges


@given(low=st.floats(-1e4, 1e4), width=st.floats(1, 1e4), n=st.integers(1, 500))
def test_uniform_edges_are_edges_of_n_equal_bins(low, width, n):
    edges = uniform_edges(low, low + width, n)
    assert len(edges) == n + 1
    np.testing.assert_allclose(np.diff(edges), width / n, atol=3e-6)
    assert CartesianGrid(x_edges=edges, y_edges=(0, 1)).shape == (n, 1)


def test_uniform_edges_carry_no_float_dust():
    assert uniform_edges(0.0, 41.85, 9) == (0.0, 4.65, 9.3, 13.95, 18.6, 23.25, 27.9, 32.55, 37.2, 41.85)


@pytest.mark.parametrize(
    ("low", "high", "n"), [(1.0, 1.0, 3), (2.0, 1.0, 3), (0.0, 1.0, 0), (math.nan, 1.0, 2)]
)
def test_uniform_edges_refuse(low, high, n):
    with pytest.raises(ConfigError, match="Cannot cut"):
        uniform_edges(low, high, n)


def test_cartesian_centres_by_hand():
    x, y = CartesianGrid(x_edges=(0, 2, 6), y_edges=(-1, 1, 2, 4)).centres()
    assert x.tolist() == [1, 1, 1, 4, 4, 4]
    assert y.tolist() == [0, 1.5, 3, 0, 1.5, 3]


def test_polar_centres_by_hand():
    grid = PolarGrid(r_edges=(0, 2, 4), n_alpha=2)
    alpha, r = grid.polar_centres()
    np.testing.assert_allclose(alpha, [-math.pi / 2] * 2 + [math.pi / 2] * 2)
    assert r.tolist() == [1, 3, 1, 3]
    x, y = grid.centres()
    np.testing.assert_allclose(x, 0, atol=1e-12)
    np.testing.assert_allclose(y, [-1, -3, 1, 3])


def test_uncut_rings_have_their_centre_on_the_axis():
    x, y = PolarGrid(r_edges=(0, 2, 4), n_alpha=1).centres()
    assert not x.any()
    assert not y.any()


def test_alpha_runs_from_minus_pi_to_pi():
    edges = PolarGrid(r_edges=(0, 1), n_alpha=16).alpha_edges
    assert (len(edges), edges[0], edges[-1]) == (17, -math.pi, math.pi)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((0,), "at least two"),
        ((0, 1, 1), "strictly increasing"),
        ((1, 0), "strictly increasing"),
        ((0, math.nan), "finite number"),
        ((0, math.inf), "finite number"),
        ("0,1,2", "must be a list of numbers"),
        (3.0, "must be a list of numbers"),
        ((0, "1"), "finite number"),
        ((0, None), "finite number"),
    ],
)
def test_bad_edges(edges, message):
    with pytest.raises(ConfigError, match=message):
        CartesianGrid(x_edges=edges, y_edges=(0, 1))
    with pytest.raises(ConfigError, match=message):
        PolarGrid(r_edges=edges, n_alpha=1)


def test_negative_radius():
    with pytest.raises(ConfigError, match="must not be negative"):
        PolarGrid(r_edges=(-1, 1), n_alpha=1)


@pytest.mark.parametrize("n_alpha", [0, -2, 1.5, "2", True, None])
def test_bad_n_alpha(n_alpha):
    with pytest.raises(ConfigError, match="n_alpha must be a whole number"):
        PolarGrid(r_edges=(0, 1), n_alpha=n_alpha)


def test_edges_may_be_arrays_and_are_kept_as_plain_numbers():
    grid = PolarGrid(r_edges=np.linspace(0, 1, 3), n_alpha=np.int64(2))
    assert grid == PolarGrid(r_edges=(0.0, 0.5, 1.0), n_alpha=2)
    assert {type(edge) for edge in grid.r_edges} == {float}
    assert hash(grid)
