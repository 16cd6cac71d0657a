"""What the networks of blocks see of a shower beyond single voxels; training and drawing share these.

Legend of shapes: B showers, L layers, S slots, T steps, n blocks, A positions, P powers (1, and of each position
1 and 2); ``*s`` steps, or nothing where there is one. Energies are in units of the threshold, positions in 100 mm.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.models.block_plan import BlockPlan, NetTables

__all__ = ["LOG", "Remaining", "layer_before", "logs", "of_step", "places", "seen_of", "sums", "what_is_left"]

LOG = 0.1
"""Of logarithms of energies in the inputs."""
_UNIT = 100.0  # mm
_FARTHEST = 5.0  # of positions relative to the shower's, in standard deviations
_OUTSIDE = 3.0  # of means: farther than any layer is from its axis


def logs(energy: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Logarithms; 0 where there is no energy."""
    return torch.where(energy > 0, energy, torch.ones_like(energy)).log()


def sums(
    mean: Float[Tensor, "A L B"], variance: Float[Tensor, "A L B"], e_layer: Float[Tensor, "L B"]
) -> Float[Tensor, "P L B"]:
    """Energies of layers times powers of positions, from means and variances."""
    powers = torch.stack([mean, variance + mean.square()], dim=1).flatten(0, 1)
    return torch.cat([torch.ones_like(powers[:1]), powers]) * e_layer


def what_is_left(
    left: Float[Tensor, "P *s B"], e_layer: Float[Tensor, "*s B"]
) -> tuple[Float[Tensor, "*s B"], Float[Tensor, "A *s B"], Float[Tensor, "A *s B"]]:
    """Energy, mean and variance of what sums say is left; what cannot be is brought to what can."""
    safe = torch.maximum(left[0], (1e-4 * e_layer).clamp_min(1.0))
    shares = left[1:].unflatten(0, (-1, 2)) / safe  # type: ignore[no-untyped-call]
    mean = shares[:, 0].clamp(-_OUTSIDE, _OUTSIDE)
    return left[0], mean, (shares[:, 1] - mean.square()).clamp(0.0, _OUTSIDE**2)


def of_step(
    energy_left: Float[Tensor, "*s B"],
    log_variance: Float[Tensor, "A *s B"],
    e_layer: Float[Tensor, "*s B"],
) -> Float[Tensor, "D *s B"]:
    """What all blocks of a step see: the share of the layer that is left, its energy, its widths."""
    relative = (energy_left / e_layer.clamp_min(1.0)).clamp_min(1e-5).log()
    absolute = energy_left.clamp_min(1.0).log()
    return torch.cat([0.3 * relative[None], LOG * absolute[None], 0.3 * log_variance])


def places(
    tables: NetTables,
    here: slice,
    mean: Float[Tensor, "A s B"],
    variance: Float[Tensor, "A s B"],
    mean_left: Float[Tensor, "A s B"],
    std_left: Float[Tensor, "A s B"],
) -> Float[Tensor, "a n B"]:
    """Where blocks lie relative to the shower and to what is left of it, in their frames; s is n or 1."""
    centre = tables.centre[:, here, None] / _UNIT
    half = 0.5 * tables.pitch[:, None, None] / _UNIT
    std, std_left = variance.sqrt() + half, std_left + half
    if tables.turned:
        std, std_left = (s.square().mean(0, keepdim=True).sqrt() for s in (std, std_left))
    seen = []
    for middle, scale in ((mean, std), (mean_left, std_left)):
        away = (centre - middle) / scale
        frame = tables.frame[here]
        if tables.turned:
            rows = [(frame[:, a, :, None] * away.transpose(0, 1)).sum(1) for a in range(away.shape[0])]
            away = torch.stack(rows)
        else:
            away = away * frame.diagonal(dim1=1, dim2=2).T[..., None]
        seen.append(away.clamp(-_FARTHEST, _FARTHEST))
    return torch.cat(seen)


def layer_before(
    plan: BlockPlan, state: Float[Tensor, "R B"], energy: Float[Tensor, "S B"], layer: int
) -> None:
    """Write into the state what the layer before has in the footprints of a layer's blocks."""
    rows, slots, blocks = plan.rows_of, plan.layer_slots[layer - 1], plan.layer_blocks[layer]
    overlaps = plan.overlaps(layer).to(energy.dtype)
    hits = (energy[slots] > 0).to(energy.dtype)
    state[rows.before_energy + blocks.start : rows.before_energy + blocks.stop] = (
        LOG * (overlaps @ energy[slots]).log1p()
    )
    state[rows.before_hits + blocks.start : rows.before_hits + blocks.stop] = overlaps @ hits


def seen_of(early: Float[Tensor, "m n B"], left: Float[Tensor, "*left B"]) -> Float[Tensor, "s n B"]:
    """What the later voxels of a block see of the earlier ones: hits, logarithms, shares of what was left."""
    share = (early / left.clamp_min(1.0)).clamp_max(1.5)
    return torch.cat([(early > 0).to(early.dtype), LOG * logs(early), share])


@final
class Remaining:
    """What showers that are being drawn still have to give to a layer.

    Args:
        powers: Powers of the positions of slots, ``(P, S)``.
        pitch: Size of cells, ``(A, L)``.
        wanted: Mean and variance of each layer.
        e_layer: Energies of layers.
    """

    def __init__(
        self,
        powers: Float[Tensor, "P S"],
        pitch: Float[Tensor, "A L"],
        wanted: tuple[Float[Tensor, "A L B"], Float[Tensor, "A L B"]],
        e_layer: Float[Tensor, "L B"],
    ) -> None:
        self._powers, self._least = powers, (0.1 * pitch).square()
        self._wanted, self._e_layer = wanted, e_layer
        self._sums = sums(*wanted, e_layer)
        self.begin(0)

    def begin(self, layer: int) -> None:
        """Go to a layer, of which nothing is drawn yet."""
        self._layer, self._left = layer, self._sums[:, layer]

    def wanted(self) -> tuple[Float[Tensor, "A 1 B"], Float[Tensor, "A 1 B"]]:
        """Mean and variance of the layer."""
        mean, variance = self._wanted
        return mean[:, self._layer, None], variance[:, self._layer, None]

    def now(
        self,
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, "A B"], Float[Tensor, "A B"], Float[Tensor, "D B"]]:
        """Energy left, its mean and standard deviation, and what a step sees."""
        e_layer = self._e_layer[self._layer]
        energy, mean, variance = what_is_left(self._left, e_layer)
        log_variance = (variance + self._least[:, self._layer, None]).log()
        return energy, mean, (0.5 * log_variance).exp(), of_step(energy, log_variance, e_layer)

    def take(self, slots: slice, energy: Float[Tensor, "m B"]) -> None:
        """Some voxels of the layer are drawn."""
        self._left = self._left - self._powers[:, slots] @ energy
