"""Logarithmic hit energies as standard logistic numbers, by the distribution that training hits have.

What is sharp in the energies of all hits, such as the edge of minimum-ionising tracks, is in the map, so a
smooth density in the mapped numbers is sharp where it must be. Nothing mapped back is beyond the training hits.
"""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["HitEnergies"]

_BOUND = 11.0  # of mapped numbers; 1.7e-5 of standard logistic numbers are beyond it
_KNOTS = 353  # of the map, evenly over -11 .. 11
_FEW = 200  # hits: a class with fewer takes the distribution of all classes
_GAP = 1e-5  # least distance of knots, so that the map can be turned round
_APART = (
    64.0  # offset between classes in one sorted list; more than any logarithm of energies over thresholds
)


@final
class HitEnergies(nn.Module):
    """Monotone piecewise linear maps between log(E / threshold) and logistic numbers, one per class of voxels.

    Args:
        n_classes: Classes of voxels.
    """

    knots: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("knots", torch.linspace(0, 16, _KNOTS).repeat(n_classes, 1))

    @property
    def step(self) -> float:
        """Distance of knots in mapped numbers."""
        return 2 * _BOUND / (_KNOTS - 1)

    def fit(self, x: Float[Tensor, " h"], of_class: Int[Tensor, " h"]) -> None:
        """Quantiles of the logarithms of hits at the knots; without a hit the map stays as it is."""
        if not x.numel():
            return
        levels = torch.linspace(-_BOUND, _BOUND, _KNOTS, dtype=torch.float64).sigmoid()
        overall = _quantiles(x.double(), levels)
        for k in range(self.knots.shape[0]):
            mine = x[of_class == k].double()
            self.knots[k] = _quantiles(mine, levels) if mine.numel() >= _FEW else overall

    def encode(
        self, x: Float[Tensor, "*s"], of_class: Int[Tensor, "*s"]
    ) -> tuple[Float[Tensor, "*s"], Float[Tensor, "*s"]]:
        """Mapped numbers, and the logarithm of the map's slope there."""
        n = self.knots.shape[0]
        offset = torch.arange(n, device=x.device, dtype=torch.float64)[:, None] * _APART
        ends = self.knots[:, :1], self.knots[:, -1:]
        flat = (self.knots.double() + offset).flatten()
        low, high = ends[0][:, 0][of_class], ends[1][:, 0][of_class]
        inside = torch.minimum(torch.maximum(x, low), high)
        found = torch.searchsorted(flat, inside.double() + of_class * _APART, right=True) - 1
        left = torch.minimum(torch.maximum(found, of_class * _KNOTS), (of_class + 1) * _KNOTS - 2)
        knots = self.knots.flatten()
        x_0, x_1 = knots[left], knots[left + 1]
        slope = self.step / (x_1 - x_0)
        number = (left - of_class * _KNOTS).to(x.dtype)
        return (number * self.step - _BOUND + (inside - x_0) * slope), slope.log()

    def decode(self, t: Float[Tensor, "*s"], start: Int[Tensor, "*#s"]) -> Float[Tensor, "*s"]:
        """Logarithms of mapped numbers.

        Args:
            t: Mapped numbers of any size.
            start: First knot of the class, as :meth:`starts` gives it.
        """
        place = ((t + _BOUND) / self.step).clamp(0.0, _KNOTS - 1.001)
        left = place.floor()
        knots = self.knots.flatten()
        index = left.long() + start
        x_0, x_1 = knots[index], knots[index + 1]
        return torch.lerp(x_0, x_1, place - left)

    @staticmethod
    def starts(of_class: Int[Tensor, "*s"]) -> Int[Tensor, "*s"]:
        """First knot of classes, for :meth:`decode`."""
        return of_class * _KNOTS


def _quantiles(x: Tensor, levels: Tensor) -> Tensor:
    """Of sorted values by linear interpolation, strictly increasing."""
    ordered = x.sort().values
    place = levels * (ordered.numel() - 1)
    left = place.floor().long().clamp(0, max(ordered.numel() - 2, 0))
    right = (left + 1).clamp_max(ordered.numel() - 1)
    values = torch.lerp(ordered[left], ordered[right], place - left)
    least = _GAP * torch.arange(values.numel(), dtype=values.dtype)
    return (values - least).cummax(0).values + least
