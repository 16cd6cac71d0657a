"""What sampling prepares from weights once, and again only when they have changed."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

__all__ = ["cached_plan"]


Plan = TypeVar("Plan")


def cached_plan(module: nn.Module, key: object, make: Callable[[], Plan]) -> Plan:
    """What ``make`` gave for the weights that ``module`` has now; one plan is kept per module.

    Args:
        module: Whose parameters the plan is made from.
        key: What else it depends on.
        make: Makes the plan.
    """
    known: tuple[Any, Plan] | None = module.__dict__.get("_plan")
    if torch.compiler.is_compiling() and known is not None and known[0][0] == key:
        return known[1]  # compiled code is for the weights of now
    # Tensors made in inference mode count no versions, and are not trained.
    versions = (None if p.is_inference() else p._version for p in module.parameters())
    state = (key, *zip((p.data_ptr() for p in module.parameters()), versions, strict=True))
    if known is None or known[0] != state:
        known = state, make()
        module.__dict__["_plan"] = known
    return known[1]
