r"""How energy is shared among hits: the spectrum of hits of each shower and zone, and its brightest voxels.

- hits per half decade: from the threshold t up, :math:`t\,10^{j/2} \le E < t\,10^{(j+1)/2}`; the last one ends at no
  energy and begins at 10 GeV at the latest;
- mean, standard deviation and minimum of the decimal logarithm of hit energies in MeV;
- hits above 1, 10 and 100 MeV;
- share of hits just above the threshold, :math:`E < 1.01\,t`: a model whose energies are clipped piles up there;
- shares of the 2nd to 5th brightest voxel in the energy of the zone, and where the brightest lies.

A zone without hits has 0 everywhere.
"""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import divide, voxel_positions
from caloforge.evaluation.zone_feature import ZoneFeature
from caloforge.units import GeV

__all__ = ["hit_energies"]

_HARDEST = 10 * GeV
_ABOVE = (1.0, 10.0, 100.0)  # MeV
_JUST_ABOVE = 1.01
_BRIGHTEST = 5
_ORDINALS = {2: "2nd", 3: "3rd", 4: "4th", 5: "5th"}


def hit_energies(hits: Hits) -> Iterator[ZoneFeature]:
    """The features of the module's docstring; ``(n, Z)`` each."""
    n_hits = hits.count
    yield from _half_decades(hits)
    mean = divide(hits.total(hits.log), n_hits)
    variance = divide(hits.total(hits.log**2), n_hits) - mean**2
    yield ZoneFeature("log_mean", "mean log₁₀ hit energy in {}", mean)
    yield ZoneFeature("log_std", "spread of log₁₀ hit energy in {}", np.sqrt(np.maximum(variance, 0.0)))
    yield ZoneFeature("log_min", "softest log₁₀ hit energy in {}", _least(hits))
    for energy in _ABOVE:
        above = hits.total(of=np.flatnonzero(hits.energy > energy))
        yield ZoneFeature(f"hits_above_{energy:g}MeV", f"hits above {energy:g} MeV in {{}}", above)
    soft = hits.total(of=np.flatnonzero(hits.energy < _JUST_ABOVE * hits.threshold))
    yield ZoneFeature("just_above", "share of hits just above the threshold in {}", divide(soft, n_hits))
    yield from _brightest(hits)


def _half_decades(hits: Hits) -> Iterator[ZoneFeature]:
    n_bins = max(1, math.ceil(2 * math.log10(_HARDEST / hits.threshold)))
    # A hit exactly at the threshold is above it, whatever its logarithm was rounded to.
    step = np.floor(2 * (hits.log - math.log10(hits.threshold)) + 1e-9)
    decade = np.clip(step, 0, n_bins - 1).astype(np.int64)
    n_cells = hits.n_showers * len(hits.zones)
    counts = np.bincount(hits.cell * n_bins + decade, minlength=n_cells * n_bins)
    counts = counts.reshape(hits.n_showers, len(hits.zones), n_bins).astype(np.float64)
    for k in range(n_bins):
        low, high = (_energy(hits.threshold * 10 ** (j / 2)) for j in (k, k + 1))
        between = f"from {low} to {high}" if k < n_bins - 1 else f"above {low}"
        yield ZoneFeature(f"hits_decade_{k / 2:g}", f"hits {between} in {{}}", counts[..., k])


def _energy(value: float) -> str:
    for unit, size in (("GeV", 1e3), ("MeV", 1.0), ("keV", 1e-3)):
        if value >= 0.999 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} eV"


def _least(hits: Hits) -> Float[np.ndarray, "n Z"]:
    least = np.full(hits.n_showers * len(hits.zones), np.inf)
    np.minimum.at(least, hits.cell, hits.log)
    return np.where(np.isfinite(least), least, 0.0).reshape(hits.n_showers, len(hits.zones))


def _brightest(hits: Hits) -> Iterator[ZoneFeature]:
    """Shares of the 2nd to 5th voxel, and the place of the first."""
    n, n_zones = hits.n_showers, len(hits.zones)
    voxels = hits.showers.voxels
    top, place = np.zeros((n, n_zones, _BRIGHTEST)), np.zeros((n, n_zones), dtype=np.int64)
    for zone, where in enumerate(hits.zones.columns):
        block = voxels[:, where]
        width = block.shape[1]
        place[:, zone] = where.start + block.argmax(axis=1)
        if width > _BRIGHTEST:
            block = np.partition(block, width - _BRIGHTEST, axis=1)[:, -_BRIGHTEST:]
        top[:, zone, : min(width, _BRIGHTEST)] = -np.sort(-block.astype(np.float64), axis=1)
    energy = hits.energies
    for rank, ordinal in _ORDINALS.items():
        yield ZoneFeature(
            f"brightest_{rank}_share",
            f"{ordinal} brightest voxel's share of {{}}",
            divide(top[..., rank - 1], energy),
        )
    for axis, position in zip("xy", voxel_positions(hits.geometry), strict=False):
        if np.ptp(position) > 0:
            lies = np.where(energy > 0, position[place], 0.0)
            yield ZoneFeature(f"brightest_{axis}", f"{axis} of the brightest voxel of {{}}", lies, unit="mm")
