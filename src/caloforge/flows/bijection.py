"""One contract for all flow maps: data to latent and back, each with its log-determinant."""

import abc
from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.errors import ConfigError

__all__ = ["Bijection", "Chain", "Inverse", "Permutation"]


class Bijection(nn.Module, abc.ABC):
    """Invertible map; ``forward`` goes from data to latent space, ``inverse`` back.

    Both return the mapped point and the log absolute determinant *of the map just applied*.
    """

    @abc.abstractmethod
    def forward(
        self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Data ``x`` to latent, given ``context``; and log abs det of d(latent)/d(x)."""

    @abc.abstractmethod
    def inverse(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Latent ``z`` to data, given ``context``; and log abs det of d(x)/d(z)."""

    def decode(self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """The point of :meth:`inverse` alone; a map may do it faster, sampling needs no density."""
        return self.inverse(z, context)[0]

    def encode(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """The point of :meth:`forward` alone."""
        return self(x, context)[0]


@final
class Inverse(Bijection):
    """Another bijection the other way round: what was fast to sample is fast to evaluate, and vice versa."""

    def __init__(self, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection

    def forward(
        self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """The other's inverse."""
        return self.bijection.inverse(x, context)

    def inverse(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """The other's forward direction."""
        return self.bijection(z, context)

    def decode(self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """The other's :meth:`encode`."""
        return self.bijection.encode(z, context)

    def encode(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """The other's :meth:`decode`."""
        return self.bijection.decode(x, context)


@final
class Permutation(Bijection):
    """Feature ``order[k]`` of the data becomes feature ``k`` of the latent; volume is kept."""

    order: Tensor
    inverse_order: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        if sorted(order) != list(range(len(order))):
            raise ConfigError(
                f"A permutation of {len(order)} features must hold 0..{len(order) - 1} once each."
            )
        indices = torch.tensor(list(order), dtype=torch.long)
        self.register_buffer("order", indices)
        self.register_buffer("inverse_order", torch.argsort(indices), persistent=False)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,  # noqa: FBT001 - torch's signature
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        order = state_dict.get(f"{prefix}order")
        if (
            order is not None
            and order.shape == self.order.shape
            and sorted(order.tolist()) != list(range(len(order)))
        ):
            error_msgs.append(f"{prefix}order is no permutation of 0..{len(order) - 1}.")
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self.inverse_order.copy_(torch.argsort(self.order))

    def forward(
        self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Reorder; log-det 0."""
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Reorder back; log-det 0."""
        return z[:, self.inverse_order], z.new_zeros(len(z))


@final
class Chain(Bijection):
    """Bijections one after the other, first to last from data to latent."""

    def __init__(self, blocks: Sequence[Bijection]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(
        self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Apply every block; log-dets add."""
        total = x.new_zeros(len(x))
        for block in self.blocks:
            x, log_det = block(x, context)
            total = total + log_det
        return x, total

    def inverse(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Apply every inverse in reverse order; log-dets add."""
        total = z.new_zeros(len(z))
        for block in reversed(self.blocks):
            assert isinstance(block, Bijection)  # ModuleList forgets the type
            z, log_det = block.inverse(z, context)
            total = total + log_det
        return z, total

    def decode(self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """Decode every block in reverse order."""
        for block in reversed(self.blocks):
            assert isinstance(block, Bijection)
            z = block.decode(z, context)
        return z

    def encode(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """Encode every block."""
        for block in self.blocks:
            assert isinstance(block, Bijection)
            x = block.encode(x, context)
        return x
