"""Flow I of CaloFlow: p(e_layer | e_inc), the energies of the calorimeter layers.

References:
    C. Krause, D. Shih, CaloFlow, arXiv:2106.05285
"""

import math
import warnings
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.errors import CaloForgeWarning
from caloforge.flows import MADE, AutoregressiveSpline, Chain, Flow, Permutation, RationalQuadratic
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, Stage
from caloforge.models.limits import check_at_least, check_between, check_flow
from caloforge.preprocessing import LayerShares, Standardize
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = ["LayerEnergies", "LayerEnergiesConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class LayerEnergiesConfig:
    """Sizes and preprocessing of flow I; the defaults are the paper's."""

    blocks: int = 6
    """Autoregressive splines, each followed by a fixed random permutation."""
    hidden: int = 64
    """Hidden units of each masked network."""
    depth: int = 2
    """Masked hidden-to-hidden layers of each network."""
    bins: int = 8
    """Spline bins."""
    bound: float = 14.0
    """Half-width of the spline's interval."""
    min_bin: float = 1e-6
    """Least width and height of a spline bin."""
    min_slope: float = 1e-6
    """Least slope at a knot."""
    alpha: float = 1e-6
    """Margin of the logit."""
    max_e_ratio: float | None = None
    """Largest deposited over incident energy; ``None``: the training split's own, plus 0.1 %."""
    noise: float = 1 * keV
    """Uniform noise added to each layer energy, MeV, so that empty layers have a density."""
    standardize: bool = False
    """Scale the logits to zero mean and unit width before the flow."""
    permutation_seed: int = 1
    """Seed of the fixed permutations; part of the model."""

    def __post_init__(self) -> None:
        check_flow(self, where="model.energies")
        check_between(0, self.alpha, 0.5, name="model.energies.alpha")
        check_at_least(0, self.noise, name="model.energies.noise")
        if self.max_e_ratio is not None:
            check_between(0, self.max_e_ratio, math.inf, name="model.energies.max_e_ratio")


@final
class LayerEnergies(Stage):
    """Autoregressive spline flow in the u-variables of :class:`~caloforge.preprocessing.LayerShares`."""

    def __init__(self, geometry: Geometry, config: LayerEnergiesConfig) -> None:
        super().__init__()
        self.config, self.n_layers = config, geometry.n_layers
        self.shares = LayerShares(self.n_layers, alpha=config.alpha)
        self.context_scale = Standardize(1)
        self.scale = Standardize(self.n_layers) if config.standardize else None
        spline = _spline(config)
        generator = torch.Generator().manual_seed(config.permutation_seed)
        chain: list[AutoregressiveSpline | Permutation] = []
        for _ in range(config.blocks):
            made = MADE(**_made_sizes(geometry, config), residual=False)
            order = torch.randperm(self.n_layers, generator=generator).tolist()
            chain += [AutoregressiveSpline(made, spline), Permutation(order)]
        self.flow = Flow(Chain(chain))

    @staticmethod
    def count_parameters(geometry: Geometry, config: LayerEnergiesConfig) -> int:
        """Parameters of such a flow, without building it."""
        return config.blocks * MADE.count_parameters(**_made_sizes(geometry, config), residual=False)

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate the largest energy ratio, the context's scale and, if asked, the features'."""
        ratio = self.config.max_e_ratio
        if ratio is None:
            ratio = 1.001 * float(showers.e_ratio.max())
        elif n_above := int((showers.e_ratio > ratio).sum()):
            warnings.warn(
                f"{n_above} of {len(showers)} training showers deposit more than max_e_ratio = {ratio} times their "
                "incident energy and count as if they deposited just that.",
                CaloForgeWarning,
                stacklevel=2,
            )
        self.shares.max_e_ratio.fill_(ratio)
        rows = self.rows(showers)
        self.context_scale.fit(self._log_e_inc(rows["e_inc"]))
        if self.scale is not None:
            generator = torch.Generator().manual_seed(derive_seed(seed, "energies", "fit"))
            self.scale.fit(self.shares.encode(self._noisy(rows["e_layer"], generator), rows["e_inc"]))

    def rows(self, showers: Showers) -> Batch:
        """Layer and incident energies, MeV, float64."""
        return {
            "e_layer": torch.from_numpy(showers.e_layer),
            "e_inc": torch.from_numpy(showers.e_inc).double(),
        }

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Features and context with fresh noise."""
        x = self.shares.encode(self._noisy(rows["e_layer"], generator), rows["e_inc"])
        return {"x": self._features(x), "context": self.context(rows["e_inc"])}

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Negative log-likelihood in feature space."""
        return -self.flow(batch["x"], batch["context"])

    def context(self, e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B 1"]:
        """The flow's condition."""
        return self.context_scale.encode(self._log_e_inc(e_inc)).to(self._dtype)

    def decode(self, z: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """Normal ``z`` to layer energies in MeV, float64."""
        x = self.flow.decode(z.to(self._dtype), self.context(e_inc))
        return self.shares.decode(x if self.scale is None else self.scale.decode(x), e_inc)

    def _features(self, x: Tensor) -> Tensor:
        return (x if self.scale is None else self.scale.encode(x)).to(self._dtype)

    def _noisy(self, e_layer: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.rand(e_layer.shape, generator=generator, dtype=e_layer.dtype, device=e_layer.device)
        return e_layer + self.config.noise * noise

    @staticmethod
    def _log_e_inc(e_inc: Tensor) -> Tensor:
        return e_inc.log10()[:, None]


def _spline(config: LayerEnergiesConfig) -> RationalQuadratic:
    return RationalQuadratic(
        n_bins=config.bins, bound=config.bound, min_bin=config.min_bin, min_slope=config.min_slope
    )


def _made_sizes(geometry: Geometry, config: LayerEnergiesConfig) -> dict[str, int]:
    return {
        "n_features": geometry.n_layers,
        "n_context": 1,
        "n_params": _spline(config).n_params,
        "hidden": config.hidden,
        "depth": config.depth,
    }
