"""The registry of layouts."""

from caloforge.errors import UnknownNameError
from caloforge.io.calochallenge import CaloChallengeLayout
from caloforge.io.calogan import CaloGANLayout
from caloforge.io.ild import ILDLayout
from caloforge.io.layout import Layout

__all__ = ["LAYOUTS", "get_layout"]

_ALL: tuple[Layout, ...] = (CaloChallengeLayout(), CaloGANLayout(), ILDLayout())

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _ALL}
"""Every file layout by name."""


def get_layout(name: str) -> Layout:
    """The layout called ``name``.

    Raises:
        UnknownNameError: There is none of this name.
    """
    if name not in LAYOUTS:
        raise UnknownNameError("layout", name, LAYOUTS)
    return LAYOUTS[name]
