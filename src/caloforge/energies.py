"""Incident energies of a sample: from a spectrum, a scan, or given; each a pure function of the index."""

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.seeding import derive_seed, digest, shower_uniform
from caloforge.units import GeV

__all__ = ["DiscreteEnergies", "EnergySource", "GivenEnergies", "Spectrum"]


@final
@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Incident energies between two bounds; equal bounds are one energy."""

    low: float
    """Least energy, MeV."""
    high: float
    """Greatest energy, MeV."""
    shape: Literal["uniform", "log-uniform"] = "uniform"
    """Flat in the energy or in its logarithm."""

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < float("inf"):
            raise ValueRangeError(
                f"Energies must be positive and finite with low <= high, got "
                f"{self.low / GeV:.6g} to {self.high / GeV:.6g} GeV."
            )

    def e_inc(self, seed: int, start: int, count: int) -> Float[np.ndarray, " n"]:
        """Energies of showers ``start`` to ``start + count``, MeV."""
        if self.low == self.high:
            return np.full(count, self.low)
        u = shower_uniform(derive_seed(seed, "e_inc"), start, count, 1)[:, 0]
        if self.shape == "uniform":
            return self.low + (self.high - self.low) * u
        return self.low * (self.high / self.low) ** u

    def bounds(self) -> tuple[float, float]:
        """Least and greatest energy that can occur, MeV."""
        return self.low, self.high

    def facts(self) -> dict[str, Any]:
        """What determines the energies, as JSON data; for provenance, and to tell whether two sources agree."""
        return {"low_MeV": self.low, "high_MeV": self.high, "shape": self.shape}


@final
@dataclass(frozen=True)
class DiscreteEnergies:
    """A few incident energies, taken in turn: a scan, with equally many showers of each."""

    values: tuple[float, ...]
    """MeV, finite and positive."""

    def __post_init__(self) -> None:
        if not self.values or not all(0 < value < float("inf") for value in self.values):
            raise ValueRangeError(
                f"A scan needs finite, positive energies, got {[v / GeV for v in self.values]} GeV."
            )

    def e_inc(self, seed: int, start: int, count: int) -> Float[np.ndarray, " n"]:
        """Energies of showers ``start`` to ``start + count``, MeV."""
        return np.array(self.values, dtype=np.float64)[np.arange(start, start + count) % len(self.values)]

    def bounds(self) -> tuple[float, float]:
        """Least and greatest energy, MeV."""
        return min(self.values), max(self.values)

    def facts(self) -> dict[str, Any]:
        """What determines the energies, as JSON data."""
        return {"values_MeV": list(self.values)}


@final
@dataclass(frozen=True, eq=False)
class GivenEnergies:
    """A list of incident energies, one per shower."""

    values: Float[np.ndarray, " n"]
    """MeV, finite and positive."""

    def __post_init__(self) -> None:
        if self.values.ndim != 1:
            raise ShapeError("e_inc", self.values.shape, "(n,)")
        bad = ~(np.isfinite(self.values) & (self.values > 0))
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueRangeError(
                f"{int(bad.sum())} of {len(bad)} incident energies are not finite and positive, "
                f"first at index {first}: {self.values[first]} MeV."
            )

    def e_inc(self, seed: int, start: int, count: int) -> Float[np.ndarray, " n"]:
        """Energies of showers ``start`` to ``start + count``, MeV."""
        return self.values[start : start + count]

    def bounds(self) -> tuple[float, float]:
        """Least and greatest energy, MeV; NaN if there are none."""
        if not len(self.values):
            return float("nan"), float("nan")
        return float(self.values.min()), float(self.values.max())

    def facts(self) -> dict[str, Any]:
        """What determines the energies, as JSON data."""
        return {"given": len(self.values), "digest": digest(self.values.tobytes())}


EnergySource = Spectrum | DiscreteEnergies | GivenEnergies
