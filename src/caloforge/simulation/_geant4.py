"""The one place where ``geant4_pybind`` is imported."""

import importlib
import os
import signal
from typing import Any

from caloforge.errors import MissingExtraError

__all__ = ["import_geant4"]

_DATA = "GEANT4_DATA_DIR"


def import_geant4(purpose: str = "simulating with Geant4") -> Any:
    """The module ``geant4_pybind``, without its question.

    With no ``GEANT4_DATA_DIR`` in the environment, importing it asks on the terminal whether to download the data
    sets, and just does so where ``CI=true``. So the variable is set while it is imported, and only then: what
    it says later decides where Geant4 looks for its data.

    Args:
        purpose: What it is wanted for, for the message.

    Raises:
        MissingExtraError: The extra ``geant4`` is not installed.
    """
    unset = _DATA not in os.environ
    before = _hold_interrupts()  # in the middle of loading, an interrupt would be lost, or break it
    if unset:
        os.environ[_DATA] = os.devnull
    try:
        return importlib.import_module("geant4_pybind")
    except ModuleNotFoundError as err:
        if err.name != "geant4_pybind":
            raise
        raise MissingExtraError("geant4-pybind", extra="geant4", purpose=purpose) from err
    finally:
        if unset:
            del os.environ[_DATA]
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hold_interrupts() -> Any:
    if not hasattr(signal, "pthread_sigmask"):
        return None
    return signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
