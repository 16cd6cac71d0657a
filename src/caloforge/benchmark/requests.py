"""Requests for showers as the benchmark makes them; the one place that knows how a request is spread over threads."""

import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, final

import numpy as np
import torch
from jaxtyping import Float

from caloforge.generation import ShowerGenerator

__all__ = ["Requests"]


@final
class Requests:
    """Requests of a fixed number of showers to one model, from energies in memory to voxels in memory.

    Args:
        generator: The model.
        e_inc: Incident energies of each request, MeV, ``(n,)``.
        threads: Blocks that are computed at the same time.
        seed: Of the showers; every request has other indices.
    """

    path: Literal["sample", "sample_one"]
    """Which method of the generator answers."""

    def __init__(
        self, generator: ShowerGenerator, e_inc: Float[np.ndarray, " n"], *, threads: int, seed: int
    ) -> None:
        self._generator: Any = generator
        self._e_inc, self._threads, self._seed = e_inc, threads, seed
        self.path = "sample_one" if len(e_inc) == 1 and hasattr(generator, "sample_one") else "sample"
        self._knows_threads = "threads" in inspect.signature(generator.sample).parameters
        self._pool = ThreadPoolExecutor(max_workers=threads)

    def __call__(self, number: int) -> Any:
        """Request ``number``, counted from 0."""
        start = number * len(self._e_inc)
        if self.path == "sample_one":
            return self._generator.sample_one(float(self._e_inc[0]), seed=self._seed, index=start)
        if self._threads == 1:
            return self._sample(start, self._e_inc)
        if self._knows_threads:
            return self._generator.sample(self._e_inc, seed=self._seed, start=start, threads=self._threads)
        return self._in_blocks(start)

    def __enter__(self) -> "Requests":
        # Within a block; the engine sees to it itself, but puts back what it finds, which must be the same in
        # all threads.
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self._before)

    def _sample(self, start: int, e_inc: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m V"]:
        return self._generator.sample(e_inc, seed=self._seed, start=start).voxels

    def _in_blocks(self, start: int) -> Float[np.ndarray, "n V"]:
        """The engine's blocks, several at a time, as ``sample(threads=)`` does it."""
        block, stop = self._generator.block, start + len(self._e_inc)
        edges = [start, *range((start // block + 1) * block, stop, block), stop]
        spans = itertools.pairwise(edges)
        parts = self._pool.map(
            lambda span: self._sample(span[0], self._e_inc[span[0] - start : span[1] - start]), spans
        )
        return np.concatenate(list(parts))
