"""Showers: incident energies and voxels of one calorimeter, checked once, in MeV."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float, Int

from caloforge.errors import GeometryMismatchError, ShapeError, ValueRangeError
from caloforge.geometry import Geometry

__all__ = ["Showers", "check_threshold"]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Showers:
    """A set of showers in one calorimeter.

    Args:
        e_inc: Incident energy of each shower, MeV, shape ``(n,)``; finite and positive.
        voxels: Energy deposited per voxel, MeV, shape ``(n, V)``; finite and not negative.
        geometry: The calorimeter; fixes ``V`` and the meaning of the voxel axis.
        provenance: Where the showers come from (particle, physics list, model, seed ...), JSON types.

    Raises:
        ShapeError: The two arrays do not fit each other or the geometry.
        ValueRangeError: A value is NaN, infinite, or negative; the message counts them.

    Example:
        >>> import numpy as np
        >>> from caloforge.geometry import get_geometry
        >>> showers = Showers(
        ...     e_inc=np.array([1000.0, 2000.0]), voxels=np.ones((2, 504)), geometry=get_geometry("calogan")
        ... )
        >>> showers.e_layer.tolist()
        [[288.0, 144.0, 72.0], [288.0, 144.0, 72.0]]
    """

    e_inc: Float[np.ndarray, " n"]
    voxels: Float[np.ndarray, "n V"]
    geometry: Geometry
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("e_inc", "voxels"):
            object.__setattr__(self, name, _as_floats(name, getattr(self, name)))
        if np.ndim(self.e_inc) != 1:
            raise ShapeError("e_inc", np.shape(self.e_inc), "(n,)")
        expected = (len(self.e_inc), self.geometry.n_voxels)
        if np.shape(self.voxels) != expected:
            raise ShapeError(
                "voxels", np.shape(self.voxels), f"(n, V) = {expected} for {self.geometry.describe()}"
            )
        _require(
            self.e_inc, np.isfinite(self.e_inc) & (self.e_inc > 0), "e_inc must be finite and positive (MeV)"
        )
        # One pass each, without a second array of the size of the showers unless something is wrong.
        with np.errstate(invalid="ignore", over="ignore"):
            total = self.voxels.sum(dtype=np.float64)
        if self.voxels.size and not (np.isfinite(total) and self.voxels.min() >= 0):
            good = np.isfinite(self.voxels) & (self.voxels >= 0)
            _require(self.voxels, good, "voxels must be finite and not negative (MeV)")

    def __len__(self) -> int:
        return len(self.e_inc)

    def __repr__(self) -> str:
        return f"Showers(n={len(self)}, geometry={self.geometry.describe()})"

    def __getitem__(self, select: slice | Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Showers":
        """A subset by slice, mask or indices; ``showers[i:i + 1]`` for a single one."""
        return Showers(
            e_inc=self.e_inc[select],
            voxels=self.voxels[select],
            geometry=self.geometry,
            provenance=self.provenance,
        )

    @property
    def e_layer(self) -> Float[np.ndarray, "n L"]:
        """Energy deposited per calorimeter layer, MeV, ``(n, L)``."""
        return self.geometry.e_layer(self.voxels)

    @property
    def e_dep(self) -> Float[np.ndarray, " n"]:
        """Energy deposited in all voxels, MeV, ``(n,)``."""
        return self.voxels.sum(axis=1, dtype=np.float64)

    @property
    def e_ratio(self) -> Float[np.ndarray, " n"]:
        """Deposited over incident energy, ``(n,)``."""
        return self.e_dep / self.e_inc

    def above(self, threshold: float) -> "Showers":
        """The same showers with every voxel below ``threshold`` (MeV) set to 0; one equal to it is kept.

        Raises:
            ValueRangeError: The threshold is negative, NaN or infinite.

        Example:
            >>> import numpy as np
            >>> from caloforge.geometry import get_geometry
            >>> voxels = np.arange(504.0)[None]
            >>> showers = Showers(e_inc=np.array([1000.0]), voxels=voxels, geometry=get_geometry("calogan"))
            >>> int(np.count_nonzero(showers.above(500.0).voxels))
            4
        """
        check_threshold(threshold)
        zero = self.voxels.dtype.type(0)
        return Showers(
            e_inc=self.e_inc,
            voxels=np.where(self.voxels < threshold, zero, self.voxels),
            geometry=self.geometry,
            provenance=self.provenance,
        )

    @staticmethod
    def concatenate(parts: Sequence["Showers"]) -> "Showers":
        """One set from several of the same geometry; the provenance of the first is kept.

        Raises:
            GeometryMismatchError: The parts have different voxels.
            ValueRangeError: There are no parts.
        """
        if not parts:
            raise ValueRangeError("Showers.concatenate needs at least one part, got none.")
        first = parts[0]
        for index, part in enumerate(parts):
            if not first.geometry.same_voxels(part.geometry):
                raise GeometryMismatchError(
                    f"Part 0 has geometry {first.geometry.describe()}, "
                    f"part {index} has {part.geometry.describe()}."
                )
        return Showers(
            e_inc=np.concatenate([part.e_inc for part in parts]),
            voxels=np.concatenate([part.voxels for part in parts]),
            geometry=first.geometry,
            provenance=first.provenance,
        )


def check_threshold(threshold: float) -> None:
    """Raise :class:`ValueRangeError` unless ``threshold`` is a finite energy, 0 or more."""
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueRangeError(f"threshold must be a finite energy in MeV, 0 or more; got {threshold}.")


def _as_floats(name: str, values: object) -> Float[np.ndarray, "..."]:
    """The array itself where it holds floats already, a copy where it holds whole numbers."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise ValueRangeError(f"{name} must be an array of real numbers (MeV), got dtype {array.dtype}.")
    return array


def _require(values: Float[np.ndarray, "..."], good: Bool[np.ndarray, "..."], rule: str) -> None:
    if good.all():
        return
    bad = np.argwhere(~good)
    where = ", ".join(str(tuple(map(int, index))) for index in bad[:3])
    example = float(values[tuple(bad[0])])
    raise ValueRangeError(f"{rule}; {len(bad)} of {values.size} values are not, first at {where}: {example}.")
