"""Autoregressive network over groups of features: all features of a group at once, given the groups before.

A network that goes feature by feature needs as many steps as there are features; one that goes group by group
needs a few, each a matrix product large enough for the machine. The price: features of one group are
independent of each other given all groups before.

References:
    M. Germain, K. Gregor, I. Murray, H. Larochelle, MADE, arXiv:1502.03509
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.errors import ConfigError
from caloforge.flows.masked import MaskedLinear
from caloforge.flows.plans import cached_plan

__all__ = ["GroupedMADE", "GroupSweep"]


@final
class GroupedMADE(nn.Module):
    """Parameters of each feature from the context and the features of earlier groups.

    Args:
        groups: Group of each feature, counted from 0; every group up to the last has a feature.
        n_channels: Input numbers per feature.
        n_context: Size of the context.
        n_params: Output numbers per feature.
        hidden: Units of each hidden layer, spread evenly over the groups.
        depth: Residual hidden layers after the first.
        dropout: Of hidden units while training.

    Raises:
        ConfigError: Sizes that make no sense.
    """

    def __init__(
        self,
        groups: Sequence[int],
        *,
        n_channels: int,
        n_context: int,
        n_params: int,
        hidden: int,
        depth: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        n_groups = max(groups, default=-1) + 1
        if set(groups) != set(range(n_groups)) or not n_groups:
            raise ConfigError("Groups must be counted from 0 without gaps, with at least one feature each.")
        if min(n_channels, n_context, n_params, hidden) < 1 or depth < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                "A grouped network needs at least one channel, context, parameter and hidden unit, depth >= 0 and "
                f"0 <= dropout < 1; got {n_channels}, {n_context}, {n_params}, {hidden}, {depth}, {dropout}."
            )
        self.n_groups, self.n_features, self.n_params = n_groups, len(groups), n_params
        self.groups = torch.tensor(list(groups))
        self.degrees = (
            torch.arange(hidden) * n_groups // hidden
        )  # groups that a unit sees, 0 .. G - 1, sorted
        hidden_mask = self.degrees[:, None] >= self.degrees[None, :]
        self.first = MaskedLinear(self.degrees[:, None] > self.groups.repeat(n_channels)[None, :])
        self.first_context = nn.Linear(n_context, hidden)
        self.hidden = nn.ModuleList(MaskedLinear(hidden_mask.clone()) for _ in range(depth))
        self.hidden_context = nn.ModuleList(nn.Linear(n_context, hidden) for _ in range(depth))
        self.last = MaskedLinear(self.groups.repeat(n_params)[:, None] >= self.degrees[None, :])
        self.last_context = nn.Linear(n_context, n_params * self.n_features)
        self.dropout = nn.Dropout(dropout)
        self._initialise()

    @staticmethod
    def count_parameters(
        *, n_features: int, n_channels: int, n_context: int, n_params: int, hidden: int, depth: int
    ) -> int:
        """Parameters of a network of these sizes, masked ones included, without building it."""
        first = hidden * (n_channels * n_features + 1 + n_context + 1)
        middle = depth * hidden * (hidden + 1 + n_context + 1)
        return first + middle + n_params * n_features * (hidden + 1 + n_context + 1)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Unit variance through the masks; a small last layer, so that training starts calm."""
        masked = [self.first, *self.hidden, self.last]
        for layer in masked:
            assert isinstance(layer, MaskedLinear)
            fan_in = layer.mask.sum(1, keepdim=True).clamp_min(1)
            layer.weight.normal_().mul_(0.7 / fan_in.sqrt())
            layer.bias.zero_()
        self.last.weight.mul_(0.1)
        self.last_context.weight.mul_(0.05)
        self.last_context.bias.zero_()

    def extra_repr(self) -> str:
        """Sizes for ``print(module)``."""
        return f"n_features={self.n_features}, n_groups={self.n_groups}, n_params={self.n_params}"

    def forward(self, x: Float[Tensor, "B C F"], context: Float[Tensor, "B K"]) -> Float[Tensor, "B P F"]:
        """All parameters at once, for training."""
        h = (self.first(x.flatten(1)) + self.first_context(context)).relu()
        for layer, layer_context in zip(self.hidden, self.hidden_context, strict=True):
            h = h + (layer(self.dropout(h)) + layer_context(context)).relu()
        params = self.last(h) + self.last_context(context)
        return params.view(len(x), self.n_params, self.n_features)

    def sweep(self, context: Float[Tensor, "B K"], *, dtype: torch.dtype | None = None) -> "GroupSweep":
        """Evaluate group by group, at the total cost of one pass without the masked half.

        Args:
            context: The condition.
            dtype: Of the matrix products; by default the weights' own.
        """
        wanted = dtype or context.dtype
        return GroupSweep(cached_plan(self, wanted, lambda: _Plan(self, wanted)), context)


@final
class _Plan:
    """Weights of a network, folded with their masks and cut by group; constant, context and bias first.

    Every matrix product reads a buffer whose first rows are a one (for the bias) and the context, so that each
    group costs one product per layer and no addition.
    """

    @torch.no_grad()
    def __init__(self, made: GroupedMADE, dtype: torch.dtype) -> None:
        self.dtype, self.n_params = dtype, made.n_params
        n_groups, n_features, n_hidden = made.n_groups, made.n_features, len(made.degrees)
        self.n_head = 1 + made.first_context.in_features
        groups = made.groups.to(made.first.weight.device)
        self.features = [torch.nonzero(groups == g)[:, 0] for g in range(n_groups)]
        """Of each group, in the order of a sweep's values."""
        self.order = torch.cat(self.features)
        """Of all groups; and where each feature is among them."""
        self.place = torch.argsort(self.order)
        self.n_channels = n_channels = made.first.weight.shape[1] // n_features
        self.n_inputs, self.n_hidden = n_channels * n_features, n_hidden
        channels = torch.arange(n_channels, device=groups.device)[:, None] * n_features
        inputs = [(channels + features[None]).reshape(-1) for features in self.features]
        degrees = made.degrees
        self.ready = torch.searchsorted(degrees, torch.arange(n_groups), right=True).tolist()
        """Hidden units that the groups before each group determine."""
        self.known = [sum(len(index) for index in inputs[:g]) for g in range(n_groups)]
        """Inputs before each group."""
        order = torch.cat(inputs)
        first = _with_head(made.first, made.first_context)
        first = torch.cat([first[:, : self.n_head], first[:, self.n_head :][:, order]], dim=1)
        middle = [
            _with_head(layer, layer_context)
            for layer, layer_context in zip(made.hidden, made.hidden_context, strict=True)
        ]
        last = _with_head(made.last, made.last_context).view(made.n_params, n_features, -1)
        self.first: list[Tensor] = []
        self.middle: list[list[Tensor]] = [[] for _ in middle]
        self.last: list[Tensor] = []
        done = 0
        for g in range(n_groups):
            new, head = slice(done, self.ready[g]), self.n_head
            self.first.append(first[new, : head + self.known[g]].to(dtype).contiguous())
            for weights, matrix in zip(self.middle, middle, strict=True):
                weights.append(matrix[new, : head + self.ready[g]].to(dtype).contiguous())
            weight = last[:, self.features[g], : head + self.ready[g]].flatten(0, 1)
            self.last.append(weight.to(dtype).contiguous())
            done = self.ready[g]


def _with_head(layer: nn.Module, context: nn.Module) -> Float[Tensor, "o i"]:
    assert isinstance(layer, MaskedLinear)
    assert isinstance(context, nn.Linear)
    bias = (layer.bias + context.bias)[:, None]
    return torch.cat([bias, context.weight, layer.folded()], dim=1)


@final
class GroupSweep:
    """Parameters of one group after the other: the values of all groups before are known, its own are asked for.

    Everything is stored features-first, so slices are contiguous. Call :meth:`params` and :meth:`feed` for
    groups 0, 1, 2 ... in turn.
    """

    def __init__(self, plan: _Plan, context: Float[Tensor, "B K"]) -> None:
        self._plan = plan
        n_batch, head = len(context), plan.n_head
        top = torch.cat([context.new_ones(1, n_batch), context.T]).to(plan.dtype)
        self._inputs = top.new_empty(head + plan.n_inputs, n_batch)
        self._inputs[:head] = top
        self._layers = [top.new_empty(head + plan.n_hidden, n_batch) for _ in range(1 + len(plan.middle))]
        for buffer in self._layers:
            buffer[:head] = top
        self._n_done = 0

    @property
    def features(self) -> list[Tensor]:
        """Indices of the features of each group, in the order of their values here."""
        return self._plan.features

    @property
    def order(self) -> Tensor:
        """The features of all groups, one group after the other."""
        return self._plan.order

    @property
    def place(self) -> Tensor:
        """Where each feature is in :attr:`order`."""
        return self._plan.place

    def params(self, g: int) -> Float[Tensor, "P n B"]:
        """Parameters of the features of group ``g``."""
        plan, head = self._plan, self._plan.n_head
        ready = head + plan.ready[g]
        if ready > head + self._n_done:
            new = slice(head + self._n_done, ready)
            h = torch.mm(
                plan.first[g], self._inputs[: head + plan.known[g]], out=self._layers[0][new]
            ).relu_()
            for weights, source, target in zip(plan.middle, self._layers, self._layers[1:], strict=False):
                h = torch.add(h, torch.mm(weights[g], source[:ready]).relu_(), out=target[new])
            self._n_done = plan.ready[g]
        params = torch.mm(plan.last[g], self._layers[-1][:ready])
        shape = plan.n_params, len(plan.features[g]), params.shape[1]
        return params.to(torch.promote_types(params.dtype, torch.float32)).view(shape)

    def feed(self, g: int, x: Float[Tensor, "i B"]) -> None:
        """Tell the inputs of the features of group ``g``, channel after channel."""
        self.inputs(g)[:] = x

    def inputs(self, g: int) -> Float[Tensor, "i B"]:
        """Where the inputs of group ``g`` are kept; writing here is as good as :meth:`feed`."""
        start = self._plan.n_head + self._plan.known[g]
        return self._inputs[start : start + self._plan.n_channels * len(self._plan.features[g])]
