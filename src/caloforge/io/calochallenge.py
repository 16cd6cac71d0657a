"""The CaloChallenge's layout, the field's common one: all voxels of a shower in one row, all in MeV."""

from typing import final

import h5py

from caloforge.geometry import Geometry
from caloforge.io.layout import Column

__all__ = ["CaloChallengeLayout"]

_ENERGY = Column(path="incident_energies", shape=(1,), unit="MeV")


@final
class CaloChallengeLayout:
    """``incident_energies`` ``(n, 1)`` and ``showers`` ``(n, V)``, both MeV; holds any geometry.

    References:
        O. Amram et al., "CaloChallenge 2022: a community challenge for fast calorimeter simulation",
        arXiv:2410.21611.
    """

    name = "calochallenge"
    description = "'incident_energies' (n, 1) in MeV, 'showers' (n, V) in MeV"

    def found(self, file: h5py.File) -> tuple[str, ...]:
        """Either of the two datasets."""
        return tuple(name for name in ("incident_energies", "showers") if name in file)

    def energies(self, file: h5py.File) -> tuple[Column, ...]:
        """Always the same dataset."""
        return (_ENERGY,)

    def columns(self, geometry: Geometry) -> tuple[Column, ...]:
        """Two datasets for any geometry."""
        n_voxels = geometry.n_voxels
        return (
            _ENERGY,
            Column(path="showers", shape=(n_voxels,), unit="MeV", voxels=slice(0, n_voxels)),
        )
