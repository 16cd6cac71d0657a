"""Incident energies as the command line says them."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from caloforge.energies import EnergySource

__all__ = ["energy_source", "sample_size"]

_SHAPES: dict[str, Literal["uniform", "log-uniform"]] = {"uniform": "uniform", "log-uniform": "log-uniform"}
_SCAN = "list"


def energy_source(energies: str, spectrum: str) -> "EnergySource":
    """The incident energies that ``--energies`` and ``--spectrum`` describe, in MeV.

    Args:
        energies: ``LOW:HIGH`` or one energy in GeV, a scan ``1,5,10`` in GeV, or a shower file.
        spectrum: ``uniform``, ``log-uniform``, or ``list`` for a scan.

    Raises:
        ConfigError: It is none of these.
        UnknownNameError: There is no such spectrum.
        FileFormatError: The file has no incident energies.
    """
    from caloforge import io
    from caloforge.energies import DiscreteEnergies, GivenEnergies, Spectrum
    from caloforge.errors import ConfigError, UnknownNameError
    from caloforge.units import GeV

    if spectrum not in (*_SHAPES, _SCAN):
        raise UnknownNameError("spectrum", spectrum, (*_SHAPES, _SCAN))
    scan = _numbers(energies.split(","))
    if spectrum == _SCAN:
        if not scan:
            raise ConfigError(f"--spectrum list needs --energies 1,5,10 (GeV), got {energies!r}.")
        return DiscreteEnergies(tuple(value * GeV for value in scan))
    if scan and len(scan) > 1:
        raise ConfigError(f"--energies {energies} is a list; say so with --spectrum list.")
    bounds = scan * 2 if scan else _numbers(energies.split(":"))
    if len(bounds) == 2:
        return Spectrum(low=bounds[0] * GeV, high=bounds[1] * GeV, shape=_SHAPES[spectrum])
    if not _looks_like_a_file(energies):
        raise ConfigError(
            f"--energies {energies!r} is neither an energy or range in GeV nor a file; give one energy as 50, a range "
            "LOW:HIGH as 1:100, a list as 1,5,10 with --spectrum list, or a file of showers."
        )
    if spectrum != "uniform":
        raise ConfigError(f"--spectrum {spectrum} and a file of energies, {energies}, exclude each other.")
    return GivenEnergies(io.read_energies(energies))


def sample_size(n_showers: int | None, source: "EnergySource") -> int:
    """How many showers are asked for: ``-n``, or as many as a file has energies.

    Raises:
        ConfigError: Neither says.
    """
    from caloforge.energies import GivenEnergies
    from caloforge.errors import ConfigError

    if n_showers is not None:
        return n_showers
    if isinstance(source, GivenEnergies):
        return len(source.values)
    raise ConfigError("Say how many showers: -n N.")


def _looks_like_a_file(name: str) -> bool:
    """Whether it is one, or a misspelt path, of which the reader of files says what it may have been."""
    path = Path(name)
    try:
        return path.exists() or len(path.parts) > 1 or path.suffix[1:].isidentifier()
    except OSError:  # too long a name
        return True


def _numbers(parts: list[str]) -> list[float]:
    """All as numbers, or none."""
    try:
        return [float(part) for part in parts]
    except ValueError:
        return []
