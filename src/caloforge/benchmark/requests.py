"""Requests for showers as the benchmark makes them; the one place that knows how a request is answered."""

from typing import Literal, final

import numpy as np
from jaxtyping import Float

from caloforge.generation import ShowerGenerator
from caloforge.showers import Showers

__all__ = ["Requests"]


@final
class Requests:
    """Requests of a fixed number of showers to one model, from energies in memory to voxels in memory.

    Requests that are smaller than a block of the engine are answered alone, as a simulation would ask for them;
    all others begin with a block of their own.

    Args:
        generator: The model.
        e_inc: Incident energies of each request, MeV, ``(n,)``.
        threads: Blocks that are computed at the same time.
        seed: Of the showers; every request has other indices.
    """

    path: Literal["blocks", "unpadded"]
    """How a request is answered."""

    def __init__(
        self, generator: ShowerGenerator, e_inc: Float[np.ndarray, " n"], *, threads: int, seed: int
    ) -> None:
        self._generator, self._e_inc, self._threads, self._seed = generator, e_inc, threads, seed
        self.path = "unpadded" if len(e_inc) < generator.block else "blocks"
        self._stride = -(-len(e_inc) // generator.block) * generator.block

    def __call__(self, number: int) -> Showers:
        """Request ``number``, counted from 0."""
        return self._generator.sample(
            self._e_inc,
            seed=self._seed,
            start=number * self._stride,
            threads=self._threads,
            padded=self.path == "blocks",
        )
