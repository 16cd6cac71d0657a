"""The networks of a test; one number per shower, the logit that it is a reference shower."""

import itertools
import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.classifier.config import ClassifierConfig
from caloforge.classifier.images import ImageNetwork
from caloforge.errors import GeometryMismatchError
from caloforge.geometry import Geometry
from caloforge.seeding import derive_seed

__all__ = ["ResNet18", "build_network", "dense_network", "image_shape"]

_WIDTHS = {"caloflow": 512, "calochallenge": 2048}


def build_network(config: ClassifierConfig, geometry: Geometry, n_inputs: int, *, seed: int) -> nn.Module:
    """The untrained network of a test; its weights depend on ``seed`` alone.

    Raises:
        GeometryMismatchError: The layers share no grid, which the ResNet needs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        if config.architecture == "resnet":
            net: nn.Module = ResNet18(image_shape(geometry))
        elif config.architecture == "images":
            net = ImageNetwork(geometry)
        else:
            net = dense_network(n_inputs, _WIDTHS[config.architecture])
    return net.to(torch.float64 if config.precision == "float64" else torch.float32)


def dense_network(n_inputs: int, width: int) -> nn.Sequential:
    """Three hidden layers with LeakyReLU, as in CaloFlow (512) and the CaloChallenge (2048)."""
    sizes = [n_inputs, width, width, width]
    hidden = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, 1), nn.Flatten(0))


def image_shape(geometry: Geometry) -> tuple[int, int, int]:
    """``(L, a, b)`` of a calorimeter whose layers are cut alike, e.g. ``(45, 16, 9)``.

    Raises:
        GeometryMismatchError: The layers are cut differently.
    """
    grids = {layer.grid for layer in geometry.layers}
    if len(grids) != 1:
        raise GeometryMismatchError(
            f"The ResNet classifier sees a shower as one image, so all layers must share one grid; "
            f"{geometry.describe()} has {len(grids)} different ones. Use architecture 'caloflow' or "
            "'calochallenge'."
        )
    return (geometry.n_layers, *grids.pop().shape)


@final
class ResNet18(nn.Module):
    """A ResNet-18 in three dimensions with channels 32, 64, 64, 128.

    Input is log10 of the incident energy, then the voxels over the incident energy. The energy joins before the
    last layer, batch-normalised. No padding is cyclic, as in the CaloChallenge.

    References:
        C. Krause et al., CaloChallenge 2022, arXiv:2410.21611; K. Hara, H. Kataoka, Y. Satoh, arXiv:1711.09577.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        channels = (32, 32, 64, 64, 128)
        self.stem = nn.Sequential(
            nn.Conv3d(1, channels[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm3d(channels[0]),
            nn.ReLU(),
            nn.MaxPool3d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        for k, (before, after) in enumerate(itertools.pairwise(channels)):
            blocks += [_Block(before, after, stride=1 if k == 0 else 2), _Block(after, after, stride=1)]
        self.blocks = nn.Sequential(*blocks)
        self.energy_norm = nn.BatchNorm1d(1)
        self.last = nn.Linear(channels[-1] + 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "B F"]) -> Float[Tensor, " B"]:
        """Logits of the showers."""
        energy = self.energy_norm(x[:, :1])
        image = x[:, 1 : 1 + math.prod(self.shape)].reshape(-1, 1, *self.shape)
        summary = self.blocks(self.stem(image)).mean(dim=(2, 3, 4))
        return self.last(torch.cat([summary, energy], dim=1))[:, 0]


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which a 1x1x1 convolution fits where sizes change."""

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm3d(after),
            nn.ReLU(),
            nn.Conv3d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm3d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            convolution = nn.Conv3d(before, after, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm3d(after))

    def forward(self, x: Float[Tensor, "B c l a b"]) -> Float[Tensor, "B d m p q"]:
        return nn.functional.relu(self.body(x) + self.shortcut(x))
