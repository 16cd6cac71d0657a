"""Logistic mixtures: a density that integrates to one, and draws that have it."""

import math

import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.flows import LogisticMixture


def params(m, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3 * m - 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_the_density_integrates_to_one(m):
    mixture, x = LogisticMixture(n_components=m), torch.linspace(-80, 80, 400_001, dtype=torch.float64)
    density = mixture.log_prob(x, params(m).expand(-1, len(x))).exp()
    assert abs(float(torch.trapezoid(density, x)) - 1) < 1e-6


def test_one_component_is_the_logistic_distribution():
    x = torch.tensor([-2.0, 0.3, 5.0], dtype=torch.float64)
    found = LogisticMixture(n_components=1).log_prob(x, torch.tensor([[0.5], [math.log(2.0)]]).expand(2, 3))
    y = (x - 0.5) / 2
    torch.testing.assert_close(found, (y.sigmoid() * (1 - y.sigmoid()) / 2).log())


@pytest.mark.parametrize("m", [1, 2, 5])
def test_draws_have_the_density(m):
    mixture, n = LogisticMixture(n_components=m), 200_000
    p = params(m, seed=3)
    u = torch.rand(m, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = mixture.sample(u.logit(), p.expand(-1, n)).sort().values
    x = torch.linspace(-80, 80, 400_001, dtype=torch.float64)
    density = mixture.log_prob(x, p.expand(-1, len(x))).exp()
    cumulative = torch.cumulative_trapezoid(density, x)
    for at in (100_000, 190_000, 200_000, 210_000, 230_000):  # edges of a histogram
        expected = float(cumulative[at - 1])
        found = float(torch.searchsorted(drawn, x[at])) / n
        error = math.sqrt(max(expected * (1 - expected), 1e-9) / n)
        assert abs(found - expected) < 5 * error + 1e-6


def test_scales_and_logarithms_stay_finite():
    mixture = LogisticMixture(n_components=3)
    extreme = torch.full((8, 4), 60.0)
    extreme[:, 2:] = -60.0
    x = torch.tensor([-50.0, 1e4, 0.0, 3.0]).requires_grad_()
    extreme.requires_grad_()
    loss = mixture.log_prob(x, extreme).sum()
    assert bool(loss.isfinite())
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(loss, [x, extreme]))


def test_no_component_is_refused():
    with pytest.raises(ConfigError, match="at least 1 component"):
        LogisticMixture(n_components=0)
