"""The stack as Geant4 builds it: slabs cut where a layer of voxels begins or ends."""

from dataclasses import dataclass
from typing import final

from caloforge.errors import ConfigError
from caloforge.geometry import Geometry, Stack

__all__ = ["Plate", "plates", "required_stack"]

_TOUCHING = 1e-6  # mm; edges closer than that are the same


@final
@dataclass(frozen=True, kw_only=True)
class Plate:
    """A piece of one slab; its deposits go to the voxels of one layer, or nowhere."""

    material: str
    z_min: float
    """Front face, mm from the front of the calorimeter."""
    z_max: float
    """Back face, mm."""
    layer: int | None
    """Index of the layer whose voxels hold its deposits; ``None`` where they are not kept."""

    @property
    def thickness(self) -> float:
        """Along the shower axis, mm; rounded to a nanometre, so that equal plates compare equal."""
        return round(self.z_max - self.z_min, 6)


def required_stack(geometry: Geometry) -> Stack:
    """The material stack of a geometry; raises :class:`ConfigError` where it has none."""
    if geometry.stack is None:
        raise ConfigError(
            f"Geometry {geometry.describe()} has no material stack, so it cannot be simulated; describe one in a "
            "TOML file (docs/geometry.md)."
        )
    return geometry.stack


def plates(geometry: Geometry) -> tuple[Plate, ...]:
    """The stack of a geometry from front to back.

    Raises:
        ConfigError: The geometry has no stack, or its layers no place in depth, so that it cannot be simulated.

    Example:
        >>> from caloforge.geometry import get_geometry
        >>> len(plates(get_geometry("calogan")))  # 160 slabs; one is cut by the border of layers 1 and 2
        161
    """
    stack = required_stack(geometry)
    spans: list[tuple[float, float]] = []
    for layer in geometry.layers:
        if layer.z_min is None or layer.z_max is None:
            raise ConfigError(
                f"Layer {layer.name!r} of geometry {geometry.name!r} has no extent in depth (z), which a "
                "simulation needs to put deposits into voxels."
            )
        spans.append((layer.z_min, layer.z_max))
    borders = sorted({edge for span in spans for edge in span})
    found = []
    for slab, low, high in zip(stack.slabs, stack.z_edges[:-1], stack.z_edges[1:], strict=True):
        inner = [z for z in borders if low + _TOUCHING < z < high - _TOUCHING]
        for z_min, z_max in zip([low, *inner], [*inner, high], strict=True):
            counts = slab.active or stack.deposits == "all"
            layer_index = _layer_at((z_min + z_max) / 2, spans) if counts else None
            found.append(Plate(material=slab.material, z_min=z_min, z_max=z_max, layer=layer_index))
    return tuple(found)


def _layer_at(z: float, spans: list[tuple[float, float]]) -> int | None:
    return next((k for k, (low, high) in enumerate(spans) if low < z < high), None)
