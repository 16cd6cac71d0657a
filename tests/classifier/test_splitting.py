"""Splits: equal classes, no shower twice, showers of one energy on one side."""

import numpy as np
import pytest

from caloforge.classifier.splitting import count_twins, draw_split
from caloforge.errors import ValueRangeError

SHARES = (0.6, 0.2, 0.2)


def check(split, n_reference):
    """Both classes equal in each part, and no shower twice."""
    parts = [split.train, split.selection, split.test]
    for part in parts:
        assert (part < n_reference).sum() * 2 == len(part)
    every = np.concatenate(parts)
    assert len(np.unique(every)) == len(every)
    return parts


def test_shares_and_both_classes():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 100, 100), rng.uniform(1, 100, 250)
    parts = check(draw_split(a, b, shares=SHARES, seed=1), 250)
    assert [len(part) for part in parts] == [120, 40, 40]
    assert max(part.max() for part in parts) < 350
    same, other = (draw_split(a, b, shares=SHARES, seed=seed) for seed in (1, 2))
    assert np.array_equal(parts[0], same.train)
    assert not np.array_equal(parts[0], other.train)
    # The larger sample is not always left with the same rest.
    assert not np.array_equal(np.sort(parts[0][:60]), np.arange(60))


def test_twins_stay_together():
    e_inc = np.random.default_rng(0).uniform(1e3, 1e5, 500)
    order = np.random.default_rng(1).permutation(500)
    generated = e_inc[order].astype(np.float32)  # as files may have them
    assert count_twins(generated, e_inc) == 500
    parts = check(draw_split(generated, e_inc, shares=SHARES, seed=3), 500)
    energies = np.concatenate([e_inc.astype(np.float32), generated])
    assert [len(part) for part in parts] == pytest.approx([600, 200, 200], abs=2)
    for k, part in enumerate(parts):
        others = np.concatenate(parts[:k] + parts[k + 1 :])
        assert not np.isin(energies[part], energies[others]).any()


def test_several_generated_showers_per_energy():
    e_inc = np.random.default_rng(0).uniform(1e3, 1e5, 400)
    parts = check(draw_split(np.repeat(e_inc, 3), e_inc, shares=SHARES, seed=3), 400)
    assert sum(map(len, parts)) > 500


def test_few_shared_energies_are_no_twins():
    energies = 2.0 ** np.arange(8, 23)
    a, b = (np.repeat(energies, 40) for _ in range(2))
    assert count_twins(a, b) == 0
    parts = check(draw_split(a, b, shares=SHARES, seed=0), 600)
    assert len(np.unique(np.concatenate([b, a])[parts[2]])) == 15


def test_equal_by_chance_are_no_twins():
    a = np.random.default_rng(0).uniform(1, 2, 1000)
    b = np.random.default_rng(1).uniform(1, 2, 1000)
    b[:5] = a[:5]
    assert count_twins(a, b) == 0


def test_too_few():
    with pytest.raises(ValueRangeError, match="9 showers"):
        draw_split(np.arange(1.0, 10.0), np.arange(1.0, 100.0), shares=SHARES, seed=0)
    with pytest.raises(ValueRangeError, match="splits each sample"):
        draw_split(np.arange(1.0, 31.0), np.arange(101.0, 131.0), shares=(0.9, 0.05, 0.05), seed=0)
