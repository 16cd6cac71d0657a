"""What every bijection must be, for all of them; a new one is one line in ``BIJECTIONS``."""

import math

import pytest
import torch
from torch import nn

from caloforge.errors import ConfigError
from caloforge.flows import (
    MADE,
    AutoregressiveSpline,
    Chain,
    CouplingSpline,
    Flow,
    Inverse,
    InverseSpline,
    Permutation,
    RationalQuadratic,
)
from support.checks import check_bijection

C = 2


def autoregressive(n_features: int = 5, *, inverse: bool = False, **settings) -> AutoregressiveSpline:
    spline = RationalQuadratic(n_bins=4, bound=3.0, min_bin=1e-2, min_slope=1e-2)
    made = MADE(
        n_features=n_features,
        n_context=C,
        n_params=spline.n_params,
        **({"hidden": 12, "depth": 1} | settings),
    )
    return AutoregressiveSpline(made, InverseSpline(spline) if inverse else spline)


def coupling(*moved: bool, **settings) -> CouplingSpline:
    spline = RationalQuadratic(n_bins=4, bound=3.0, min_bin=1e-2, min_slope=1e-2)
    return CouplingSpline(moved, n_context=C, spline=spline, **({"hidden": 12, "depth": 1} | settings))


def stirred(bijection: nn.Module, *, seed: int = 0, width: float = 0.4) -> nn.Module:
    """Far from the identity, which hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.copy_(width * torch.randn(parameter.shape, generator=generator))
    return bijection.eval()


BIJECTIONS = {
    "plain": autoregressive,
    "plain, two layers": lambda: autoregressive(depth=2),
    "residual": lambda: autoregressive(residual=True),
    "residual, two blocks": lambda: autoregressive(residual=True, depth=2),
    "depth 0": lambda: autoregressive(depth=0),
    "residual, depth 0": lambda: autoregressive(depth=0, residual=True),
    "fewer units than features": lambda: autoregressive(hidden=3),
    "one feature": lambda: autoregressive(1),
    "coupling": lambda: coupling(True, False, True, False, False),
    "coupling, two layers": lambda: coupling(False, True, True, False, True, depth=2),
    "coupling, all moved": lambda: coupling(*5 * [True]),
    "permutation": lambda: Permutation([3, 0, 4, 1, 2]),
    "chain": lambda: Chain(
        [autoregressive(), Permutation([1, 2, 0, 4, 3]), autoregressive(residual=True), Permutation(range(5))]
    ),
    "empty chain": lambda: Chain([]),
    "inverse spline": lambda: autoregressive(inverse=True),
    "inverse permutation": lambda: Inverse(Permutation([3, 0, 4, 1, 2])),
    "a student's chain": lambda: Chain(
        [autoregressive(inverse=True), Inverse(Permutation([1, 2, 0, 4, 3])), autoregressive(inverse=True)]
    ),
    "inverse of the inverse": lambda: Inverse(Inverse(autoregressive())),
}
bijections = pytest.mark.parametrize("make", BIJECTIONS.values(), ids=BIJECTIONS.keys())


def inputs(bijection: nn.Module, n: int, where: str, dtype: torch.dtype):
    n_features = bijection.made.n_features if isinstance(bijection, AutoregressiveSpline) else 5
    x = torch.randn(n, n_features, dtype=dtype)
    x = {"inside": x, "mixed": 4 * x, "in the tails": x + 20 * x.sign()}[where]
    return x, torch.randn(n, C, dtype=dtype)


@bijections
@pytest.mark.parametrize("where", ["inside", "mixed", "in the tails"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_bijection(make, where, dtype, device):
    # Rounding grows with the slopes of the splines, so float32 gets milder ones.
    bijection = stirred(make(), width=0.4 if dtype == torch.float64 else 0.15).to(device, dtype)
    check_bijection(bijection, *(t.to(device) for t in inputs(bijection, 6, where, dtype)))


@bijections
@pytest.mark.parametrize("n", [0, 1])
def test_bijection_of_few(make, n):
    bijection = stirred(make()).double()
    check_bijection(bijection, *inputs(bijection, n, "inside", torch.float64))


@bijections
def test_rows_do_not_see_each_other(make):
    bijection = stirred(make()).double()
    x, context = inputs(bijection, 4, "inside", torch.float64)
    for direction in (bijection, bijection.inverse):
        whole = direction(x, context)
        alone = direction(x[2:3], context[2:3])
        torch.testing.assert_close((whole[0][2:3], whole[1][2:3]), alone, rtol=1e-12, atol=1e-12)


@bijections
def test_weights_survive_saving(make):
    bijection, other = stirred(make()).double(), stirred(make(), seed=1).double()
    if isinstance(other, Permutation):
        other = Permutation([0, 1, 2, 3, 4])
    x, context = inputs(bijection, 4, "inside", torch.float64)
    other.load_state_dict(bijection.state_dict())
    for direction in ("forward", "inverse"):
        for mine, theirs in zip(
            getattr(bijection, direction)(x, context), getattr(other, direction)(x, context), strict=True
        ):
            assert torch.equal(mine, theirs)


def test_the_tails_are_the_identity():
    x, context = 100 + torch.rand(3, 5), torch.randn(3, C)
    z, log_det = stirred(autoregressive())(x, context)
    assert torch.equal(z, x)
    assert torch.equal(log_det, torch.zeros(3))


def test_context_matters_for_every_feature():
    bijection = stirred(autoregressive(hidden=60))
    x = torch.zeros(2, 5)
    z, _ = bijection(x, torch.tensor([[0.0, 0.0], [1.0, -1.0]]))
    assert bool((z[0] != z[1]).all())


def test_permutation_moves_what_it_says():
    x = torch.tensor([[10.0, 11.0, 12.0]])
    z, _ = Permutation([2, 0, 1])(x, torch.zeros(1, C))
    assert z.tolist() == [[12.0, 10.0, 11.0]]


@pytest.mark.parametrize("order", [[0, 0], [1, 2], [0, 2, 3], [-1, 0]])
def test_permutation_refuses_what_is_none(order):
    with pytest.raises(ConfigError, match="once each"):
        Permutation(order)


def test_density_integrates_to_one_in_one_dimension():
    flow = Flow(stirred(autoregressive(1))).double()
    x = torch.linspace(-12, 12, 48_001, dtype=torch.float64)[:, None]
    density = flow.log_prob(x, torch.tensor([[0.3, -1.0]], dtype=torch.float64).expand(len(x), -1))
    density = density.detach().exp()
    assert float(torch.trapezoid(density, x[:, 0])) == pytest.approx(1.0, abs=1e-6)
    assert float(density.max()) > 0.42, "the flow is too close to a normal for this test to mean much"


def test_density_integrates_to_one_in_two_dimensions():
    chain = Chain([autoregressive(2), Permutation([1, 0]), autoregressive(2, residual=True)])
    flow = Flow(stirred(chain, width=0.2)).double()
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    log_density = flow(x, torch.tensor([[0.3, -1.0]], dtype=torch.float64).expand(len(x), -1))
    density = log_density.detach().exp().view(401, 401)
    total = torch.trapezoid(torch.trapezoid(density, axis), axis)
    assert float(total) == pytest.approx(1.0, abs=1e-3)


def test_untrained_flow_has_the_entropy_of_a_normal():
    """An identity-like flow: the mean negative log-likelihood of normal numbers is their entropy."""
    n, n_features = 4000, 7
    flow = Flow(autoregressive(n_features)).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(1e-3)
        nll = -flow.log_prob(
            torch.randn(n, n_features, dtype=torch.float64), torch.randn(n, C, dtype=torch.float64)
        )
    entropy = n_features * 0.5 * (1 + math.log(2 * math.pi))
    stderr = float(nll.std()) / math.sqrt(n)
    assert abs(float(nll.mean()) - entropy) < 5 * stderr
    assert 5 * stderr < 0.2


def test_samples_have_the_density_that_log_prob_says():
    """Counts in bins against the integral of the density over them, within their Poisson errors."""
    flow = Flow(stirred(autoregressive(1))).double()
    n = 40_000
    context = torch.tensor([[1.0, 0.5]], dtype=torch.float64).expand(n, -1)
    with torch.no_grad():
        x = flow.decode(torch.randn(n, 1, dtype=torch.float64), context)
        edges = torch.linspace(-2, 2, 9, dtype=torch.float64)
        counts = torch.histogram(x[:, 0], edges).hist
        for k in range(8):
            grid = torch.linspace(float(edges[k]), float(edges[k + 1]), 501, dtype=torch.float64)
            expected = n * torch.trapezoid(flow(grid[:, None], context[:501]).exp(), grid)
            assert abs(float(counts[k] - expected)) < 5 * math.sqrt(float(expected))


def test_decode_undoes_the_flow():
    flow = Flow(stirred(BIJECTIONS["chain"]())).double()
    z, context = torch.randn(5, 5, dtype=torch.float64), torch.randn(5, C, dtype=torch.float64)
    torch.testing.assert_close(flow.bijection(flow.decode(z, context), context)[0], z)
    assert torch.equal(flow(z, context), flow.log_prob(z, context))


def test_inverse_swaps_the_directions():
    bijection = stirred(autoregressive()).double()
    swapped = Inverse(bijection)
    x, context = torch.randn(5, 5, dtype=torch.float64), torch.randn(5, C, dtype=torch.float64)
    with torch.no_grad():
        for mine, theirs in ((swapped.inverse, bijection), (swapped, bijection.inverse)):
            for a, b in zip(mine(x, context), theirs(x, context), strict=True):
                assert torch.equal(a, b)
        assert torch.equal(swapped.decode(x, context), bijection.encode(x, context))
        assert torch.equal(swapped.encode(x, context), bijection.decode(x, context))


def test_a_coupling_keeps_what_it_does_not_move():
    bijection = stirred(coupling(True, False, True, False, False)).double()
    x, context = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, C, dtype=torch.float64)
    z, _ = bijection(x, context)
    assert torch.equal(z[:, [1, 3, 4]], x[:, [1, 3, 4]])
    assert bool((z[:, [0, 2]] != x[:, [0, 2]]).all())


def test_sizes_of_couplings_are_counted_without_building():
    for moved, hidden, depth in (((True, False), 3, 1), ((True, True, False, True), 5, 3)):
        count = CouplingSpline.count_parameters(
            n_moved=sum(moved),
            n_kept=len(moved) - sum(moved),
            n_context=C,
            n_params=11,
            hidden=hidden,
            depth=depth,
        )
        made = coupling(*moved, hidden=hidden, depth=depth)
        assert count == sum(p.numel() for p in made.parameters())


@pytest.mark.parametrize(
    ("moved", "settings"),
    [
        ((False, False), {}),
        ((True, False), {"hidden": 0}),
        ((True,), {"depth": 0}),
        ((True,), {"dropout": 1.0}),
    ],
)
def test_couplings_that_make_no_sense(moved, settings):
    with pytest.raises(ConfigError, match="A coupling needs"):
        coupling(*moved, **settings)
