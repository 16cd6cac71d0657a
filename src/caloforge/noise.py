"""The random numbers of showers as tensors, for models."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.seeding import open_unit, shower_bits

__all__ = ["ShowerNoise"]


@final
class ShowerNoise:
    """Independent random numbers for showers ``start`` to ``start + count``.

    Each call draws from a new stream; the order of calls is part of a model. A call's numbers for one
    shower are the same whatever ``start`` and ``count`` are.

    Args:
        seed: The run's seed, not negative.
        start: Index of the first shower, not negative.
        count: Number of showers, not negative.
        device: Where the numbers are wanted; they are always made on the CPU.
        dtype: Floating type of the numbers.
    """

    def __init__(
        self,
        seed: int,
        start: int,
        count: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shower_bits(seed, 0, start, count, 0)  # refuses what is no seed or index
        self.seed, self.start, self.count = seed, start, count
        self.device, self.dtype = torch.device(device), dtype
        self._n_draws = 0

    def uniform(self, width: int) -> Float[Tensor, "B width"]:
        """Uniform in the open interval (0, 1), ``width`` numbers per shower."""
        # The last of the 2^32 values would round to 1 in float32.
        below_one = 1 - torch.finfo(self.dtype).eps / 2
        return self._open_unit(width).clamp_max_(below_one).to(self.device, self.dtype)

    def normal(self, width: int) -> Float[Tensor, "B width"]:
        """Standard normal, ``width`` numbers per shower, by the inverse of the cumulative distribution."""
        z = torch.erfinv(self._open_unit(width).mul_(2).sub_(1)).mul_(2**0.5)
        return z.to(self.device, self.dtype)

    def _open_unit(self, width: int) -> Tensor:
        bits = shower_bits(self.seed, self._n_draws, self.start, self.count, width)
        self._n_draws += 1
        return torch.from_numpy(open_unit(bits))
