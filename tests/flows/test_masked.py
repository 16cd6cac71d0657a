import copy
import itertools

import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.flows import MADE, AutoregressiveSpline, Chain, MaskedLinear, Permutation, RationalQuadratic
from caloforge.flows.masked import Sweep

SIZES = {
    "plain": {"depth": 1},
    "plain, depth 0": {"depth": 0},
    "plain, depth 2": {"depth": 2},
    "residual": {"depth": 1, "residual": True},
    "residual, depth 0": {"depth": 0, "residual": True},
    "residual, depth 2": {"depth": 2, "residual": True},
}
sizes = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())


def make(n_features=7, hidden=50, **settings) -> MADE:
    made = MADE(n_features=n_features, n_context=3, n_params=4, hidden=hidden, **({"depth": 1} | settings))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape) / max(parameter.shape[-1], 1) ** 0.5)
    return made.double().eval()


@sizes
@pytest.mark.parametrize(("n_features", "hidden"), [(7, 50), (7, 7), (7, 3), (1, 6), (3, 1)])
def test_outputs_see_earlier_inputs_and_the_context_only(size, n_features, hidden):
    made = make(n_features, hidden, **size)
    x = torch.randn(1, n_features, dtype=torch.float64)
    context = torch.randn(1, 3, dtype=torch.float64)
    by_x, by_context = torch.autograd.functional.jacobian(made, (x, context))
    sees = (by_x[0, :, :, 0] != 0).any(0)  # (output k, input j)
    # A rectifier may silence a path, so what may be seen need not be; with many units it is.
    before = torch.ones(n_features, n_features).tril(-1).bool()
    assert not bool((sees & ~before).any())
    if hidden == 50:
        assert torch.equal(sees, before)
        assert bool((by_context != 0).any(1).all()), "an output does not see the context"


def test_few_units_see_what_their_degrees_allow():
    made = make(7, 3, depth=0)
    assert made.degrees.tolist() == [0, 2, 4]
    jacobian = torch.autograd.functional.jacobian(
        lambda x: made(x, torch.full((1, 3), 9.0, dtype=torch.float64)),
        torch.zeros(1, 7, dtype=torch.float64),
    )
    seen = (jacobian[0, :, :, 0] != 0).any(0)
    assert not bool(seen[:2].any())
    assert not bool(seen[2:4, 2:].any())
    assert not bool(seen[4:, 4:].any())


@sizes
@pytest.mark.parametrize("panel", [1, 3, 100])
@pytest.mark.parametrize(("n_features", "hidden"), [(7, 50), (7, 3), (1, 4), (10, 10)])
@pytest.mark.parametrize("n", [0, 5])
def test_sweep_is_the_dense_pass(size, panel, n_features, hidden, n):
    made = make(n_features, hidden, **size)
    x, context = torch.randn(n, n_features, dtype=torch.float64), torch.randn(n, 3, dtype=torch.float64)
    dense = made(x, context)
    sweep = made.sweep(context, panel=panel)
    assert isinstance(sweep, Sweep)
    for k in range(n_features):
        torch.testing.assert_close(sweep.params(k), dense[:, :, k].T, rtol=1e-12, atol=1e-12)
        sweep.feed(k, x[:, k])


def test_dropout_acts_in_training_only():
    made = make(dropout=0.5)
    x, context = torch.randn(2, 7, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    assert torch.equal(made(x, context), made(x, context))
    made.train()
    assert not torch.equal(made(x, context), made(x, context))


@pytest.mark.parametrize("residual", [False, True])
def test_parameters_are_as_many_as_in_nflows(residual):
    from nflows.transforms.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressiveTransform

    theirs = MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
        features=6, hidden_features=20, context_features=3, num_bins=8, tails="linear", num_blocks=2,
        use_residual_blocks=residual,
    )  # fmt: skip
    ours = MADE(n_features=6, n_context=3, n_params=23, hidden=20, depth=2, residual=residual)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_weights_are_stored_without_the_masked_half():
    made = make(40, 80)
    state = made.state_dict()
    assert not any(name.endswith(".weight") and "context" not in name for name in state)
    assert state["hidden.0.weight_packed"].shape == (int(made.hidden[0].mask.sum()),)
    dense = sum(layer.weight.numel() for layer in (made.first, *made.hidden, made.last))
    packed = sum(value.numel() for name, value in state.items() if name.endswith("weight_packed"))
    assert 0.45 < packed / dense < 0.55


@sizes
def test_packing_loses_nothing(size):
    made, other = make(**size), make(**size)
    state = made.state_dict()
    before = {name: value.clone() for name, value in state.items()}
    result = other.load_state_dict(state)
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], before[name]) for name in state)
    x, context = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(made(x, context), other(x, context))
    again = other.state_dict()
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_masked_weights_take_no_part():
    layer = MaskedLinear(torch.tensor([[True, False], [True, True]]))
    x = torch.randn(3, 2)
    before = layer(x)
    with torch.no_grad():
        layer.weight[0, 1] = 1e9
    assert torch.equal(layer(x), before)
    layer(x).sum().backward()
    assert float(layer.weight.grad[0, 1]) == 0.0


@pytest.mark.parametrize("change", ["shorter", "longer", "dense", "missing", "unknown"])
def test_foreign_weights_are_refused(change):
    layer = MaskedLinear(torch.ones(3, 4).tril().bool())
    state = layer.state_dict()
    packed = state["weight_packed"]
    if change == "missing":
        del state["weight_packed"]
    elif change == "unknown":
        state["other"] = packed
    else:
        state["weight_packed"] = {
            "shorter": packed[:-1],
            "longer": torch.cat([packed, packed]),
            "dense": torch.zeros(3, 4),
        }[change]
    with pytest.raises(RuntimeError, match="state_dict"):
        layer.load_state_dict(state)


def test_deep_copies_are_independent():
    spline = RationalQuadratic(n_bins=2)
    made = MADE(n_features=4, n_context=3, n_params=spline.n_params, hidden=8, depth=1)
    chain = Chain([AutoregressiveSpline(made, spline), Permutation([3, 1, 0, 2])])
    x, context = torch.randn(2, 4), torch.randn(2, 3)
    twin = copy.deepcopy(chain)
    before = twin(x, context)[0]
    assert torch.equal(before, chain(x, context)[0])
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.add_(1.0)
    assert torch.equal(twin(x, context)[0], before)


def test_half_precision_weights_load_into_the_precision_of_the_model():
    layer = MaskedLinear(torch.ones(3, 4).tril().bool())
    layer.load_state_dict({name: value.bfloat16() for name, value in layer.state_dict().items()})
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(["n_features", "n_context", "n_params", "hidden"], [0]),
        ("depth", -1),
        ("dropout", 1.0),
        ("dropout", -0.1),
    ],
)
def test_refuses_nonsense(name, value):
    with pytest.raises(ConfigError):
        MADE(**({"n_features": 2, "n_context": 1, "n_params": 2, "hidden": 4, "depth": 1} | {name: value}))
