"""Defining properties, written once and called for every class that must have them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from caloforge.flows import Bijection
from support.tolerances import TOLERANCES

__all__ = ["check_bijection", "log_det_by_autograd", "no_global_draws"]


def log_det_by_autograd(function, x: Tensor) -> Tensor:
    """Log abs determinant of d(function)/dx of each row; rows must not depend on each other."""
    jacobian = torch.autograd.functional.jacobian(lambda rows: function(rows).sum(0), x)  # (F, B, F)
    return torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet


def check_bijection(bijection: Bijection, x: Tensor, context: Tensor) -> None:
    """Shapes, types, round trip, the log-determinant against autograd and against the inverse's, finite gradients."""
    tolerance = TOLERANCES[x.dtype]
    z, log_det = bijection(x, context)
    assert z.shape == x.shape
    assert log_det.shape == (len(x),)
    assert z.dtype == log_det.dtype == x.dtype

    with torch.no_grad():
        back, log_det_back = bijection.inverse(z, context)
    assert back.shape == x.shape
    assert back.dtype == log_det_back.dtype == x.dtype
    torch.testing.assert_close(back, x, **tolerance)
    with torch.no_grad():
        # Sampling alone may take another way to the same point.
        torch.testing.assert_close(bijection.decode(z, context), back, **tolerance)
        torch.testing.assert_close(bijection.encode(x, context), z, **tolerance)
    torch.testing.assert_close(log_det_back, -log_det, **tolerance)

    truth = log_det_by_autograd(lambda rows: bijection(rows, context)[0], x)
    torch.testing.assert_close(log_det, truth, **tolerance)

    # Of the forward direction only: the inverse of an autoregressive map works in place.
    leaves = [x.clone().requires_grad_(), context.clone().requires_grad_(), *bijection.parameters()]
    z, log_det = bijection(*leaves[:2])
    gradients = torch.autograd.grad(z.square().sum() + log_det.sum(), leaves, allow_unused=True)
    assert all(g is None or bool(g.isfinite().all()) for g in gradients)
    assert all(g is not None for g in gradients[2:]), "a parameter takes no part"


@contextmanager
def no_global_draws() -> Iterator[None]:
    """Fail if the block draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "torch's global generator was used"
