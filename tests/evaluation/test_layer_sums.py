import math

import numpy as np
import pytest

from caloforge.evaluation.layer_sums import moments, two_brightest
from caloforge.evaluation.running_mean import RunningMean


def test_a_single_hit_far_from_the_axis_has_no_width():
    weights = np.array([[0, 0.3, 0], [0.3, 0.3, 0], [0, 0, 0]])
    x = np.array([1e4, 1e4 + 1e-3, -7.0])
    mean, width = moments(weights, (x, 2 * x), weights.sum(axis=1))
    assert mean[0].tolist() == [x[1], 2 * x[1]]
    assert width[0].tolist() == [0, 0]
    np.testing.assert_allclose(width[1], [5e-4, 1e-3], rtol=1e-6)  # ten digits below the position
    assert not mean[2].any()
    assert not width[2].any()


def test_two_brightest():
    first, second = two_brightest(np.array([[1.0, 5, 5], [0, 3, 1], [0, 2, 0], [0, 0, 0]]))
    assert first.tolist() == [5, 3, 2, 0]
    assert second.tolist() == [5, 1, 0, 0]


@pytest.mark.parametrize("sizes", [(5, 0, 1, 34), (40,), (1,) * 40])
def test_running_mean(sizes):
    rows = 1e6 + np.random.default_rng(0).normal(size=(40, 3))  # the spread is a millionth of the mean
    running = RunningMean(3)
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        running.add(part)
    np.testing.assert_allclose(running.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(running.error, rows.std(axis=0, ddof=1) / math.sqrt(40), rtol=1e-8)
    assert running.n == 40


def test_running_mean_of_one_row():
    running = RunningMean(2)
    running.add(np.array([[1.0, 2.0]]))
    assert running.mean.tolist() == [1, 2]
    assert np.isnan(running.error).all()
