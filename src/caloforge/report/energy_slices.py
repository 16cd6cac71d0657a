"""Features at fixed incident energy: response, resolution, and histograms slice by slice."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from caloforge.evaluation import Feature, Moments, bin_samples, reference_edges, separation_floor

__all__ = ["energy_slices", "slice_edges"]

_NAMES = ("e_ratio", "shower_depth", "n_hits")
_N_RESPONSE = 12
"""Slices of the response; each has as many reference showers."""
_N_SLICES = 3
_N_BINS = 24
_LEAST = 20
"""Showers of each sample that a slice needs."""
_MAX_POINTS = 30


def slice_edges(e_inc: Float[np.ndarray, " n"], n: int) -> Float[np.ndarray, " s+1"]:
    """Edges between slices of a reference sample, MeV, ``(s + 1,)``: equal counts, or one for each energy.

    A sample with a few incident energies only, as data set 1 of the CaloChallenge, is cut between them.

    Example:
        >>> slice_edges(np.array([1.0, 2.0, 4.0, 1.0, 2.0, 4.0]), 2).round(2).tolist()
        [0.5, 1.41, 2.83, 8.0]
    """
    values = np.unique(e_inc)
    if len(values) <= _MAX_POINTS:
        between = np.sqrt(values[:-1] * values[1:])
        return np.concatenate([[values[0] / 2], between, [values[-1] * 2]])
    edges = np.unique(np.quantile(e_inc, np.linspace(0, 1, n + 1)))
    edges[[0, -1]] *= 0.99, 1.01  # the generated energies reach a little further
    return edges


def energy_slices(
    generated: Sequence[Feature],
    reference: Sequence[Feature],
    generated_e_inc: Float[np.ndarray, " n"],
    reference_e_inc: Float[np.ndarray, " m"],
) -> dict[str, Any]:
    """Mean and spread of the response by incident energy, and histograms of a few features in slices of it.

    Args:
        generated: Features of the generated sample.
        reference: The same of the reference.
        generated_e_inc: Incident energies of the generated showers, MeV, ``(n,)``.
        reference_e_inc: Those of the reference, MeV, ``(m,)``.

    Returns:
        ``response``, a list of slices with the moments of ``e_ratio`` in both samples, and ``histograms``, a list of
        slices with one histogram per feature.
    """
    mine = {feature.name: feature for feature in generated}
    theirs = {feature.name: feature for feature in reference}
    energies = generated_e_inc, reference_e_inc
    response = [
        {
            "low_MeV": low,
            "high_MeV": high,
            "mean_e_inc_MeV": float(reference_e_inc[two].mean()),
            "generated": Moments.of(mine["e_ratio"].values[one]),
            "reference": Moments.of(theirs["e_ratio"].values[two]),
        }
        for low, high, one, two in _slices(*energies, _N_RESPONSE)
    ]
    slices = list(_slices(*energies, _N_SLICES))
    if len(slices) > _N_SLICES:
        slices = [slices[k] for k in np.linspace(0, len(slices) - 1, _N_SLICES).round().astype(int)]
    histograms = [
        {
            "low_MeV": low,
            "high_MeV": high,
            "features": [_compare(mine[name], theirs[name], one, two) for name in _NAMES],
        }
        for low, high, one, two in slices
    ]
    return {"response": response, "histograms": histograms}


def _slices(
    one: Float[np.ndarray, " n"], two: Float[np.ndarray, " m"], n: int
) -> Iterator[tuple[float, float, np.ndarray, np.ndarray]]:
    """Limits, and which showers of both samples are inside, of every slice with enough of them."""
    edges = slice_edges(two, min(n, max(1, len(two) // _LEAST)))
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = [(energies >= low) & (energies < high) for energies in (one, two)]
        if min(map(np.count_nonzero, inside)) >= _LEAST:
            energies_inside = np.concatenate([one[inside[0]], two[inside[1]]])
            if (
                len(np.unique(energies_inside)) == 1
            ):  # a scan: its edges lie half-way to energies that do not occur
                low = high = float(energies_inside[0])
            yield low, high, *inside


def _compare(one: Feature, two: Feature, mine: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    values, own = one.values[mine], two.values[theirs]
    edges = reference_edges(own, n_bins=_N_BINS)
    bins = bin_samples(values, own, edges)
    floor, floor_95 = separation_floor(bins.generated, bins.reference)
    return {
        "name": two.name,
        "label": two.label,
        "unit": two.unit,
        "group": two.group,
        "generated": Moments.of(values),
        "reference": Moments.of(own),
        "histograms": bins,
        "separation": bins.separation,
        "floor": floor,
        "floor_95": floor_95,
    }
