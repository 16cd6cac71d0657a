"""What a file layout says: which datasets, in which unit, hold which voxels.

A layout is data: the columns it makes of a geometry. Reading, checking and writing are the same for all,
so a new layout is one file with a :class:`Layout` and one line in :mod:`caloforge.io.layouts`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, final, runtime_checkable

import h5py

from caloforge.geometry import Geometry
from caloforge.units import GeV, MeV

__all__ = ["Column", "Layout"]

_FACTORS = {"MeV": MeV, "GeV": GeV}


@final
@dataclass(frozen=True, kw_only=True)
class Column:
    """One dataset of a layout."""

    path: str
    """Its place in the file, e.g. ``"30x30/layers"``."""
    shape: tuple[int, ...]
    """Shape of one shower's entry; the dataset is ``(n, *shape)``."""
    unit: Literal["MeV", "GeV"]
    """Unit of the numbers in the file."""
    voxels: slice | None = None
    """Where its entries lie on the flat voxel axis; ``None`` for the incident energy."""

    @property
    def factor(self) -> float:
        """MeV per unit of the file: multiply when reading, divide when writing."""
        return _FACTORS[self.unit]


@runtime_checkable
class Layout(Protocol):
    """A convention of datasets for showers in HDF5."""

    name: str
    """Key in ``LAYOUTS``."""
    description: str
    """The datasets and their units in one phrase, for messages."""

    def found(self, file: h5py.File) -> tuple[str, ...]:
        """Names in ``file`` that only this layout has; none means that the file is of another one.

        All that are found must be read: a layer that the geometry does not know is an error, not left out.
        """
        ...

    def energies(self, file: h5py.File) -> tuple[Column, ...]:
        """Where the incident energies are; no geometry is needed. Several make the file ambiguous."""
        ...

    def columns(self, geometry: Geometry) -> tuple[Column, ...]:
        """The datasets for ``geometry``, the incident energy first.

        Raises:
            GeometryMismatchError: This layout cannot hold the geometry.
        """
        ...
