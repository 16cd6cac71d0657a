"""Voxels in MeV to flow features and back: dequantised, per layer, and closing on the layer energies."""

import abc
from collections.abc import Sequence
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from caloforge.errors import ConfigError
from caloforge.preprocessing.steps import Standardize, expit, layer_sums, logit
from caloforge.units import keV

__all__ = ["AnyEncoding", "Encoding", "LogEnergies", "LogitShares", "Shares", "VoxelStep", "voxel_step"]

Encoding = Literal["logit-share", "log-energy"]
"""Encodings under which voxels have a density, as flows need it."""
AnyEncoding = Literal["logit-share", "log-energy", "share"]

_MANY_LAYERS = 12  # from which an index is faster than columns side by side
_CENTRE, _WIDTH = 1.0, 0.25  # of the noise that stands for zero: decades below the threshold, decades


class VoxelStep(nn.Module, abc.ABC):
    """What the encodings share: features are standardised if asked, decoded layers sum to their energy.

    Args:
        layer_sizes: Voxels per layer.
        threshold: Voxels below it are zero in what is decoded, MeV.
        standardize: Scale every voxel's feature to zero mean and unit width.
    """

    layer_of_voxel: Tensor

    def __init__(self, layer_sizes: Sequence[int], *, threshold: float, standardize: bool) -> None:
        super().__init__()
        if threshold <= 0:
            raise ConfigError(f"The voxel threshold must be positive, got {threshold} MeV.")
        self.threshold, self.n_layers, self.layer_sizes = threshold, len(layer_sizes), list(layer_sizes)
        index = torch.repeat_interleave(torch.arange(self.n_layers), torch.tensor(layer_sizes))
        self.register_buffer("layer_of_voxel", index, persistent=False)
        self.standardize = Standardize(len(index)) if standardize else None

    @abc.abstractmethod
    def dequantize(self, voxels: Float[Tensor, "B V"], generator: torch.Generator) -> Float[Tensor, "B V"]:
        """Voxels in MeV with noise where they are zero, so that they have a density."""

    @abc.abstractmethod
    def e_layer(self, voxels: Float[Tensor, "B V"], noisy: Float[Tensor, "B V"]) -> Float[Tensor, "B L"]:
        """Layer energies, MeV, that the features are conditioned on, from voxels and dequantised voxels."""

    @abc.abstractmethod
    def _features(self, noisy: Tensor) -> Tensor:
        """Dequantised voxels to features."""

    @abc.abstractmethod
    def _proportions(self, features: Tensor) -> Tensor:
        """Features to voxels up to a factor per layer."""

    def fit(self, noisy: Float[Tensor, "n V"], *, peak: Float[Tensor, " V"]) -> None:
        """Estimate what the step keeps, from the training split.

        Args:
            noisy: Dequantised voxels of a fair sample of the split, MeV.
            peak: Greatest energy of each voxel in all of it, MeV.
        """
        if self.standardize is not None:
            self.standardize.fit(self._features(noisy))

    def encode(self, noisy: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """Dequantised voxels in MeV to features."""
        features = self._features(noisy)
        return features if self.standardize is None else self.standardize.encode(features)

    def decode(self, x: Float[Tensor, "B V"], e_layer: Float[Tensor, "B L"]) -> Float[Tensor, "B V"]:
        """Features to voxels in MeV: each layer sums to its energy, nothing lies below the threshold.

        Voxels are scaled to the layer energy, those below the threshold set to zero, and the rest scaled
        again. The brightest voxel of a layer stays in any case, so no energy is lost; only a layer whose
        whole energy lies below the threshold is empty.
        """
        features = x if self.standardize is None else self.standardize.decode(x)
        voxels = self._scaled_to(e_layer, self._proportions(features))
        return self._above_threshold(self._scaled_to(e_layer, self._without_soft(voxels)))

    def of_voxels(self, of_layers: Float[Tensor, "B L"]) -> Float[Tensor, "B V"]:
        """For every voxel the value of its layer."""
        if self.n_layers > _MANY_LAYERS:
            return of_layers[:, self.layer_of_voxel]
        columns = torch.split(of_layers, 1, dim=1)
        sizes = self.layer_sizes
        return torch.cat([column.expand(-1, n) for column, n in zip(columns, sizes, strict=True)], dim=1)

    def _sums(self, voxels: Tensor) -> Tensor:
        return layer_sums(voxels, self.layer_sizes)

    def _without_soft(self, voxels: Tensor) -> Tensor:
        """Zero below the threshold, but for the brightest voxel of each layer."""
        brightest = torch.stack(
            [layer.amax(1) for layer in torch.split(voxels, self.layer_sizes, dim=1)], dim=1
        )
        kept = self._above_threshold(voxels)
        # Few showers have a layer all of whose voxels are soft; only these are looked at voxel by voxel.
        odd = torch.nonzero((brightest < self.threshold).any(1))[:, 0]
        if len(odd):
            here = voxels[odd]
            soft = (here < self.threshold) & (here < self.of_voxels(brightest[odd]))
            kept[odd] = torch.where(soft, 0.0, here)
        return kept

    def _above_threshold(self, voxels: Tensor) -> Tensor:
        """Zero below the threshold; many times as fast as a selection by a mask."""
        limit = torch.tensor(self.threshold, dtype=voxels.dtype)
        below = float(
            torch.nextafter(limit, torch.zeros_like(limit))
        )  # the greatest number that is set to zero
        return functional.threshold(voxels, below, 0.0)

    def _scaled_to(self, e_layer: Tensor, voxels: Tensor) -> Tensor:
        sums = self._sums(voxels)
        factor = torch.where(sums > 0, e_layer.to(voxels.dtype) / sums.clamp_min(1e-30), 0.0)
        return voxels * self.of_voxels(factor)


@final
class LogitShares(VoxelStep):
    """CaloFlow's encoding: 0 to 1 keV added to every voxel, then the logit of its share of the layer.

    References:
        C. Krause, D. Shih, CaloFlow, arXiv:2106.05285
    """

    def __init__(
        self, layer_sizes: Sequence[int], *, threshold: float, standardize: bool, alpha: float
    ) -> None:
        super().__init__(layer_sizes, threshold=threshold, standardize=standardize)
        self.alpha = alpha

    def dequantize(self, voxels: Float[Tensor, "B V"], generator: torch.Generator) -> Float[Tensor, "B V"]:
        """Add uniform noise to every voxel."""
        noise = torch.rand(voxels.shape, generator=generator, dtype=voxels.dtype, device=voxels.device)
        return voxels + keV * noise

    def e_layer(self, voxels: Float[Tensor, "B V"], noisy: Float[Tensor, "B V"]) -> Float[Tensor, "B L"]:
        """Sums with the noise, to which the shares refer."""
        return self._sums(noisy)

    def _features(self, noisy: Tensor) -> Tensor:
        return logit(noisy / self._sums(noisy).clamp_min(1e-30)[:, self.layer_of_voxel], self.alpha)

    def _proportions(self, features: Tensor) -> Tensor:
        return expit(features, self.alpha)


@final
class Shares(VoxelStep):
    """A voxel's share of its layer as it is, for models that need no density of voxels; no noise.

    References:
        J. C. Cresswell et al., CaloMan, arXiv:2211.15380
    """

    def dequantize(self, voxels: Float[Tensor, "B V"], generator: torch.Generator) -> Float[Tensor, "B V"]:
        """Nothing is added."""
        return voxels

    def e_layer(self, voxels: Float[Tensor, "B V"], noisy: Float[Tensor, "B V"]) -> Float[Tensor, "B L"]:
        """Sums."""
        return self._sums(voxels)

    def _features(self, noisy: Tensor) -> Tensor:
        return noisy / self._sums(noisy).clamp_min(1e-30)[:, self.layer_of_voxel]

    def _proportions(self, features: Tensor) -> Tensor:
        return features.clamp(0.0, 1.0)


@final
class LogEnergies(VoxelStep):
    """Logarithm of the energy in units of the threshold; zeros become a hill of their own below it.

    What lies below the threshold is replaced by log-normal noise a decade under it (the idea is that of
    convolutional L2LFlows), everything else is left as it is. So whether a voxel is hit is a sign that
    does not move with the energy, and soft voxels are resolved as well as bright ones, which the logit's
    margin would press together. A voxel that leaves the flow above the brightest training voxel at its place
    is lowered to that, before the layer is scaled to its energy: in a logarithm, a small step in the flow's
    tail would be a voxel of impossible energy.

    References:
        T. Buss, F. Gaede, G. Kasieczka, C. Krause, D. Shih, Convolutional L2LFlows, arXiv:2405.20407
    """

    brightest: Tensor

    def __init__(self, layer_sizes: Sequence[int], *, threshold: float, standardize: bool) -> None:
        super().__init__(layer_sizes, threshold=threshold, standardize=standardize)
        self.register_buffer("brightest", torch.full((sum(layer_sizes),), torch.inf))

    def fit(self, noisy: Float[Tensor, "n V"], *, peak: Float[Tensor, " V"]) -> None:
        """Also remember the peaks; a voxel that was never hit stays below the threshold."""
        super().fit(noisy, peak=peak)
        self.brightest.copy_(self._features(peak.clamp_min(1e-3 * self.threshold)))

    def dequantize(self, voxels: Float[Tensor, "B V"], generator: torch.Generator) -> Float[Tensor, "B V"]:
        """Put noise below the threshold in place of what lies there."""
        normal = torch.randn(voxels.shape, generator=generator, dtype=voxels.dtype, device=voxels.device)
        decades = (_CENTRE + _WIDTH * normal).clamp_min(1e-3)
        return torch.where(voxels < self.threshold, self.threshold * 10**-decades, voxels)

    def e_layer(self, voxels: Float[Tensor, "B V"], noisy: Float[Tensor, "B V"]) -> Float[Tensor, "B L"]:
        """Sums without the noise."""
        return self._sums(voxels)

    def _features(self, noisy: Tensor) -> Tensor:
        return (noisy / self.threshold).log()

    def _proportions(self, features: Tensor) -> Tensor:
        # The hill is cut here, before scaling could lift it over the threshold.
        return self._without_soft(self.threshold * torch.minimum(features, self.brightest).exp())


def voxel_step(
    encoding: AnyEncoding, layer_sizes: Sequence[int], *, threshold: float, standardize: bool, alpha: float
) -> VoxelStep:
    """The step of an encoding's name; ``alpha`` is the margin of the logit and used by that alone."""
    if encoding == "logit-share":
        return LogitShares(layer_sizes, threshold=threshold, standardize=standardize, alpha=alpha)
    if encoding == "share":
        return Shares(layer_sizes, threshold=threshold, standardize=standardize)
    return LogEnergies(layer_sizes, threshold=threshold, standardize=standardize)
