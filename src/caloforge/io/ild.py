"""The layout of BIB-AE's and L2LFlows' ILD photon showers: one block; deposits in MeV, energies in GeV."""

import re
from typing import final

import h5py

from caloforge.errors import GeometryMismatchError
from caloforge.geometry import Geometry
from caloforge.io.layout import Column

__all__ = ["ILDLayout"]


@final
class ILDLayout:
    """Group ``30x30`` with ``layers`` ``(n, 30, 30, 30)`` in MeV and ``energy`` ``(n, 1)`` in GeV.

    The first axis after the shower is the layer. The group is named for the grid of a layer, so that any
    stack of equal square layers fits.

    References:
        E. Buhmann et al., "Getting high: high fidelity simulation of high granularity calorimeters with
        high speed", arXiv:2005.05334.
    """

    name = "ild"
    description = (
        "group '30x30' (the grid of a layer) with 'layers' (n, L, 30, 30) in MeV, 'energy' (n, 1) in GeV"
    )

    def found(self, file: h5py.File) -> tuple[str, ...]:
        """The ``layers`` in every group named like ``30x30``."""
        return tuple(f"{name}/layers" for name in file if re.fullmatch(r"(\d+)x\1", name))

    def energies(self, file: h5py.File) -> tuple[Column, ...]:
        """One dataset in every group named like ``30x30``."""
        return tuple(_energy(name.split("/")[0]) for name in self.found(file))

    def columns(self, geometry: Geometry) -> tuple[Column, ...]:
        """Two datasets, if all layers have the same square grid."""
        shapes = sorted({layer.grid.shape for layer in geometry.layers})
        if len(shapes) != 1 or shapes[0][0] != shapes[0][1]:
            raise GeometryMismatchError(
                f"Layout 'ild' holds equal square layers; geometry {geometry.describe()} has layers of "
                f"{', '.join(f'{a}x{b}' for a, b in shapes)} voxels. "
                "Layout 'calochallenge' holds any geometry."
            )
        group = f"{shapes[0][0]}x{shapes[0][1]}"
        return (
            _energy(group),
            Column(
                path=f"{group}/layers",
                shape=(geometry.n_layers, *shapes[0]),
                unit="MeV",
                voxels=slice(0, geometry.n_voxels),
            ),
        )


def _energy(group: str) -> Column:
    return Column(path=f"{group}/energy", shape=(1,), unit="GeV")
