"""The shower manifold: an autoencoder between voxels and a few coordinates.

Three kinds behind one interface. Variational: the encoder gives a normal distribution for every shower, and the
loss is the negative evidence lower bound. Plain: a point, and the reconstruction alone. Wasserstein: a point, and
the maximum mean discrepancy between the batch's points and normal ones.

References:
    J. C. Cresswell et al., CaloMan: Fast generation of calorimeter showers with density estimation on learned
    manifolds, arXiv:2211.15380
    D. P. Kingma, M. Welling, Auto-Encoding Variational Bayes, arXiv:1312.6114
    I. Tolstikhin, O. Bousquet, S. Gelly, B. Schoelkopf, Wasserstein Auto-Encoders, arXiv:1711.01558
"""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.errors import ConfigError
from caloforge.geometry import Geometry
from caloforge.intrinsic_dimension import intrinsic_dimension
from caloforge.models.base import Batch, Stage
from caloforge.models.conditions import log_energies
from caloforge.models.limits import check_at_least, check_between, check_share
from caloforge.models.voxel_likelihood import Likelihood, voxel_likelihood
from caloforge.preprocessing import (
    AnyEncoding,
    Closing,
    LayerMoments,
    Shares,
    Standardize,
    Symmetry,
    mirrored,
    voxel_symmetries,
)
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = [
    "Manifold",
    "ManifoldConfig",
    "check_latent",
    "estimated_latent",
    "mmd",
    "n_context",
]

_N_FIT = 20_000  # showers that scales are estimated from: enough for 0.7 % on every width
_N_ESTIMATE, _N_QUERIES, _NEIGHBOURS = 50_000, 5_000, 10  # for the number of coordinates
_CHUNK = 128  # showers whose voxels are drawn together: a dozen tensors of them stay in the cache of a core
_LOG_VARIANCES = (-12.0, 4.0)
_MMD_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@final
@dataclass(frozen=True, kw_only=True)
class ManifoldConfig:
    """Sizes and preprocessing of the autoencoder; the defaults are the paper's."""

    kind: Literal["vae", "plain", "wasserstein"] = "vae"
    """Variational, plain, or Wasserstein autoencoder."""
    latent: int | None = None
    """Coordinates on the manifold; ``None``: the estimated dimension of the training showers, rounded up."""
    hidden: int = 512
    """Units of each hidden layer."""
    encoder_hidden: int | None = None
    """Units of each hidden layer of the encoder, which takes no part in generating; ``None``: as many."""
    depth: int = 3
    """Hidden layers of the encoder, and of the decoder."""
    dropout: float = 0.0
    """Dropout of the encoder's hidden units while training."""
    beta: float = 1.0
    """Weight of what draws the coordinates to a normal distribution; not used by a plain autoencoder."""
    encoder_input: Literal["features", "surprise"] = "features"
    """What the encoder sees of voxels: ``features`` as they are, or ``surprise``: how they differ, in widths, from
    what the decoder expects at coordinates of zero, so at these energies if it is conditioned on them."""
    condition_encoder: bool = False
    """Show incident and layer energies, and moments if there are, to the encoder."""
    condition_decoder: bool = False
    """Show incident and layer energies, and moments if there are, to the decoder."""
    likelihood: Likelihood = "gaussian"
    """How voxels scatter: ``gaussian`` with one width, or ``hits``: the probability of a hit, and mean and width
    of its logarithmic energy, for every voxel. See :mod:`caloforge.models.voxel_likelihood`."""
    encoding: AnyEncoding = "share"
    """How voxels become features, for ``gaussian``; see :mod:`caloforge.preprocessing.voxels`."""
    alpha: float = 1e-6
    """Margin of the logit, for ``logit-share``."""
    standardize: bool = False
    """Scale every voxel's feature to zero mean and unit width, for ``gaussian``."""
    threshold: float = 10 * keV
    """Voxels below this are zero in what is generated, MeV."""
    moments: bool = False
    """Draw centres and widths of the layers with their energies, condition on them wherever on energies, and bring
    what the decoder makes to them."""
    symmetry: Symmetry = "none"
    """Reflect (Cartesian) or turn (polar) training showers at random; right for a centred beam only."""

    def __post_init__(self) -> None:
        where = "model.manifold"
        check_at_least(1, self.hidden, name=f"{where}.hidden")
        if self.encoder_hidden is not None:
            check_at_least(1, self.encoder_hidden, name=f"{where}.encoder_hidden")
        check_at_least(1, self.depth, name=f"{where}.depth")
        check_at_least(0, self.beta, name=f"{where}.beta")
        check_between(0, self.alpha, 0.5, name=f"{where}.alpha")
        check_between(0, self.threshold, math.inf, name=f"{where}.threshold")
        if self.latent is not None:
            check_at_least(1, self.latent, name=f"{where}.latent")
        check_share(self.dropout, name=f"{where}.dropout")

    def latent_in(self, geometry: Geometry) -> int:
        """The number of coordinates, which must be known by now.

        Raises:
            ConfigError: It is not, or there are more coordinates than voxels.
        """
        if self.latent is None:
            raise ConfigError(
                "model.manifold.latent is not known before the showers are: train with `caloforge train`, which "
                "estimates it, or give a number (`caloforge dimension` measures it)."
            )
        if self.latent > geometry.n_voxels:
            raise ConfigError(
                f"model.manifold.latent = {self.latent} coordinates are more than the {geometry.n_voxels} voxels of "
                f"geometry {geometry.name!r} have; choose at most that, usually 10 to 40."
            )
        return self.latent


@final
class Manifold(Stage):
    """Autoencoder of voxels."""

    loss_name: ClassVar[str] = "loss"
    symmetries: Tensor

    def __init__(self, geometry: Geometry, config: ManifoldConfig) -> None:
        super().__init__()
        self.config, self.n_layers, self.n_voxels = config, geometry.n_layers, geometry.n_voxels
        self.n_latent = config.latent_in(geometry)
        self.likelihood = voxel_likelihood(
            config.likelihood,
            config.encoding,
            [layer.n_voxels for layer in geometry.layers],
            threshold=config.threshold,
            standardize=config.standardize,
            alpha=config.alpha,
        )
        self.register_buffer("symmetries", voxel_symmetries(geometry, config.symmetry), persistent=False)
        self.closing = Closing(geometry, threshold=config.threshold)
        self.n_context = n_context(geometry, config)
        self.context_scale = Standardize(self.n_context)
        sizes = _sizes(geometry, config)
        self.encoder = _network(sizes["encoder"], dropout=config.dropout)
        self.decoder = _network(sizes["decoder"])
        self.products: torch.dtype | None = None
        """Type of the product of the last layer in :meth:`decode`; by default that of the weights."""

    @staticmethod
    def count_parameters(geometry: Geometry, config: ManifoldConfig) -> int:
        """Parameters of such an autoencoder, without building it."""
        layers = [pair for sizes in _sizes(geometry, config).values() for pair in itertools.pairwise(sizes)]
        likelihood = 1 if config.likelihood == "gaussian" else geometry.n_voxels
        return sum((a + 1) * b for a, b in layers) + likelihood

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate the scales of energies and voxels."""
        rows = self.rows(showers[_spread(len(showers), _N_FIT)])
        seed = derive_seed(seed, "manifold", "fit")
        generator = torch.Generator().manual_seed(seed)
        voxels = mirrored(rows["voxels"], self.symmetries, generator)
        peak = torch.from_numpy(showers.voxels.max(axis=0)).to(self._dtype)
        self.likelihood.fit(voxels, peak=peak[self.symmetries].amax(0), seed=seed)
        _, e_layer = self.likelihood.encode(voxels, generator)
        self.context_scale.fit(self._condition(e_layer, self.moments_of(voxels), rows["e_inc"]))

    def rows(self, showers: Showers) -> Batch:
        """Voxels and incident energies, MeV, in the model's precision."""
        return {
            "voxels": torch.from_numpy(showers.voxels).to(self._dtype),
            "e_inc": torch.from_numpy(showers.e_inc).to(self._dtype),
        }

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Features and context of showers under a fresh symmetry, and normal numbers for the coordinates."""
        voxels = mirrored(rows["voxels"], self.symmetries, generator)
        x, e_layer = self.likelihood.encode(voxels, generator)
        shape = (len(x), self.n_latent)
        normal = torch.randn(shape, generator=generator, dtype=x.dtype, device=x.device)
        context = self.context(e_layer, self.moments_of(voxels), rows["e_inc"])
        return {"x": x, "e_layer": e_layer, "context": context, "normal": normal}

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Reconstruction, and what the kind adds to it."""
        mean, log_variance = self.encode(batch["x"], batch["context"])
        if self.config.kind == "vae":
            z = mean + (0.5 * log_variance).exp() * batch["normal"]
            extra = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        elif self.config.kind == "wasserstein":
            z, extra = mean, mmd(mean, batch["normal"])
        else:
            z, extra = mean, torch.zeros_like(mean[:, 0])
        params = self.params(z, batch["context"])
        return self.config.beta * extra - self.likelihood.log_prob(batch["x"], params, batch["e_layer"])

    def moments_of(self, voxels: Float[Tensor, "B V"]) -> Float[Tensor, "B M"]:
        """Centres and widths of the layers of voxels in MeV; none (M = 0) if they are no condition."""
        if not self.config.moments:
            return voxels.new_empty(len(voxels), 0)
        return self.closing.moments.encode(torch.where(voxels < self.config.threshold, 0.0, voxels))

    def context(
        self, e_layer: Float[Tensor, "B L"], moments: Float[Tensor, "B M"], e_inc: Float[Tensor, " B"]
    ) -> Float[Tensor, "B C"]:
        """Standardised logarithms of incident and layer energies, and moments."""
        return self.context_scale.encode(self._condition(e_layer, moments, e_inc)).to(self._dtype)

    def encode(
        self, x: Float[Tensor, "B V"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B Z"], Float[Tensor, "B Z"]]:
        """Mean and logarithmic variance of the coordinates; the variance is no more than a limit if not variational."""
        if self.config.encoder_input == "surprise":
            with torch.no_grad():
                expected = self.params(x.new_zeros(len(x), self.n_latent), context)
                h = self.likelihood.surprise(x, expected)
        else:
            h = self.likelihood.as_input(x)
        if self.config.condition_encoder:
            h = torch.cat([h, context], dim=1)
        mean, log_variance = (
            self.encoder(h).split(self.n_latent, dim=1) if self._random else (self.encoder(h), None)
        )
        if log_variance is None:
            return mean, torch.full_like(mean, -math.inf)
        return mean, log_variance.clamp(*_LOG_VARIANCES)

    def params(self, z: Float[Tensor, "B Z"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B P V"]:
        """Parameters of the voxels' likelihood at coordinates."""
        return self.decoder(self._decoder_input(z, context)).view(
            len(z), self.likelihood.n_params, self.n_voxels
        )

    def decode(
        self,
        z: Float[Tensor, "B Z"],
        context: Float[Tensor, "B C"],
        e_layer: Float[Tensor, "B L"],
        moments: Float[Tensor, "B M"],
        u: Float[Tensor, "B N"],
    ) -> Float[Tensor, "B V"]:
        """Coordinates and uniform numbers to voxels in MeV that sum to ``e_layer`` and have, nearly, the moments."""
        h = self.decoder[:-1](self._decoder_input(z.to(self._dtype), context)).T
        energy = (e_layer / self.config.threshold).T.to(h.dtype)
        wanted, noise = moments.T.to(h.dtype), u.T.to(h.dtype).contiguous()
        voxels = h.new_empty(len(z), self.n_voxels)
        # Neither compiled code nor a GPU gains from a cache.
        whole = torch.compiler.is_compiling() or h.device.type != "cpu"
        chunk = max(1, len(z)) if whole else _CHUNK
        for start in range(0, len(z), chunk):
            here = slice(start, start + chunk)
            voxels[here] = self._voxels(h[:, here], energy[:, here], wanted[:, here], noise[:, here]).T
        return voxels

    def _voxels(self, h: Tensor, energy: Tensor, moments: Tensor, u: Tensor) -> Float[Tensor, "V B"]:
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear)
        if self.products is None:
            params = torch.addmm(last.bias[:, None], last.weight, h)
        else:
            product = last.weight.to(self.products) @ h.to(self.products)
            params = product.to(h.dtype).add_(last.bias[:, None])
        params = params.view(-1, self.n_voxels, h.shape[1])
        log_e = self.closing.of_voxels(energy.clamp_min(1.0).log_())
        voxels, surplus = self.likelihood.draw(params, log_e, u)
        return self.closing(voxels, surplus, energy, moments if self.config.moments else None)

    def log_volume(self, z: Float[Tensor, "B Z"], context: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
        """Logarithm of the volume on the manifold per volume of coordinates; -inf where the rank is not full.

        The derivative is carried along by hand: the decoder has few kinds of layers, and all columns go at once.
        """
        h = self._decoder_input(z, context)
        columns = torch.eye(h.shape[1], self.n_latent, dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
        for layer in self.decoder:
            if isinstance(layer, nn.Linear):
                columns = layer.weight @ columns
            else:
                gate = h.sigmoid()
                columns = (gate * (1 + h * (1 - gate)))[..., None] * columns
            h = layer(h)
        params = columns.mT.reshape(-1, self.likelihood.n_params, self.n_voxels)
        # The point is an affine function of the parameters, so differences of it are its derivative.
        change = self.likelihood.mean(params) - self.likelihood.mean(torch.zeros_like(params))
        rows = change.view(len(z), self.n_latent, self.n_voxels).double()
        return 0.5 * torch.linalg.slogdet(rows @ rows.mT).logabsdet

    def _decoder_input(self, z: Tensor, context: Tensor) -> Tensor:
        return torch.cat([z, context], dim=1) if self.config.condition_decoder else z

    @staticmethod
    def _condition(e_layer: Tensor, moments: Tensor, e_inc: Tensor) -> Tensor:
        return torch.cat([log_energies(e_layer, e_inc), moments], dim=1)

    @property
    def _random(self) -> bool:
        return self.config.kind == "vae"


def estimated_latent(showers: Showers, *, threshold: float, seed: int) -> int:
    """Coordinates that showers need: their intrinsic dimension, rounded up.

    As in the paper by 10 neighbours, in voxels normalised to their layer's energy; the same number as
    ``caloforge dimension`` gives for all showers, but for its draw of them.

    Raises:
        ValueRangeError: Too few different showers.
    """
    shares = Shares(
        [layer.n_voxels for layer in showers.geometry.layers], threshold=threshold, standardize=False
    )
    voxels = torch.from_numpy(showers.above(threshold).voxels).float()
    points = shares.encode(voxels[_spread(len(voxels), _N_ESTIMATE)]).numpy()
    estimate = intrinsic_dimension(points, (_NEIGHBOURS,), max_queries=_N_QUERIES, seed=seed)[0]
    return min(max(1, math.ceil(estimate.dimension)), showers.geometry.n_voxels)


def check_latent(latent: int, showers: Showers) -> None:
    """Raise :class:`ConfigError` if there are more coordinates than the showers can have dimensions."""
    voxels = showers.voxels
    n_moving = int((voxels.min(axis=0) != voxels.max(axis=0)).sum()) if len(showers) else 0
    if latent > (most := min(n_moving, len(showers) - 1)):
        raise ConfigError(
            f"model.manifold.latent = {latent}, but the {len(showers)} training showers can have at most {most} "
            f"dimensions ({n_moving} of their {showers.geometry.n_voxels} voxels are not the same in all); choose a "
            "smaller number, or leave it out to have it estimated."
        )


def n_context(geometry: Geometry, config: ManifoldConfig) -> int:
    """C: incident energy, layer energies and, if asked for, moments."""
    return 1 + geometry.n_layers + (LayerMoments(geometry).n_moments if config.moments else 0)


def _spread(n: int, at_most: int) -> slice:
    """About so many rows, from all over a file that may be sorted."""
    return slice(None, None, -(-n // at_most) if n else 1)


def mmd(points: Float[Tensor, "B Z"], normal: Float[Tensor, "B Z"]) -> Float[Tensor, " B"]:
    r"""Maximum mean discrepancy of two samples, as a share of each row; the mean over rows is the estimate.

    With inverse multiquadratic kernels :math:`C / (C + |x - y|^2)`, where :math:`C` is twice the dimension times a
    range of scales.
    """
    n = len(points)
    if n < 2:
        return points.new_zeros(n)
    squares = [torch.cdist(a, b).square() for a, b in ((points, points), (normal, normal), (points, normal))]
    total = points.new_zeros(n)
    for scale in _MMD_SCALES:
        c = 2 * points.shape[1] * scale
        same, other, cross = (c / (c + square) for square in squares)
        within = (same.sum(1) - same.diagonal() + other.sum(1) - other.diagonal()) / (n - 1)
        total = total + within - (cross.sum(1) + cross.sum(0)) / n
    return total


def _sizes(geometry: Geometry, config: ManifoldConfig) -> dict[str, list[int]]:
    latent, n_condition = config.latent_in(geometry), n_context(geometry, config)
    n_params = 3 if config.likelihood == "hits" else 1
    hidden = config.depth * [config.hidden]
    encoder_hidden = config.depth * [config.encoder_hidden or config.hidden]
    return {
        "encoder": [
            (2 if config.likelihood == "hits" else 1) * geometry.n_voxels
            + config.condition_encoder * n_condition,
            *encoder_hidden,
            latent * (2 if config.kind == "vae" else 1),
        ],
        "decoder": [latent + config.condition_decoder * n_condition, *hidden, n_params * geometry.n_voxels],
    }


def _network(sizes: list[int], *, dropout: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size, following in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(size, following), nn.SiLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
