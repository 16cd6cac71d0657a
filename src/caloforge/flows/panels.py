"""The fast direction of an autoregressive spline, for sampling: half the arithmetic, and all of it within caches.

A masked network multiplies its masked half all the same. Cut into panels of features, each panel needs only the
units that it may see, and its spline parameters are used up before the next panel's are made. Showers go through in
chunks, features first.
"""

from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.flows.masked import MADE, MaskedLinear
from caloforge.flows.plans import cached_plan
from caloforge.flows.spline import InverseSpline, RationalQuadratic

__all__ = ["encode_in_panels"]

_PANEL: Final = 32  # features
_CHUNK: Final = 256  # showers


def encode_in_panels(
    made: MADE,
    spline: RationalQuadratic | InverseSpline,
    x: Float[Tensor, "B F"],
    context: Float[Tensor, "B C"],
) -> Float[Tensor, "B F"]:
    """Spline of each feature, with parameters from the features before it; no gradient.

    Args:
        made: The network, of the plain variant.
        spline: Elementwise map.
        x: Data.
        context: The condition.
    """
    plan = cached_plan(made, "panels", lambda: _Plan(made))
    encoded = torch.empty_like(x)
    for start in range(0, len(x), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        encoded[chunk] = plan.encode(spline, x[chunk].T.contiguous(), made.context(context[chunk]).relu().T).T
    return encoded


@final
class _Plan:
    """Weights folded with their masks, cut into panels of rows with the columns that these see."""

    @torch.no_grad()
    def __init__(self, made: MADE) -> None:
        self.n_params, self.n_features = made.n_params, made.n_features
        degrees = made.degrees
        units = [slice(k, min(k + _PANEL, len(degrees))) for k in range(0, len(degrees), _PANEL)]
        sees = [int(degrees[rows.stop - 1]) for rows in units]  # features, of the last unit of a panel
        ready = [int((degrees <= degrees[rows.stop - 1]).sum()) for rows in units]
        first, first_bias = made.first.folded(), made.first.bias[:, None]
        self.first = [
            (rows, first[rows, :k].contiguous(), first_bias[rows])
            for rows, k in zip(units, sees, strict=True)
        ]
        self.hidden = []
        for layer in made.hidden:
            assert isinstance(layer, MaskedLinear)
            weight, bias = layer.folded(), layer.bias[:, None]
            self.hidden.append(
                [
                    (rows, weight[rows, :k].contiguous(), bias[rows])
                    for rows, k in zip(units, ready, strict=True)
                ]
            )
        shape = (made.n_params, made.n_features)
        last, last_bias = made.last.folded().view(*shape, -1), made.last.bias.view(*shape, 1)
        self.last = []
        for k in range(0, made.n_features, _PANEL):
            features = slice(k, min(k + _PANEL, made.n_features))
            seen = int((degrees < features.stop).sum())
            weight = last[:, features, :seen].flatten(0, 1).contiguous()
            self.last.append((features, weight, last_bias[:, features].flatten(0, 1)))

    def encode(
        self,
        spline: RationalQuadratic | InverseSpline,
        x: Float[Tensor, "F B"],
        context: Float[Tensor, "H B"],
    ) -> Float[Tensor, "F B"]:
        """Features first."""
        h = torch.empty_like(context, memory_format=torch.contiguous_format)
        for rows, weight, bias in self.first:
            torch.addmm(bias + context[rows], weight, x[: weight.shape[1]], out=h[rows]).relu_()
        for layer in self.hidden:
            below, h = h, torch.empty_like(h)
            for rows, weight, bias in layer:
                torch.addmm(bias, weight, below[: weight.shape[1]], out=h[rows]).relu_()
        encoded = torch.empty_like(x)
        for features, weight, bias in self.last:
            params = torch.addmm(bias, weight, h[: weight.shape[1]]).view(self.n_params, -1)
            encoded[features] = spline.encode(x[features].reshape(-1), params).view(-1, x.shape[1])
        return encoded
