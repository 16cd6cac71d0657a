"""Hit energies as logistic numbers: there and back, sharp where hits are, nothing beyond them."""

import math

import pytest
import torch

from caloforge.preprocessing.hit_energies import HitEnergies


def hits(n=5000, seed=1):
    """A smooth hill and a sharp peak, as tracks make one."""
    generator = torch.Generator().manual_seed(seed)
    smooth = 3 + torch.randn(n, generator=generator)
    sharp = 6 + 0.1 * torch.rand(n, generator=generator)
    return torch.cat([smooth.abs(), sharp]), torch.cat([torch.zeros(n), torch.ones(n)]).long()


@pytest.fixture
def fitted():
    energies = HitEnergies(3)
    energies.fit(*hits())
    return energies


def test_there_and_back(fitted):
    x, of_class = hits(seed=2)
    t, log_slope = fitted.encode(x, of_class)
    inside = (t.abs() < 8) & log_slope.isfinite()
    back = fitted.decode(t, HitEnergies.starts(of_class))
    torch.testing.assert_close(back[inside], x[inside], rtol=1e-3, atol=1e-3)
    assert float(inside.double().mean()) > 0.98


def test_mapped_numbers_are_logistic(fitted):
    x, of_class = hits(seed=3)
    t, _ = fitted.encode(x, of_class)
    for k in (0, 1):
        share = t[of_class == k].sigmoid().sort().values
        even = (torch.arange(len(share)) + 0.5) / len(share)
        assert float((share - even).abs().max()) < 2.5 / math.sqrt(len(share))


def test_the_slope_is_that_of_the_map(fitted):
    of_class = torch.zeros(500, dtype=torch.long)
    x = torch.linspace(1, 5, 500)
    t, log_slope = fitted.encode(x, of_class)
    t_2, log_slope_2 = fitted.encode(x + 1e-3, of_class)
    same = log_slope == log_slope_2  # no knot in between
    found = (t_2 - t)[same] / 1e-3
    torch.testing.assert_close(found, log_slope[same].exp(), rtol=2e-2, atol=0)


def test_nothing_beyond_the_hits(fitted):
    x, _ = hits()
    far = torch.tensor([-1e30, -50.0, 50.0, 1e30])
    back = fitted.decode(far, HitEnergies.starts(torch.zeros(4, dtype=torch.long)))
    assert float(back.min()) >= float(x[:5000].min())
    assert float(back.max()) <= float(x[:5000].max()) + 0.01
    t, log_slope = fitted.encode(torch.tensor([0.0, 60.0]), torch.zeros(2, dtype=torch.long))
    assert bool((t.isfinite() & log_slope.isfinite()).all())


def test_a_class_with_few_hits_takes_those_of_all(fitted):
    x, of_class = hits()
    energies = HitEnergies(3)
    energies.fit(torch.cat([x, torch.full((10,), 1.0)]), torch.cat([of_class, torch.full((10,), 2)]))
    assert float(energies.knots[2].max()) > 5


def test_without_hits_the_map_stays():
    energies = HitEnergies(2)
    before = energies.knots.clone()
    energies.fit(torch.zeros(0), torch.zeros(0, dtype=torch.long))
    assert torch.equal(energies.knots, before)


def test_equal_hits_have_a_map_that_turns_round():
    energies = HitEnergies(1)
    energies.fit(torch.full((500,), 2.0), torch.zeros(500, dtype=torch.long))
    t, log_slope = energies.encode(torch.tensor([2.0]), torch.zeros(1, dtype=torch.long))
    assert bool(t.isfinite().all())
    assert bool(log_slope.isfinite().all())
