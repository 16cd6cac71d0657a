"""Work of networks whose products can be counted by hand, and the machine's peak."""

import pytest
import torch
from torch import nn

from caloforge.benchmark.flops import count_flops, generate_flops, matmul_peak
from caloforge.flows import MADE
from caloforge.recipes import load_recipe
from caloforge.training import RunConfig, initial_model
from support.toys import cartesian, geometry_of


def test_a_linear_layer():
    layer, x = nn.Linear(7, 11), torch.zeros(5, 7)
    assert count_flops(lambda: layer(x)) == 2 * 5 * 7 * 11


@pytest.mark.parametrize("residual", [False, True])
def test_a_masked_network(residual):
    n, features, context, params, hidden, depth = 3, 20, 4, 5, 40, 2
    made = MADE(
        n_features=features, n_context=context, n_params=params, hidden=hidden, depth=depth, residual=residual
    ).eval()
    x, condition = torch.zeros(n, features), torch.zeros(n, context)
    layers = 2 * depth if residual else depth
    contexts = 1 + depth if residual else 1
    weights = hidden * (features + contexts * context + layers * hidden + params * features)
    assert count_flops(lambda: made(x, condition)) == 2 * n * weights


def test_a_whole_model_grows_with_its_network():
    """Per shower, at most two operations per parameter that takes part in a matrix product; feature by feature
    the hidden layers are triangular, so fewer."""
    found = {}
    for hidden in (64, 128):
        settings = [f"model.shape.hidden={hidden}", "model.energies.hidden=8"]
        model = initial_model(
            RunConfig.from_dict(load_recipe("caloflow-small"), settings), geometry_of(cartesian(8, 8))
        )
        model.e_inc_range.copy_(torch.tensor([1e3, 1e5]))
        found[hidden] = generate_flops(model.eval(), 5e4)
        assert 0.3 < found[hidden] / (2 * model.n_parameters()) < 0.8
    assert 1.8 < found[128] / found[64] < 2.2


def test_the_peak_is_possible():
    before = torch.get_num_threads()
    gflops, size = matmul_peak(device="cpu", dtype=torch.float32, threads=1)
    assert torch.get_num_threads() == before
    assert size in (512, 1024, 2048)
    assert 0.5 < gflops < 2000  # a core does a few to some hundred
