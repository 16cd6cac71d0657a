"""A few single showers of both samples, sparse, for the view in three dimensions."""

from typing import Any

import numpy as np
from jaxtyping import Float

from caloforge.geometry import CartesianGrid, Geometry
from caloforge.report.samples import Sample
from caloforge.showers import Showers
from caloforge.units import GeV

__all__ = ["TARGETS", "single_showers", "sparse_shower", "target_energies"]

TARGETS = (5 * GeV, 10 * GeV, 20 * GeV, 50 * GeV, 95 * GeV)
"""Incident energies at which the CaloFlow papers show showers, MeV."""
_MAX_HITS = 6000
"""Voxels drawn per shower, the brightest first."""


def target_energies(e_inc: Float[np.ndarray, " n"]) -> list[float]:
    """Those of :data:`TARGETS` that lie in a sample's range, MeV; five over its logarithm if these are too few.

    Example:
        >>> target_energies(np.linspace(1e3, 60e3, 100))
        [5000.0, 10000.0, 20000.0, 50000.0]
    """
    low, high = float(e_inc.min()), float(e_inc.max())
    inside = [energy for energy in TARGETS if 0.98 * low <= energy <= 1.02 * high]
    spread = np.geomspace(low, high, 7)[1:-1]
    if len(inside) >= 3 and high <= 2 * TARGETS[-1]:
        return inside
    nearest = [float(e_inc[np.abs(np.log(e_inc / energy)).argmin()]) for energy in spread]
    return list(dict.fromkeys(nearest))


def single_showers(generated: Sample, reference: Sample) -> dict[str, Any]:
    """For each target energy the shower of both samples whose incident energy is nearest; plain data."""
    targets = target_energies(reference.e_inc)
    return {
        "layers": _layers(reference.geometry),
        "pairs": [
            {
                "e_inc_MeV": target,
                "generated": _nearest(generated, target),
                "reference": _nearest(reference, target),
            }
            for target in targets
        ],
    }


def _nearest(sample: Sample, e_inc: float) -> dict[str, Any]:
    index = int(np.abs(sample.e_inc - e_inc).argmin())
    return sparse_shower(sample.pick(index), 0) | {"index": index}


def sparse_shower(showers: Showers, index: int) -> dict[str, Any]:
    """One shower as plain data: numbers of the voxels with energy and their energies, MeV."""
    voxels = showers.voxels[index].astype(np.float64)
    order = np.argsort(voxels)[::-1][:_MAX_HITS]
    hits = np.sort(order[voxels[order] > 0])
    return {
        "index": index,
        "e_inc_MeV": float(showers.e_inc[index]),
        "e_dep_MeV": float(voxels.sum()),
        "n_hits": int(np.count_nonzero(voxels)),
        "voxel": hits.tolist(),
        "energy_MeV": [float(f"{value:.3g}") for value in voxels[hits]],
    }


def _layers(geometry: Geometry) -> list[dict[str, Any]]:
    """Edges of the voxels; layers of unknown place are put behind each other."""
    known = all(layer.z_min is not None for layer in geometry.layers)
    found = []
    for number, layer in enumerate(geometry.layers):
        grid = layer.grid
        edges = (
            (grid.x_edges, grid.y_edges)
            if isinstance(grid, CartesianGrid)
            else (grid.alpha_edges, grid.r_edges)
        )
        found.append(
            {
                "name": layer.name,
                "kind": grid.kind,
                "z": [layer.z_min, layer.z_max] if known else None,
                "number": number,
                "first": list(edges[0]),
                "second": list(edges[1]),
            }
        )
    return found
