"""Which showers train, which select and calibrate, and which give the result.

Two showers of one incident energy on both sides of a split, one generated and one not ("twins": models are
often run on the reference's own energies), mislead a classifier: what it learns by heart about the one is wrong
for the other, which pulls the AUC below its true value. Showers of equal energy therefore go to the same side,
unless the energies are few and shared by many showers, as in data set 1 of the CaloChallenge.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from caloforge.errors import ValueRangeError

__all__ = ["MIN_SHOWERS", "Split", "count_twins", "draw_split"]

MIN_SHOWERS = 10
"""Of each class; with fewer the parts of a split are too small to hold both."""

_FEW_TWINS = 0.01  # equal energies by chance
_LARGE_GROUP = 0.02


@final
@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices of showers, those of the reference counted first, then those generated; as many of each."""

    train: Int[np.ndarray, " n"]
    selection: Int[np.ndarray, " m"]
    test: Int[np.ndarray, " k"]


def count_twins(generated: Float[np.ndarray, " n"], reference: Float[np.ndarray, " m"]) -> int:
    """Number of generated showers whose energy a reference shower has and which must be split together.

    0 where the energies are few and shared by many showers, or where a handful is equal by chance.

    Args:
        generated: Incident energies, MeV, ``(n,)``.
        reference: Incident energies, MeV, ``(m,)``.
    """
    a, b = generated.astype(np.float32), reference.astype(np.float32)
    twins = int(np.isin(a, b).sum())
    if twins <= _FEW_TWINS * min(len(a), len(b)):
        return 0
    counts = np.unique(np.concatenate([a, b]), return_counts=True)[1]
    return twins if counts.max() <= max(2, _LARGE_GROUP * (len(a) + len(b))) else 0


def draw_split(
    generated: Float[np.ndarray, " n"],
    reference: Float[np.ndarray, " m"],
    *,
    shares: tuple[float, float, float],
    seed: int,
) -> Split:
    """A random split with the same number of both classes in each part; of the larger sample some are left out.

    Args:
        generated: Incident energies, MeV, ``(n,)``.
        reference: Incident energies, MeV, ``(m,)``.
        shares: Of the three parts.
        seed: Fixes it.

    Raises:
        ValueRangeError: There are too few showers.
    """
    rng = np.random.default_rng(seed)
    n = min(len(generated), len(reference))
    _require(n, n)
    # In random order: which of the larger sample take part is another choice each time.
    first = rng.permutation(len(reference))[:n]
    second = len(reference) + rng.permutation(len(generated))[:n]
    if not count_twins(generated, reference):
        cuts = (np.cumsum(shares)[:2] * n + 1e-9).astype(int)
        parts = [
            np.concatenate(pair) for pair in zip(np.split(first, cuts), np.split(second, cuts), strict=True)
        ]
    else:
        e_inc = np.concatenate([reference, generated]).astype(np.float32)
        parts = _by_energy(e_inc, first, second, shares=shares, rng=rng)
    for part in parts:
        _require(n, len(part) // 2, least=2)
    return Split(train=parts[0], selection=parts[1], test=parts[2])


def _by_energy(
    e_inc: Float[np.ndarray, " n"],
    first: Int[np.ndarray, " m"],
    second: Int[np.ndarray, " m"],
    *,
    shares: tuple[float, float, float],
    rng: np.random.Generator,
) -> list[Int[np.ndarray, " k"]]:
    """Showers of one energy in one part; the class of which a part has more gives up the rest."""
    both = np.concatenate([first, second])
    group, counts = np.unique(e_inc[both], return_inverse=True, return_counts=True)[1:]
    order = rng.permutation(len(counts))
    done = np.cumsum(counts[order]) - counts[order]
    part_of_group = np.empty(len(counts), dtype=int)
    part_of_group[order] = np.searchsorted(np.cumsum(shares)[:2] * len(both), done, side="right")
    part = part_of_group[group]
    found = []
    for k in range(3):
        pair = first[part[: len(first)] == k], second[part[len(first) :] == k]
        size = min(map(len, pair))
        found.append(np.concatenate([members[:size] for members in pair]))
    return found


def _require(n: int, have: int, *, least: int = MIN_SHOWERS) -> None:
    if have < least:
        raise ValueRangeError(
            f"The classifier test splits each sample in three and has {n} showers of each to share out; it needs "
            f"{MIN_SHOWERS} to run at all, and thousands to mean anything."
        )
