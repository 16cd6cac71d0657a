"""Showers to files: whole or absent, in constant memory, in any layout that holds the geometry."""

import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, final

import h5py
import numpy as np

from caloforge.errors import CaloForgeError, ConfigError, OutputError
from caloforge.files import atomic_path, check_output, explain_os_error
from caloforge.geometry import Geometry
from caloforge.io.layout import Column
from caloforge.io.layouts import get_layout
from caloforge.io.provenance import ATTRIBUTE, encode_provenance
from caloforge.io.sink import Sink
from caloforge.showers import Showers

__all__ = ["ShowerWriter", "write"]

_CHUNK_BYTES = 2**20
"""Voxels per HDF5 chunk, as whole showers, so that reading some showers unpacks little else."""
_ENERGY_ROWS = 8192
"""Incident energies per HDF5 chunk; they are small."""


@final
class ShowerWriter:
    """Writes showers to one file, batch by batch; use it in a ``with`` block.

    The file appears under its name only when the block ends well; until then, and after an error, what was
    there before stays as it was.

    Args:
        path: The HDF5 file to write.
        geometry: The calorimeter of all showers to come.
        layout: A key of :data:`caloforge.io.LAYOUTS`.
        overwrite: Replace a file that exists.
        compression: gzip level from 0 (none) to 9. Level 1 writes 50-60 MB/s; on Geant4 showers level 4 makes
            files 3 % smaller for 15 % more time, and the shuffle filter makes float32 files 8 % larger, for
            which reason it is not used.
        provenance: JSON data about the showers; by default that of the first batch. What is only known in the
            end can be set as ``writer.provenance`` inside the block.

    Raises:
        OutputError: The file exists, its folder does not, the disk is full ...
        GeometryMismatchError: The layout cannot hold the geometry, or a batch has other voxels.

    Example:
        >>> from caloforge.io import ShowerWriter
        >>> with ShowerWriter("out.h5", geometry) as writer:  # doctest: +SKIP
        ...     for showers in batches:
        ...         writer.append(showers)
    """

    def __init__(
        self,
        path: str | Path,
        geometry: Geometry,
        *,
        layout: str = "calochallenge",
        overwrite: bool = False,
        compression: int = 1,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if not 0 <= compression <= 9:
            raise ConfigError(f"compression must be a gzip level from 0 to 9, got {compression}.")
        self.path, self.geometry, self.layout = Path(path), geometry, layout
        self.n_showers = 0
        """Showers appended so far."""
        self._columns = get_layout(layout).columns(geometry)
        self._compression = compression
        self.provenance = provenance
        """What the file will say of its showers; None until there are some."""
        self._encode()
        check_output(self.path, overwrite=overwrite)
        self._stack: ExitStack | None = None
        self._sink: Sink
        self._file: h5py.File
        self._datasets: list[tuple[Column, h5py.Dataset]] = []

    def __enter__(self) -> "ShowerWriter":
        with ExitStack() as stack:
            part = stack.enter_context(atomic_path(self.path))
            self._sink = stack.enter_context(Sink(part, "w+b"))
            self._file = stack.enter_context(h5py.File(self._sink, "w", rdcc_nbytes=4 * _CHUNK_BYTES))
            self._check()
            self._stack = stack.pop_all()
        return self

    def append(self, showers: Showers) -> None:
        """Add showers to the end.

        Raises:
            OutputError: The disk is full, or the writer is not open.
            GeometryMismatchError: The showers have other voxels than the file.
            ConfigError: The voxels are float64 and those before were float32.
        """
        if self._stack is None:
            raise OutputError(self.path, "is not open for writing; use ShowerWriter in a 'with' block.")
        self.geometry.require_same_voxels(
            showers.geometry, mine=f"The file {self.path}", theirs="what to append"
        )
        if self.provenance is None:
            self.provenance = showers.provenance
            self._encode()
        if not self._datasets:
            self._create(showers.voxels.dtype)
        kept = next(dataset.dtype for column, dataset in self._datasets if column.voxels is not None)
        if not np.can_cast(showers.voxels.dtype, kept):
            raise ConfigError(
                f"{self.path}: the first voxels were {kept}, these are {showers.voxels.dtype}; give one type."
            )
        rows = self._rows(kept)
        for start in range(0, len(showers), rows):  # small blocks: a full disk is noticed soon
            self._append_block(showers, slice(start, min(start + rows, len(showers))))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is None:
            return
        if exc_type is None:
            with stack:
                self._finish()
        else:
            # An error of ours instead of the caller's: atomic_path would take a foreign OSError for its own.
            stack.__exit__(CaloForgeError, CaloForgeError("given up"), None)

    def _append_block(self, showers: Showers, where: slice) -> None:
        n_new = where.stop - where.start
        for column, dataset in self._datasets:
            if column.voxels is None:
                block = (showers.e_inc[where].astype(np.float64) / column.factor)[:, None]
            else:
                block = showers.voxels[where, column.voxels].reshape(n_new, *column.shape)
                block = block if column.factor == 1 else block / block.dtype.type(column.factor)
            dataset.resize(self.n_showers + n_new, axis=0)
            dataset[self.n_showers :] = block
        self.n_showers += n_new
        self._check()

    def _create(self, dtype: np.dtype[Any]) -> None:
        for column in self._columns:
            is_energy = column.voxels is None
            kept = np.dtype(np.float64) if is_energy else np.result_type(dtype, np.float32)
            rows = _ENERGY_ROWS if is_energy else self._rows(kept)
            dataset = self._file.create_dataset(
                column.path,
                shape=(0, *column.shape),
                maxshape=(None, *column.shape),
                chunks=(rows, *column.shape),
                dtype=kept,
                compression="gzip" if self._compression else None,
                compression_opts=self._compression or None,
            )
            dataset.attrs["unit"] = column.unit
            self._datasets.append((column, dataset))

    def _rows(self, dtype: np.dtype[Any]) -> int:
        """Showers per HDF5 chunk: a megabyte of voxels, whatever the number of datasets."""
        largest = max(math.prod(column.shape) for column in self._columns)
        return max(1, _CHUNK_BYTES // (max(largest, self.geometry.n_voxels) * dtype.itemsize))

    def _encode(self) -> str:
        return encode_provenance(self.provenance or {}, geometry=self.geometry, layout=self.layout)

    def _finish(self) -> None:
        if not self._datasets:
            self._create(np.dtype(np.float32))
        self._file.attrs[ATTRIBUTE] = self._encode()
        self._file.close()
        self._check()
        os.fsync(self._sink.fileno())  # some file systems report a full disk only now

    def _check(self) -> None:
        if self._sink.failure is not None:
            raise explain_os_error(self.path, self._sink.failure) from self._sink.failure


def write(
    showers: Showers,
    path: str | Path,
    *,
    layout: str = "calochallenge",
    overwrite: bool = False,
    compression: int = 1,
) -> None:
    """Write showers with their geometry and provenance; ``read`` gives them back.

    Energies are stored in the units of the layout, ``e_inc`` in float64, voxels in the type they have.

    Args:
        showers: What to write.
        path: The HDF5 file; appears only when it is complete.
        layout: A key of :data:`caloforge.io.LAYOUTS`.
        overwrite: Replace a file that exists.
        compression: gzip level from 0 (none) to 9, see :class:`ShowerWriter`.

    Raises:
        OutputError: The file exists, its folder does not, the disk is full ...
        GeometryMismatchError: The layout cannot hold the geometry.
        ConfigError: The provenance is not JSON data.

    Example:
        >>> from caloforge.io import write
        >>> write(showers, "out.h5", layout="calogan")  # doctest: +SKIP
    """
    with ShowerWriter(
        path,
        showers.geometry,
        layout=layout,
        overwrite=overwrite,
        compression=compression,
        provenance=showers.provenance,
    ) as writer:
        writer.append(showers)
