"""Masked networks (MADE): output k depends on inputs before k only, in one dense pass.

References:
    M. Germain, K. Gregor, I. Murray, H. Larochelle, MADE, arXiv:1502.03509
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, Neural Spline Flows, arXiv:1906.04032 (residual variant)
"""

import math
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from caloforge.errors import ConfigError

__all__ = ["MaskedLinear", "MADE"]


@final
class MaskedLinear(nn.Module):
    """Linear layer whose weights outside ``mask`` are zero and take no part.

    About half of an autoregressive network is masked; files hold only the other half
    (``weight_packed``), which changes no result.
    """

    mask: Tensor

    def __init__(self, mask: Bool[Tensor, "o i"]) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty(mask.shape))
        self.bias = nn.Parameter(torch.empty(len(mask)))
        bound = 1 / math.sqrt(mask.shape[1])
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def folded(self) -> Float[Tensor, "o i"]:
        """The weight with the mask applied."""
        return self.weight * self.mask

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Affine map of the last axis."""
        return functional.linear(x, self.folded(), self.bias)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:  # noqa: FBT001
        super()._save_to_state_dict(destination, prefix, keep_vars)
        weight = destination.pop(f"{prefix}weight")
        destination[f"{prefix}weight_packed"] = weight[self.mask]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        key = f"{prefix}weight_packed"
        packed = state_dict.pop(key, None)
        if packed is not None and packed.shape == (int(self.mask.sum()),):
            weight = torch.zeros_like(self.weight)
            weight[self.mask] = packed.to(weight)
            state_dict[f"{prefix}weight"] = weight
        super()._load_from_state_dict(state_dict, prefix, *args)
        state_dict.pop(f"{prefix}weight", None)
        if packed is not None:
            state_dict[key] = packed


@final
class MADE(nn.Module):
    """Autoregressive network: ``params[:, :, k]`` depends on ``x[:, :k]`` and the context.

    Hidden degrees are spread evenly over the features, and start at zero: those units see the context
    only, so even the first feature is conditioned (with degrees from one, as in nflows, it is not).
    ``depth`` counts the masked hidden-to-hidden layers (plain) or residual blocks of two (``residual``),
    which also see the context again; the parameter counts are those of nflows.
    """

    def __init__(
        self,
        *,
        n_features: int,
        n_context: int,
        n_params: int,
        hidden: int,
        depth: int,
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(n_features, n_context, n_params, hidden) < 1 or depth < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                f"A MADE needs at least one feature, context, parameter and hidden unit, depth >= 0 and "
                f"0 <= dropout < 1; got {n_features}, {n_context}, {n_params}, {hidden}, {depth}, {dropout}."
            )
        self.n_features, self.n_params, self.residual = n_features, n_params, residual
        degrees_in = torch.arange(1, n_features + 1)
        self.degrees = torch.arange(hidden) * n_features // hidden  # 0 .. n_features - 1, sorted
        hidden_mask = self.degrees[:, None] >= self.degrees[None, :]
        self.first = MaskedLinear(self.degrees[:, None] >= degrees_in[None, :])
        self.context = nn.Linear(n_context, hidden)
        n_layers = 2 * depth if residual else depth
        self.hidden = nn.ModuleList(MaskedLinear(hidden_mask.clone()) for _ in range(n_layers))
        n_contexts = depth if residual else 0
        self.hidden_context = nn.ModuleList(nn.Linear(n_context, hidden) for _ in range(n_contexts))
        degrees_out = degrees_in.repeat(n_params)  # parameter-major: spline runs along contiguous features
        self.last = MaskedLinear(degrees_out[:, None] > self.degrees[None, :])
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            # A small last layer: an untrained spline is close to the identity, so training starts calm.
            self.last.weight.mul_(0.1)
            self.last.bias.mul_(0.1)
            if residual:
                for layer in self.hidden[1::2]:
                    assert isinstance(layer, MaskedLinear)
                    layer.weight.mul_(1e-2)
                    layer.bias.mul_(1e-2)

    @staticmethod
    def count_parameters(
        *, n_features: int, n_context: int, n_params: int, hidden: int, depth: int, residual: bool = False
    ) -> int:
        """Parameters of a network of these sizes, masked ones included, without building it."""
        n_layers, n_contexts = (2 * depth, 1 + depth) if residual else (depth, 1)
        first = hidden * (n_features + 1)
        contexts = n_contexts * hidden * (n_context + 1)
        last = n_params * n_features * (hidden + 1)
        return first + contexts + n_layers * hidden * (hidden + 1) + last

    def extra_repr(self) -> str:
        """Sizes for ``print(module)``."""
        return f"n_features={self.n_features}, n_params={self.n_params}, residual={self.residual}"

    def forward(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B P F"]:
        """All parameters at once."""
        h = self.first(x) + self.context(context).relu()
        if self.residual:
            for k, layer_context in enumerate(self.hidden_context):
                t = self.hidden[2 * k](h.relu()) + layer_context(context)
                h = h + self.hidden[2 * k + 1](self.dropout(t.relu()))
        else:
            h = h.relu()
            for layer in self.hidden:
                h = self.dropout(layer(h).relu())
        return self.last(h).view(len(x), self.n_params, self.n_features)

    def sweep(self, context: Float[Tensor, "B C"], *, panel: int = 24) -> "Sweep":
        """Evaluate feature by feature, at the total cost of one dense pass (see :class:`Sweep`)."""
        return Sweep(self, context, panel=panel)


class Sweep:
    """Parameters of one feature after the other, as an inverse needs them: x[:k] known, k asked for.

    The plain way runs the whole network F times. But a hidden unit of degree d is final as soon as
    ``x[:d]`` is known, and degrees are sorted, so each step only computes the few units that became
    ready and the P outputs asked for: F steps cost one dense pass. Outputs are prepared for ``panel``
    features at a time from the units ready at the panel's start (one large matrix product); each step
    adds the units that came later. Everything is stored features-first, so slices are contiguous.
    """

    def __init__(self, made: MADE, context: Float[Tensor, "B C"], *, panel: int) -> None:
        self._made, self._panel = made, panel
        n_batch, n_hidden = len(context), len(made.degrees)
        # ready[k]: number of hidden units that x[:k] determines
        self._ready = torch.searchsorted(made.degrees, torch.arange(made.n_features), right=True).tolist()
        self._n_done = 0
        self.x = context.new_empty(made.n_features, n_batch)
        """What was fed so far, ``(F, B)``."""
        self._first = (made.first.folded(), self._offset(made.first, made.context(context).relu()))
        self._layers: list[tuple[Tensor, Tensor]] = []
        for k, layer in enumerate(made.hidden):
            assert isinstance(layer, MaskedLinear)
            sees_context = made.residual and k % 2 == 0
            extra = made.hidden_context[k // 2](context) if sees_context else None
            self._layers.append((layer.folded(), self._offset(layer, extra)))
        # h[j] is what hidden layer j reads, h[-1] what the output layer reads. In the residual variant
        # that is the sum of the residual stream itself, without a rectifier.
        self._h = [context.new_zeros(n_hidden, n_batch) for _ in range(len(self._layers) + 1)]
        self._sum = self._h[-1]
        shape = (made.n_params, made.n_features)
        self._out = made.last.folded().view(*shape, n_hidden).transpose(0, 1).contiguous()
        self._out_bias = made.last.bias.view(shape).T.contiguous()
        self._base = context.new_empty(0)
        self._panel_start, self._panel_ready = 0, 0

    @staticmethod
    def _offset(layer: MaskedLinear, extra: Tensor | None) -> Tensor:
        bias = layer.bias[:, None]
        return bias if extra is None else bias + extra.T

    def params(self, k: int) -> Float[Tensor, "P B"]:
        """Parameters of feature ``k``; :meth:`feed` must have been called for all features before it."""
        ready = self._ready[k]
        self._advance(k, ready)
        if k % self._panel == 0:
            stop = min(k + self._panel, self._made.n_features)
            weight = self._out[k:stop, :, :ready].flatten(0, 1)
            base = torch.addmm(self._out_bias[k:stop].reshape(-1, 1), weight, self._h[-1][:ready])
            self._base = base.view(stop - k, self._made.n_params, -1)
            self._panel_start, self._panel_ready = k, ready
        base = self._base[k - self._panel_start]
        if ready == self._panel_ready:
            return base
        late = slice(self._panel_ready, ready)
        return torch.addmm(base, self._out[k, :, late], self._h[-1][late])

    def feed(self, k: int, x: Float[Tensor, " B"]) -> None:
        """Tell the value of feature ``k``."""
        self.x[k] = x

    def _advance(self, k: int, ready: int) -> None:
        """Compute the hidden units that ``x[:k]`` has made ready, layer by layer."""
        if ready == self._n_done:
            return
        new = slice(self._n_done, ready)
        weight, offset = self._first
        h = torch.addmm(offset[new].expand(-1, self.x.shape[1]), weight[new, :k], self.x[:k])
        if self._made.residual:
            self._sum[new] = h
        if self._layers or not self._made.residual:
            self._h[0][new] = h.relu()
        for j, (weight, offset) in enumerate(self._layers):
            t = torch.addmm(offset[new].expand(-1, self.x.shape[1]), weight[new, :ready], self._h[j][:ready])
            if self._made.residual and j % 2 == 1:
                self._sum[new] += t
                if j + 1 < len(self._layers):
                    self._h[j + 1][new] = self._sum[new].relu()
            else:
                self._h[j + 1][new] = t.relu()
        self._n_done = ready
