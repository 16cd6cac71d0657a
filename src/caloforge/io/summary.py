"""What a file holds, at a glance, in one pass and constant memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from caloforge.geometry import Geometry
from caloforge.io.reading import read_chunks
from caloforge.io.source import open_source
from caloforge.units import GeV

__all__ = ["FileInfo", "LayerInfo", "file_info"]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MAX_KEPT = 2**20
"""Showers whose energies are kept for the quantiles; of a larger file every second, fourth ... one is."""
_MAX_POINTS = 30
"""More different incident energies than this are no list of points (the CaloChallenge has 15)."""


@final
@dataclass(frozen=True, kw_only=True)
class LayerInfo:
    """One calorimeter layer, averaged over the showers of a file."""

    name: str
    n_voxels: int
    mean_energy: float
    """Mean energy deposited per shower, MeV."""
    sparsity: float
    """Share of voxels without energy, 0 to 1."""


@final
@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """A summary of a file of showers."""

    path: Path
    n_bytes: int
    layout: str
    geometry: Geometry
    n_showers: int
    dtype: str
    """Type of the voxels, ``"float32"`` or ``"float64"``."""
    e_inc_range: tuple[float, float] | None
    """Lowest and highest incident energy, MeV; ``None`` without showers."""
    spectrum: str
    """A guess at how the incident energies were drawn, in words."""
    e_ratio_quantiles: dict[float, float]
    """Deposited over incident energy, probability to value; above a million showers of a sample of them."""
    layers: tuple[LayerInfo, ...]
    left_out: tuple[str, ...]
    """Datasets in the file that are no showers and are not read."""
    provenance: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; energies in MeV, ``e_ratio_quantiles`` keyed by text."""
        return {
            "path": str(self.path),
            "n_bytes": self.n_bytes,
            "layout": self.layout,
            "geometry": self.geometry.name,
            "n_layers": self.geometry.n_layers,
            "n_voxels": self.geometry.n_voxels,
            "n_showers": self.n_showers,
            "dtype": self.dtype,
            "e_inc_range_MeV": None if self.e_inc_range is None else list(self.e_inc_range),
            "spectrum": self.spectrum,
            "e_ratio_quantiles": {f"{p:g}": value for p, value in self.e_ratio_quantiles.items()},
            "layers": [
                {
                    "name": layer.name,
                    "n_voxels": layer.n_voxels,
                    "mean_energy_MeV": layer.mean_energy,
                    "sparsity": layer.sparsity,
                }
                for layer in self.layers
            ],
            "left_out": list(self.left_out),
            "provenance": self.provenance,
        }


def file_info(
    path: str | Path, geometry: Geometry | str | Path | None = None, *, layout: str | None = None
) -> FileInfo:
    """Read a whole file once and sum it up.

    Args:
        path: An HDF5 file.
        geometry: As in :func:`caloforge.io.read`.
        layout: As in :func:`caloforge.io.read`.

    Raises:
        FileFormatError: As in :func:`caloforge.io.read`.
        GeometryMismatchError: ``geometry`` is not that of the file.

    Example:
        >>> from caloforge.io import file_info
        >>> file_info("eplus.h5").spectrum  # doctest: +SKIP
        'uniform'
    """
    path = Path(path)
    with open_source(path, geometry=geometry, layout=layout) as source:
        calorimeter, form, n_showers = source.geometry, source.layout.name, source.n_showers
        dtype, left_out, provenance = source.dtype.name, source.left_out, source.provenance
    e_layer = np.zeros(calorimeter.n_layers)
    filled = np.zeros(calorimeter.n_layers)
    low, high = np.inf, -np.inf
    sample = _Sample()
    for showers in read_chunks(path, geometry=calorimeter, layout=form):
        layers = showers.e_layer
        e_layer += layers.sum(axis=0)
        filled += [np.count_nonzero(showers.voxels[:, where]) for where in calorimeter.layer_slices]
        low, high = min(low, float(showers.e_inc.min())), max(high, float(showers.e_inc.max()))
        sample.add(np.column_stack([showers.e_inc, layers.sum(axis=1) / showers.e_inc]))
    e_inc, e_ratio = sample.values().T
    quantiles = np.quantile(e_ratio, _QUANTILES).tolist() if n_showers else []
    n = max(1, n_showers)
    return FileInfo(
        path=path,
        n_bytes=path.stat().st_size,
        layout=form,
        geometry=calorimeter,
        n_showers=n_showers,
        dtype=dtype,
        e_inc_range=(low, high) if n_showers else None,
        spectrum=_guess_spectrum(e_inc),
        e_ratio_quantiles=dict(zip(_QUANTILES, quantiles, strict=False)),
        layers=tuple(
            LayerInfo(
                name=layer.name,
                n_voxels=layer.n_voxels,
                mean_energy=float(e_layer[index] / n),
                sparsity=float(1 - filled[index] / (n * layer.n_voxels)),
            )
            for index, layer in enumerate(calorimeter.layers)
        ),
        left_out=left_out,
        provenance=provenance,
    )


class _Sample:
    """Every ``stride``-th row of a stream, the stride doubling so that memory stays constant."""

    def __init__(self) -> None:
        self._parts: list[Float[np.ndarray, "m 2"]] = []
        self._stride, self._seen, self._kept = 1, 0, 0

    def add(self, rows: Float[np.ndarray, "m 2"]) -> None:
        first = -self._seen % self._stride
        self._seen += len(rows)
        self._parts.append(rows[first :: self._stride].copy())
        self._kept += len(self._parts[-1])
        if self._kept > _MAX_KEPT:
            self._parts = [np.concatenate(self._parts)[::2].copy()]
            self._kept, self._stride = len(self._parts[0]), 2 * self._stride

    def values(self) -> Float[np.ndarray, "m 2"]:
        return np.concatenate([np.empty((0, 2)), *self._parts])


def _guess_spectrum(e_inc: Float[np.ndarray, " n"]) -> str:
    """Fixed, a list of points, uniform or log-uniform, if a Kolmogorov distance allows it."""
    if not len(e_inc):
        return "none"
    points = np.unique(np.round(e_inc, 3))
    if len(points) == 1:
        return "one energy"
    if len(points) <= min(_MAX_POINTS, len(e_inc) / 3):
        return f"{len(points)} energies: {', '.join(f'{p / GeV:.4g}' for p in points)} GeV"
    steps = np.arange(len(e_inc)) / (len(e_inc) - 1)
    # 1.6 / sqrt(n) is the 1 % level for a known range; 0.005 lets a spectrum pass that is cut a little.
    allowed = 1.6 / np.sqrt(len(e_inc)) + 0.005
    distances = {}
    for name, values in (("uniform", np.sort(e_inc)), ("log-uniform", np.log(np.sort(e_inc)))):
        distances[name] = float(np.abs((values - values[0]) / (values[-1] - values[0]) - steps).max())
    best = min(distances, key=lambda name: distances[name])
    return best if distances[best] < allowed else "neither uniform nor log-uniform"
