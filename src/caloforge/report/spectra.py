"""Whether two samples have the same spectrum of incident energies, and the first sentence where they have not."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from caloforge.report.formatting import sig, span
from caloforge.units import GeV

__all__ = ["RARE", "energy_facts", "other_energies", "spectra_distance"]

RARE: Final = 1e-6
"""A difference that two samples of one spectrum show less often than this is one of the spectra."""


def spectra_distance(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> float | None:
    """Kolmogorov's distance if it is larger than chance explains.

    Args:
        a: Incident energies, ``(n,)``.
        b: Those of another sample, ``(m,)``.

    Example:
        >>> uniform = np.linspace(1, 100, 1000)
        >>> spectra_distance(uniform, uniform**0.99), round(spectra_distance(uniform, uniform / 2), 2)
        (None, 0.5)
    """
    values = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (a, b)]
    distance = float(np.abs(below[0] - below[1]).max())
    limit = np.sqrt(-0.5 * np.log(RARE / 2) * (len(a) + len(b)) / (len(a) * len(b)))
    return distance if distance > limit else None


def energy_facts(generated: Float[np.ndarray, " n"], reference: Float[np.ndarray, " m"]) -> dict[str, Any]:
    """Mean and range of the incident energies (MeV) of both samples, and their distance if it is no chance."""
    return {
        "distance": spectra_distance(generated, reference),
        "mean_MeV": {"generated": float(generated.mean()), "reference": float(reference.mean())},
        "range_MeV": {
            name: [float(e_inc.min()), float(e_inc.max())]
            for name, e_inc in (("generated", generated), ("reference", reference))
        },
    }


def other_energies(report: Mapping[str, Any], name: str, value: str | None) -> str | None:
    """The first sentence where the samples have other energies, which every test would see before all else.

    Args:
        report: Contents of ``report.json``.
        name: What to call the reference.
        value: The strongest test's result in words.
    """
    energies = report.get("energies") or {}
    if energies.get("distance") is None:
        return None
    mine, theirs = (
        f"{span(energies['range_MeV'][role])}, on average {sig(energies['mean_MeV'][role] / GeV, 3)} GeV"
        for role in ("generated", "reference")
    )
    start = f"The generated showers have other incident energies ({mine}) than those of {name} ({theirs}), so no number"
    return f"{start} says how good they are{f', {value} neither' if value else ''}."
