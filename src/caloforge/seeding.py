"""Random numbers that belong to a shower: a pure function of the run's seed and the shower's index.

A counter-based generator (Philox) jumps straight to the numbers of shower i, so a sample does not depend on
batch sizes, shards, workers or restarts.

References:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011)
"""

import hashlib

import numpy as np
from jaxtyping import Float, UInt32

from caloforge.errors import ValueRangeError

__all__ = [
    "MAX_SEED",
    "MAX_SHOWERS",
    "check_whole",
    "derive_seed",
    "digest",
    "open_unit",
    "shower_bits",
    "shower_uniform",
]

MAX_SEED = 2**64 - 1
MAX_SHOWERS = (
    2**48
)  # far beyond any disk; a shower's random numbers are found by a 64-bit product with its index


def check_whole(name: str, value: object, *, least: int = 0, greatest: int) -> int:
    """A whole number in a range; raises :class:`ValueRangeError` for any other, and for truth values."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueRangeError(f"{name} must be a whole number, got {value!r}.")
    if not least <= value <= greatest:
        raise ValueRangeError(f"{name} must lie in {least} .. {greatest}, got {value}.")
    return int(value)


def digest(data: bytes) -> str:
    """A short fingerprint of some bytes, to tell whether two things are the same."""
    return hashlib.sha256(data).hexdigest()[:16]


def derive_seed(seed: int, *labels: str | int) -> int:
    """A 63-bit seed for one purpose (a stage, an epoch ...) of a run, stable over versions and platforms."""
    text = "/".join(map(str, (seed, *labels)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def shower_bits(seed: int, draw: int, start: int, count: int, width: int) -> UInt32[np.ndarray, "B width"]:
    """Random bits of showers ``start`` to ``start + count``, ``width`` words per shower.

    Args:
        seed: The run's seed, from 0 to :data:`MAX_SEED`.
        draw: Which of the streams of this seed.
        start: Index of the first shower; its words are the same whatever ``start`` and ``count`` are.
        count: Number of showers.
        width: Words per shower.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueRangeError(f"A seed must lie in 0 .. 2^64 - 1, got {seed}.")
    if start < 0 or count < 0:
        raise ValueRangeError(f"Shower indices start at 0; got start = {start}, count = {count}.")
    # A step of Philox-4x64 gives 8 words of 32 bits; each shower takes whole steps.
    steps = -(-width // 8)
    # As uint64: a list with a seed of 2^63 or more would pass through float64 and collide with others.
    key = np.array([seed, draw], dtype=np.uint64)
    stream = np.random.Philox(key=key, counter=[start * steps, 0, 0, 0])
    words = stream.random_raw(count * steps * 4).view(np.uint32)
    return words.reshape(count, steps * 8)[:, :width]


def open_unit(bits: UInt32[np.ndarray, "B width"]) -> Float[np.ndarray, "B width"]:
    """Words of 32 bits as float64 numbers in the open interval (0, 1)."""
    numbers: Float[np.ndarray, "B width"] = bits.astype(np.float64)
    numbers += 0.5
    numbers *= 2.0**-32
    return numbers


def shower_uniform(seed: int, start: int, count: int, width: int) -> Float[np.ndarray, "B width"]:
    """Uniform in (0, 1), ``width`` numbers per shower, float64 with the 24 bits of a float32.

    They are those of the first draw of :class:`caloforge.noise.ShowerNoise`, rounding included, so that
    samples stay what they were.
    """
    largest = 1 - float(np.finfo(np.float32).eps) / 2  # the last of the 2^32 values would round to 1
    u = np.minimum(open_unit(shower_bits(seed, 0, start, count, width)), largest)
    return u.astype(np.float32).astype(np.float64)
