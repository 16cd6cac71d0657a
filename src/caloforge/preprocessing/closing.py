"""Voxels that are brought to the energies and, if asked, the moments of their layers: the last step of generating.

Shapes: B showers, L layers, V voxels, M moments; features lie first, ``(V, B)``, as networks leave them that are
evaluated for many showers.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.geometry import Geometry
from caloforge.preprocessing.moments import LayerMoments

__all__ = ["Closing"]


@final
class Closing(nn.Module):
    """A hit in every layer with energy, then the moments, then the energies, and nothing below the threshold.

    Args:
        geometry: The calorimeter.
        threshold: Voxels below it are zero, but for the brightest of a layer; layers below it are empty. MeV.
    """

    layer_of_voxel: Tensor

    def __init__(self, geometry: Geometry, *, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.moments = LayerMoments(geometry)
        sizes = torch.tensor([layer.n_voxels for layer in geometry.layers])
        layer_of_voxel = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        self.register_buffer("layer_of_voxel", layer_of_voxel, persistent=False)

    def forward(
        self,
        voxels: Float[Tensor, "V B"],
        surplus: Float[Tensor, "V B"],
        e_layer: Float[Tensor, "L B"],
        moments: Float[Tensor, "M B"] | None,
    ) -> Float[Tensor, "V B"]:
        """Voxels in MeV.

        Args:
            voxels: Energies over the threshold, at least 1 where hit.
            surplus: How near a voxel was to being hit. A layer without a hit gets one where this is greatest.
            e_layer: Layer energies over the threshold.
            moments: As :meth:`LayerMoments.encode` gives them; ``None`` leaves them as they are.
        """
        voxels = self._with_a_hit(voxels, surplus)
        hits = torch.gt(voxels, 0.0, out=torch.empty_like(voxels))
        # What hits have above the threshold is changed, not the hits: none is lost, and none ends at the threshold.
        above = (voxels - 1.0).clamp_min_(0.0)
        if moments is not None:
            tilted = self.moments.close(voxels, moments)
            above.mul_(tilted.div_(voxels.clamp_min(1.0)))
        # A layer with less energy than its hits need loses those that scaling would take below the threshold.
        n_hits, total = self._sums(hits), self._sums(above)
        brightest = torch.stack([above[where].amax(0) for where in self.moments.slices])
        limit = torch.minimum(_ratio(n_hits + total, e_layer) - 1.0, brightest)
        limit = limit.clamp_min_(0.0).mul_(n_hits > e_layer)
        hits.mul_(torch.ge(above, self.of_voxels(limit), out=torch.empty_like(above)))
        above.mul_(hits)
        n_hits, total = self._sums(hits), self._sums(above)
        e_layer = e_layer * (e_layer >= 1)
        least = torch.where(total > 0, (e_layer > 0).to(total.dtype), _ratio(e_layer, n_hits))
        factor = _ratio(e_layer - n_hits, total).clamp_min_(0.0)
        least, factor = least * self.threshold, factor * self.threshold
        return hits.mul_(self.of_voxels(least)).addcmul_(above, self.of_voxels(factor))

    def of_voxels(self, of_layers: Float[Tensor, "L B"]) -> Float[Tensor, "V B"]:
        """For every voxel the value of its layer."""
        return of_layers.index_select(0, self.layer_of_voxel)

    def _with_a_hit(self, voxels: Tensor, surplus: Tensor) -> Tensor:
        """Layers without a hit get one, in the voxel that came closest to it."""
        filled = []
        for where in self.moments.slices:
            layer, over = voxels[where], surplus[where]
            filled.append(layer + (over == over.amax(0)) * (layer.amax(0) <= 0))
        return torch.cat(filled)

    def _sums(self, voxels: Tensor) -> Tensor:
        return torch.stack([voxels[where].sum(0) for where in self.moments.slices])


def _ratio(wanted: Tensor, found: Tensor) -> Tensor:
    """``wanted / found``, and 0 where nothing was found."""
    empty = found <= 0
    return ~empty * wanted / torch.where(empty, torch.ones_like(found), found)
