r"""How far showers reach to the side: energy far from the axis, and fourth moments.

- energy beyond: share of a zone's energy in voxels whose centres lie farther from the axis than 1/8, 1/4 and 1/2 of
  the layer's half width. These are about 0.7, 1.4 and 2.8 Moliere radii in every calorimeter of the catalogue, and
  known for any file, whatever it says of materials;
- fourth moment: :math:`\left(\sum_v (x_v - \bar x)^4 E_v / \sum_v E_v\right)^{1/4}` along x and y, mm, about the
  centre of energy of the zone. It weighs the tail where the width weighs the core.

A zone without energy has 0.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import axis_positions, divide
from caloforge.evaluation.zone_feature import ZoneFeature
from caloforge.geometry import PolarGrid
from caloforge.geometry.grid import Grid

__all__ = ["tails"]

_SHARES = {"1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2}


def tails(hits: Hits) -> Iterator[ZoneFeature]:
    """The features of the module's docstring, ``(n, Z)`` each, but those that all voxels or none count for."""
    reach = np.concatenate([_reach(layer.grid) for layer in hits.geometry.layers])
    for name, share in _SHARES.items():
        beyond = reach > share
        if 0 < np.count_nonzero(beyond) < len(beyond):
            far = divide(hits.total(hits.energy * beyond[hits.voxel]), hits.energies)
            yield ZoneFeature(f"beyond_{share:g}", f"energy beyond {name} of the half width in {{}}", far)
    for axis in hits.cut:
        fourth = divide(hits.total(hits.energy * hits.centres[axis][1] ** 4), hits.energies) ** 0.25
        yield ZoneFeature(f"fourth_{axis}", f"fourth moment in {axis}, {{}}", fourth, unit="mm")


def _reach(grid: Grid) -> Float[np.ndarray, " v"]:
    """Distance of each voxel's centre from the axis, in half widths of the layer along its narrower side."""
    if isinstance(grid, PolarGrid):
        half = grid.r_edges[-1]
    else:
        half = min(max(map(abs, edges)) for edges in (grid.x_edges, grid.y_edges))
    return axis_positions(grid)[2] / half
