"""Incident energies of a file of showers, without the voxels, which are thousands of times larger."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from caloforge.geometry import Geometry
from caloforge.io.source import check_range, open_source

__all__ = ["read_energies"]


def read_energies(
    path: str | Path,
    *,
    geometry: Geometry | str | Path | None = None,
    layout: str | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Float[np.ndarray, " n"]:
    """Incident energies of the showers of a file, MeV, ``(n,)``, float64; the voxels are not read.

    Headers are checked as by :func:`caloforge.io.read`, voxel datasets included.

    Args:
        path: An HDF5 file.
        geometry: As in :func:`caloforge.io.read`.
        layout: As in :func:`caloforge.io.read`.
        start: Index of the first shower.
        stop: Index behind the last shower; by default to the end.

    Raises:
        FileFormatError: The file is missing, damaged, of no known layout, or holds energies that no shower has.
        GeometryMismatchError: ``geometry`` is not that of the file.
        ValueRangeError: The file does not hold the showers from ``start`` to ``stop``.

    Example:
        >>> from caloforge.io import read_energies
        >>> e_inc = read_energies("eplus.h5")  # doctest: +SKIP
    """
    with open_source(Path(path), geometry=geometry, layout=layout) as source:
        n_showers = check_range(source, start, stop) - start
        energies = tuple(pair for pair in source.columns if pair[0].voxels is None)
        e_inc = np.empty(n_showers, dtype=np.float64)
        replace(source, columns=energies).read_into(e_inc, np.empty((n_showers, 0)), start=start)
    return e_inc
