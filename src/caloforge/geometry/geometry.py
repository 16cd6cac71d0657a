"""A calorimeter as its voxels see it: ordered layers, each with a grid and its place in depth."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ConfigError, GeometryMismatchError, ShapeError, UnknownNameError
from caloforge.geometry.grid import CartesianGrid, Grid, PolarGrid, uniform_edges
from caloforge.geometry.incidence import Incidence
from caloforge.geometry.plain import check_keys, integer, number, sequence, table, text
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
        text(self.name, "Layer: name")
        if (self.z_min is None) != (self.z_max is None):
            raise ConfigError(f"Layer {self.name!r}: give both z_min and z_max, or neither.")
        if self.z_min is not None and self.z_max is not None:
            object.__setattr__(self, "z_min", number(self.z_min, f"Layer {self.name!r}: z_min"))
            object.__setattr__(self, "z_max", number(self.z_max, f"Layer {self.name!r}: z_max"))
            if not self.z_min < self.z_max:
                raise ConfigError(
                    f"Layer {self.name!r}: z_min = {self.z_min} mm is not below z_max = {self.z_max} mm."
                )

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
    incidence: Incidence = field(default_factory=Incidence)
    """How particles meet the front face, unless a simulation says otherwise."""

    def __post_init__(self) -> None:
        text(self.name, "Geometry: name")
        if not self.layers:
            raise ConfigError(f"Geometry {self.name!r} has no layers.")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ConfigError(f"Geometry {self.name!r}: layer names must be unique, got {names}.")
        placed = [layer for layer in self.layers if layer.z_min is not None]
        for front, back in itertools.pairwise(placed):
            if (back.z_min or 0.0) < (front.z_max or 0.0) - 1e-9:
                raise ConfigError(
                    f"Geometry {self.name!r}: layers {front.name!r} and {back.name!r} overlap in z."
                )
        where = f"Geometry {self.name!r}: e_ratio_range"
        low, high = (number(edge, where) for edge in sequence(self.e_ratio_range, where, length=2))
        if not 0 <= low < high:
            raise ConfigError(
                f"{where} must be [low, high] with 0 <= low < high, got {list(self.e_ratio_range)}."
            )
        object.__setattr__(self, "e_ratio_range", (low, high))
        if self.stack is not None and placed and (placed[-1].z_max or 0.0) > self.stack.depth + 1e-6:
            raise ConfigError(
                f"Geometry {self.name!r}: layer {placed[-1].name!r} ends at {placed[-1].z_max} mm, "
                f"behind the stack of {self.stack.depth:g} mm."
            )

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
        self._require_shape(voxels)
        starts = [where.start for where in self.layer_slices]
        return np.add.reduceat(voxels, starts, axis=1, dtype=np.float64)

    def layer_voxels(self, voxels: Float[np.ndarray, "n V"], layer: int) -> Float[np.ndarray, "n a b"]:
        """Voxels of one layer on its grid, ``(n, *grid.shape)``; a view where possible."""
        self._require_shape(voxels)
        return voxels[:, self.layer_slices[layer]].reshape(len(voxels), *self.layers[layer].grid.shape)

    def _require_shape(self, voxels: Float[np.ndarray, "n V"]) -> None:
        if np.ndim(voxels) != 2 or np.shape(voxels)[1] != self.n_voxels:
            raise ShapeError(
                "voxels", np.shape(voxels), f"(n, V) = (n, {self.n_voxels}) for {self.describe()}"
            )

    def same_voxels(self, other: "Geometry") -> bool:
        """Whether both cut space into the same voxels in the same order; names and materials may differ."""
        return len(self.layers) == len(other.layers) and all(
            _grids_close(a.grid, b.grid) for a, b in zip(self.layers, other.layers, strict=True)
        )

    def require_same_voxels(self, other: "Geometry", *, mine: str, theirs: str) -> None:
        """Raise :class:`GeometryMismatchError` unless both have the same voxels, naming them."""
        if not self.same_voxels(other):
            raise GeometryMismatchError(
                f"{mine} has geometry {self.describe()}, {theirs} has {other.describe()}; "
                "they must have the same voxels."
            )

    def describe(self) -> str:
        """A short phrase, for messages: name, layers and voxels."""
        return f"{self.name!r} ({self.n_layers} layers, {self.n_voxels} voxels)"

    def to_dict(self) -> dict[str, Any]:
        """Plain data (JSON and TOML types only); :meth:`from_dict` gives it back."""
        data: dict[str, Any] = {
            "name": self.name,
            "source": self.source,
            "e_ratio_range": list(self.e_ratio_range),
        }
        if self.stack is not None:
            data["stack"] = self.stack.to_dict()
        if self.incidence != Incidence():
            data["incidence"] = self.incidence.to_dict()
        data["layers"] = [_layer_to_dict(layer) for layer in self.layers]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Geometry":
        """Build from plain data; unknown and missing keys raise.

        Beyond what :meth:`to_dict` writes, edges of equal width may be given as ``x = {low, high, n}``, a
        layer's extent as ``z = {start, thickness}`` (``start`` defaults to the back of the layer before),
        and ``repeat = n`` makes n such layers behind each other, named by their number from 0.

        Raises:
            ConfigError: A key is missing, or a value has the wrong type or makes no sense.
            UnknownNameError: A key or a name is not known.
        """
        data = table(data, "the geometry")
        allowed = {"name", "source", "e_ratio_range", "stack", "incidence", "layers"}
        check_keys(data, "the geometry", allowed=allowed, required={"name", "layers"})
        if not isinstance(source := data.get("source", ""), str):
            raise ConfigError(f"source must be a text, got {source!r}.")
        layers: list[Layer] = []
        for block in sequence(data["layers"], "layers"):
            layers += _layers_from_block(block, before=layers)
        return cls(
            name=text(data["name"], "name"),
            source=source,
            e_ratio_range=data.get("e_ratio_range", (0.0, 2.0)),
            stack=Stack.from_dict(data["stack"]) if "stack" in data else None,
            incidence=Incidence.from_dict(data.get("incidence", {})),
            layers=tuple(layers),
        )


def _grids_close(a: Grid, b: Grid) -> bool:
    if isinstance(a, CartesianGrid) and isinstance(b, CartesianGrid):
        pairs = [(a.x_edges, b.x_edges), (a.y_edges, b.y_edges)]
    elif isinstance(a, PolarGrid) and isinstance(b, PolarGrid):
        pairs = [(a.r_edges, b.r_edges), (a.alpha_edges, b.alpha_edges)]
    else:
        return False
    return all(len(p) == len(q) and bool(np.allclose(p, q, rtol=1e-6, atol=1e-6)) for p, q in pairs)


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


_AXES = {"cartesian": ("x", "y"), "polar": ("r",)}
_MAX_LAYERS, _MAX_BINS = 10_000, 1_000_000  # far above any calorimeter; a slip must not fill the memory


def _layers_from_block(block: object, *, before: list[Layer]) -> list[Layer]:
    """The layers of one block of plain data; ``before`` are those already built, in front of it."""
    where = f"layer {len(before)}"
    data = table(block, where)
    if "grid" not in data:
        raise ConfigError(f"{where} misses the key grid ('cartesian' or 'polar').")
    kind = data["grid"]
    if not isinstance(kind, str) or kind not in _AXES:
        raise UnknownNameError(f"grid of {where}", str(kind), _AXES)
    allowed = {"name", "grid", "z", "repeat", *_AXES[kind], *(f"{axis}_edges" for axis in _AXES[kind])}
    check_keys(data, where, allowed=allowed | ({"n_alpha"} if kind == "polar" else set()), required=())
    repeat = integer(data.get("repeat", 1), f"{where}: repeat", low=1, high=_MAX_LAYERS)
    if repeat > 1 and "name" in data:
        raise ConfigError(f"{where}: repeated layers are named by their numbers; leave out name.")
    edges = {f"{axis}_edges": _edges(data, axis, where) for axis in _AXES[kind]}
    grid: Grid
    if kind == "cartesian":
        grid = CartesianGrid(**edges)
    else:
        n_alpha = integer(data.get("n_alpha", 1), f"{where}: n_alpha", low=1, high=_MAX_BINS)
        grid = PolarGrid(r_edges=edges["r_edges"], n_alpha=n_alpha)
    names = (
        [text(data["name"], f"{where}: name")]
        if "name" in data
        else map(str, range(len(before), len(before) + repeat))
    )
    extents = _extents(data, where, repeat=repeat, before=before)
    return [
        Layer(name=name, grid=grid, z_min=z[0], z_max=z[1]) for name, z in zip(names, extents, strict=True)
    ]


def _edges(data: Mapping[str, Any], axis: str, where: str) -> tuple[float, ...]:
    """Edges given one by one (``x_edges``) or as ``x = {low, high, n}`` with equal widths."""
    key = f"{axis}_edges"
    if (key in data) == (axis in data):
        raise ConfigError(
            f"{where}: give the {axis} edges once, as {key} = [...] or "
            f"{axis} = {{ low = ..., high = ..., n = ... }} (mm)."
        )
    if key in data:
        return tuple(
            number(edge, f"{where}: each of {key}") for edge in sequence(data[key], f"{where}: {key}")
        )
    spec = table(data[axis], f"{where}: {axis}")
    keys = {"low", "high", "n"}
    check_keys(spec, f"{where}: {axis}", allowed=keys, required=keys)
    low, high = (number(spec[end], f"{where}: {end} of {axis}") for end in ("low", "high"))
    return uniform_edges(low, high, integer(spec["n"], f"{where}: n of {axis}", low=1, high=_MAX_BINS))


def _extents(
    data: Mapping[str, Any], where: str, *, repeat: int, before: list[Layer]
) -> list[tuple[float, float]] | list[tuple[None, None]]:
    """Front and back of each layer of a block, mm, or ``None`` twice where z is not given."""
    z = data.get("z")
    if z is None:
        return [(None, None)] * repeat
    if not isinstance(z, Mapping):
        if repeat > 1:
            raise ConfigError(
                f"{where}: repeated layers need z = {{ start = ..., thickness = ... }} (mm), got {z!r}."
            )
        front, back = (number(edge, f"{where}: each of z") for edge in sequence(z, f"{where}: z", length=2))
        return [(front, back)]
    check_keys(z, f"{where}: z", allowed={"start", "thickness"}, required={"thickness"})
    last = before[-1].z_max if before else 0.0
    if "start" not in z and last is None:
        raise ConfigError(f"{where}: the layer before has no z, so z needs a start (mm).")
    start = number(z.get("start", last), f"{where}: start of z")
    step = number(z["thickness"], f"{where}: thickness of z")
    planes = [round(start + k * step, 6) for k in range(repeat + 1)]  # to a nanometre, like the edges
    return list(itertools.pairwise(planes))
