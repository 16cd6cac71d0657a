import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from caloforge.preprocessing import LayerShares, Standardize, expit, layer_sums, logit

F64 = torch.float64


@given(st.lists(st.floats(0, 1), max_size=20), st.sampled_from([1e-6, 1e-3, 0.05]))
def test_expit_undoes_logit(shares, alpha):
    share = torch.tensor(shares, dtype=F64)
    x = logit(share, alpha)
    assert bool(x.isfinite().all())
    torch.testing.assert_close(expit(x, alpha), share, rtol=0, atol=1e-14)


def test_logit_is_the_formula_and_expit_stays_a_share():
    assert float(logit(torch.tensor([0.5], dtype=F64), 1e-6)) == pytest.approx(0.0, abs=1e-15)
    p = 0.05 + 0.9 * 0.2
    assert float(logit(torch.tensor([0.2], dtype=F64), 0.05)) == pytest.approx(
        float(torch.logit(torch.tensor(p, dtype=F64)))
    )
    assert expit(torch.tensor([-1e4, 1e4]), 1e-6).tolist() == [0.0, 1.0]


def test_layer_sums():
    sums = layer_sums(torch.tensor([[1.0, 2.0, 4.0, 8.0]]), [1, 3])
    assert sums.tolist() == [[1.0, 14.0]]


@given(n=st.integers(1, 30), width=st.integers(1, 5), centre=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_standardize(n, width, centre, scale):
    x = centre + scale * torch.randn(n, width, dtype=F64, generator=torch.Generator().manual_seed(n))
    step = Standardize(width).double()
    step.fit(x)
    encoded = step.encode(x)
    torch.testing.assert_close(step.decode(encoded), x, rtol=1e-12, atol=1e-12 * (abs(centre) + scale))
    if n > 1:
        torch.testing.assert_close(encoded.mean(0), torch.zeros(width, dtype=F64), rtol=0, atol=1e-5)
        torch.testing.assert_close(encoded.std(0, correction=0), torch.ones(width, dtype=F64))


def test_a_constant_feature_keeps_its_scale():
    step = Standardize(2)
    step.fit(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert step.encode(torch.tensor([[3.0, 7.0]])).tolist() == [[1.0, 2.0]]


def test_what_was_learned_travels_with_the_weights():
    step, other = Standardize(2), Standardize(2)
    step.fit(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))
    other.load_state_dict(step.state_dict())
    assert other.encode(torch.tensor([[3.0, 5.0]])).tolist() == [[1.0, -1.0]]
    shares, twin = LayerShares(3), LayerShares(3)
    shares.max_e_ratio.fill_(2.5)
    twin.load_state_dict(shares.state_dict())
    assert float(twin.max_e_ratio) == 2.5


@st.composite
def layers(draw):
    """Layer energies over many orders of magnitude, some layers or all of them empty, and incident energies."""
    n, n_layers = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    energy = st.just(0.0) | st.floats(1e-3, 1e5)
    rows = draw(st.lists(st.lists(energy, min_size=n_layers, max_size=n_layers), min_size=n, max_size=n))
    e_layer = torch.tensor(rows, dtype=F64)
    ratio = draw(st.lists(st.floats(0.01, 0.999), min_size=n, max_size=n))
    e_inc = (e_layer.sum(1) / torch.tensor(ratio, dtype=F64)).clamp_min(1.0)
    return e_layer, e_inc


@given(layers(), st.floats(1.0, 5.0))
def test_layer_shares_round_trip(energies, max_e_ratio):
    e_layer, e_inc = energies
    shares = LayerShares(e_layer.shape[1])
    shares.max_e_ratio.fill_(max_e_ratio)
    x = shares.encode(e_layer, e_inc)
    assert x.shape == e_layer.shape
    assert bool(x.isfinite().all())
    assert bool(((shares.decode(x, e_inc) - e_layer).abs() < 1e-12 * max_e_ratio * e_inc[:, None]).all())


@given(st.integers(1, 7), st.floats(0.5, 5.0), st.floats(1.0, 30.0))
def test_any_features_decode_to_energies_that_are_possible(n_layers, max_e_ratio, width):
    generator = torch.Generator().manual_seed(n_layers)
    shares = LayerShares(n_layers)
    shares.max_e_ratio.fill_(max_e_ratio)
    e_inc = torch.full((50,), 1e4)
    e_layer = shares.decode(width * torch.randn(50, n_layers, generator=generator), e_inc)
    assert e_layer.dtype == F64
    assert bool((e_layer >= 0).all())
    assert bool((e_layer.sum(1) <= max_e_ratio * e_inc.double() * (1 + 1e-12)).all())


def test_layer_shares_are_the_variables_of_the_paper():
    shares = LayerShares(3)
    shares.max_e_ratio.fill_(2.0)
    x = shares.encode(torch.tensor([[1.0, 3.0, 4.0]]), torch.tensor([16.0]))
    expected = torch.tensor([[8 / 32, 1 / 8, 3 / 7]], dtype=F64)
    torch.testing.assert_close(expit(x, 1e-6), expected)


def test_more_than_the_largest_ratio_counts_as_just_that():
    shares = LayerShares(2)
    e_inc = torch.tensor([10.0])
    decoded = shares.decode(shares.encode(torch.tensor([[15.0, 5.0]]), e_inc), e_inc)
    torch.testing.assert_close(decoded, torch.tensor([[7.5, 2.5]], dtype=F64))


def test_parts_are_what_a_layer_takes_and_leaves():
    step = LayerShares(3, alpha=1e-6)
    step.max_e_ratio.fill_(1.5)
    e_layer = torch.tensor([[10.0, 60.0, 20.0], [5.0, 0.0, 1.0]], dtype=torch.float64)
    e_inc = torch.tensor([100.0, 8.0], dtype=torch.float64)
    taken, left = step.parts(step.encode(e_layer, e_inc), e_inc)
    expected = torch.tensor([[0.0, 10.0, 60.0], [0.0, 5.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(taken, expected, rtol=1e-5, atol=1e-4)
    expected = torch.tensor([[90.0, 80.0, 20.0], [6.0, 1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(left, expected, rtol=1e-5, atol=1e-4)
