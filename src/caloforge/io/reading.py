"""Files to showers: all at once or chunk by chunk, in any layout."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from caloforge.errors import ImplausibleEnergyWarning, ValueRangeError
from caloforge.geometry import Geometry
from caloforge.io.opening import open_hdf5
from caloforge.io.source import Source, check_range, find_energies, find_layout, load_energies, open_source
from caloforge.showers import Showers

__all__ = ["detect_layout", "read", "read_chunks", "read_energies"]

_BLOCK_BYTES = 8 * 2**20
"""Voxels in memory at a time when streaming: large enough that Python's share of the time vanishes."""


def detect_layout(path: str | Path) -> str:
    """The layout of a file, by the names of its datasets; a key of :data:`caloforge.io.LAYOUTS`.

    Raises:
        FileFormatError: The file is not HDF5, or holds something else than showers.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        return find_layout(path, file).name


def read(
    path: str | Path,
    *,
    geometry: Geometry | str | Path | None = None,
    layout: str | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Showers:
    """Showers of a file, in MeV.

    ``voxels`` keep the file's float32 or float64; ``e_inc`` is float64. Attributes of the file that this
    package did not write are in ``provenance["attributes"]``.

    Args:
        path: An HDF5 file.
        geometry: The calorimeter: a :class:`Geometry`, a name of the catalogue, or a TOML or XML file. By
            default what the file says itself, else the one of the catalogue that fits its shapes.
        layout: A key of :data:`caloforge.io.LAYOUTS`; by default what the names in the file look like.
        start: Index of the first shower.
        stop: Index behind the last shower; by default to the end.

    Raises:
        FileFormatError: The file is missing, damaged, of no known layout, or holds values that no shower has.
        GeometryMismatchError: ``geometry`` is not that of the file.
        ValueRangeError: The file does not hold the showers from ``start`` to ``stop``, or they do not fit in
            memory.

    Warns:
        ImplausibleEnergyWarning: The median of deposited over incident energy is not that of this
            calorimeter, so that a unit in the file is probably wrong.

    Example:
        >>> from caloforge.io import read
        >>> showers = read("eplus.h5", stop=1000)  # doctest: +SKIP
    """
    with open_source(Path(path), geometry=geometry, layout=layout) as source:
        showers = _load(source, start, check_range(source.path, source.n_showers, start, stop))
        _warn_if_implausible(source.path, showers)
    return showers


def read_chunks(
    path: str | Path,
    *,
    geometry: Geometry | str | Path | None = None,
    layout: str | None = None,
    chunk_size: int | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Showers]:
    """Showers of a file, a chunk at a time, in constant memory; the file is open while the iterator lives.

    Args:
        path: As in :func:`read`.
        geometry: As in :func:`read`.
        layout: As in :func:`read`.
        chunk_size: Showers per chunk, the last may have fewer; by default about 8 MB of voxels.
        start: As in :func:`read`.
        stop: As in :func:`read`.

    Raises:
        FileFormatError: As in :func:`read`; headers are checked here and now, the numbers as they are read.
        GeometryMismatchError: As in :func:`read`.
        ValueRangeError: As in :func:`read`, or ``chunk_size`` is not positive.

    Example:
        >>> from caloforge.io import read_chunks
        >>> n = sum(len(chunk) for chunk in read_chunks("eplus.h5"))  # doctest: +SKIP
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueRangeError(f"chunk_size must be at least 1, got {chunk_size}.")
    with open_source(Path(path), geometry=geometry, layout=layout) as source:
        stop = check_range(source.path, source.n_showers, start, stop)
        rows = chunk_size or block_rows(source)
        opened = source.geometry, source.layout.name
    return _stream(Path(path), *opened, start=start, stop=stop, rows=rows)


def read_energies(
    path: str | Path, *, layout: str | None = None, start: int = 0, stop: int | None = None
) -> Float[np.ndarray, " n"]:
    """Incident energies of the showers in a file, MeV, float64, ``(n,)``.

    The voxels are not looked at, so no geometry is needed.

    Args:
        path: As in :func:`read`.
        layout: As in :func:`read`.
        start: As in :func:`read`.
        stop: As in :func:`read`.

    Raises:
        FileFormatError: The file is missing, damaged, of no known layout, or holds energies that no shower has.
        ValueRangeError: The file does not hold the showers from ``start`` to ``stop``.

    Example:
        >>> from caloforge.io import read_energies
        >>> e_inc = read_energies("eplus.h5")  # doctest: +SKIP
    """
    path = Path(path)
    with open_hdf5(path) as file:
        column, dataset = find_energies(path, file, layout)
        return load_energies(path, column, dataset, start, check_range(path, len(dataset), start, stop))


def block_rows(source: Source) -> int:
    """Showers that make about 8 MB of voxels."""
    return max(1, _BLOCK_BYTES // (source.geometry.n_voxels * source.dtype.itemsize))


def _stream(
    path: Path, geometry: Geometry, layout: str, *, start: int, stop: int, rows: int
) -> Iterator[Showers]:
    with open_source(path, geometry=geometry, layout=layout) as source:
        for first in range(start, stop, rows):
            showers = _load(source, first, min(first + rows, stop))
            if first == start:
                _warn_if_implausible(path, showers)
            yield showers


def _load(source: Source, start: int, stop: int) -> Showers:
    n_showers = stop - start
    size = n_showers * source.geometry.n_voxels * source.dtype.itemsize
    try:
        e_inc = np.empty(n_showers, dtype=np.float64)
        voxels = np.empty((n_showers, source.geometry.n_voxels), dtype=source.dtype)
        rows = block_rows(source)
        for first in range(0, n_showers, rows):
            where = slice(first, min(first + rows, n_showers))
            source.read_into(e_inc[where], voxels[where], start=start + first)
    except MemoryError as err:
        raise ValueRangeError(
            f"{source.path}: {n_showers} showers are {size / 2**20:,.0f} MiB, more than there is memory; "
            "read fewer (start, stop) or chunk by chunk (read_chunks)."
        ) from err
    return Showers(e_inc=e_inc, voxels=voxels, geometry=source.geometry, provenance=source.provenance)


def _warn_if_implausible(path: Path, showers: Showers) -> None:
    if not len(showers):
        return
    low, high = showers.geometry.e_ratio_range
    median = float(np.median(showers.e_ratio))
    if low <= median <= high:
        return
    by = next((10**k for k in (3, -3, 6, -6) if low <= median * 10**k <= high), None)
    guess = (
        "" if by is None else f" It would fit if the deposits were {by:g} times as large: check the units."
    )
    message = (
        f"{path}: the median of deposited over incident energy is {median:.3g} in {len(showers)} showers, "
        f"plausible for geometry {showers.geometry.name!r} is {low:g} to {high:g}.{guess}"
    )
    warnings.warn(message, ImplausibleEnergyWarning, stacklevel=3)
