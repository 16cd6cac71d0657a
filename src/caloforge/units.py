"""Units in memory: energies in MeV, lengths in mm, angles in rad.

Multiply by a unit when reading (``1.5 * GeV``), divide when writing. Conversions happen in ``io`` and on
the command line, nowhere else.
"""

from typing import Final

__all__ = ["MeV", "keV", "GeV", "TeV", "mm", "cm"]

MeV: Final = 1.0
keV: Final = 1e-3
GeV: Final = 1e3
TeV: Final = 1e6

mm: Final = 1.0
cm: Final = 10.0
