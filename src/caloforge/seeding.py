"""Random numbers that belong to a shower: a pure function of the run's seed and the shower's index.

A counter-based generator (Philox) jumps straight to the numbers of shower i, so a sample does not depend on
batch sizes, shards, workers or restarts.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011)
"""

import hashlib
from typing import final

import numpy as np
import torch
from jaxtyping import Float, UInt32
from torch import Tensor

from caloforge.errors import ValueRangeError

__all__ = ["ShowerNoise", "derive_seed", "digest"]


def digest(data: bytes) -> str:
    """A short fingerprint of some bytes, to tell whether two things are the same."""
    return hashlib.sha256(data).hexdigest()[:16]


def derive_seed(seed: int, *labels: str | int) -> int:
    """A 63-bit seed for one purpose (a stage, an epoch ...) of a run, stable over versions and platforms."""
    text = "/".join(map(str, (seed, *labels)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


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
        if not 0 <= seed < 2**64:
            raise ValueRangeError(f"A seed must lie in 0 .. 2^64 - 1, got {seed}.")
        if start < 0 or count < 0:
            raise ValueRangeError(f"Shower indices start at 0; got start = {start}, count = {count}.")
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
        bits = torch.from_numpy(self._bits(width).astype(np.float64))
        return bits.add_(0.5).mul_(2.0**-32)

    def _bits(self, width: int) -> UInt32[np.ndarray, "B width"]:
        # A step of Philox-4x64 gives 8 words of 32 bits; each shower takes whole steps.
        steps = -(-width // 8)
        # As uint64: a list with a seed of 2^63 or more would pass through float64 and collide with others.
        key = np.array([self.seed, self._n_draws], dtype=np.uint64)
        stream = np.random.Philox(key=key, counter=[self.start * steps, 0, 0, 0])
        self._n_draws += 1
        words = stream.random_raw(self.count * steps * 4).view(np.uint32)
        return words.reshape(self.count, steps * 8)[:, :width]
