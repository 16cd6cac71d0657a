"""Where to compute."""

import torch

from caloforge.errors import ValueRangeError

__all__ = ["check_device"]


def check_device(device: torch.device | str) -> torch.device:
    """The torch device of a name; raises :class:`ValueRangeError` if it is not there."""
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()  # "meta" has tensors, but no numbers in them
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        problem = (str(err).splitlines() or ["it is not supported"])[0]
        raise ValueRangeError(f"Device {str(device)!r} cannot be used: {problem}") from err
    return found
