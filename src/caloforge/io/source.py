"""An open file of showers with all its headers checked: layout, geometry, datasets, lengths."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
from jaxtyping import Bool, Float

from caloforge.errors import FileFormatError, GeometryMismatchError, ValueRangeError
from caloforge.geometry import Geometry, catalogue, get_geometry
from caloforge.io.layout import Column, Layout
from caloforge.io.layouts import LAYOUTS, get_layout
from caloforge.io.opening import open_dataset, open_hdf5, reading
from caloforge.io.provenance import read_provenance

__all__ = ["Source", "check_range", "find_energies", "find_layout", "load_energies", "open_source"]

_CACHE_BYTES = 256 * 2**20
"""Most memory for HDF5's chunk cache. Files of others are often cut across showers, many voxel columns to a
chunk; a cache smaller than one row of such chunks unpacks each of them again for every block read."""


@final
@dataclass(frozen=True, kw_only=True)
class Source:
    """An open file whose headers are fine; the numbers are checked as they are read."""

    path: Path
    layout: Layout
    geometry: Geometry
    columns: tuple[tuple[Column, h5py.Dataset], ...]
    n_showers: int
    dtype: np.dtype[Any]
    """Type of the voxels in memory: the file's float32 or float64, the next larger one for others."""
    provenance: dict[str, Any]
    left_out: tuple[str, ...]
    """Datasets in the file that the layout does not know, e.g. CaloGAN's ``overflow``."""

    def read_into(
        self, e_inc: Float[np.ndarray, " m"], voxels: Float[np.ndarray, "m V"], *, start: int
    ) -> None:
        """Fill ``e_inc`` ``(m,)`` and ``voxels`` ``(m, V)``, MeV, with the showers from ``start`` on.

        Raises:
            FileFormatError: Data are damaged, NaN, infinite or negative.
        """
        stop = start + len(e_inc)
        for column, dataset in self.columns:
            if column.voxels is None:
                e_inc[:] = load_energies(self.path, column, dataset, start, stop)
            else:
                block = _load(self.path, column, dataset, start, stop)
                voxels[:, column.voxels] = block.reshape(len(block), -1)
                if column.factor != 1:
                    voxels[:, column.voxels] *= column.factor


def load_energies(
    path: Path, column: Column, dataset: h5py.Dataset, start: int, stop: int
) -> Float[np.ndarray, " m"]:
    """Incident energies ``start`` to ``stop``, MeV, ``(m,)``.

    Raises:
        FileFormatError: Data are damaged, NaN, infinite or not positive.
    """
    energies = _load(path, column, dataset, start, stop).reshape(-1).astype(np.float64)
    return np.multiply(energies, column.factor)


def _load(
    path: Path, column: Column, dataset: h5py.Dataset, start: int, stop: int
) -> Float[np.ndarray, "m ..."]:
    with reading(path, column.path):
        block: Float[np.ndarray, "m ..."] = dataset[start:stop]
    if not _good(block, column).all():
        raise _bad_values(path, column, dataset)
    return block


def _bad_values(path: Path, column: Column, dataset: h5py.Dataset) -> FileFormatError:
    """Count all bad values of a dataset; slow, but only on the way to an error."""
    count, first, example = 0, 0, math.nan
    rows = max(1, 2**22 // max(1, math.prod(dataset.shape[1:])))
    for start in range(0, len(dataset), rows):
        with reading(path, column.path):
            block = dataset[start : start + rows]
        bad = np.argwhere(~_good(block, column))
        if len(bad) and not count:
            first, example = start + int(bad[0][0]), float(block[tuple(bad[0])])
        count += len(bad)
    rule = "finite and positive" if column.voxels is None else "finite and not negative"
    return FileFormatError(
        path,
        f"dataset {column.path!r} must be {rule}; {count} of {dataset.size} values are not, "
        f"first in shower {first}: {example}.",
    )


def _good(block: Float[np.ndarray, "m ..."], column: Column) -> Bool[np.ndarray, "..."]:
    if (
        column.voxels is not None
        and block.size
        and np.isfinite(block.sum(dtype=np.float64))
        and block.min() >= 0
    ):
        return np.ones(1, dtype=bool)  # the usual case, without an array of the block's size
    good: Bool[np.ndarray, " m"] = block > 0 if column.voxels is None else block >= 0
    good &= np.isfinite(block)
    return good


@contextlib.contextmanager
def open_source(
    path: Path, *, geometry: Geometry | str | Path | None, layout: str | None
) -> Iterator[Source]:
    """Open a file and check its headers.

    Raises:
        FileFormatError: The file is not what it is taken for.
        GeometryMismatchError: ``geometry`` is not that of the file.
        UnknownNameError: The name of the layout or the geometry is unknown.
    """
    form = None if layout is None else get_layout(layout)
    given = geometry if isinstance(geometry, Geometry) or geometry is None else get_geometry(geometry)
    with open_hdf5(path) as file:
        form = form or find_layout(path, file)
        own, provenance = read_provenance(path, file)
        calorimeter = _choose_geometry(path, file, form, given=given, own=own)
        columns = _checked_columns(path, file, form, calorimeter)
        voxel_types = [dataset.dtype for column, dataset in columns if column.voxels is not None]
        wide = np.result_type(np.float32, *voxel_types).itemsize > 4
        known = {column.path for column, _ in columns}
        yield Source(
            path=path,
            layout=form,
            geometry=calorimeter,
            columns=tuple((column, _with_cache(dataset)) for column, dataset in columns),
            n_showers=len(columns[0][1]),
            dtype=np.dtype(np.float64 if wide else np.float32),
            provenance=provenance,
            left_out=tuple(name for name in _names(file) if name not in known),
        )


def find_layout(path: Path, file: h5py.File) -> Layout:
    """The layout that an open file has by the names in it.

    Raises:
        FileFormatError: No layout fits, or several do.
    """
    found = [layout for layout in LAYOUTS.values() if layout.found(file)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(layout.name for layout in found)
        raise FileFormatError(
            path, f"looks like layout {names}; name the one you mean (layout=... in Python)."
        )
    known = "; ".join(f"{layout.name}: {layout.description}" for layout in LAYOUTS.values())
    names = ", ".join(map(repr, list(file)[:12])) or "nothing"
    raise FileFormatError(
        path, f"is HDF5 but no known layout of showers: it holds {names}. Known are {known}."
    )


def find_energies(path: Path, file: h5py.File, layout: str | None) -> tuple[Column, h5py.Dataset]:
    """Where the incident energies of an open file are, whatever its geometry.

    Raises:
        FileFormatError: There are none, or several.
        UnknownNameError: The name of the layout is unknown.
    """
    form = find_layout(path, file) if layout is None else get_layout(layout)
    columns = form.energies(file)
    if len(columns) > 1:
        names = ", ".join(repr(column.path) for column in columns)
        raise FileFormatError(path, f"holds several sets of showers, with energies {names}.")
    dataset = open_dataset(path, file, columns[0].path) if columns else None
    if dataset is None:
        name = repr(columns[0].path) if columns else "of incident energies"
        raise FileFormatError(path, f"dataset {name} is missing. Layout {form.name} has {form.description}.")
    if not _right_shape(columns[0], dataset):
        raise FileFormatError(
            path, f"dataset {columns[0].path!r} has shape {dataset.shape}, expected (n, 1) or (n,)."
        )
    return columns[0], dataset


def _names(file: h5py.File) -> list[str]:
    """Names of the datasets at the root and one level below; links are not followed."""
    names = []
    for name in file:
        if file.get(name, getclass=True, getlink=True) is not h5py.HardLink:
            continue
        item = file[name]
        names += [f"{name}/{sub}" for sub in item] if isinstance(item, h5py.Group) else [name]
    return names


def _choose_geometry(
    path: Path, file: h5py.File, layout: Layout, *, given: Geometry | None, own: Geometry | None
) -> Geometry:
    if given is not None and own is not None and not given.same_voxels(own):
        raise GeometryMismatchError(
            f"{path}: the file says its geometry is {own.describe()}, asked for was {given.describe()}, "
            "which has other voxels; leave the geometry out to use the file's."
        )
    if (known := given or own) is not None:
        return known
    fits = [name for name in catalogue() if _fits(path, file, layout, get_geometry(name))]
    if len(fits) == 1:
        return get_geometry(fits[0])
    shapes = _shapes(path, file, layout)
    if fits:
        raise FileFormatError(
            path,
            f"{shapes} fits several geometries: {', '.join(fits)}. Say which (geometry=..., --geometry).",
        )
    raise FileFormatError(
        path,
        f"{shapes} fits no geometry of the catalogue ({', '.join(catalogue())}). Give the geometry, e.g. a "
        "TOML or binning XML file (geometry=..., --geometry), or check the layout, which is "
        f"{layout.description}.",
    )


def _fits(path: Path, file: h5py.File, layout: Layout, geometry: Geometry) -> bool:
    try:
        columns = layout.columns(geometry)
    except GeometryMismatchError:
        return False
    if not set(layout.found(file)) <= {column.path for column in columns}:
        return False  # e.g. a layer more than this geometry has
    found = [(column, open_dataset(path, file, column.path)) for column in columns]
    return all(dataset is not None and _right_shape(column, dataset) for column, dataset in found)


def _shapes(path: Path, file: h5py.File, layout: Layout) -> str:
    parts = []
    for name in _names(file):
        item = file[name]
        if isinstance(item, h5py.Dataset):
            parts.append(f"{name!r} {item.shape}")
    more = f" and {len(parts) - 6} more" if len(parts) > 6 else ""
    return f"layout {layout.name} with {', '.join(parts[:6])}{more}"


def _right_shape(column: Column, dataset: h5py.Dataset) -> bool:
    flat_energy = column.voxels is None and dataset.ndim == 1
    return bool(dataset.ndim > 0 and (flat_energy or dataset.shape[1:] == column.shape))


def _checked_columns(
    path: Path, file: h5py.File, layout: Layout, geometry: Geometry
) -> list[tuple[Column, h5py.Dataset]]:
    columns: list[tuple[Column, h5py.Dataset]] = []
    for column in layout.columns(geometry):
        dataset = open_dataset(path, file, column.path)
        if dataset is None:
            raise FileFormatError(
                path, f"dataset {column.path!r} is missing. Layout {layout.name} has {layout.description}."
            )
        if not _right_shape(column, dataset):
            fits = [name for name in catalogue() if _fits(path, file, layout, get_geometry(name))]
            hint = f" The file fits {', '.join(fits)}." if fits else ""
            raise FileFormatError(
                path,
                f"dataset {column.path!r} has shape {dataset.shape}, expected "
                f"(n, {', '.join(map(str, column.shape))}) for geometry {geometry.describe()}.{hint}",
            )
        columns.append((column, dataset))
    if unknown := sorted(set(layout.found(file)) - {column.path for column, _ in columns}):
        raise FileFormatError(
            path,
            f"holds {', '.join(map(repr, unknown))}, which geometry {geometry.describe()} does not have; "
            "give the geometry that the file was made with (geometry=..., --geometry).",
        )
    lengths = {column.path: len(dataset) for column, dataset in columns}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise FileFormatError(path, f"the datasets hold different numbers of showers: {text}.")
    return columns


def _with_cache(dataset: h5py.Dataset) -> h5py.Dataset:
    """The dataset, reopened with a chunk cache that holds one row of its chunks."""
    if dataset.chunks is None:
        return dataset
    pairs = list(zip(dataset.shape[1:], dataset.chunks[1:], strict=True))
    n_chunks = math.prod(math.ceil(size / chunk) for size, chunk in pairs)
    needed = n_chunks * math.prod(dataset.chunks) * dataset.dtype.itemsize
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(100 * n_chunks + 1, min(max(needed, 2**20), _CACHE_BYTES), 0.75)
    file, name = dataset.file, dataset.name
    dataset.id.close()  # HDF5 keeps the cache of the first opening for as long as one is open
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))


def check_range(path: Path, n_showers: int, start: int, stop: int | None) -> int:
    """The end of a range of showers, checked against what the file holds.

    Raises:
        ValueRangeError: The range is empty the wrong way round or reaches beyond the file.
    """
    end = n_showers if stop is None else stop
    if not 0 <= start <= end <= n_showers:
        raise ValueRangeError(f"{path}: holds {n_showers} showers; start={start}, stop={stop} does not fit.")
    return end
