"""Grouped networks: what depends on what, and a sweep that gives what one dense pass gives."""

import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.flows import GroupedMADE

SHAPES = {
    "one group": ([0, 0, 0], 1, 0),
    "a group for each feature": ([2, 0, 1, 3], 1, 1),
    "uneven groups": ([0, 2, 2, 1, 2, 0, 1], 2, 2),
    "more groups than hidden units": (list(range(12)), 1, 1),
}


def network(groups, n_channels, depth, **changes):
    sizes = {"n_context": 3, "n_params": 4, "hidden": 9} | changes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GroupedMADE(groups, n_channels=n_channels, depth=depth, **sizes).double().eval()


def inputs(groups, n_channels, n=5):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, n_channels, len(groups), generator=generator, dtype=torch.float64)
    return x, torch.randn(n, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("groups", "n_channels", "depth"), SHAPES.values(), ids=SHAPES.keys())
def test_parameters_depend_on_earlier_groups_only_and_on_the_context(groups, n_channels, depth):
    net = network(groups, n_channels, depth)
    x, context = inputs(groups, n_channels, n=1)
    by_x = torch.autograd.functional.jacobian(lambda a: net(a, context).sum((0, 1)), x)[:, 0].abs().sum(1)
    group = torch.tensor(groups)
    earlier = group[:, None] > group[None, :]
    assert bool((by_x[~earlier] == 0).all())
    by_context = torch.autograd.functional.jacobian(lambda a: net(x, a).sum((0, 1)), context)
    assert bool((by_context.abs().sum((1, 2)) > 0).all())


def test_a_wide_network_uses_all_that_it_may_see():
    groups = [0, 2, 2, 1, 2, 0, 1]
    net = network(groups, 1, 1, hidden=300)
    x, context = inputs(groups, 1, n=1)
    by_x = torch.autograd.functional.jacobian(lambda a: net(a, context).sum((0, 1)), x)[:, 0, 0].abs()
    group = torch.tensor(groups)
    assert torch.equal(by_x > 0, group[:, None] > group[None, :])


@pytest.mark.parametrize(("groups", "n_channels", "depth"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_sweep_gives_what_a_dense_pass_gives(groups, n_channels, depth, n):
    net = network(groups, n_channels, depth)
    x, context = inputs(groups, n_channels, n=n)
    with torch.no_grad():
        dense = net(x, context)
        sweep = net.sweep(context)
        for g, members in enumerate(sweep.features):
            params = sweep.params(g)
            torch.testing.assert_close(params, dense[:, :, members].permute(1, 2, 0))
            sweep.feed(g, x[:, :, members].permute(1, 2, 0).flatten(0, 1))


def test_a_sweep_sees_weights_that_have_changed():
    net = network([0, 1], 1, 1)
    _, context = inputs([0, 1], 1)
    with torch.no_grad():
        before = net.sweep(context).params(0).clone()
        net.last_context.bias.add_(1.0)
        torch.testing.assert_close(net.sweep(context).params(0), before + 1)
        other = network([0, 1], 1, 1, n_params=4)
        net.load_state_dict(other.state_dict())
        torch.testing.assert_close(net.sweep(context).params(0), before)


def test_products_in_bfloat16_give_float32_near_the_others():
    net = network([0, 1, 1, 2], 1, 1, hidden=64).float()
    x, context = (a.float() for a in inputs([0, 1, 1, 2], 1))
    with torch.no_grad():
        exact, rough = net.sweep(context), net.sweep(context, dtype=torch.bfloat16)
        for g, members in enumerate(exact.features):
            a, b = exact.params(g), rough.params(g)
            assert b.dtype == torch.float32
            assert 0 < float((a - b).abs().max()) < 0.05
            for sweep in (exact, rough):
                sweep.feed(g, x[:, 0, members].T)


def test_parameters_are_counted_without_building():
    net = network([0, 1, 1, 2], 2, 3)
    counted = GroupedMADE.count_parameters(
        n_features=4, n_channels=2, n_context=3, n_params=4, hidden=9, depth=3
    )
    assert counted == sum(p.numel() for p in net.parameters())


def test_masked_weights_do_not_travel():
    net = network([0, 1, 1, 2], 1, 1)
    state = net.state_dict()
    assert state["first.weight_packed"].numel() < net.first.weight.numel()
    other = network([0, 1, 1, 2], 1, 1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(state)
    x, context = inputs([0, 1, 1, 2], 1)
    assert torch.equal(net(x, context), other(x, context))


@pytest.mark.parametrize("groups", [[], [1], [0, 2], [-1, 0]])
def test_groups_without_order_are_refused(groups):
    with pytest.raises(ConfigError, match="without gaps"):
        network(groups, 1, 1)


def test_sizes_without_sense_are_refused():
    with pytest.raises(ConfigError, match="at least one channel"):
        network([0, 1], 0, 1)
