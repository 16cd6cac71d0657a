"""Libraries that only some features need."""

import importlib
from typing import Any

from caloforge.errors import MissingExtraError

__all__ = ["import_extra"]


def import_extra(module: str, *, extra: str, purpose: str) -> Any:
    """Import an optional library, or say which extra brings it.

    Args:
        module: Its name.
        extra: The extra of this package that it belongs to.
        purpose: What needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: It is not installed. A broken installation of it raises what it raises.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        if err.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(module, extra=extra, purpose=purpose) from err
