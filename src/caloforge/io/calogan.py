"""The layout of CaloGAN and CaloFlow: one dataset per calorimeter layer; deposits in MeV, energies in GeV."""

import re
from typing import final

import h5py

from caloforge.geometry import Geometry
from caloforge.io.layout import Column

__all__ = ["CaloGANLayout"]

_ENERGY = Column(path="energy", shape=(1,), unit="GeV")


@final
class CaloGANLayout:
    """``layer_0`` ... ``(n, *grid.shape)`` in MeV, ``energy`` ``(n, 1)`` in GeV; any number of layers.

    The original files also have ``overflow``, energy outside the grid, which is no voxel and is not read.

    References:
        M. Paganini, L. de Oliveira, B. Nachman, "CaloGAN: simulating 3D high energy particle showers in
        multilayer electromagnetic calorimeters with generative adversarial networks", arXiv:1712.10321.
    """

    name = "calogan"
    description = "'layer_0', 'layer_1', ... (n, n_x, n_y) in MeV, 'energy' (n, 1) in GeV"

    def found(self, file: h5py.File) -> tuple[str, ...]:
        """Every ``layer_<number>``; the name ``energy`` is too common to tell anything."""
        return tuple(name for name in file if re.fullmatch(r"layer_\d+", name))

    def energies(self, file: h5py.File) -> tuple[Column, ...]:
        """Always the same dataset."""
        return (_ENERGY,)

    def columns(self, geometry: Geometry) -> tuple[Column, ...]:
        """The energy and one dataset per layer."""
        layers = zip(geometry.layers, geometry.layer_slices, strict=True)
        return (
            _ENERGY,
            *(
                Column(path=f"layer_{index}", shape=layer.grid.shape, unit="MeV", voxels=where)
                for index, (layer, where) in enumerate(layers)
            ),
        )
