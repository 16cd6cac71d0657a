"""All exceptions and warning categories; imports nothing of ours.

Every exception is a :class:`CaloForgeError` *and* the built-in a caller expects, keeps its facts as
fields, and says what came, what was expected, where, and what to do. The command line turns each into
one line and exit code 2.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "CaloForgeError",
    "ShapeError",
    "ValueRangeError",
    "UnknownNameError",
    "ConfigError",
    "GeometryMismatchError",
    "FileFormatError",
    "OutputError",
    "CheckpointError",
    "EnergyRangeError",
    "SameSampleError",
    "NonFiniteError",
    "MissingExtraError",
    "WorkerDiedError",
    "ShardsFailedError",
    "CaloForgeWarning",
    "ImplausibleEnergyWarning",
    "LeakageWarning",
]

_MAX_LISTED = 60  # names that a message may list


class CaloForgeError(Exception):
    """Base of everything this package raises on purpose."""

    message: str

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return self.message  # KeyError and OSError would add quotes or numbers

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied by calling its class with the message, which most of ours do not take;
        # one raised in a worker process must reach the other side as itself.
        return _rebuilt, (type(self), self.message), self.__dict__


def _rebuilt(cls: type[CaloForgeError], message: str) -> CaloForgeError:
    err = cls.__new__(cls)
    CaloForgeError.__init__(err, message)
    return err


class ShapeError(CaloForgeError, ValueError):
    """An array has another shape than its meaning demands."""

    def __init__(self, name: str, got: Sequence[int], expected: str) -> None:
        self.name, self.got, self.expected = name, tuple(got), expected
        super().__init__(f"{name} has shape {tuple(got)}, expected {expected}.")


class ValueRangeError(CaloForgeError, ValueError):
    """A number or array has values that it must not have (NaN, negative, outside its range)."""


class UnknownNameError(CaloForgeError, KeyError):
    """A name that no registry knows; suggests the closest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        same = [other for other in self.known if other.casefold() == name.casefold()]
        close = list(dict.fromkeys(same + difflib.get_close_matches(name, self.known, n=5)))
        hint = f" Did you mean {close[0]!r}?" if close else ""
        if len(self.known) <= _MAX_LISTED:
            listed = f"Known: {', '.join(self.known) or 'none'}."
        else:
            listed = f"Closest of {len(self.known)} known: {', '.join(close) or 'none'}."
        super().__init__(f"Unknown {kind} {name!r}.{hint} {listed}")


class ConfigError(CaloForgeError, ValueError):
    """A setting has the wrong type or a value that makes no sense."""


class GeometryMismatchError(CaloForgeError, ValueError):
    """Two things that must describe the same calorimeter do not."""


class FileFormatError(CaloForgeError, ValueError):
    """A file cannot be read as what it was taken for: truncated, foreign, or with bad contents."""

    def __init__(self, path: Path | str, problem: str) -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(f"{path}: {problem}")


class OutputError(CaloForgeError, OSError):
    """An output cannot be written: no permission, no space, or it would overwrite something."""

    def __init__(self, path: Path | str, problem: str) -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(f"{path}: {problem}")


class CheckpointError(FileFormatError):
    """A weights file is damaged, foreign, or of another model than it says."""


class EnergyRangeError(CaloForgeError, ValueError):
    """Incident energies lie outside the range the model was trained on, or two samples have other ranges."""


class SameSampleError(CaloForgeError, ValueError):
    """Two samples that must be independent share showers."""


class NonFiniteError(CaloForgeError, ArithmeticError):
    """A loss or a sample is NaN or infinite."""


class MissingExtraError(CaloForgeError, ImportError):
    """A package is missing that only one of our extras brings."""

    def __init__(self, module: str, *, extra: str, purpose: str) -> None:
        self.module, self.extra, self.purpose = module, extra, purpose
        super().__init__(
            f'{module} is not installed, but needed for {purpose}: pip install "caloforge[{extra}]"'
        )


class WorkerDiedError(CaloForgeError, RuntimeError):
    """A worker process ended without saying why: killed, out of memory, or crashed in compiled code."""


class ShardsFailedError(CaloForgeError, RuntimeError):
    """Some shards of a run could not be made on a cluster; the others are kept."""

    def __init__(self, failures: Mapping[int, str], *, total: int, hint: str) -> None:
        self.failures, self.total = dict(failures), total
        which = "; ".join(f"shard {shard}: {reason}" for shard, reason in list(self.failures.items())[:3])
        more = f"; and {len(self.failures) - 3} more" if len(self.failures) > 3 else ""
        super().__init__(f"{len(self.failures)} of {total} shards failed ({which}{more}). {hint}")


class CaloForgeWarning(UserWarning):
    """Base of all warnings of this package."""


class ImplausibleEnergyWarning(CaloForgeWarning):
    """Deposits and incident energies do not fit together; probably a unit is wrong."""


class LeakageWarning(CaloForgeWarning):
    """Reference showers were in the training of the model under test, or nobody can know."""
