"""A calorimeter as its voxels see it: ordered layers, each with a grid and its place in depth."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ConfigError, GeometryMismatchError, UnknownNameError
from caloforge.geometry.grid import CartesianGrid, Grid, PolarGrid, uniform_edges
from caloforge.geometry.stack import Stack

__all__ = ["Layer", "Geometry"]


@final
@dataclass(frozen=True, kw_only=True)
class Layer:
    """One calorimeter layer: its grid and its extent along the shower axis."""

    name: str
    """Label in files and plots; unique in its geometry."""
    grid: Grid
    z_min: float | None = None
    """Front face, mm from the front of the calorimeter; ``None`` where it was never published."""
    z_max: float | None = None
    """Back face, mm."""

    def __post_init__(self) -> None:
        if (self.z_min is None) != (self.z_max is None):
            raise ConfigError(f"Layer {self.name!r}: give both z_min and z_max, or neither.")
        if self.z_min is not None and self.z_max is not None and not self.z_min < self.z_max:
            raise ConfigError(f"Layer {self.name!r}: z_min = {self.z_min} mm is not below z_max = {self.z_max} mm.")

    @property
    def n_voxels(self) -> int:
        """Number of voxels of the layer."""
        return self.grid.n_voxels


@final
@dataclass(frozen=True, kw_only=True)
class Geometry:
    """An ordered tuple of layers; the flat voxel axis is the layers' voxels one after the other."""

    name: str
    """Lower-case identifier, e.g. ``"calogan"``."""
    layers: tuple[Layer, ...]
    source: str = ""
    """Paper or file that the numbers come from."""
    e_ratio_range: tuple[float, float] = (0.0, 2.0)
    """Plausible range of the median deposited over incident energy; outside it a unit is probably wrong."""
    stack: Stack | None = None
    """Materials along the shower axis, needed only to simulate."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise ConfigError(f"Geometry {self.name!r} has no layers.")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ConfigError(f"Geometry {self.name!r}: layer names must be unique, got {names}.")
        placed = [layer for layer in self.layers if layer.z_min is not None]
        for front, back in itertools.pairwise(placed):
            if (back.z_min or 0.0) < (front.z_max or 0.0) - 1e-9:
                raise ConfigError(f"Geometry {self.name!r}: layers {front.name!r} and {back.name!r} overlap in z.")
        low, high = self.e_ratio_range
        if not 0 <= low < high:
            raise ConfigError(f"Geometry {self.name!r}: e_ratio_range {self.e_ratio_range} is no range.")

    @property
    def n_layers(self) -> int:
        """Number of calorimeter layers, L."""
        return len(self.layers)

    @property
    def n_voxels(self) -> int:
        """Number of voxels, V."""
        return sum(layer.n_voxels for layer in self.layers)

    @property
    def layer_slices(self) -> tuple[slice, ...]:
        """Where each layer's voxels lie on the flat voxel axis."""
        stops = tuple(itertools.accumulate(layer.n_voxels for layer in self.layers))
        return tuple(slice(start, stop) for start, stop in itertools.pairwise((0, *stops)))

    def e_layer(self, voxels: Float[np.ndarray, "n V"]) -> Float[np.ndarray, "n L"]:
        """Energy per layer, MeV, ``(n, L)``, summed in float64 from ``voxels`` in MeV, ``(n, V)``."""
        starts = [where.start for where in self.layer_slices]
        return np.add.reduceat(voxels, starts, axis=1, dtype=np.float64)

    def layer_voxels(self, voxels: Float[np.ndarray, "n V"], layer: int) -> Float[np.ndarray, "n a b"]:
        """Voxels of one layer on its grid, ``(n, *grid.shape)``; a view where possible."""
        return voxels[:, self.layer_slices[layer]].reshape(len(voxels), *self.layers[layer].grid.shape)

    def same_voxels(self, other: "Geometry") -> bool:
        """Whether both cut space into the same voxels in the same order; names and materials may differ."""
        return len(self.layers) == len(other.layers) and all(
            _grids_close(a.grid, b.grid) for a, b in zip(self.layers, other.layers, strict=True)
        )

    def require_same_voxels(self, other: "Geometry", *, mine: str, theirs: str) -> None:
        """Raise :class:`GeometryMismatchError` unless both have the same voxels; the names go in the message."""
        if not self.same_voxels(other):
            raise GeometryMismatchError(
                f"{mine} has geometry {self.describe()}, {theirs} has {other.describe()}; they must be the same."
            )

    def describe(self) -> str:
        """A short phrase, for messages: name, layers and voxels."""
        return f"{self.name!r} ({self.n_layers} layers, {self.n_voxels} voxels)"

    def to_dict(self) -> dict[str, Any]:
        """Plain data (JSON and TOML types only); :meth:`from_dict` gives it back."""
        data: dict[str, Any] = {"name": self.name, "source": self.source, "e_ratio_range": list(self.e_ratio_range)}
        if self.stack is not None:
            data["stack"] = self.stack.to_dict()
        data["layers"] = [_layer_to_dict(layer) for layer in self.layers]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Geometry":
        """Build from plain data; unknown and missing keys raise."""
        allowed = {"name", "source", "e_ratio_range", "stack", "layers"}
        _check_keys("geometry key", data, allowed=allowed, required={"name", "layers"})
        low, high = data.get("e_ratio_range", (0.0, 2.0))
        return cls(
            name=str(data["name"]),
            source=str(data.get("source", "")),
            e_ratio_range=(float(low), float(high)),
            stack=Stack.from_dict(data["stack"]) if "stack" in data else None,
            layers=tuple(_layer_from_dict(layer, index) for index, layer in enumerate(data["layers"])),
        )


def _grids_close(a: Grid, b: Grid) -> bool:
    if isinstance(a, CartesianGrid) and isinstance(b, CartesianGrid):
        pairs = [(a.x_edges, b.x_edges), (a.y_edges, b.y_edges)]
    elif isinstance(a, PolarGrid) and isinstance(b, PolarGrid):
        pairs = [(a.r_edges, b.r_edges), (a.alpha_edges, b.alpha_edges)]
    else:
        return False
    return all(len(p) == len(q) and bool(np.allclose(p, q, rtol=1e-6, atol=1e-6)) for p, q in pairs)


def _check_keys(kind: str, data: Mapping[str, Any], *, allowed: set[str], required: set[str]) -> None:
    for key in data:
        if key not in allowed:
            raise UnknownNameError(kind, key, allowed)
    if missing := sorted(required - set(data)):
        raise ConfigError(f"Missing {kind}{'s' * (len(missing) > 1)}: {', '.join(missing)}.")


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    data: dict[str, Any] = {"name": layer.name, "grid": layer.grid.kind}
    if layer.z_min is not None and layer.z_max is not None:
        data["z"] = [layer.z_min, layer.z_max]
    if isinstance(layer.grid, CartesianGrid):
        data["x_edges"] = list(layer.grid.x_edges)
        data["y_edges"] = list(layer.grid.y_edges)
    else:
        data["r_edges"] = list(layer.grid.r_edges)
        data["n_alpha"] = layer.grid.n_alpha
    return data


def _edges(data: Mapping[str, Any], axis: str) -> tuple[float, ...]:
    """Edges given one by one (``x_edges``) or as ``x = {low, high, n}`` with equal widths."""
    if f"{axis}_edges" in data:
        return tuple(float(e) for e in data[f"{axis}_edges"])
    spec = data[axis]
    _check_keys(f"key of {axis!r}", spec, allowed={"low", "high", "n"}, required={"low", "high", "n"})
    if not math.isfinite(spec["low"]) or not math.isfinite(spec["high"]):
        raise ConfigError(f"{axis}: low and high must be finite, got {spec['low']} and {spec['high']}.")
    return uniform_edges(float(spec["low"]), float(spec["high"]), int(spec["n"]))


def _layer_from_dict(data: Mapping[str, Any], index: int) -> Layer:
    _check_keys(f"key of layer {index}", data, allowed=_LAYER_KEYS, required={"grid"})
    kind = data["grid"]
    axes = {"cartesian": ("x", "y"), "polar": ("r",)}.get(kind)
    if axes is None:
        raise UnknownNameError(f"grid of layer {index}", str(kind), ("cartesian", "polar"))
    for axis in axes:
        if (f"{axis}_edges" in data) == (axis in data):
            raise ConfigError(
                f"Layer {index}: give the {axis} edges once, as {axis}_edges = [...] or "
                f"{axis} = {{ low = ..., high = ..., n = ... }} (mm)."
            )
    grid: Grid
    if kind == "cartesian":
        grid = CartesianGrid(x_edges=_edges(data, "x"), y_edges=_edges(data, "y"))
    else:
        grid = PolarGrid(r_edges=_edges(data, "r"), n_alpha=int(data.get("n_alpha", 1)))
    z_min, z_max = data.get("z", (None, None))
    return Layer(name=str(data.get("name", index)), grid=grid, z_min=z_min, z_max=z_max)


_LAYER_KEYS = {"name", "grid", "z", "x_edges", "y_edges", "r_edges", "n_alpha", "x", "y", "r"}
