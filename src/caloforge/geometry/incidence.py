"""How particles meet the front face of a calorimeter."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from caloforge.errors import ConfigError
from caloforge.geometry.plain import check_keys, number, table

__all__ = ["Incidence"]

_STEEPEST = 80  # beyond it particles graze the front face instead of entering it


@final
@dataclass(frozen=True, kw_only=True)
class Incidence:
    """Direction and entry point of the primary particles; by default perpendicular, on the shower axis."""

    angle: float = 0.0
    """Between the direction and the axis of the calorimeter, degrees, 0 to 80."""
    azimuth: float = 0.0
    """Of the direction about that axis, degrees; 0 leans towards x."""
    x: float = 0.0
    """Entry point on the front face, mm."""
    y: float = 0.0
    """Entry point on the front face, mm."""
    spread: float = 0.0
    """Half-width of the square, centred on the entry point, over which entries spread evenly, mm."""

    def __post_init__(self) -> None:
        for name in ("angle", "azimuth", "x", "y", "spread"):
            object.__setattr__(self, name, number(getattr(self, name), f"incidence: {name}"))
        if not 0 <= self.angle <= _STEEPEST:
            raise ConfigError(f"incidence: angle must lie in 0 .. {_STEEPEST} degrees, got {self.angle:g}.")
        if self.spread < 0:
            raise ConfigError(f"incidence: spread must not be negative, got {self.spread:g} mm.")

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector; the axis of the calorimeter is z."""
        theta, phi = math.radians(self.angle), math.radians(self.azimuth)
        return math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; :meth:`from_dict` gives it back."""
        return {
            "angle": self.angle,
            "azimuth": self.azimuth,
            "x": self.x,
            "y": self.y,
            "spread": self.spread,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Incidence":
        """Build from plain data; missing keys take their default.

        Raises:
            ConfigError: A value has the wrong type or makes no sense.
            UnknownNameError: A key is not known.
        """
        data = table(data, "incidence")
        check_keys(data, "incidence", allowed=cls().to_dict(), required=())
        return cls(**data)
