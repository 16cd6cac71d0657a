"""All that metrics and pictures need to know of a sample, found in one pass over its showers."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from caloforge.errors import GeometryMismatchError, UnknownNameError, ValueRangeError
from caloforge.evaluation.average_showers import AverageShower
from caloforge.evaluation.catalogue import Feature, features_of_hits, features_of_sums
from caloforge.evaluation.hits import Hits
from caloforge.evaluation.layer_sums import LayerSums, layer_sums
from caloforge.evaluation.profiles import (
    Profile,
    RadialProfiles,
    SpectrumCounter,
    VoxelSpectrum,
    longitudinal_profile,
)
from caloforge.evaluation.running_mean import RunningMean
from caloforge.evaluation.voxel_correlations import VoxelCorrelations, VoxelCorrelationSums
from caloforge.geometry import Geometry
from caloforge.showers import Showers, check_threshold

__all__ = ["EnergySlice", "SampleStatistics", "equal_blocks", "sample_statistics", "voxel_spectrum"]

_BLOCK = 2**20  # voxels at a time: float64 copies of some 8 MB
_VOXEL_EDGES = np.logspace(-6, 7, 131)  # MeV: from 1 eV to 10 TeV, ten bins per decade


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class EnergySlice:
    """The showers between two incident energies."""

    low: float
    """MeV, included."""
    high: float
    """MeV, excluded; the highest of all slices is included."""
    n_showers: int
    average: AverageShower | None
    """``None`` without showers."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SampleStatistics:
    """A sample in numbers: one value per shower and feature, averages and spectra."""

    geometry: Geometry
    n_showers: int
    threshold: float
    """Softer voxels counted as empty, MeV."""
    e_inc: Float[np.ndarray, " n"]
    """Incident energies, MeV, ``(n,)``."""
    features: tuple[Feature, ...]
    """As :func:`~caloforge.evaluation.catalogue.high_level_features` gives them, in its order."""
    average: AverageShower
    by_energy: tuple[EnergySlice, ...]
    """Averages in slices of the incident energy; none unless edges were asked for."""
    longitudinal: Profile
    """Mean energy per layer."""
    radial: Profile
    """Mean energy per distance from the axis, over all layers."""
    radial_by_layer: tuple[Profile, ...]
    """The same, layer by layer."""
    spectrum: VoxelSpectrum
    """Voxel energies."""
    voxel_correlations: VoxelCorrelations
    """Between neighbouring voxels, and those behind each other."""

    def feature(self, name: str) -> Feature:
        """One feature by its name.

        Raises:
            UnknownNameError: There is none of that name.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise UnknownNameError("feature", name, [feature.name for feature in self.features])

    def matrix(self, names: Iterable[str] | None = None) -> Float[np.ndarray, "n F"]:
        """Features as columns, ``(n, F)``, e.g. for correlations.

        Args:
            names: Which, in this order; by default all.

        Raises:
            UnknownNameError: There is none of a name.
        """
        chosen = self.features if names is None else [self.feature(name) for name in names]
        if not chosen:
            return np.empty((self.n_showers, 0))
        return np.stack([feature.values for feature in chosen], axis=1)


def sample_statistics(
    chunks: Iterable[Showers],
    *,
    threshold: float = 0.0,
    energy_edges: Iterable[float] = (),
    voxel_edges: Iterable[float] | None = None,
) -> SampleStatistics:
    """Everything about a sample, in one pass; of the voxels only a block at a time is in memory.

    The result is the same, bit for bit, however the showers are cut into chunks.

    Args:
        chunks: Showers, e.g. of :func:`~caloforge.io.read_chunks`; or ``[showers]``.
        threshold: Softer voxels count as empty, MeV; as :meth:`~caloforge.showers.Showers.above`.
        energy_edges: Incident energies between which averages are made, too, MeV.
        voxel_edges: Bin edges of the voxel spectrum, MeV; by default ten per decade.

    Raises:
        GeometryMismatchError: The chunks have different voxels.
        ValueRangeError: There are no showers, or the threshold or the edges make no sense.

    Example:
        >>> from caloforge.evaluation import reference_sample
        >>> showers = reference_sample("eplus")
        >>> sample_statistics([showers[:150], showers[150:]]).feature("e_ratio").values.shape
        (400,)
    """
    check_threshold(threshold)
    slices = _edges("energy_edges", energy_edges, least=0)
    spectrum = _VOXEL_EDGES if voxel_edges is None else _edges("voxel_edges", voxel_edges, least=2)
    gathered: _Pass | None = None
    for block in equal_blocks(chunks):
        gathered = gathered or _Pass(block.geometry, slices, spectrum, threshold)
        gathered.add(block.above(threshold) if threshold > 0 else block)
    if gathered is None:
        raise ValueRangeError("The sample has no showers; at least one is needed.")
    return gathered.statistics()


def voxel_spectrum(
    chunks: Iterable[Showers], edges: Iterable[float], *, threshold: float = 0.0
) -> VoxelSpectrum:
    """The spectrum of voxel energies alone, in other bins.

    Args:
        chunks: As in :func:`sample_statistics`.
        edges: Bin edges, MeV.
        threshold: As there.

    Raises:
        GeometryMismatchError: As there.
        ValueRangeError: As there.
    """
    check_threshold(threshold)
    counter = SpectrumCounter(_edges("edges", edges, least=2))
    for block in equal_blocks(chunks):
        counter.add((block.above(threshold) if threshold > 0 else block).voxels.astype(np.float64))
    if not counter.n_showers:
        raise ValueRangeError("The sample has no showers; at least one is needed.")
    return counter.spectrum()


@final
class _Pass:
    """What one pass over a sample gathers."""

    def __init__(
        self,
        geometry: Geometry,
        slices: Float[np.ndarray, " s"],
        voxel_edges: Float[np.ndarray, " b"],
        threshold: float,
    ) -> None:
        self._geometry, self._slices, self._threshold = geometry, slices, threshold
        self._sums: list[LayerSums] = []
        self._of_hits: list[tuple[Feature, ...]] = []
        self._correlations = VoxelCorrelationSums(geometry)
        self._average = RunningMean(geometry.n_voxels)
        self._by_energy = [RunningMean(geometry.n_voxels) for _ in slices[1:]]
        self._radial = RadialProfiles(geometry)
        self._spectrum = SpectrumCounter(voxel_edges)

    def add(self, block: Showers) -> None:
        voxels = block.voxels.astype(np.float64)
        self._sums.append(layer_sums(block))
        hits = Hits(block, threshold=self._threshold)
        self._of_hits.append(features_of_hits(hits))
        self._correlations.add(hits, self._sums[-1])
        self._average.add(voxels)
        if self._by_energy:
            inside = np.searchsorted(self._slices, block.e_inc, side="right")
            inside[block.e_inc == self._slices[-1]] -= 1
            for number, average in enumerate(self._by_energy, start=1):
                average.add(voxels[inside == number])
        self._radial.add(voxels)
        self._spectrum.add(voxels)

    def statistics(self) -> SampleStatistics:
        sums = LayerSums.concatenate(self._sums)
        return SampleStatistics(
            geometry=self._geometry,
            n_showers=len(sums.e_inc),
            threshold=self._threshold,
            e_inc=sums.e_inc,
            features=(*features_of_sums(sums), *_one(self._of_hits)),
            average=self._shower(self._average),
            by_energy=tuple(
                EnergySlice(
                    low=float(low),
                    high=float(high),
                    n_showers=mean.n,
                    average=self._shower(mean) if mean.n else None,
                )
                for (low, high), mean in zip(itertools.pairwise(self._slices), self._by_energy, strict=True)
            ),
            longitudinal=longitudinal_profile(sums.energy),
            radial=self._radial.over_all(),
            radial_by_layer=self._radial.by_layer(),
            spectrum=self._spectrum.spectrum(),
            voxel_correlations=self._correlations.correlations(),
        )

    def _shower(self, average: RunningMean) -> AverageShower:
        return AverageShower(
            geometry=self._geometry, n_showers=average.n, mean=average.mean, error=average.error
        )


def _one(blocks: list[tuple[Feature, ...]]) -> Iterator[Feature]:
    """The features of all blocks; the blocks' are given up on the way, so that nothing is held twice for long."""
    columns = [iter(features) for features in blocks]
    first = blocks[0]
    blocks.clear()
    for feature in first:
        yield dataclasses.replace(feature, values=np.concatenate([next(column).values for column in columns]))


def equal_blocks(chunks: Iterable[Showers]) -> Iterator[Showers]:
    """The same showers in blocks of a size that depends on the geometry alone."""
    waiting: list[Showers] = []
    first: Geometry | None = None
    n_waiting = 0
    for chunk in chunks:
        if first is None:
            first = chunk.geometry
            rows = max(1, _BLOCK // first.n_voxels)
        elif chunk.geometry is not first and not first.same_voxels(chunk.geometry):
            raise GeometryMismatchError(
                f"The sample begins with showers of geometry {first.describe()} and goes on with "
                f"{chunk.geometry.describe()}; they must have the same voxels."
            )
        start = 0
        while start < len(chunk):
            part = chunk[start : start + rows - n_waiting]
            waiting.append(part)
            start, n_waiting = start + len(part), n_waiting + len(part)
            if n_waiting == rows:
                yield _joined(waiting)
                waiting, n_waiting = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Showers]) -> Showers:
    return parts[0] if len(parts) == 1 else Showers.concatenate(parts)


def _edges(name: str, values: Iterable[float], *, least: int) -> Float[np.ndarray, " b"]:
    edges = np.array(list(values), dtype=np.float64)
    too_few = len(edges) < least or len(edges) == 1
    if too_few or not (np.isfinite(edges).all() and (edges > 0).all() and (np.diff(edges) > 0).all()):
        raise ValueRangeError(
            f"{name} must be two or more increasing energies above 0 in MeV, got {edges.tolist()}."
        )
    return edges
