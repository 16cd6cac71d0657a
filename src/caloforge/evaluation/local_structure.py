r"""How hits lie beside each other within a layer: what a model loses whose voxels do not know their neighbours.

Neighbours share an edge (:mod:`~caloforge.evaluation.voxel_relations`); l is the decimal logarithm of a hit's energy.
Each number is of one shower and one zone: a layer, or a few of them together if there are many.

- isolated hits: hits without a neighbour that is hit; clusters: connected groups of hits; the largest one's hits;
- :math:`P(\text{hit} | \text{neighbour hit})`: twice the pairs of neighbouring hits over the neighbours of all hits;
- roughness along an axis: mean of :math:`|l_v - l_w|` over pairs of neighbouring hits;
- neighbour correlation along an axis: of :math:`l_v` and :math:`l_w` over these pairs, each in both orders, so that a
  mirror image has the same.

Where there is no hit or no pair the value is 0. All are unchanged by reflections and by turns of rings.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse import csgraph

from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import divide
from caloforge.evaluation.zone_feature import ZoneFeature

__all__ = ["local_structure"]


def local_structure(hits: Hits) -> Iterator[ZoneFeature]:
    """The features of the module's docstring; ``(n, Z)`` each, pure numbers."""
    if not hits.relations.axes:
        return
    clusters, largest = _clusters(hits)
    yield ZoneFeature("isolated", "isolated hits in {}", hits.total(of=np.flatnonzero(hits.isolated)))
    yield ZoneFeature("clusters", "clusters of hits in {}", clusters)
    yield ZoneFeature("largest_cluster", "hits in the largest cluster of {}", largest)
    pairs = [hits.total(of=first) for first, _ in hits.neighbours.values()]
    possible = hits.total(hits.relations.degree[hits.voxel].astype(np.float64))
    yield ZoneFeature(
        "neighbour_hit", "P(hit | neighbour hit) in {}", divide(2 * np.sum(pairs, axis=0), possible)
    )
    for axis, n_pairs in zip(hits.neighbours, pairs, strict=True):
        rough, correlation = _along(hits, *hits.neighbours[axis], n_pairs)
        yield ZoneFeature(f"roughness_{axis}", f"roughness along {axis} in {{}}", rough)
        yield ZoneFeature(
            f"neighbour_correlation_{axis}", f"correlation of neighbours along {axis} in {{}}", correlation
        )


def _clusters(hits: Hits) -> tuple[Float[np.ndarray, "n Z"], Float[np.ndarray, "n Z"]]:
    """Number of connected groups of hits, and hits of the largest."""
    first, second = (np.concatenate(ends) for ends in zip(*hits.neighbours.values(), strict=True))
    graph = sparse.coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(hits),) * 2)
    n, label = csgraph.connected_components(graph, directed=False)
    size = np.bincount(label, minlength=n)
    member = np.zeros(n, dtype=np.int64)
    member[label] = np.arange(len(hits))  # any hit of a cluster tells shower and zone
    largest = np.zeros(hits.n_showers * len(hits.zones))
    np.maximum.at(largest, hits.cell[member], size)
    return hits.total(of=member), largest.reshape(hits.n_showers, len(hits.zones))


def _along(
    hits: Hits, first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"], n_pairs: Float[np.ndarray, "n Z"]
) -> tuple[Float[np.ndarray, "n Z"], Float[np.ndarray, "n Z"]]:
    """Roughness and correlation of pairs of hits."""
    a, b = hits.log[first], hits.log[second]
    rough = divide(hits.total(np.abs(a - b), of=first), n_pairs)
    mean = divide(hits.total(a + b, of=first), 2 * n_pairs)
    square = divide(hits.total(a * a + b * b, of=first), 2 * n_pairs) - mean**2
    product = divide(hits.total(a * b, of=first), n_pairs) - mean**2
    known = square > 1e-12 * (1 + mean**2)
    return rough, np.clip(divide(product, np.where(known, square, 0.0)), -1.0, 1.0)
