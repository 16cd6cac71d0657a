"""Sampling's own paths give what those with gradients give."""

import pytest
import torch

from caloforge.flows import MADE, AutoregressiveSpline, InverseSpline, RationalQuadratic
from caloforge.flows.panels import encode_in_panels

SIZES = {
    "less than a panel": (5, 9, 1),
    "several panels": (70, 50, 2),
    "no hidden layer": (40, 33, 0),
    "wider than features": (33, 130, 1),
}


def flow(n_features, hidden, depth, **changes):
    spline = RationalQuadratic(n_bins=5, bound=3.0, min_bin=1e-3, min_slope=1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = MADE(
            n_features=n_features,
            n_context=3,
            n_params=spline.n_params,
            hidden=hidden,
            depth=depth,
            **changes,
        )
        made.last.weight.data.mul_(20.0)
    return AutoregressiveSpline(made, InverseSpline(spline)).double().eval()


def points(n, n_features, scale=2.0):
    generator = torch.Generator().manual_seed(1)
    x = scale * torch.randn(n, n_features, generator=generator, dtype=torch.float64)
    return x, torch.randn(n, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("n_features", "hidden", "depth"), SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("n", [0, 1, 300])
def test_panels_give_what_a_dense_pass_gives(n_features, hidden, depth, n):
    block = flow(n_features, hidden, depth)
    x, context = points(n, n_features)
    dense = block.encode(x, context)
    assert dense.requires_grad
    with torch.no_grad():
        found = block.encode(x, context)
        torch.testing.assert_close(encode_in_panels(block.made, block.spline, x, context), found)
    torch.testing.assert_close(found, dense.detach(), rtol=1e-9, atol=1e-9)


def test_residual_networks_go_the_dense_way():
    block = flow(6, 8, 1, residual=True)
    x, context = points(4, 6)
    dense = block.encode(x, context).detach()
    with torch.no_grad():
        torch.testing.assert_close(block.encode(x, context), dense, rtol=1e-9, atol=1e-9)


def test_weights_that_change_are_seen():
    block = flow(40, 20, 1)
    x, context = points(3, 40)
    with torch.no_grad():
        before = block.encode(x, context)
        block.made.last.bias.add_(0.5)
        after = block.encode(x, context)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, block.encode(x, context).detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_bins", [2, 3, 8])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_splines_without_gradient(dtype, n_bins, scale):
    """In all bins, at the bound, outside, and with parameters that make bins vanish."""
    spline = RationalQuadratic(n_bins=n_bins, bound=3.0)
    generator = torch.Generator().manual_seed(n_bins)
    params = (scale * torch.randn(2, spline.n_params, 500, generator=generator)).to(dtype)
    x = torch.linspace(-3.5, 3.5, 500).to(dtype).expand(2, 500).clone()
    x[0, :3] = torch.tensor([-3.0, 3.0, 0.0])
    tolerance = {"rtol": 1e-4, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-8}
    for name in ("encode", "decode", "forward", "inverse"):
        with torch.enable_grad():
            expected = getattr(spline, name)(x, params)
        with torch.no_grad():
            found = getattr(spline, name)(x, params)
        if name in ("forward", "inverse") and scale > 1:
            expected, found = expected[0], found[0]  # slopes of vanishing bins are all rounding
        torch.testing.assert_close(found, expected, **tolerance)
