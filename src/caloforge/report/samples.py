"""The samples of an evaluation: found, checked against each other before any long work, read in pieces."""

import functools
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float

from caloforge import io
from caloforge.errors import (
    EnergyRangeError,
    ImplausibleEnergyWarning,
    SameSampleError,
    ValueRangeError,
)
from caloforge.evaluation.challenge import challenge_threshold
from caloforge.evaluation.same_physics import physics_difference
from caloforge.geometry import Geometry
from caloforge.io.digests import shower_digests
from caloforge.io.physics import Physics
from caloforge.io.source import check_range, open_source
from caloforge.report.spectra import RARE, spectra_distance
from caloforge.showers import Showers
from caloforge.units import GeV, keV

__all__ = ["Sample", "check_independent", "check_pair", "open_sample", "overlap", "split_slice"]

_SCAN = 20
"""So few distinct energies of many showers are a scan, not draws from a spectrum."""
_ROWS = 4096
_SLICE = re.compile(r"^(?P<path>.+)\[(?P<start>\d*):(?P<stop>\d*)\]$", re.DOTALL)


def split_slice(text: str) -> tuple[Path, int, int | None]:
    """Path, start and stop of ``FILE`` or ``FILE[START:STOP]``.

    Example:
        >>> split_slice("eplus.h5[7500:]")[1:]
        (7500, None)
    """
    if Path(text).exists() or not (found := _SLICE.match(text)):
        return Path(text), 0, None
    stop = found["stop"]
    return Path(found["path"]), int(found["start"] or 0), int(stop) if stop else None


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Showers of one file, or in memory, of which all or those in a range of energies count."""

    role: str
    """``"generated"``, ``"reference"`` or ``"second reference"``; for messages."""
    source: Path | Showers
    geometry: Geometry
    provenance: dict[str, Any]
    start: int
    stop: int
    """The showers are ``start`` to ``stop`` of the source, before the cut on energy."""
    threshold: float
    """Voxels below it count as empty, MeV."""
    e_inc_all: Float[np.ndarray, " m"]
    """Incident energies before the cut, MeV."""
    e_inc_range: tuple[float, float] | None = None
    """Only showers with energies in it count, MeV, both ends included."""

    @property
    def name(self) -> str:
        """The file's name, for people."""
        return self.source.name if isinstance(self.source, Path) else "(in memory)"

    @functools.cached_property
    def kept(self) -> Bool[np.ndarray, " m"]:
        """Which of the showers count."""
        if self.e_inc_range is None:
            return np.ones(len(self.e_inc_all), dtype=bool)
        low, high = self.e_inc_range
        return (self.e_inc_all >= low) & (self.e_inc_all <= high)

    @property
    def e_inc(self) -> Float[np.ndarray, " n"]:
        """Incident energies of the showers that count, MeV."""
        return self.e_inc_all[self.kept]

    def __len__(self) -> int:
        return int(np.count_nonzero(self.kept))

    def chunks(self) -> Iterator[Showers]:
        """The showers that count, threshold applied, some thousand at a time."""
        position = 0
        for chunk in self.raw_chunks():
            mask = self.kept[position : position + len(chunk)]
            position += len(chunk)
            if not mask.all():
                chunk = chunk[mask]
            if len(chunk):
                yield chunk.above(self.threshold) if self.threshold > 0 else chunk

    def load(self, limit: int | None = None, *, seed: int = 0) -> Showers:
        """The showers that count, in memory; ``limit`` of them at most, drawn at random, in their order."""
        n = len(self)
        wanted = np.ones(n, dtype=bool)
        if limit is not None and limit < n:
            # Not the first: a file may be sorted.
            wanted[:] = False
            wanted[np.random.default_rng(seed).choice(n, size=limit, replace=False)] = True
        parts, position = [], 0
        for chunk in self.chunks():
            parts.append(chunk[wanted[position : position + len(chunk)]])
            position += len(chunk)
        return Showers.concatenate(parts)

    @functools.cached_property
    def n_empty(self) -> int:
        """Showers without any voxel above the threshold; one pass over the sample."""
        return sum(int(np.count_nonzero(~chunk.voxels.any(axis=1))) for chunk in self.chunks())

    def pick(self, index: int) -> Showers:
        """One shower, by its number among those that count."""
        where = self.start + int(np.flatnonzero(self.kept)[index])
        if isinstance(self.source, Path):
            with warnings.catch_warnings():  # the median of a single shower says nothing about units
                warnings.simplefilter("ignore", ImplausibleEnergyWarning)
                found = io.read(self.source, geometry=self.geometry, start=where, stop=where + 1)
        else:
            found = self.source[where : where + 1]
        return found.above(self.threshold)

    def raw_chunks(self) -> Iterator[Showers]:
        """All showers of the slice as the source has them: no cut on energy, no threshold."""
        if isinstance(self.source, Path):
            yield from io.read_chunks(self.source, geometry=self.geometry, start=self.start, stop=self.stop)
            return
        for first in range(self.start, self.stop, _ROWS):
            yield self.source[first : min(first + _ROWS, self.stop)]

    @functools.cached_property
    def fingerprint(self) -> str:
        """What the results depend on: energies, the source's identity, slice and threshold."""
        text = f"{self.start}:{self.stop}:{self.threshold!r}:{self.e_inc_range!r}:{self.geometry.to_dict()!r}"
        found = hashlib.sha256(text.encode())
        found.update(np.ascontiguousarray(self.e_inc_all).tobytes())
        if isinstance(self.source, Path):
            state = self.source.stat()
            found.update(f"{self.source.resolve()}:{state.st_size}:{state.st_mtime_ns}".encode())
        else:
            found.update(np.ascontiguousarray(self.source.voxels).tobytes())
        return found.hexdigest()[:16]

    def facts(self) -> dict[str, Any]:
        """Plain data about the sample, for the report."""
        return {
            "role": self.role,
            "file": str(self.source) if isinstance(self.source, Path) else None,
            "name": self.name,
            "start": self.start,
            "stop": self.stop,
            "n_showers": len(self),
            "n_left_out": len(self.e_inc_all) - len(self),
            "n_empty": self.n_empty,
            "e_inc_range_MeV": [float(self.e_inc.min()), float(self.e_inc.max())],
            "fingerprint": self.fingerprint,
            "physics": Physics.of(self.provenance).describe(),
            "provenance": self.provenance,
        }


def open_sample(
    source: str | Path | Showers,
    *,
    role: str,
    threshold: float | None = None,
    geometry: Geometry | str | Path | None = None,
    start: int = 0,
    stop: int | None = None,
) -> Sample:
    """Find a sample and read its energies; of its voxels nothing yet.

    Args:
        source: A file, ``FILE[START:STOP]``, or showers in memory.
        role: What it is here.
        threshold: Softer voxels count as empty, MeV; by default :func:`default_threshold`.
        geometry: As in :func:`caloforge.read`.
        start: First shower, unless ``source`` says it.
        stop: Behind the last shower, unless ``source`` says it.

    Raises:
        FileFormatError: As :func:`caloforge.read`.
        GeometryMismatchError: As :func:`caloforge.read`.
        ValueRangeError: As :func:`caloforge.read`, or there are fewer than two showers.
    """
    if isinstance(source, Showers):
        path: Path | Showers = source
        found, provenance = source.geometry, source.provenance
        stop = check_range(Path(f"the {role} sample"), len(source), start, stop)
        e_inc = source.e_inc[start:stop].astype(np.float64)
    else:
        path, first, last = split_slice(str(source))
        if (first, last) != (0, None):
            if (start, stop) != (0, None):
                raise ValueRangeError(f"{source}: give the range of the {role} showers once.")
            start, stop = first, last
        with open_source(path, geometry=geometry, layout=None) as opened:
            found, provenance = opened.geometry, opened.provenance
            stop = check_range(path, opened.n_showers, start, stop)
        e_inc = io.read_energies(path, start=start, stop=stop)
    if len(e_inc) < 2:
        where = path if isinstance(path, Path) else "in memory"
        raise ValueRangeError(
            f"The {role} sample ({where}) has {len(e_inc)} {'shower' if len(e_inc) == 1 else 'showers'}; two "
            "distributions need at least two showers each, and a few thousand to mean anything."
        )
    return Sample(
        role=role,
        source=path,
        geometry=found,
        provenance=provenance,
        start=start,
        stop=stop,
        threshold=default_threshold(found) if threshold is None else threshold,
        e_inc_all=e_inc,
    )


def default_threshold(geometry: Geometry) -> float:
    """The CaloChallenge's own threshold for its data sets, MeV; 1 keV for every other calorimeter.

    References:
        O. Amram et al., CaloChallenge 2022, arXiv:2410.21611; its evaluation script.
    """
    official = challenge_threshold(geometry)
    return 1 * keV if official is None else official


def check_pair(first: Sample, second: Sample, *, allow_shared: bool = False) -> list[str]:
    """Refuse what cannot be compared; say in words what is odd but possible.

    Args:
        first: The generated sample, or a second reference.
        second: The reference.
        allow_shared: Go on although showers are in both, and say so.

    Raises:
        ValueRangeError: All showers of a sample are empty, or it has too few.
        GeometryMismatchError: The samples have different voxels.
        SameSampleError: Showers are in both.
        EnergyRangeError: The incident energies cover different ranges.
    """
    second.geometry.require_same_voxels(
        first.geometry, mine=f"The {second.role} sample", theirs=f"the {first.role} one"
    )
    _check_different(first, second)
    if first.e_inc_range is None:  # once cut to the common range there is nothing more to cut
        _check_ranges(first, second)
    notes = check_independent(first, second, allow_shared=allow_shared)
    mine, theirs = (f"the {sample.role} showers" for sample in (first, second))
    if found := physics_difference(first.provenance, second.provenance, name=mine, other_name=theirs):
        notes.append(found.message)
    notes += [note for sample in (first, second) if (note := _check_empty(sample))]
    if len(first) != len(second):
        notes.append(
            f"The samples have different sizes: {len(first):,} {first.role} and {len(second):,} {second.role} "
            "showers. Histograms are normalised; the classifier takes the same number of both."
        )
    if (difference := spectra_distance(first.e_inc, second.e_inc)) is not None:
        notes.append(
            f"The incident energies are distributed differently (Kolmogorov-Smirnov distance {difference:.3f}), so "
            "every feature that depends on "
            "the energy differs for that reason alone. Generate with the reference's spectrum "
            "(caloforge generate --energies LOW:HIGH --spectrum uniform or log-uniform)."
        )
    return notes


def check_independent(first: Sample, second: Sample, *, allow_shared: bool) -> list[str]:
    """Refuse two samples with showers in common; a remark if that is allowed.

    Raises:
        SameSampleError: They have.
    """
    _check_different(first, second)
    if not (n := _n_shared(first, second)):
        return []
    words = (
        f"{first.name} ({first.role}) and {second.name} ({second.role}) hold the same showers, {n:,} of them"
    )
    if not allow_shared:
        raise SameSampleError(
            f"{words}; a number from showers that are on both sides means nothing. Give other showers, or accept it "
            "(--allow-leakage)."
        )
    return [f"{words}; that was allowed (--allow-leakage)."]


def overlap(samples: list[Sample]) -> list[Sample]:
    """The same samples, cut to the range of incident energies that all of them have.

    Raises:
        EnergyRangeError: There is no common range, or fewer than two showers of a sample are in it.
    """
    low = max(float(sample.e_inc.min()) for sample in samples)
    high = min(float(sample.e_inc.max()) for sample in samples)
    cut = [replace(sample, e_inc_range=(low, high)) for sample in samples]
    for sample in cut:
        if len(sample) < 2:
            raise EnergyRangeError(
                f"The samples share no range of incident energies: {_ranges(samples)}; {len(sample)} "
                f"{sample.role} showers would be left."
            )
    return cut


def _check_different(first: Sample, second: Sample) -> None:
    if isinstance(first.source, Path) and isinstance(second.source, Path):
        same = first.source.samefile(second.source)
    else:
        same = first.source is second.source
    if same and max(first.start, second.start) < min(first.stop, second.stop):
        raise SameSampleError(
            f"The {first.role} and the {second.role} sample are the same showers of {first.name}; every number "
            "would be perfect and mean nothing. Give other showers, or parts of the file that do not overlap: "
            f"'{first.name}[0:1000]' and '{first.name}[1000:2000]'."
        )


def _n_shared(first: Sample, second: Sample) -> int:
    """Showers that are in both samples; the voxels are read only where energies are in both."""
    common = np.intersect1d(first.e_inc.astype(np.float32), second.e_inc.astype(np.float32))
    if not len(common):
        return 0
    known = []
    for sample in (first, second):
        found = set[str]()
        for chunk in sample.chunks():
            found.update(shower_digests(chunk[np.isin(chunk.e_inc.astype(np.float32), common)]))
        known.append(found - {""})
    return len(known[0] & known[1])


def _check_empty(sample: Sample) -> str | None:
    """Refuse a sample of empty showers; a remark on some of them."""
    n = sample.n_empty
    if n == len(sample):
        raise ValueRangeError(
            f"All {n:,} {sample.role} showers of {sample.name} are empty above {sample.threshold:g} MeV; is the "
            "threshold too high (--threshold), or a unit wrong?"
        )
    if n:
        return (
            f"{n:,} of {len(sample):,} {sample.role} showers ({100 * n / len(sample):.2g} %) have no voxel above "
            f"{sample.threshold:g} MeV. They are compared, too."
        )
    return None


def _check_ranges(first: Sample, second: Sample) -> None:
    """Too many showers of one sample lie beyond all of the other's for one spectrum to be plausible."""
    for one, other in ((first, second), (second, first)):
        low, high = other.e_inc.min(), other.e_inc.max()
        allowed = 1 - RARE ** (1 / _n_independent(other.e_inc))
        beyond = max(np.mean(one.e_inc < low), np.mean(one.e_inc > high))
        if beyond > allowed:
            common = max(first.e_inc.min(), second.e_inc.min()), min(first.e_inc.max(), second.e_inc.max())
            advice = (
                f" Pass --overlap (overlap=True) to compare the showers of {_span(*common)} only."
                if common[0] < common[1]
                else " A single energy can be compared with the same energy only."
                if common[0] == common[1]
                else " They have nothing in common."
            )
            raise EnergyRangeError(
                f"The samples cover different incident energies: {_ranges([first, second])}.{advice}"
            )


def _n_independent(e_inc: Float[np.ndarray, " n"]) -> int:
    """How many energies were drawn: a repeated one tells nothing new, unless all are of a scan of a few."""
    distinct = len(np.unique(e_inc))
    return len(e_inc) if distinct < _SCAN and len(e_inc) >= 5 * distinct else distinct


def _ranges(samples: list[Sample]) -> str:
    return ", ".join(f"{sample.role} {_span(sample.e_inc.min(), sample.e_inc.max())}" for sample in samples)


def _span(low: float, high: float) -> str:
    return f"{low / GeV:.4g} GeV" if low == high else f"{low / GeV:.4g} to {high / GeV:.4g} GeV"
