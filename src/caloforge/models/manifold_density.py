"""Density on the manifold: a conditional spline flow over the coordinates that a frozen encoder gives to showers.

References:
    J. C. Cresswell et al., CaloMan, arXiv:2211.15380
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, Neural Spline Flows, arXiv:1906.04032
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.flows import (
    MADE,
    AutoregressiveSpline,
    Bijection,
    Chain,
    CouplingSpline,
    Flow,
    Permutation,
    RationalQuadratic,
)
from caloforge.models.base import Batch, Stage
from caloforge.models.limits import check_flow
from caloforge.models.manifold import Manifold
from caloforge.preprocessing import Standardize
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["ManifoldDensity", "ManifoldDensityConfig"]

_BATCH = 2048  # showers that are encoded at a time


@final
@dataclass(frozen=True, kw_only=True)
class ManifoldDensityConfig:
    """Sizes of the flow; the defaults are the paper's."""

    conditioner: Literal["autoregressive", "coupling"] = "autoregressive"
    """``autoregressive``: one coordinate after the other. ``coupling``: half of them given the other half, which
    generates faster."""
    blocks: int = 4
    """Splines with permutations (autoregressive) or other halves (coupling) between them."""
    hidden: int = 64
    """Hidden units of each network."""
    depth: int = 3
    """Autoregressive: masked hidden-to-hidden layers, or residual blocks. Coupling: hidden layers."""
    residual: bool = True
    """Residual masked network; autoregressive only."""
    dropout: float = 0.0
    """Dropout of hidden units while training."""
    bins: int = 8
    """Spline bins."""
    bound: float = 6.0
    """Half-width of the spline's interval, in standard deviations."""
    min_bin: float = 1e-3
    """Least width and height of a spline bin."""
    min_slope: float = 1e-3
    """Least slope at a knot."""
    permutation_seed: int = 3
    """Seed of the fixed permutations or halves; part of the model."""

    def __post_init__(self) -> None:
        check_flow(self, where="model.density")


@final
class ManifoldDensity(Stage):
    """p(z | layers, e_inc) of an autoencoder's coordinates z, which is trained before and stays as it is."""

    def __init__(self, config: ManifoldDensityConfig, manifold: Manifold) -> None:
        super().__init__()
        self.config = config
        self._frozen = (manifold,)  # in a tuple, so that its weights are not taken for this stage's
        self.scale = Standardize(manifold.n_latent)
        self.flow = Flow(Chain(list(_blocks(config, manifold.n_latent, manifold.n_context))))

    @staticmethod
    def count_parameters(config: ManifoldDensityConfig, n_latent: int, n_context: int) -> int:
        """Parameters of such a flow, without building it."""
        n_params = _spline(config).n_params
        if config.conditioner == "autoregressive":
            sizes = _made_sizes(config, n_latent, n_context)
            return config.blocks * MADE.count_parameters(**sizes, residual=config.residual)
        total = 0
        for mask in _halves(config, n_latent):
            total += CouplingSpline.count_parameters(
                n_moved=sum(mask),
                n_kept=n_latent - sum(mask),
                n_context=n_context,
                n_params=n_params,
                hidden=config.hidden,
                depth=config.depth,
            )
        return total

    @property
    def manifold(self) -> Manifold:
        """The autoencoder whose coordinates these are."""
        return self._frozen[0]

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate the scale of the coordinates; the autoencoder must be trained by now."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "density", "fit"))
        self.scale.fit(self._image(self.rows(showers), generator)[0])

    @torch.no_grad()
    def rows(self, showers: Showers) -> Batch:
        """Coordinates of every shower under every symmetry, as mean and width, and what they are conditioned on."""
        # The autoencoder is frozen here, and stays so.
        manifold, device = self.manifold.eval(), self.scale.mean.device
        empty = self.scale.mean.new_empty(0, len(manifold.symmetries), manifold.n_latent)
        n_contexts = len(manifold.symmetries) if manifold.config.moments else 1
        parts = [(empty, empty, empty.new_empty(0, n_contexts, manifold.n_context))]
        # What noise the encoding of voxels has is the same in every epoch.
        generator = torch.Generator(device).manual_seed(derive_seed(0, "density", "rows"))
        for start in range(0, len(showers), _BATCH):
            rows = manifold.rows(showers[start : start + _BATCH])
            voxels, e_inc = rows["voxels"].to(device), rows["e_inc"].to(device)
            images = []
            for symmetry in manifold.symmetries:
                image = voxels[:, symmetry]
                x, e_layer = manifold.likelihood.encode(image, generator)
                context = manifold.context(e_layer, manifold.moments_of(image), e_inc)
                mean, log_variance = manifold.encode(x, context)
                images.append((mean, (0.5 * log_variance).exp(), context))
            mean, width, context = (torch.stack(of_images, dim=1) for of_images in zip(*images, strict=True))
            # Energies alone are the same for all images.
            parts.append((mean, width, context if manifold.config.moments else context[:, :1]))
        means, widths, contexts = zip(*parts, strict=True)
        return {"mean": torch.cat(means), "width": torch.cat(widths), "context": torch.cat(contexts)}

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Coordinates of a random image of each shower, with the encoder's scatter."""
        coordinates, context = self._image(rows, generator)
        return {"x": self.scale.encode(coordinates), "context": context}

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Negative log-likelihood of the standardised coordinates."""
        return -self.flow(batch["x"], batch["context"])

    def log_prob(self, z: Float[Tensor, "B Z"], context: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
        """Logarithm of the density of coordinates, in their own units."""
        return self.flow.log_prob(self.scale.encode(z), context) - self.scale.std.log().sum()

    def decode(self, normal: Float[Tensor, "B Z"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B Z"]:
        """Normal numbers to coordinates."""
        return self.scale.decode(self.flow.decode(normal.to(context.dtype), context))

    @staticmethod
    def _image(rows: Batch, generator: torch.Generator) -> tuple[Float[Tensor, "B Z"], Float[Tensor, "B C"]]:
        """Coordinates and context of a random image of each shower."""
        mean, width = rows["mean"], rows["width"]
        image = torch.randint(mean.shape[1], (len(mean),), generator=generator, device=mean.device)
        here = torch.arange(len(mean), device=mean.device)
        normal = torch.randn(
            (len(mean), mean.shape[2]), generator=generator, dtype=mean.dtype, device=mean.device
        )
        contexts = rows["context"]
        return mean[here, image] + width[here, image] * normal, contexts[here, image % contexts.shape[1]]


def _blocks(config: ManifoldDensityConfig, n_latent: int, n_context: int) -> Iterator[Bijection]:
    spline = _spline(config)
    if config.conditioner == "coupling":
        for mask in _halves(config, n_latent):
            yield CouplingSpline(
                mask,
                n_context=n_context,
                hidden=config.hidden,
                depth=config.depth,
                spline=spline,
                dropout=config.dropout,
            )
        return
    generator = torch.Generator().manual_seed(config.permutation_seed)
    for block in range(config.blocks):
        made = MADE(
            **_made_sizes(config, n_latent, n_context), residual=config.residual, dropout=config.dropout
        )
        yield AutoregressiveSpline(made, spline)
        if block < config.blocks - 1:
            backwards = list(range(n_latent - 1, -1, -1))
            yield Permutation(
                backwards if block % 2 == 0 else torch.randperm(n_latent, generator=generator).tolist()
            )


def _halves(config: ManifoldDensityConfig, n_latent: int) -> Iterator[list[bool]]:
    """Which coordinates each coupling moves: a random half, then the other half, then a new half ..."""
    generator = torch.Generator().manual_seed(config.permutation_seed)
    mask = [True] * n_latent
    for block in range(config.blocks):
        if block % 2 == 0:
            order = torch.randperm(n_latent, generator=generator)
            mask = (order < (n_latent + 1) // 2).tolist()
        elif n_latent > 1:
            mask = [not moved for moved in mask]
        yield mask


def _spline(config: ManifoldDensityConfig) -> RationalQuadratic:
    return RationalQuadratic(
        n_bins=config.bins, bound=config.bound, min_bin=config.min_bin, min_slope=config.min_slope
    )


def _made_sizes(config: ManifoldDensityConfig, n_latent: int, n_context: int) -> dict[str, int]:
    return {
        "n_features": n_latent,
        "n_context": n_context,
        "n_params": _spline(config).n_params,
        "hidden": config.hidden,
        "depth": config.depth,
    }
