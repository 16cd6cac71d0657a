"""Feature arrays of a generated and a reference sample, checked once for every distance between them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from caloforge.errors import ShapeError, ValueRangeError

__all__ = ["checked_arrays", "checked_names"]


def checked_arrays(
    generated: Float[np.ndarray, "n F"], reference: Float[np.ndarray, "m F"], *, at_least: int, purpose: str
) -> tuple[Float[np.ndarray, "n F"], Float[np.ndarray, "m F"]]:
    """Both arrays as float64, one row per shower.

    Args:
        generated: One row per generated shower, ``(n, F)``.
        reference: One row per reference shower, ``(m, F)``.
        at_least: Showers that each sample must have.
        purpose: What they are for, in the message.

    Raises:
        ShapeError: An array is not of two dimensions, has no columns, or they differ in their columns.
        ValueRangeError: A sample is too small or has a value that is not finite.
    """
    found = []
    for name, values in (("generated", generated), ("reference", reference)):
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] == 0:
            raise ShapeError(name, array.shape, "(n, F), one row per shower")
        if len(array) < at_least:
            raise ValueRangeError(
                f"The {name} sample has {len(array)} showers; {purpose} needs at least {at_least}."
            )
        bad = ~np.isfinite(array)
        if bad.any():
            rows = np.flatnonzero(bad.any(axis=1))[:3].tolist()
            raise ValueRangeError(
                f"{np.count_nonzero(bad)} values of the {name} sample are not finite, first in showers {rows}."
            )
        found.append(array)
    if found[0].shape[1] != found[1].shape[1]:
        raise ShapeError(
            "generated", found[0].shape, f"(n, {found[1].shape[1]}), the columns of the reference"
        )
    return found[0], found[1]


def checked_names(names: Sequence[str] | None, n_features: int) -> tuple[str, ...]:
    """The names of the columns; their numbers where there are none.

    Raises:
        ShapeError: There are more or fewer names than columns.
    """
    if names is None:
        return tuple(f"feature_{k}" for k in range(n_features))
    if len(names) != n_features:
        raise ShapeError("names", (len(names),), f"({n_features},), one per column")
    return tuple(names)
