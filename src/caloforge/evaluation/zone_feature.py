"""A kind of feature with one value per shower and zone."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["ZoneFeature"]


class ZoneFeature(NamedTuple):
    """A kind of feature in all zones, before each zone's becomes a feature of its own."""

    kind: str
    """Name without the zone."""
    label: str
    """For people, with ``{}`` for the zone."""
    values: Float[np.ndarray, "n Z"]
    """A last zone may be missing where the feature is of a zone and the next."""
    unit: str = ""
    logarithmic: bool = False
