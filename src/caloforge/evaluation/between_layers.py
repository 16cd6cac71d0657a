r"""How a zone and the next go together: what is lost if each is right by itself but they do not belong together.

A voxel and what lies behind it, in the next layer, overlap by area, so grids may differ; zones are single layers, or
a few of them together if there are many.

- P(hit behind): share of the area behind the hits of a zone that is hit in the next layer;
- correlation with behind: over hits with energy behind them, of the decimal logarithms of a hit's energy and of the
  energy that lies behind it, the next layer's voxels being spread evenly over their areas;
- shift: how far the centre of energy moves from a zone to the next, in x and y;
- same side: :math:`\pm\sqrt{|x_k x_{k+1}|}` of the two centres, positive on one side of the axis, in x and y;
- alignment: cosine of the angle between the two centres, seen from the axis of the calorimeter;
- widening: how much the width along x and y grows from a zone to the next;
- change of hardness: of the mean decimal logarithm of hit energies from a zone to the next;
- shares: energy and hits of the next zone, each over that of both. Trees need them beside widening and
  hardness, which depend on how far the shower has developed.

Where one of the two is empty the value is 0.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import divide
from caloforge.evaluation.zone_feature import ZoneFeature

__all__ = ["between_layers"]


def between_layers(hits: Hits) -> Iterator[ZoneFeature]:
    """The features of the module's docstring, ``(n, Z - 1)`` each; nothing for a single layer."""
    if hits.geometry.n_layers < 2:
        return
    n_pairs = int(hits.zones.of_layer[-2]) + 1  # zones with a layer behind one of theirs
    covered, correlation = _behind(hits)
    yield ZoneFeature("hit_behind", "P(hit behind) of hits in {}", covered[:, :n_pairs])
    yield ZoneFeature(
        "behind_correlation", "correlation with the energy behind, {}", correlation[:, :n_pairs]
    )
    if len(hits.zones) > 1:
        yield from _centres(hits)


def _behind(hits: Hits) -> tuple[Float[np.ndarray, "n Z"], Float[np.ndarray, "n Z"]]:
    relations, voxels = hits.relations, hits.showers.voxels.astype(np.float64).T
    energy = (relations.energy_behind @ voxels)[hits.voxel, hits.shower]
    share = (relations.overlap @ (voxels > 0).astype(np.float64))[hits.voxel, hits.shower]
    # The last layer's hits have nothing behind them.
    has_next = np.flatnonzero(hits.relations.layer[hits.voxel] < hits.geometry.n_layers - 1)
    covered = divide(hits.total(share[has_next], of=has_next), hits.total(of=has_next))
    both = np.flatnonzero(energy > 0)
    a, b, n = hits.log[both], np.log10(energy[both]), hits.total(of=both)
    mean_a, mean_b = (divide(hits.total(x, of=both), n) for x in (a, b))
    var_a, var_b = (divide(hits.total(x * x, of=both), n) - m**2 for x, m in ((a, mean_a), (b, mean_b)))
    product = divide(hits.total(a * b, of=both), n) - mean_a * mean_b
    known = (var_a > 1e-12 * (1 + mean_a**2)) & (var_b > 1e-12 * (1 + mean_b**2))
    norm = np.sqrt(np.where(known, var_a * var_b, 0.0))
    return covered, np.clip(divide(product, norm), -1.0, 1.0)


def _centres(hits: Hits) -> Iterator[ZoneFeature]:
    energy = hits.energies
    both = (energy[:, :-1] > 0) & (energy[:, 1:] > 0)
    for axis in hits.cut:
        mean, away = hits.centres[axis]
        shift = np.where(both, np.diff(mean, axis=1), 0.0)
        yield ZoneFeature(f"shift_{axis}", f"shift of the centre in {axis} behind {{}}", shift, unit="mm")
        product = mean[:, :-1] * mean[:, 1:]
        side = np.where(both, np.sign(product) * np.sqrt(np.abs(product)), 0.0)
        yield ZoneFeature(
            f"same_side_{axis}", f"centres on one side in {axis}, {{}} and the next", side, unit="mm"
        )
        width = np.sqrt(divide(hits.total(hits.energy * away**2), energy))
        widening = np.where(both, np.diff(width, axis=1), 0.0)
        yield ZoneFeature(f"widening_{axis}", f"widening in {axis} behind {{}}", widening, unit="mm")
    n_hits = hits.count
    hardness = np.diff(divide(hits.total(hits.log), n_hits), axis=1)
    yield ZoneFeature("hardening", "change of mean log₁₀ hit energy behind {}", np.where(both, hardness, 0.0))
    for kind, label, values in (("next_energy", "energy", energy), ("next_hits", "hits", n_hits)):
        share = divide(values[:, 1:], values[:, :-1] + values[:, 1:])
        yield ZoneFeature(kind, f"share of {label} behind {{}} in both", share)
    centres = [mean for mean, _ in hits.centres.values()]
    product = sum(c[:, :-1] * c[:, 1:] for c in centres)
    length = np.hypot(*centres)
    cosine = divide(np.where(both, product, 0.0), length[:, :-1] * length[:, 1:])
    yield ZoneFeature("alignment", "alignment of the centres, {} and the next", cosine)
