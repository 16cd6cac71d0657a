"""Where to compute."""

import torch

from caloforge.errors import ValueRangeError

__all__ = ["check_device", "is_out_of_memory"]

_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")


def check_device(device: torch.device | str) -> torch.device:
    """The torch device of a name; raises :class:`ValueRangeError` if it is not there."""
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()  # "meta" has tensors, but no numbers in them
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        problem = (str(err).splitlines() or ["it is not supported"])[0]
        raise ValueRangeError(f"Device {str(device)!r} cannot be used: {problem}") from err
    return found


def is_out_of_memory(err: BaseException) -> bool:
    """Whether an error says that memory ran out; torch says it in several ways."""
    if isinstance(err, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(err, RuntimeError) and any(words in str(err).lower() for words in _OUT_OF_MEMORY)
