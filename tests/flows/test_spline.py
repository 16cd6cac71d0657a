"""The spline against two independent libraries, and where such splines are known to fail."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nflows.transforms.splines import rational_quadratic as nflows_rqs
from torch.nn import functional
from zuko.transforms import MonotonicRQSTransform

from caloforge.errors import ConfigError
from caloforge.flows import InverseSpline, RationalQuadratic

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
SPLINES = {
    "CaloFlow": RationalQuadratic(),
    "loose": RationalQuadratic(n_bins=10, bound=8.0, min_bin=1e-3, min_slope=1e-3),
    "two bins": RationalQuadratic(n_bins=2, bound=1.0, min_bin=0.1, min_slope=0.5),
}
splines = pytest.mark.parametrize("spline", SPLINES.values(), ids=SPLINES.keys())
DIRECTIONS = ("forward", "inverse")


def knots(spline: RationalQuadratic, params):
    """Inner and outer knots in x and y, ``(K + 1, n)`` each, straight from the definition."""
    k = spline.n_bins
    share = spline.min_bin + (1 - k * spline.min_bin) * params[: 2 * k].view(2, k, -1).softmax(1)
    edges = functional.pad((2 * spline.bound * share).cumsum(1), (0, 0, 1, 0)) - spline.bound
    return edges[0], edges[1]


def points(spline: RationalQuadratic, *, by_height: bool, n: int = 300, scale: float = 2.0):
    """Parameters ``(P, m)`` and points ``(m,)``: inside, outside, at the bounds and at every knot."""
    generator = torch.Generator().manual_seed(1)
    b = spline.bound
    x = torch.empty(n, dtype=torch.float64).uniform_(-1.3 * b, 1.3 * b, generator=generator)
    x[:6] = torch.tensor([-b, b, 0.0, math.nextafter(b, 0.0), math.nextafter(-b, 0.0), 100 * b])
    params = scale * torch.randn(spline.n_params, n, generator=generator, dtype=torch.float64)
    at_knots = knots(spline, params[:, :20])[int(by_height)]
    x = torch.cat([x, at_knots.flatten()])
    return x, torch.cat([params, params[:, :20].repeat(1, len(at_knots))], dim=1)


@splines
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_agrees_with_nflows(spline, direction, scale):
    x, params = points(spline, by_height=direction == "inverse", scale=scale)
    k = spline.n_bins
    shift = math.log(math.expm1(1 - spline.min_slope))  # nflows: raw 0 is slope log 2, ours is slope 1
    theirs, their_log_slope = nflows_rqs.unconstrained_rational_quadratic_spline(
        x,
        params[:k].T,
        params[k : 2 * k].T,
        params[2 * k :].T + shift,
        inverse=direction == "inverse",
        tail_bound=spline.bound,
        min_bin_width=spline.min_bin,
        min_bin_height=spline.min_bin,
        min_derivative=spline.min_slope,
    )
    y, log_slope = getattr(spline, direction)(x, params)
    torch.testing.assert_close(y, theirs, **CLOSE)
    torch.testing.assert_close(log_slope, their_log_slope, **CLOSE)
    turned = InverseSpline(spline)
    back = getattr(turned, "inverse" if direction == "forward" else "forward")(x, params)
    assert torch.equal(back[0], y)
    assert torch.equal(back[1], log_slope)
    if direction == "inverse":
        assert torch.equal(spline.decode(x, params), y)
        assert torch.equal(turned.encode(x, params), y)
    else:
        assert torch.equal(spline.encode(x, params), y)
        assert torch.equal(turned.decode(x, params), y)


@splines
def test_agrees_with_zuko(spline):
    x, params = points(spline, by_height=False, scale=1.0)
    k, tiny = spline.n_bins, 1e-300

    def raw(value, factor):  # zuko squashes its raw values; undo that
        return value / (1 - factor * value.abs() / -math.log(tiny))

    share = [(edges.diff(dim=0) / (2 * spline.bound)).log() for edges in knots(spline, params)]
    slope = spline.min_slope + functional.softplus(
        params[2 * k :] + math.log(math.expm1(1 - spline.min_slope))
    )
    theirs = MonotonicRQSTransform(
        raw(share[0], 2).T, raw(share[1], 2).T, raw(slope.log(), 1).T, bound=spline.bound, slope=tiny
    )
    their_y, their_log_slope = theirs.call_and_ladj(x)
    y, log_slope = spline.forward(x, params)
    torch.testing.assert_close(y, their_y, **CLOSE)
    torch.testing.assert_close(log_slope, their_log_slope, **CLOSE)
    torch.testing.assert_close(spline.inverse(y, params)[0], theirs.inv(their_y), **CLOSE)


@splines
def test_zero_parameters_are_the_identity(spline):
    x = torch.linspace(-2, 2, 101, dtype=torch.float64) * spline.bound
    for direction in DIRECTIONS:
        y, log_slope = getattr(spline, direction)(x, x.new_zeros(spline.n_params, len(x)))
        torch.testing.assert_close(y, x)
        torch.testing.assert_close(log_slope, torch.zeros_like(x))


@splines
def test_leading_axes_are_batch_axes(spline):
    x = torch.randn(2, 3, 4)
    params = torch.randn(2, 3, spline.n_params, 4)
    y, log_slope = spline.forward(x, params)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close((y[i, j], log_slope[i, j]), spline.forward(x[i, j], params[i, j]))


@given(
    values=st.lists(st.floats(-30, 30), min_size=23, max_size=23),
    low=st.floats(-15, 15),
    step=st.floats(1e-6, 1.0),
)
def test_is_increasing_and_keeps_its_interval(values, low, step):
    spline = SPLINES["CaloFlow"]
    params = torch.tensor(values, dtype=torch.float64)[:, None].expand(-1, 200)
    x = low + step * torch.arange(200, dtype=torch.float64)
    for direction in DIRECTIONS:
        y, log_slope = getattr(spline, direction)(x, params)
        # Where the slope is nearly zero, neighbours may be equal to rounding; nothing may go down.
        assert bool((y.diff() > -1e-12 * spline.bound).all())
        assert bool((y[x.abs() <= spline.bound].abs() <= spline.bound * (1 + 1e-12)).all())
        assert bool(log_slope.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("min_bin", [1e-6, 1e-3])
def test_extreme_parameters_keep_values_and_gradients_finite(dtype, direction, min_bin):
    """Bins as narrow and as steep as they can be; at, just below and just above every knot, and outside."""
    spline = RationalQuadratic(min_bin=min_bin, min_slope=min_bin)
    generator = torch.Generator().manual_seed(2)
    n = 2000
    params = (torch.randint(0, 2, (spline.n_params, n), generator=generator) * 60.0 - 30.0).to(dtype)
    params *= torch.rand(params.shape, generator=generator).to(dtype)
    edges = knots(spline, params)[int(direction == "inverse")][:-1]
    far = torch.full_like(edges, 99.0)
    at = torch.cat([edges, torch.nextafter(edges, -far), torch.nextafter(edges, far)])
    bound = torch.tensor([spline.bound], dtype=dtype)
    ends = torch.cat([bound, torch.nextafter(bound, -bound), 2 * bound, 1e6 * bound])
    at = torch.cat([at, torch.cat([ends, -ends])[:, None].expand(-1, n)])
    x = at.clone().requires_grad_()
    # as the last axis holds the points: (points per parameter set, P, n)
    raw = params.expand(len(at), -1, -1).clone().requires_grad_()
    y, log_slope = getattr(spline, direction)(x, raw)
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        loss = weights[0] * y.sum() + weights[1] * log_slope.sum()
        for gradient in torch.autograd.grad(loss, [x, raw], retain_graph=True):
            assert bool(gradient.isfinite().all())
    assert bool(y.isfinite().all())
    assert bool(log_slope.isfinite().all())


def test_round_trip_of_steep_bins_keeps_its_digits():
    """Where the quadratic is solved by a difference of equal numbers, half of the digits go."""
    spline = RationalQuadratic()
    generator = torch.Generator().manual_seed(3)
    params = 30 * (2 * torch.rand(spline.n_params, 20_000, generator=generator, dtype=torch.float64) - 1)
    y = torch.empty(20_000, dtype=torch.float64).uniform_(-14, 14, generator=generator)
    x, _ = spline.inverse(y, params)
    back, log_slope = spline.forward(x, params)
    # What x cannot resolve, y cannot show: eps of x times the slope there.
    assert bool(((back - y).abs() < 1e-12 + 1e-14 * log_slope.exp()).all())


def test_survives_a_discriminant_that_rounding_makes_negative():
    spline = RationalQuadratic()
    generator = torch.Generator().manual_seed(4)
    params = 30 * torch.sign(torch.randn(spline.n_params, 20_000, generator=generator))
    params *= torch.rand(params.shape, generator=generator)
    _, y_knots = knots(spline, params)
    y = torch.nextafter(y_knots[5], torch.full_like(y_knots[5], -99))
    with pytest.raises(AssertionError):
        nflows_rqs.unconstrained_rational_quadratic_spline(
            y,
            params[:8].T,
            params[8:16].T,
            params[16:].T + math.log(math.expm1(1 - 1e-6)),
            inverse=True,
            tail_bound=14.0,
            min_bin_width=1e-6,
            min_bin_height=1e-6,
            min_derivative=1e-6,
        )
    x, log_slope = spline.inverse(y, params)
    assert bool(x.isfinite().all())
    assert bool(log_slope.isfinite().all())
    assert bool((x.abs() <= spline.bound * (1 + 1e-6)).all())


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_outside_is_the_identity_also_for_nothing_inside(direction):
    spline = SPLINES["CaloFlow"]
    x = torch.tensor([-1e30, -14.0, 14.0, 15.0, 1e30])
    y, log_slope = getattr(spline, direction)(x, torch.randn(23, 5))
    assert torch.equal(y, x)
    assert torch.equal(log_slope, torch.zeros(5))
    empty, _ = getattr(spline, direction)(x[:0], torch.randn(23, 0))
    assert empty.shape == (0,)


def test_what_is_not_a_number_stays_visible():
    y, _ = SPLINES["CaloFlow"].forward(torch.tensor([math.nan, math.inf]), torch.randn(23, 2))
    assert torch.equal(y.isnan(), torch.tensor([True, False]))
    assert float(y[1]) == math.inf


@pytest.mark.parametrize(
    "settings",
    [
        {"n_bins": 1},
        {"bound": 0.0},
        {"bound": -1.0},
        {"min_bin": 0.0},
        {"min_bin": 0.125},
        {"min_slope": 0.0},
        {"min_slope": 1.0},
    ],
)
def test_refuses_nonsense(settings):
    with pytest.raises(ConfigError):
        RationalQuadratic(**settings)
