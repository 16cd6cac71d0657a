"""Materials along the shower axis, as plain data: what the simulation needs and the voxels do not show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

__all__ = ["Stack"]


@final
@dataclass(frozen=True, kw_only=True)
class Stack:
    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Stack":
        return cls()
