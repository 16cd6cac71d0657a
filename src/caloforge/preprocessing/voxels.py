"""Voxels of each layer as shares of the layer's energy, dequantised, in a space a flow can learn."""

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.errors import ConfigError
from caloforge.preprocessing.steps import Standardize, expit, layer_sums, logit
from caloforge.units import keV

__all__ = ["VoxelShares", "Noise", "Scale"]

Noise = Literal["uniform", "below-threshold"]
Scale = Literal["logit", "log"]

_CENTRE, _WIDTH = 1.0, 0.25  # of the noise below threshold: decades under it, decades
_LEAST = 1e-12  # least share that the logarithm sees


@final
class VoxelShares(nn.Module):
    """Voxels to flow features and back.

    ``noise`` fills the zeros, which have no density otherwise:

    - ``"uniform"`` adds 0 to 1 keV to every voxel (CaloFlow, arXiv:2106.05285);
    - ``"below-threshold"`` replaces what lies below ``threshold`` by a log-normal bump a decade under it
      (like convolutional L2LFlows, arXiv:2405.20407): zeros become a smooth hill of their own in
      logarithmic space, and voxels above the threshold are left as they are.

    ``scale`` is ``"logit"`` of the share (CaloFlow, with ``alpha``) or its logarithm (``"log"``), which
    resolves soft voxels that the logit's ``alpha`` would press together.
    """

    layer_of_voxel: Tensor

    def __init__(
        self,
        layer_sizes: list[int],
        *,
        threshold: float,
        noise: Noise,
        scale: Scale,
        alpha: float,
        standardize: bool,
    ) -> None:
        super().__init__()
        if threshold <= 0:
            raise ConfigError(f"The voxel threshold must be positive, got {threshold} MeV.")
        self.threshold, self.noise, self.scale, self.alpha = threshold, noise, scale, alpha
        self.n_layers = len(layer_sizes)
        index = torch.repeat_interleave(torch.arange(self.n_layers), torch.tensor(layer_sizes))
        self.register_buffer("layer_of_voxel", index, persistent=False)
        self.standardize = Standardize(len(index)) if standardize else None

    def dequantize(self, voxels: Float[Tensor, "B V"], generator: torch.Generator) -> Float[Tensor, "B V"]:
        """Voxels in MeV with noise, strictly positive but for chance zeros of the uniform kind."""
        if self.noise == "uniform":
            return voxels + keV * torch.rand(
                voxels.shape, generator=generator, dtype=voxels.dtype, device=voxels.device
            )
        normal = torch.randn(voxels.shape, generator=generator, dtype=voxels.dtype, device=voxels.device)
        decades = (_CENTRE + _WIDTH * normal).clamp_min(0.0)
        return torch.where(voxels < self.threshold, self.threshold * 10**-decades, voxels)

    def fit(self, voxels: Float[Tensor, "n V"], generator: torch.Generator) -> None:
        """Estimate the standardisation from (part of) the training split."""
        if self.standardize is not None:
            self.standardize.fit(self._scaled(self.dequantize(voxels, generator)))

    def encode(self, voxels: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """Dequantised voxels in MeV to features."""
        x = self._scaled(voxels)
        return x if self.standardize is None else self.standardize.encode(x)

    def decode(self, x: Float[Tensor, "B V"], e_layer: Float[Tensor, "B L"]) -> Float[Tensor, "B V"]:
        """Features to voxels in MeV: each layer sums to its energy, nothing lies below the threshold.

        Shares are normalised to the layer energy, voxels below the threshold set to zero, and the rest
        normalised again; a layer in which nothing survives is empty.
        """
        if self.standardize is not None:
            x = self.standardize.decode(x)
        shares = expit(x, self.alpha) if self.scale == "logit" else x.exp()
        voxels = self._normalised(shares, e_layer)
        voxels = torch.where(voxels < self.threshold, 0.0, voxels)
        return self._normalised(voxels, e_layer)

    def _scaled(self, voxels: Tensor) -> Tensor:
        shares = (
            voxels
            / layer_sums(voxels, self.layer_of_voxel, self.n_layers).clamp_min(1e-30)[:, self.layer_of_voxel]
        )
        return logit(shares, self.alpha) if self.scale == "logit" else shares.clamp_min(_LEAST).log()

    def _normalised(self, voxels: Tensor, e_layer: Tensor) -> Tensor:
        sums = layer_sums(voxels, self.layer_of_voxel, self.n_layers)
        factor = torch.where(sums > 0, e_layer.to(voxels.dtype) / sums.clamp_min(1e-30), 0.0)
        return voxels * factor[:, self.layer_of_voxel]
