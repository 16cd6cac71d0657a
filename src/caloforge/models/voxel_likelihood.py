"""How voxels scatter about a decoder's output: the last step of every autoencoder, and its loss.

Shapes: B showers, L layers, V voxels, P parameters per voxel. In training showers lie first, in drawing they lie last.
"""

import abc
import math
from collections.abc import Sequence
from typing import Final, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from caloforge.preprocessing import AnyEncoding, LogEnergies, Standardize, VoxelStep, voxel_step

__all__ = ["GaussianFeatures", "HitsAndEnergies", "Likelihood", "VoxelLikelihood", "voxel_likelihood"]

Likelihood = Literal["gaussian", "hits"]

_NOT_HIT: Final = (
    1.0  # feature of a voxel that is not hit; those of hits, logarithms of shares, are not positive
)
_NEVER_HIT: Final = -5.0  # mean logarithmic share of a voxel without a hit in training
_LEAST: Final = 1e-6  # of a power of a share
_TINY: Final = 1e-7  # of a probability
_ALMOST_ONE: Final = 1 - 2.5e-7  # keeps quantiles finite
_RATE_FLOOR: Final = 1e-2  # keeps rare hits from outshouting all else
_MAX_PULL: Final = 5.0
_WIDTHS: Final = (-5.0, 2.0)  # limits of the logarithm of a standardised width
_HALF_LOG_2PI: Final = 0.5 * math.log(2 * math.pi)


class VoxelLikelihood(nn.Module, abc.ABC):
    """p(voxels | parameters), independent for each voxel; P parameters per voxel come from a network.

    Args:
        step: Between voxels in MeV and features.
    """

    n_params: int
    n_noise: int
    """Uniform numbers that a shower needs, N."""

    def __init__(self, step: VoxelStep) -> None:
        super().__init__()
        self.step = step

    @abc.abstractmethod
    def fit(self, voxels: Float[Tensor, "n V"], *, peak: Float[Tensor, " V"], seed: int) -> None:
        """Estimate what is kept, from voxels in MeV of the training split and each voxel's greatest energy."""

    @abc.abstractmethod
    def encode(
        self, voxels: Float[Tensor, "B V"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B L"]]:
        """Voxels in MeV to features, and the layer energies (MeV) that belong to them."""

    @abc.abstractmethod
    def as_input(self, x: Float[Tensor, "B V"]) -> Float[Tensor, "B I"]:
        """Features as an encoder wants them; I numbers, V or twice as many."""

    @abc.abstractmethod
    def surprise(self, x: Float[Tensor, "B V"], params: Float[Tensor, "B P V"]) -> Float[Tensor, "B I"]:
        """The same, relative to what the parameters expect."""

    @abc.abstractmethod
    def log_prob(
        self, x: Float[Tensor, "B V"], params: Float[Tensor, "B P V"], e_layer: Float[Tensor, "B L"]
    ) -> Float[Tensor, " B"]:
        """Logarithm of the density of features, summed over the voxels, in layers of these energies, MeV."""

    @abc.abstractmethod
    def mean(self, params: Float[Tensor, "B P V"]) -> Float[Tensor, "B V"]:
        """The features expected, or of a hit: the point of the manifold."""

    @abc.abstractmethod
    def draw(
        self, params: Float[Tensor, "P V B"], log_e: Float[Tensor, "V B"], u: Float[Tensor, "N B"]
    ) -> tuple[Float[Tensor, "V B"], Float[Tensor, "V B"]]:
        """Voxels over the threshold, and how near each was to being hit.

        Args:
            params: They are overwritten.
            log_e: Of each voxel the logarithm of its layer's energy over the threshold, at least 0.
            u: As many uniform numbers per shower as :attr:`n_noise` says.
        """


@final
class GaussianFeatures(VoxelLikelihood):
    """Features with one width for all, learned; what is generated is the mean, as in CaloMan."""

    n_params, n_noise = 1, 0

    def __init__(self, step: VoxelStep) -> None:
        super().__init__(step)
        self.log_width = nn.Parameter(torch.zeros(()))

    def fit(self, voxels: Float[Tensor, "n V"], *, peak: Float[Tensor, " V"], seed: int) -> None:
        """Scale of the features, if the step has one."""
        self.step.fit(self.step.dequantize(voxels, torch.Generator().manual_seed(seed)), peak=peak)

    def encode(
        self, voxels: Float[Tensor, "B V"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B L"]]:
        """Features with the step's noise."""
        noisy = self.step.dequantize(voxels, generator)
        return self.step.encode(noisy), self.step.e_layer(voxels, noisy)

    def as_input(self, x: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """As they are."""
        return x

    def surprise(self, x: Float[Tensor, "B V"], params: Float[Tensor, "B 1 V"]) -> Float[Tensor, "B V"]:
        """By how many widths they are off."""
        return (x - params[:, 0]) / self.log_width.exp()

    def log_prob(
        self, x: Float[Tensor, "B V"], params: Float[Tensor, "B 1 V"], e_layer: Float[Tensor, "B L"]
    ) -> Float[Tensor, " B"]:
        """Normal, the same width everywhere."""
        pull = (x - params[:, 0]) / self.log_width.exp()
        return (-0.5 * pull.square() - self.log_width - _HALF_LOG_2PI).sum(1)

    def mean(self, params: Float[Tensor, "B 1 V"]) -> Float[Tensor, "B V"]:
        """The parameters themselves."""
        return params[:, 0]

    def draw(
        self, params: Float[Tensor, "1 V B"], log_e: Float[Tensor, "V B"], u: Float[Tensor, "0 B"]
    ) -> tuple[Float[Tensor, "V B"], Float[Tensor, "V B"]]:
        """The mean, scaled, and without what is below the threshold; no noise."""
        firsts = [sum(self.step.layer_sizes[:k]) for k in range(self.step.n_layers)]
        voxels = self.step.decode(params[0].T, (log_e[firsts].exp() * self.step.threshold).T).T
        return voxels / self.step.threshold, params[0]


@final
class HitsAndEnergies(VoxelLikelihood):
    r"""Whether a voxel is hit, and a power of its energy if so: normal, with a mean and a width of its own.

    Of a hit's share s of its layer's energy, relative to the geometric mean m and the logarithmic spread d of the
    training hits of the voxel,

    .. math:: t = \frac{(s / m)^p - 1}{p d}

    is normal above its value at the threshold, with a power p between 0 and 1 that is learned for every voxel. A power
    of 0 is the logarithm, whose normal distribution has too many bright hits where few particles deposit; 1/3
    makes normal what is a sum of few deposits (a gamma distribution, after Wilson and Hilferty), and any power
    does where the spread is small.

    Three parameters per voxel: the log-odds of a hit relative to the training split's rate, mean and logarithmic
    width of t. One random number per voxel gives both: what is left of it above the probability of no hit is a
    quantile of the energy.

    References:
        G. E. P. Box, D. R. Cox, J. R. Stat. Soc. B 26 (1964) 211; E. B. Wilson, M. M. Hilferty, PNAS 17 (1931) 684
    """

    n_params = 3
    log_odds: Tensor

    def __init__(self, step: LogEnergies, n_voxels: int) -> None:
        super().__init__(step)
        self.n_noise = n_voxels
        self.register_buffer("log_odds", torch.zeros(n_voxels))
        self.hits = Standardize(n_voxels)
        self.raw_power = nn.Parameter(torch.full((n_voxels,), math.log(1 / 2)))  # a third

    def fit(self, voxels: Float[Tensor, "n V"], *, peak: Float[Tensor, " V"], seed: int) -> None:
        """Rate of hits, and mean and spread of their shares' logarithms, per voxel."""
        self.step.fit(voxels.clamp_min(self.step.threshold), peak=peak)
        x = self._features(voxels)
        hit = x <= 0
        n_hits = hit.sum(0)
        # Half a hit more and less: a voxel that always or never is hit has finite odds.
        self.log_odds.copy_(((n_hits + 0.5) / (len(x) - n_hits + 0.5)).log())
        mean = torch.where(hit, x, 0.0).sum(0) / n_hits.clamp_min(1)
        variance = torch.where(hit, (x - mean).square(), 0.0).sum(0) / n_hits.clamp_min(1)
        self.hits.mean.copy_(torch.where(n_hits > 0, mean, _NEVER_HIT))
        self.hits.std.copy_(torch.where(n_hits > 1, variance.sqrt().clamp_min(0.1), 1.0))

    def encode(
        self, voxels: Float[Tensor, "B V"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B L"]]:
        """Logarithms of the share of the layer; what is not hit is positive. No noise is needed."""
        return self._features(voxels), self.step.e_layer(voxels, voxels)

    def as_input(self, x: Float[Tensor, "B V"]) -> Float[Tensor, "B 2*V"]:
        """Hits as 0 or 1, and standardised energies of hits."""
        hit = x <= 0
        return torch.cat([hit.to(x.dtype), torch.where(hit, self._bent(x)[0], 0.0)], dim=1)

    def surprise(self, x: Float[Tensor, "B V"], params: Float[Tensor, "B 3 V"]) -> Float[Tensor, "B 2*V"]:
        """Hits less their probability, and by how many widths energies of hits are off."""
        odds, mean, log_width = self._unpack(params)
        hit, p = x <= 0, odds.sigmoid()
        pull = (self._bent(x)[0] - mean) * (-log_width).exp()
        rate = (hit.to(x.dtype) - p) / (p * (1 - p) + _RATE_FLOOR).sqrt()
        return torch.cat([rate, torch.where(hit, pull, 0.0)], dim=1).clamp(-_MAX_PULL, _MAX_PULL)

    def log_prob(
        self, x: Float[Tensor, "B V"], params: Float[Tensor, "B 3 V"], e_layer: Float[Tensor, "B L"]
    ) -> Float[Tensor, " B"]:
        """Probability of no hit, or of a hit times the density of its logarithmic share."""
        odds, mean, log_width = self._unpack(params)
        t, log_slope = self._bent(x)
        narrow = (-log_width).exp()
        energy = -0.5 * ((t - mean) * narrow).square() - log_width + log_slope - _HALF_LOG_2PI
        over = (e_layer.to(x.dtype).clamp_min(self.step.threshold) / self.step.threshold).log()
        least, _ = self._bent(-self.step.of_voxels(over))
        energy = energy - torch.special.log_ndtr((mean - least) * narrow)
        return torch.where(x <= 0, logsigmoid(odds) + energy, logsigmoid(-odds)).sum(1)

    def mean(self, params: Float[Tensor, "B 3 V"]) -> Float[Tensor, "B V"]:
        """The power of a hit's share that is expected, in the units of its normal distribution."""
        return params[:, 1]

    def draw(
        self, params: Float[Tensor, "3 V B"], log_e: Float[Tensor, "V B"], u: Float[Tensor, "V B"]
    ) -> tuple[Float[Tensor, "V B"], Float[Tensor, "V B"]]:
        """Hits and energies. In place wherever possible: there are many voxels, and the steps are short."""
        power = self.raw_power.sigmoid()
        log_odds, power, slope, mean_log, brightest = (
            c[:, None] for c in (self.log_odds, power, power * self.hits.std, self.hits.mean, self._brightest)
        )
        odds, mean, log_width = params.unbind(0)
        width = log_width.clamp_(*_WIDTHS).exp_()
        miss = odds.add_(log_odds).neg_().sigmoid_()
        surplus = u - miss
        # A quantile of the hits: what is above the probability of no hit, as a share.
        share = miss.neg_().add_(1.0).clamp_min_(_TINY).reciprocal_().mul_(surplus)
        # Twice the probability of less than the threshold, then the quantile of the rest on -1 .. 1.
        least = torch.add(log_e, mean_log).mul_(-power).expm1_().div_(slope)
        below = torch.sub(mean, least).div_(width).mul_(math.sqrt(0.5)).erfc_()
        quantile = torch.rsub(below, 2.0).mul_(share).add_(below).sub_(1.0).clamp_(-_ALMOST_ONE, _ALMOST_ONE)
        t = torch.addcmul(mean, width, quantile.erfinv_(), value=math.sqrt(2.0))
        # By rounding, a number may lie below the least one.
        bent = t.mul_(slope).add_(1.0).clamp_min_(_LEAST).log_()
        voxels = torch.addcdiv(mean_log, bent, power).add_(log_e).exp_().clamp_min_(1.0)
        # What was never hit in training has no brightest energy above the threshold, and is not hit.
        hit = (surplus > 0).logical_and_(brightest >= 1.0)
        return torch.minimum(voxels, brightest, out=voxels).mul_(hit), surplus

    def _bent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithmic shares to t, and the logarithm of the slope."""
        power = self.raw_power.sigmoid()
        bent = power * (x - self.hits.mean)
        return bent.expm1() / (power * self.hits.std), bent - self.hits.std.log()

    @property
    def _brightest(self) -> Tensor:
        """Greatest energy in training over the threshold."""
        assert isinstance(self.step, LogEnergies)
        return self.step.brightest.exp()

    def _features(self, voxels: Tensor) -> Tensor:
        sums = self.step.e_layer(voxels, voxels).clamp_min(self.step.threshold)
        shares = voxels.clamp_min(self.step.threshold) / self.step.of_voxels(sums)
        # Rounding may lift the share of a layer's only voxel over 1.
        return torch.where(voxels >= self.step.threshold, shares.log().clamp_max(0.0), _NOT_HIT)

    def _unpack(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        odds, mean, log_width = params.unbind(1)
        return self.log_odds + odds, mean, log_width.clamp(*_WIDTHS)


def voxel_likelihood(
    likelihood: Likelihood,
    encoding: AnyEncoding,
    layer_sizes: Sequence[int],
    *,
    threshold: float,
    standardize: bool,
    alpha: float,
) -> VoxelLikelihood:
    """The likelihood of a name; ``hits`` has an encoding of its own."""
    if likelihood == "hits":
        return HitsAndEnergies(
            LogEnergies(layer_sizes, threshold=threshold, standardize=False), sum(layer_sizes)
        )
    step = voxel_step(encoding, layer_sizes, threshold=threshold, standardize=standardize, alpha=alpha)
    return GaussianFeatures(step)
