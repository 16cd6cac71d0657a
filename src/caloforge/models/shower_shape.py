"""Flow II of CaloFlow: p(voxels | e_layer, e_inc), how each layer's energy spreads over its voxels.

References:
    C. Krause, D. Shih, CaloFlow, arXiv:2106.05285; CaloFlow II, arXiv:2110.11377
"""

import math
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
    Flow,
    Inverse,
    InverseSpline,
    Permutation,
    RationalQuadratic,
)
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, Stage
from caloforge.models.conditions import log_energies
from caloforge.models.limits import check_between, check_flow, check_share
from caloforge.preprocessing import Encoding, Standardize, Symmetry, mirrored, voxel_step, voxel_symmetries
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = ["ShowerShape", "ShowerShapeConfig"]

_N_FIT = 20_000  # showers that the standardisation is estimated from: enough for 0.7 % on every width


@final
@dataclass(frozen=True, kw_only=True)
class ShowerShapeConfig:
    """Sizes and preprocessing of flow II; the defaults are the paper's teacher."""

    role: Literal["teacher", "student"] = "teacher"
    """Teacher: autoregressive from the data's side, fast to train on showers. Student: from the latent side, fast
    to sample, and distilled from a teacher (arXiv:2110.11377)."""
    blocks: int = 8
    """Autoregressive splines with permutations between them."""
    hidden: int = 378
    """Hidden units of each masked network."""
    depth: int = 1
    """Masked hidden-to-hidden layers (or residual blocks) of each network."""
    residual: bool = False
    """Residual masked network."""
    dropout: float = 0.05
    """Dropout of hidden units while training."""
    bins: int = 8
    """Spline bins."""
    bound: float = 14.0
    """Half-width of the spline's interval."""
    min_bin: float = 1e-6
    """Least width and height of a spline bin."""
    min_slope: float = 1e-6
    """Least slope at a knot."""
    threshold: float = 10 * keV
    """Voxels below this are zero in what is generated, MeV."""
    encoding: Encoding = "logit-share"
    """How voxels become features: ``logit-share`` (the paper's) or ``log-energy``, see
    :mod:`caloforge.preprocessing.voxels`."""
    alpha: float = 1e-6
    """Margin of the logit, for ``logit-share``."""
    standardize: bool = False
    """Scale every voxel's feature to zero mean and unit width."""
    symmetry: Symmetry = "none"
    """Reflect (Cartesian) or turn (polar) training showers at random; right for a centred beam only."""
    permutation_seed: int = 2
    """Seed of the fixed permutations; part of the model."""

    def __post_init__(self) -> None:
        check_flow(self, where="model.shape")
        check_between(0, self.alpha, 0.5, name="model.shape.alpha")
        check_between(0, self.threshold, math.inf, name="model.shape.threshold")
        check_share(self.dropout, name="model.shape.dropout")


@final
class ShowerShape(Stage):
    """Autoregressive spline flow over the voxels' shares of their layer."""

    symmetries: Tensor

    def __init__(self, geometry: Geometry, config: ShowerShapeConfig) -> None:
        super().__init__()
        self.config, self.n_layers, self.n_voxels = config, geometry.n_layers, geometry.n_voxels
        sizes = [layer.n_voxels for layer in geometry.layers]
        self.step = voxel_step(
            config.encoding,
            sizes,
            threshold=config.threshold,
            standardize=config.standardize,
            alpha=config.alpha,
        )
        self.context_scale = Standardize(1 + self.n_layers)
        self.register_buffer("symmetries", voxel_symmetries(geometry, config.symmetry), persistent=False)
        orders = _orders(sizes, config.blocks, torch.Generator().manual_seed(config.permutation_seed))
        is_student = config.role == "student"
        spline = InverseSpline(_spline(config)) if is_student else _spline(config)
        blocks: list[Bijection] = []
        for block in range(config.blocks):
            made = MADE(**_made_sizes(geometry, config), residual=config.residual, dropout=config.dropout)
            blocks.append(AutoregressiveSpline(made, spline))
            if block < config.blocks - 1:
                permutation = Permutation(orders[block])
                blocks.append(Inverse(permutation) if is_student else permutation)
        # A student's chain leads from latent to data: block by block the inverse of a teacher's, from its end.
        self.flow = Flow(Inverse(Chain(blocks[::-1])) if is_student else Chain(blocks))

    @property
    def chain(self) -> Chain:
        """The dense direction: from data to latent for a teacher, from latent to data for a student."""
        bijection = self.flow.bijection
        chain = bijection.bijection if isinstance(bijection, Inverse) else bijection
        assert isinstance(chain, Chain)
        return chain

    @staticmethod
    def count_parameters(geometry: Geometry, config: ShowerShapeConfig) -> int:
        """Parameters of such a flow, without building it."""
        sizes = _made_sizes(geometry, config)
        return config.blocks * MADE.count_parameters(**sizes, residual=config.residual)

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate the scales of the context and, if asked, of the voxels' features."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "shape", "fit"))
        rows = self.rows(showers[:: -(-len(showers) // _N_FIT)])  # from all over the file: it may be sorted
        voxels = mirrored(rows["voxels"], self.symmetries, generator)
        noisy = self.step.dequantize(voxels, generator)
        peak = torch.from_numpy(showers.voxels.max(axis=0)).to(self._dtype)
        self.step.fit(noisy, peak=peak[self.symmetries].amax(0))
        self.context_scale.fit(log_energies(self.step.e_layer(voxels, noisy), rows["e_inc"]))

    def take_preprocessing(self, other: "ShowerShape") -> None:
        """Copy what :meth:`fit` has estimated for another flow with the same settings."""
        self.step.load_state_dict(other.step.state_dict())
        self.context_scale.load_state_dict(other.context_scale.state_dict())

    def rows(self, showers: Showers) -> Batch:
        """Voxels and incident energies, MeV, in the model's precision."""
        return {
            "voxels": torch.from_numpy(showers.voxels).to(self._dtype),
            "e_inc": torch.from_numpy(showers.e_inc).to(self._dtype),
        }

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Features and context with a fresh symmetry element and fresh noise."""
        voxels = mirrored(rows["voxels"], self.symmetries, generator)
        noisy = self.step.dequantize(voxels, generator)
        return {
            "x": self.step.encode(noisy),
            "context": self.context(self.step.e_layer(voxels, noisy), rows["e_inc"]),
        }

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Negative log-likelihood in feature space."""
        return -self.flow(batch["x"], batch["context"])

    def context(self, e_layer: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
        """The flow's condition: logarithms of incident and layer energies."""
        return self.context_scale.encode(log_energies(e_layer, e_inc)).to(self._dtype)

    def decode(
        self, z: Float[Tensor, "B V"], e_layer: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]
    ) -> Float[Tensor, "B V"]:
        """Normal ``z`` to voxels in MeV that sum to ``e_layer``."""
        x = self.flow.decode(z.to(self._dtype), self.context(e_layer, e_inc))
        return self.step.decode(x, e_layer)


def _spline(config: ShowerShapeConfig) -> RationalQuadratic:
    return RationalQuadratic(
        n_bins=config.bins, bound=config.bound, min_bin=config.min_bin, min_slope=config.min_slope
    )


def _made_sizes(geometry: Geometry, config: ShowerShapeConfig) -> dict[str, int]:
    return {
        "n_features": geometry.n_voxels,
        "n_context": 1 + geometry.n_layers,
        "n_params": _spline(config).n_params,
        "hidden": config.hidden,
        "depth": config.depth,
    }


def _orders(sizes: list[int], blocks: int, generator: torch.Generator) -> list[list[int]]:
    """Permutations between the blocks: reversed, then random, in turn, always within a layer."""
    orders = []
    for block in range(blocks):
        order: list[int] = []
        for size in sizes:
            start = len(order)
            within = (
                range(size - 1, -1, -1)
                if block % 2 == 0
                else torch.randperm(size, generator=generator).tolist()
            )
            order += [start + k for k in within]
        orders.append(order)
    return orders
