"""Sizes of the published networks."""

import pytest
import torch

from caloforge.classifier import ClassifierConfig
from caloforge.classifier.networks import ResNet18, build_network, image_shape
from caloforge.geometry import get_geometry


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_caloflow_on_calogan():
    net = build_network(ClassifierConfig(), get_geometry("calogan"), 508, seed=0)
    assert n_parameters(net) == 508 * 512 + 512 + 2 * (512**2 + 512) + 513
    assert net(torch.zeros(3, 508)).shape == (3,)


def test_weights_depend_on_the_seed_only():
    config, geometry = ClassifierConfig(), get_geometry("calogan")
    first, same, other = (build_network(config, geometry, 9, seed=seed)[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("name", "shape"), [("calochallenge_2", (45, 16, 9)), ("calochallenge_3", (45, 50, 18))]
)
def test_resnet_on_the_calochallenge(name, shape):
    assert image_shape(get_geometry(name)) == shape


def test_resnet_parameters():
    """Counted from the published structure: stem, four stages of two blocks, the last layer with the energy."""

    def convolution(a, b, size):
        return a * b * size**3 + 2 * b  # without bias, with batch normalisation

    stages, before = 0, 32
    for after in (32, 64, 64, 128):
        stages += convolution(before, after, 3) + 3 * convolution(after, after, 3)
        stages += convolution(before, after, 1) if before != after or after == 64 else 0
        before = after
    net = ResNet18((45, 16, 9))
    assert n_parameters(net) == convolution(1, 32, 7) + stages + (128 + 1 + 1) + 2
    net.eval()
    x = torch.rand(2, 1 + 45 * 16 * 9)
    assert net(x).shape == (2,)
    # The incident energy takes part, and the voxels do.
    for column in (0, 3000):
        changed = x.clone()
        changed[:, column] += 5
        assert not torch.allclose(net(changed), net(x))
