"""Digests by which showers are known again in a file of another name, order or layout."""

import hashlib
from typing import Final

import numpy as np
from jaxtyping import Float

from caloforge.showers import Showers

__all__ = ["N_SPOTS", "sample_fingerprint", "shower_digests", "spot_digests"]

N_SPOTS: Final = 128
"""Training showers whose digests are kept. If a share f of the training showers is in the reference, all of them
are missed with probability (1 - f)^128: 4e-13 for a fifth, 0.1 % for a twentieth, 28 % for a hundredth."""

_BRIGHTEST = 4


def shower_digests(showers: Showers) -> list[str]:
    """A short digest of each shower: of its energy and its four brightest voxels, in float32.

    So it does not change with a threshold below them, nor with the layout of the file. Empty for a shower of fewer
    than four voxels with energy, which others could equal by chance.

    Args:
        showers: The showers.
    """
    n_voxels = showers.geometry.n_voxels
    if not len(showers) or n_voxels < _BRIGHTEST:
        return [""] * len(showers)
    brightest = np.partition(showers.voxels, n_voxels - _BRIGHTEST, axis=1)[:, -_BRIGHTEST:]
    with np.errstate(over="ignore"):
        numbers = np.column_stack([showers.e_inc, np.sort(brightest, axis=1)]).astype("<f4")
    return [hashlib.sha256(row.tobytes()).hexdigest()[:12] if row[1] > 0 else "" for row in numbers]


def spot_digests(showers: Showers, *, n: int = N_SPOTS) -> tuple[str, ...]:
    """Digests of ``n`` showers spread evenly over a sample; fewer where it is smaller, or showers are almost empty.

    Args:
        showers: The training showers.
        n: How many.
    """
    index = np.unique(np.linspace(0, len(showers) - 1, min(n, len(showers))).round().astype(int))
    return tuple(digest for digest in shower_digests(showers[index]) if digest)


def sample_fingerprint(e_inc: Float[np.ndarray, " n"], e_dep: Float[np.ndarray, " n"]) -> str:
    """Digest of the incident and deposited energies of a sample, MeV, in their order.

    Args:
        e_inc: Incident energies, MeV, ``(n,)``.
        e_dep: Deposited energies, MeV, ``(n,)``.
    """
    return hashlib.sha256(e_inc.tobytes() + e_dep.tobytes()).hexdigest()[:16]
