"""How a shower fills its voxels: p(voxels | layer energies, moments, e_inc), a group of voxels at a time."""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from caloforge.flows import GroupedMADE, LogisticMixture
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, Stage
from caloforge.models.conditions import energies_and_moments, hit_rows
from caloforge.models.limits import check_at_least, check_between, check_share, check_threshold
from caloforge.preprocessing import (
    Closing,
    LayerMoments,
    Standardize,
    Symmetry,
    mirrored,
    voxel_groups,
    voxel_symmetries,
)
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["VoxelGroups", "VoxelGroupsConfig"]

_N_FIT = 20_000  # showers that scales are estimated from
_N_CHANNELS = 2
_HIT = 3.0  # added to t in the inputs, so that a hit is not 0
_RAREST = 0.002  # hit probability that an untrained network starts from at least
_LEAST_STD = 0.3  # of a voxel's logarithm, where too few hits tell
_LARGEST_SHARE = 8.0  # of the inputs, in standard deviations


@final
@dataclass(frozen=True, kw_only=True)
class VoxelGroupsConfig:
    """Sizes of the second stage."""

    groups: int = 16
    """Groups that are drawn one after the other."""
    hidden: int = 256
    """Hidden units of each layer of the network."""
    depth: int = 1
    """Residual hidden layers."""
    dropout: float = 0.05
    """Dropout of hidden units while training."""
    components: int = 2
    """Logistic distributions in the mixture of each voxel's logarithmic energy."""

    def __post_init__(self) -> None:
        for name, least in (("groups", 1), ("hidden", 1), ("depth", 0), ("components", 1)):
            check_at_least(least, getattr(self, name), name=f"model.voxels.{name}")
        check_share(self.dropout, name="model.voxels.dropout")


@final
class VoxelGroups(Stage):
    r"""Each voxel is hit or not, and if hit has a logarithmic energy from a mixture of logistic distributions.

    Voxels that are not hit need no noise to have a density: the likelihood is that of a yes or no and, for a yes, of
    :math:`t = (\log(E / E_\mathrm{threshold}) - \mu) / \sigma`. The network sees of each earlier voxel whether it
    was hit and t, and its share of the layer's energy.

    Args:
        geometry: The calorimeter.
        config: Sizes.
        threshold: Voxels below it are not hit, MeV.
        symmetry: How training showers are reflected or turned.
    """

    symmetries: Tensor
    mean: Tensor
    std: Tensor
    brightest: Tensor
    share: Tensor

    def __init__(
        self, geometry: Geometry, config: VoxelGroupsConfig, *, threshold: float, symmetry: Symmetry
    ) -> None:
        super().__init__()
        check_between(0, threshold, math.inf, name="model.threshold")
        self.config, self.threshold = config, threshold
        self.n_layers, self.n_voxels = geometry.n_layers, geometry.n_voxels
        self.closing = Closing(geometry, threshold=threshold)
        self.context_scale = Standardize(1 + self.n_layers + self.moments.n_moments)
        for name, value in (("mean", 0.0), ("std", 1.0), ("brightest", torch.inf), ("share", 1.0)):
            self.register_buffer(name, torch.full((self.n_voxels,), value))
        self.register_buffer("symmetries", voxel_symmetries(geometry, symmetry), persistent=False)
        self.mixture = LogisticMixture(n_components=config.components)
        groups = voxel_groups(geometry, config.groups).tolist()
        self.net = GroupedMADE(groups, **_sizes(geometry, config), dropout=config.dropout)
        self.products: torch.dtype | None = None
        """Type of the matrix products of :meth:`decode`; by default that of the weights."""

    @staticmethod
    def count_parameters(geometry: Geometry, config: VoxelGroupsConfig) -> int:
        """Parameters of such a stage, without building its network."""
        return GroupedMADE.count_parameters(n_features=geometry.n_voxels, **_sizes(geometry, config))

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate scales of voxels and context, peaks, and how often each voxel is hit."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "voxels", "fit"))
        sample = showers[:: -(-len(showers) // _N_FIT)]
        check_threshold(self.threshold, sample, name="model.threshold")
        rows = self.rows(sample)
        copies = 4 if len(self.symmetries) > 1 else 1
        voxels = torch.cat([mirrored(rows["voxels"], self.symmetries, generator) for _ in range(copies)])
        hit = voxels >= self.threshold
        count = hit.sum(0).clamp_min(1)
        x = (voxels.clamp_min(self.threshold) / self.threshold).log()
        self.mean.copy_((x * hit).sum(0) / count)
        self.std.copy_((((x - self.mean) ** 2 * hit).sum(0) / count).sqrt().clamp_min(_LEAST_STD))
        peak = torch.from_numpy(showers.voxels.max(axis=0)).to(x)[self.symmetries].amax(0)
        self.brightest.copy_(((peak.clamp_min(self.threshold) / self.threshold).log() - self.mean) / self.std)
        e_layer, e_inc = rows["e_layer"].repeat(copies, 1), rows["e_inc"].repeat(copies)
        share = (voxels / self._of_layer(e_layer)).std(0, correction=0)
        self.share.copy_(share.clamp_min(1e-4))
        self.context_scale.fit(energies_and_moments(e_layer, self.moments.encode(voxels), e_inc))
        rate = hit.to(x).mean(0).clamp(_RAREST, 1 - _RAREST)
        with torch.no_grad():
            self.net.last_context.bias[: self.n_voxels] = rate.logit()

    def rows(self, showers: Showers) -> Batch:
        """Voxels, layer and incident energies, MeV, in the model's precision; what is not hit is 0."""
        return hit_rows(showers, threshold=self.threshold, dtype=self._dtype)

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Voxels after a fresh symmetry element, with what they are conditioned on."""
        voxels = mirrored(rows["voxels"], self.symmetries, generator)
        context = self.context(rows["e_layer"], self.moments.encode(voxels), rows["e_inc"])
        return {"voxels": voxels, "e_layer": rows["e_layer"], "context": context}

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Negative log-likelihood of hits and, where hit, of standardised logarithmic energies."""
        voxels = batch["voxels"]
        hit = voxels >= self.threshold
        t = ((voxels.clamp_min(self.threshold) / self.threshold).log() - self.mean) / self.std
        t = torch.where(hit, t, torch.zeros_like(t))
        share = voxels / self._of_layer(batch["e_layer"]) / self.share
        x = torch.stack([hit * (t + _HIT), share.clamp_max(_LARGEST_SHARE)], dim=1)
        params = self.net(x, batch["context"]).to(voxels.dtype)
        if_hit = logsigmoid(params[:, 0]) + self.mixture.log_prob(t, params[:, 1:])
        return -torch.where(hit, if_hit, logsigmoid(-params[:, 0])).sum(1)

    def context(
        self, e_layer: Float[Tensor, "B L"], moments: Float[Tensor, "B M"], e_inc: Float[Tensor, " B"]
    ) -> Float[Tensor, "B C"]:
        """The network's condition."""
        return self.context_scale.encode(energies_and_moments(e_layer, moments, e_inc)).to(self._dtype)

    @property
    def moments(self) -> LayerMoments:
        """Centres and widths of layers."""
        return self.closing.moments

    @property
    def n_noise(self) -> int:
        """Uniform numbers that a shower needs."""
        return (1 + self.mixture.n_noise) * self.n_voxels

    def decode(
        self,
        u: Float[Tensor, "B N"],
        e_layer: Float[Tensor, "B L"],
        moments: Float[Tensor, "B M"],
        e_inc: Float[Tensor, " B"],
    ) -> Float[Tensor, "B V"]:
        """Uniform numbers to voxels in MeV that sum to ``e_layer`` and have, nearly, the moments asked for.

        A layer whose energy is above the threshold always has a hit; one below it is empty.
        """
        sweep = self.net.sweep(self.context(e_layer, moments, e_inc), dtype=self.products)
        order = sweep.order
        sizes = [len(members) for members in sweep.features]
        noise = torch.split(
            u.T.contiguous().logit().view(1 + self.mixture.n_noise, self.n_voxels, len(u)), sizes, dim=1
        )
        scales = (self.mean, self.std, self.brightest)
        mean, std, brightest = (torch.split(b[order, None], sizes) for b in scales)
        energy = e_layer.T.to(self._dtype) / self.threshold  # thresholds are the unit from here on
        shares = self.share[:, None] * self.closing.of_voxels(energy.clamp_min(1.0))
        to_share = torch.split(shares.reciprocal_().index_select(0, order), sizes)
        voxels, surplus = energy.new_empty(self.n_voxels, len(u)), energy.new_empty(self.n_voxels, len(u))
        rows = zip(torch.split(voxels, sizes), torch.split(surplus, sizes), strict=True)
        for g, (voxel, over) in enumerate(rows):
            params = sweep.params(g)
            torch.sub(params[0], noise[g][0], out=over)
            hit = torch.gt(over, 0.0, out=torch.empty_like(over))
            t = torch.minimum(self.mixture.sample(noise[g][1:], params[1:]), brightest[g])
            # What the mixture has below the threshold is reflected, so that it does not pile up there.
            torch.addcmul(mean[g], t, std[g], out=voxel).abs_().exp_().mul_(hit)
            seen, share = sweep.inputs(g).chunk(2)
            seen[:] = t.add_(_HIT).mul_(hit)
            share[:] = (voxel * to_share[g]).clamp_max_(_LARGEST_SHARE)
        voxels, surplus = voxels.index_select(0, sweep.place), surplus.index_select(0, sweep.place)
        return self.closing(voxels, surplus, energy, moments.T.to(self._dtype)).T.contiguous()

    def _of_layer(self, e_layer: Tensor) -> Tensor:
        return e_layer.clamp_min(self.threshold)[:, self.closing.layer_of_voxel]


def _sizes(geometry: Geometry, config: VoxelGroupsConfig) -> dict[str, int]:
    return {
        "n_channels": _N_CHANNELS,
        "n_context": 1 + geometry.n_layers + LayerMoments(geometry).n_moments,
        "n_params": 1 + LogisticMixture(n_components=config.components).n_params,
        "hidden": config.hidden,
        "depth": config.depth,
    }
