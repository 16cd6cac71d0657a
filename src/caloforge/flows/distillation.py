"""How far a student flow is from its teacher, block by block, by fast passes only.

The teacher is dense from data to latent, the student from latent to data. So there are two loops that never need
a slow direction: from noise through the student to data and through the teacher back to noise, and from data through
the teacher to noise and through the student back to data. In both, the two networks stand at the same places:
student block k undoes teacher block k with a spline of the same kind, so the values between the blocks and the raw
parameters of the splines can be compared, too.

References:
    C. Krause, D. Shih, CaloFlow II, arXiv:2110.11377, Eqs. 12-17
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.errors import ConfigError
from caloforge.flows.autoregressive import AutoregressiveSpline
from caloforge.flows.bijection import Bijection, Chain

__all__ = ["LoopTerms", "x_loop", "z_loop"]


class LoopTerms(NamedTuple):
    """Squared distances of one loop, of each row, summed over dimensions."""

    ends: Float[Tensor, " B"]
    """Where the loop ends against where it began."""
    steps: Float[Tensor, " B"]
    """Values between the blocks and at both ends of the chain."""
    parameters: Float[Tensor, " B"]
    """Raw parameters of the splines of all blocks."""


class _Step(NamedTuple):
    """An autoregressive spline in a dense pass."""

    before: Tensor
    params: Tensor
    after: Tensor


def z_loop(
    teacher: Chain, student: Chain, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
) -> LoopTerms:
    """From noise ``z`` through the student to data, and through the teacher to noise.

    Args:
        teacher: Bijections from data to latent.
        student: Bijections from latent to data: the inverses of the teacher's, in reverse order.
        z: Standard normal.
        context: The condition of both.

    Raises:
        ConfigError: The two have not the same number of splines.
    """
    down, x = _dense_pass(student, z, context)
    up, _ = _dense_pass(teacher, x, context)
    return _compare(up, down, begins_at="latent")


def x_loop(
    teacher: Chain, student: Chain, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
) -> LoopTerms:
    """From data ``x`` through the teacher to noise, and through the student to data; else as :func:`z_loop`."""
    with torch.no_grad():  # the teacher is frozen, and what it is given does not depend on the student
        up, z = _dense_pass(teacher, x, context)
    down, _ = _dense_pass(student, z, context)
    return _compare(up, down, begins_at="data")


def _dense_pass(chain: Chain, x: Tensor, context: Tensor) -> tuple[list[_Step], Tensor]:
    """Apply the chain: what goes in and out of its splines, and the end."""
    steps = []
    for block in chain.blocks:
        if isinstance(block, AutoregressiveSpline):
            params = block.params(x, context)
            steps.append(_Step(x, params, block.spline.encode(x, params)))
            x = steps[-1].after
        else:
            assert isinstance(block, Bijection)  # ModuleList forgets the type
            x = block.encode(x, context)
    return steps, x


def _compare(up: list[_Step], down: list[_Step], *, begins_at: Literal["data", "latent"]) -> LoopTerms:
    """Teacher's steps against the student's, which come in reverse order."""
    if len(up) != len(down):
        raise ConfigError(
            f"Teacher and student must have as many blocks; they have {len(up)} and {len(down)}."
        )
    pairs = list(zip(up, reversed(down), strict=True))
    # The data side of each block, and the latent side of the last.
    distances = [_squared(t.before, s.after) for t, s in pairs]
    distances.append(_squared(up[-1].after, down[0].before))
    return LoopTerms(
        ends=distances[-1] if begins_at == "latent" else distances[0],
        steps=torch.stack(distances).sum(0),
        parameters=torch.stack([_squared(t.params, s.params) for t, s in pairs]).sum(0),
    )


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).sum(1)
