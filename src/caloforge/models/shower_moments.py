"""What a shower looks like from afar: p(layer energies, centres and widths | e_inc), one number after the other."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from caloforge.flows import GroupedMADE, LogisticMixture
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, Stage
from caloforge.models.limits import check_at_least, check_between, check_share
from caloforge.preprocessing import (
    LayerMoments,
    LayerShares,
    Standardize,
    Symmetry,
    mirrored,
    voxel_symmetries,
)
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = ["ShowerMoments", "ShowerMomentsConfig"]

_N_CHANNELS = 3  # a number as it is drawn; of energies, what the share takes and what it leaves
_MARGIN = 0.001  # of the largest energy ratio in training


@final
@dataclass(frozen=True, kw_only=True)
class ShowerMomentsConfig:
    """Sizes of the first stage."""

    hidden: int = 256
    """Hidden units of each layer of the network."""
    depth: int = 1
    """Residual hidden layers."""
    dropout: float = 0.1
    """Dropout of hidden units while training."""
    components: int = 10
    """Logistic distributions in the mixture of each number."""
    alpha: float = 1e-6
    """Margin of the logit of energy shares."""
    noise: float = 1 * keV
    """Uniform noise added to each layer energy, MeV, so that empty layers have a density."""

    def __post_init__(self) -> None:
        check_at_least(1, self.hidden, name="model.moments.hidden")
        check_at_least(0, self.depth, name="model.moments.depth")
        check_at_least(1, self.components, name="model.moments.components")
        check_at_least(0, self.noise, name="model.moments.noise")
        check_share(self.dropout, name="model.moments.dropout")
        check_between(0, self.alpha, 0.5, name="model.moments.alpha")


@final
class ShowerMoments(Stage):
    """Autoregressive mixtures over the logit energy shares of the layers, then over their moments.

    The network sees each energy as a share, and in MeV what the share takes and leaves: a particle that passes a
    layer without a shower deposits the same whatever its energy.

    Args:
        geometry: The calorimeter.
        config: Sizes.
        threshold: Layers with less energy have no moments, MeV.
        symmetry: How training showers are reflected or turned.
    """

    symmetries: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self, geometry: Geometry, config: ShowerMomentsConfig, *, threshold: float, symmetry: Symmetry
    ) -> None:
        super().__init__()
        self.config, self.threshold, self.n_layers = config, threshold, geometry.n_layers
        self.shares = LayerShares(self.n_layers, alpha=config.alpha)
        self.moments = LayerMoments(geometry)
        self.n_features = self.n_layers + self.moments.n_moments
        self.scale, self.context_scale = Standardize(self.n_features), Standardize(1)
        self.register_buffer("low", torch.full((self.n_features,), -torch.inf))
        self.register_buffer("high", torch.full((self.n_features,), torch.inf))
        self.register_buffer("symmetries", voxel_symmetries(geometry, symmetry), persistent=False)
        self.mixture = LogisticMixture(n_components=config.components)
        self.net = GroupedMADE(range(self.n_features), **_sizes(config), dropout=config.dropout)

    @staticmethod
    def count_parameters(geometry: Geometry, config: ShowerMomentsConfig) -> int:
        """Parameters of such a stage, without building its network."""
        n_features = geometry.n_layers + LayerMoments(geometry).n_moments
        return GroupedMADE.count_parameters(n_features=n_features, **_sizes(config))

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate the largest energy ratio, the scales, and the range of each number."""
        self.shares.max_e_ratio.fill_((1 + _MARGIN) * float(showers.e_ratio.max()))
        rows = self.rows(showers)
        self.context_scale.fit(rows["e_inc"].log10()[:, None])
        x, valid = self._features(rows, torch.Generator().manual_seed(derive_seed(seed, "moments", "fit")))
        count = valid.sum(0).clamp_min(1)
        mean = (x * valid).sum(0) / count
        std = (((x - mean) ** 2 * valid).sum(0) / count).sqrt()
        self.scale.mean.copy_(mean)
        self.scale.std.copy_(torch.where(std > 1e-6, std, 1.0))
        scaled = self.scale.encode(x)
        self.low.copy_(torch.where(valid, scaled, 0.0).amin(0))
        self.high.copy_(torch.where(valid, scaled, 0.0).amax(0))

    def rows(self, showers: Showers) -> Batch:
        """Voxels in the model's precision; layer and incident energies in float64; MeV."""
        voxels = torch.from_numpy(showers.voxels).to(self._dtype)
        return {
            "voxels": torch.where(voxels < self.threshold, torch.zeros_like(voxels), voxels),
            "e_layer": torch.from_numpy(showers.e_layer),
            "e_inc": torch.from_numpy(showers.e_inc).double(),
        }

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Features with fresh noise and a fresh symmetry element; invalid moments are 0."""
        x, valid = self._features(rows, generator)
        scaled = torch.where(valid, self.scale.encode(x), torch.zeros_like(x))
        parts = torch.stack(self.shares.parts(x[:, : self.n_layers], rows["e_inc"]), dim=1)
        energies = pad(_log(parts), (0, self.moments.n_moments))
        seen = torch.cat([scaled[:, None], energies], dim=1)
        return {"x": scaled, "seen": seen, "valid": valid, "context": self.context(rows["e_inc"])}

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Negative log-likelihood of the standardised numbers."""
        params = self.net(batch["seen"], batch["context"]).to(batch["x"].dtype)
        return -(self.mixture.log_prob(batch["x"], params) * batch["valid"]).sum(1)

    def context(self, e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B 1"]:
        """The network's condition."""
        return self.context_scale.encode(e_inc.log10()[:, None]).to(self._dtype)

    @property
    def n_noise(self) -> int:
        """Uniform numbers that a shower needs."""
        return self.mixture.n_noise * self.n_features

    def decode(
        self, u: Float[Tensor, "B N"], e_inc: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B M"]]:
        """Uniform numbers to layer energies in MeV (float64) and moments."""
        noise = u.T.contiguous().logit().view(self.mixture.n_noise, self.n_features, len(u)).unbind(1)
        sweep = self.net.sweep(self.context(e_inc))
        low, high, std, mean = (b[:, None] for b in (self.low, self.high, self.scale.std, self.scale.mean))
        n, rest = self.n_layers, (self.shares.max_e_ratio * e_inc).to(self._dtype)
        drawn: list[Tensor] = []

        def draw(k: int) -> Tensor:
            x = self.mixture.sample(noise[k], sweep.params(k)[:, 0])
            return torch.maximum(torch.minimum(x, high[k]), low[k])

        for k in range(n):
            drawn.append(draw(k))
            taken, rest = self.shares.part(k, torch.addcmul(mean[k], drawn[k], std[k]), rest)
            sweep.feed(k, torch.stack([drawn[k], _log(taken), _log(rest)]))
        e_layer = self.shares.decode(torch.addcmul(mean[:n], torch.stack(drawn), std[:n]).T, e_inc)
        valid = self.moments.valid(e_layer, self.threshold).T.to(mean.dtype)
        for k in range(n, self.n_features):
            drawn.append(draw(k).mul_(valid[k - n]))
            sweep.inputs(k)[1:] = 0.0
            sweep.inputs(k)[0] = drawn[k]
        if n == self.n_features:  # layers of one voxel each have no moments
            return e_layer, torch.empty_like(mean[n:]).expand(0, len(u)).T
        moments = torch.addcmul(mean[n:], torch.stack(drawn[n:]), std[n:]).mul_(valid)
        return e_layer, moments.T

    def _features(self, rows: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logit shares and moments of showers, and which of them mean something."""
        e_layer, e_inc = rows["e_layer"], rows["e_inc"]
        noise = torch.rand(e_layer.shape, generator=generator, dtype=e_layer.dtype, device=e_layer.device)
        shares = self.shares.encode(e_layer + self.config.noise * noise, e_inc).to(self._dtype)
        moments = self.moments.encode(mirrored(rows["voxels"], self.symmetries, generator))
        valid = self.moments.valid(e_layer, self.threshold)
        return torch.cat([shares, moments], dim=1), torch.cat(
            [torch.ones_like(shares, dtype=torch.bool), valid], dim=1
        )


def _log(energy: Tensor) -> Tensor:
    """Of an energy in MeV; one keV keeps it finite, and 100 MeV are 0."""
    return (energy + keV).log10() - 2.0


def _sizes(config: ShowerMomentsConfig) -> dict[str, int]:
    return {
        "n_channels": _N_CHANNELS,
        "n_context": 1,
        "n_params": LogisticMixture(n_components=config.components).n_params,
        "hidden": config.hidden,
        "depth": config.depth,
    }
