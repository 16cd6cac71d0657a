r"""The CaloChallenge's own features, histograms and separation powers.

The challenge's numbers come from one script; what it does is written here again from its definitions, so that
our numbers stand beside the published ones. Three of its habits are kept and named:

- Voxels below a threshold count as empty (1 MeV for data set 1, 15.15 keV for 2 and 3); see
  :func:`challenge_threshold`, and pass it to :func:`~caloforge.evaluation.sample.sample_statistics`.
- Histograms are normalised inside their range: showers outside are invisible to the separation power. Beside it
  stands the one that counts them, ``separation_overflow``.
- The logarithmic bins end at the largest value of the reference.

References:
    O. Amram et al., CaloChallenge 2022: a community challenge for fast calorimeter simulation,
    arXiv:2410.21611; the binnings are those of the evaluation script on its web site.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Float, Int

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.evaluation.catalogue import Feature, lateral_axes, usual_features
from caloforge.evaluation.histograms import (
    chi_square,
    reference_edges,
    separation_error,
    separation_floor,
    separation_power,
)
from caloforge.evaluation.profiles import VoxelSpectrum
from caloforge.evaluation.sample import SampleStatistics
from caloforge.geometry import Geometry, get_geometry
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = [
    "ChallengeHistogram",
    "challenge_comparison",
    "challenge_data_set",
    "challenge_feature_names",
    "challenge_features",
    "challenge_threshold",
    "challenge_voxel_edges",
]

DataSet = Literal["1-photons", "1-pions", "2", "3"]

_GEOMETRIES: dict[DataSet, str] = {
    "1-photons": "calochallenge_1_photons",
    "1-pions": "calochallenge_1_pions",
    "2": "calochallenge_2",
    "3": "calochallenge_3",
}
# Upper limits of the histograms in mm: data sets 2 and 3, data set 1, and its wide layers.
_LIMITS = {
    "centroid_x": (30.0, 100.0, 500.0),
    "centroid_y": (30.0, 100.0, 500.0),
    "width_x": (30.0, 100.0, 400.0),
    "width_y": (30.0, 100.0, 400.0),
    "centroid_r": (42.0, 500.0, 1500.0),
    "width_r": (20.0, 500.0, 1500.0),
}
_WIDE_LAYERS = ("12", "13", "14")
"""Of data set 1. The script names 12 and 13 where it bins eta and phi, and 14, which is not cut in alpha, for r."""
_WRITTEN = ("e_ratio", "e_layer", "centroid_x", "centroid_y", "width_x", "width_y")
"""Kinds whose separation powers the script writes down, beside that of the voxels."""
_TINY = 1e-8  # MeV, added before logarithms


def challenge_data_set(geometry: Geometry) -> DataSet | None:
    """Which data set has this geometry; ``None`` for any other calorimeter.

    Example:
        >>> challenge_data_set(get_geometry("calochallenge_2"))
        '2'
    """
    for data_set, name in _GEOMETRIES.items():
        if geometry.same_voxels(get_geometry(name)):
            return data_set
    return None


def challenge_threshold(geometry: Geometry) -> float | None:
    """Energy below which a voxel counts as empty in the challenge, MeV; ``None`` for other calorimeters."""
    data_set = challenge_data_set(geometry)
    if data_set is None:
        return None
    return 1.0 if data_set.startswith("1") else 0.5 * keV / 0.033


def challenge_feature_names(geometry: Geometry) -> tuple[str, ...]:
    """What the columns of :func:`challenge_features` are."""
    layers = range(geometry.n_layers)
    axes = [lateral_axes(layer.grid) for layer in geometry.layers]

    def lateral(name: str, axis: str) -> list[str]:
        return [f"{name}_{axis}_{k}" for k in layers if axis in axes[k]]

    return (
        "log_e_inc",
        *(f"log_e_layer_{k}" for k in layers),
        *lateral("centroid", "x"),
        *lateral("centroid", "y"),
        *lateral("width", "x"),
        *lateral("width", "y"),
        "log_e_dep",
        *(f"sparsity_{k}" for k in layers),
        *lateral("centroid", "r"),
        *lateral("width", "r"),
    )


def challenge_features(sample: Showers | SampleStatistics) -> Float[np.ndarray, "n F"]:
    r"""Input of the challenge's high-level classifier, and of its FPD and KPD; ``(n, F)``, pure numbers.

    :math:`\log_{10}` of the incident energy in MeV, of each layer's and of the deposited energy (plus 1e-8 MeV),
    centroids and widths in units of 100 mm, and the sparsity of each layer: 30, 46, 362 and 362 columns for the
    four data sets. Centroids in eta and phi (x and y) stand for layers that are cut in alpha only. For any other
    geometry the same, along all axes that its layers are cut in.

    Args:
        sample: Showers whose soft voxels were set to 0 (see :func:`challenge_threshold`), or their statistics.
    """
    features = usual_features(sample) if isinstance(sample, Showers) else sample.features
    known = {feature.name: feature.values for feature in features}
    names = challenge_feature_names(sample.geometry)
    array = np.empty((len(sample.e_inc), len(names)))
    for column, name in enumerate(names):
        if name == "log_e_inc":
            array[:, column] = np.log10(sample.e_inc)
        elif name.startswith("log_"):
            array[:, column] = np.log10(known[name.removeprefix("log_")] + _TINY)
        elif name.startswith("sparsity"):
            array[:, column] = known[name]
        else:
            array[:, column] = known[name] / 100
    return array


def challenge_voxel_edges(reference: SampleStatistics) -> Float[np.ndarray, " b+1"]:
    """Edges of the challenge's spectrum of voxel energies, MeV: 49 bins from the threshold to the largest voxel.

    To be given to :func:`~caloforge.evaluation.sample.voxel_spectrum` for both samples.

    Args:
        reference: Says which voxel is the largest, and the threshold (that of the challenge if it is 0).
    """
    n_layers = reference.geometry.n_layers
    largest = max(float(reference.feature(f"brightest_{k}").values.max()) for k in range(n_layers))
    return _log_edges(_lowest(reference), largest, 50)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ChallengeHistogram:
    """One histogram of the challenge, of both samples."""

    name: str
    """As in :class:`~caloforge.evaluation.catalogue.Feature`; also ``"voxels"`` and ``"e_ratio_at_256"`` (MeV)."""
    label: str
    """For people; without the unit."""
    unit: str
    logarithmic: bool
    """Whether the bins are equally wide in the logarithm."""
    official: bool
    """Whether the challenge's script writes down the separation power of this very histogram. Those in r and of the
    sparsity have the challenge's bins in its data sets, too, but are in its tables of means only. For any other
    calorimeter bins are chosen by the reference."""
    edges: Float[np.ndarray, " b+1"]
    """Bin edges, in the unit."""
    generated: Int[np.ndarray, " b"]
    """Generated values per bin."""
    reference: Int[np.ndarray, " b"]
    """Reference values per bin."""
    generated_outside: tuple[int, int]
    """Generated values below and above the range."""
    reference_outside: tuple[int, int]
    """Reference values below and above the range."""
    separation: float
    """Separation power as the challenge computes it, inside the range; NaN where a sample has nothing there."""
    separation_error: float
    """Its standard error; NaN for voxels, which are not independent."""
    separation_overflow: float
    """Separation power with a bin for the values below and one for those above."""
    floor: float
    """Mean ``separation`` of two samples of these sizes from one distribution; NaN for voxels."""
    floor_95: float
    """Its 95 % quantile: a larger ``separation`` is a real difference; NaN for voxels."""
    chi2: float
    """Chi-square inside the range with statistical errors of both; NaN for voxels."""
    ndf: int
    p_value: float


def challenge_comparison(
    generated: SampleStatistics,
    reference: SampleStatistics,
    *,
    voxels: tuple[VoxelSpectrum, VoxelSpectrum] | None = None,
    seed: int = 0,
) -> tuple[ChallengeHistogram, ...]:
    """Every histogram of the challenge, with its separation power in both conventions.

    Args:
        generated: The sample in question, with the challenge's threshold.
        reference: The sample that is right, with the same threshold; ends the logarithmic bins.
        voxels: Spectra of the generated and the reference voxels on the edges of :func:`challenge_voxel_edges`;
            by default those of the samples, which have other bins.
        seed: Of the draws behind the floors.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: The thresholds differ.
        ShapeError: The spectra have different edges.
    """
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference sample", theirs="the generated one"
    )
    if generated.threshold != reference.threshold:
        raise ValueRangeError(
            f"The generated sample was cut at {generated.threshold} MeV per voxel, the reference at "
            f"{reference.threshold} MeV; they must have the same threshold."
        )
    data_set = challenge_data_set(reference.geometry)
    found = []
    for feature, edges, keep in _binnings(reference, data_set):
        mine, theirs = generated.feature(feature.name.partition("_at_")[0]).values, feature.values
        if keep is not None:
            low, high = keep
            mine = mine[(generated.e_inc >= low) & (generated.e_inc < high)]
            if not (len(mine) and len(theirs)):
                continue
        official = data_set is not None and feature.name.startswith(_WRITTEN)
        found.append(_histogram(feature, edges, mine, theirs, official=official, seed=seed))
    return (*found, _voxels(*(voxels or (generated.spectrum, reference.spectrum)), reference, data_set))


def _binnings(
    reference: SampleStatistics, data_set: DataSet | None
) -> Iterator[tuple[Feature, Float[np.ndarray, " b+1"], tuple[float, float] | None]]:
    """The reference's feature, its bin edges, and the incident energies to choose where not all count."""
    names = [feature.name for feature in reference.features]
    ratio = reference.feature("e_ratio")
    yield ratio, _linear(ratio, (0.5, 1.5) if data_set else None, 100), None
    if data_set and data_set.startswith("1"):
        yield from _at_energies(reference, ratio, data_set)
    for k, layer in enumerate(reference.geometry.layers):
        energy = reference.feature(f"e_layer_{k}")
        yield energy, _log_edges(_lowest(reference), float(energy.values.max()), 40), None
        yield reference.feature(f"sparsity_{k}"), np.linspace(0, 1, 21), None
        for name, limits in _LIMITS.items():
            if f"{name}_{k}" not in names:
                continue
            feature = reference.feature(f"{name}_{k}")
            limit = None
            if data_set:
                high = limits[0 if data_set in "23" else 2 if layer.name in _WIDE_LAYERS else 1]
                limit = (-high if name in ("centroid_x", "centroid_y") else 0.0, high)
            yield feature, _linear(feature, limit, 100), None


def _at_energies(
    reference: SampleStatistics, ratio: Feature, data_set: DataSet
) -> Iterator[tuple[Feature, Float[np.ndarray, " b+1"], tuple[float, float]]]:
    """Data set 1 has incident energies of powers of 2 from 256 MeV on."""
    for power in range(8, 23):
        low, high = float(2**power), float(2 ** (power + 1))
        chosen = (reference.e_inc >= low) & (reference.e_inc < high)
        narrow = data_set == "1-photons" and power > 11
        feature = Feature(
            name=f"e_ratio_at_{low:.0f}",
            label=f"{ratio.label} at {low:.0f} MeV",
            unit="",
            values=ratio.values[chosen],
            group=ratio.group,
        )
        yield feature, np.linspace(*((0.9, 1.1) if narrow else (0.4, 1.4)), 21), (low, high)


def _histogram(
    feature: Feature,
    edges: Float[np.ndarray, " b+1"],
    generated: Float[np.ndarray, " n"],
    reference: Float[np.ndarray, " m"],
    *,
    official: bool,
    seed: int,
) -> ChallengeHistogram:
    (mine, mine_outside), (theirs, theirs_outside) = (
        _counts(values, edges) for values in (generated, reference)
    )
    filled = mine.any() and theirs.any()
    floor, floor_95 = separation_floor(mine, theirs, seed=seed) if filled else (math.nan, math.nan)
    chi2 = chi_square(mine, theirs) if filled else None
    return ChallengeHistogram(
        name=feature.name,
        label=feature.label,
        unit=feature.unit,
        logarithmic=feature.logarithmic,
        official=official,
        edges=edges,
        generated=mine,
        reference=theirs,
        generated_outside=mine_outside,
        reference_outside=theirs_outside,
        separation=separation_power(mine, theirs) if filled else math.nan,
        separation_error=separation_error(mine, theirs) if filled else math.nan,
        separation_overflow=_with_overflow(mine, mine_outside, theirs, theirs_outside),
        floor=floor,
        floor_95=floor_95,
        chi2=chi2.value if chi2 else math.nan,
        ndf=chi2.ndf if chi2 else 0,
        p_value=chi2.p_value if chi2 else math.nan,
    )


def _voxels(
    generated: VoxelSpectrum,
    reference: VoxelSpectrum,
    sample: SampleStatistics,
    data_set: DataSet | None,
) -> ChallengeHistogram:
    if not np.array_equal(generated.edges, reference.edges):
        raise ShapeError("The generated spectrum", generated.edges.shape, "the reference's edges")
    filled = generated.counts.any() and reference.counts.any()
    mine_outside, theirs_outside = ((s.below, s.above) for s in (generated, reference))
    return ChallengeHistogram(
        name="voxels",
        label="voxel energy",
        unit="MeV",
        logarithmic=True,
        official=data_set is not None and np.array_equal(reference.edges, challenge_voxel_edges(sample)),
        edges=reference.edges,
        generated=generated.counts,
        reference=reference.counts,
        generated_outside=mine_outside,
        reference_outside=theirs_outside,
        separation=separation_power(generated.counts, reference.counts) if filled else math.nan,
        separation_error=math.nan,
        separation_overflow=_with_overflow(generated.counts, mine_outside, reference.counts, theirs_outside),
        floor=math.nan,
        floor_95=math.nan,
        chi2=math.nan,
        ndf=0,
        p_value=math.nan,
    )


def _counts(
    values: Float[np.ndarray, " n"], edges: Float[np.ndarray, " b+1"]
) -> tuple[Int[np.ndarray, " b"], tuple[int, int]]:
    """Values per bin, the last with its upper edge, and those below and above."""
    counts, _ = np.histogram(values, bins=edges)
    below, above = np.count_nonzero(values < edges[0]), np.count_nonzero(values > edges[-1])
    return counts, (int(below), int(above))


def _with_overflow(
    mine: Int[np.ndarray, " b"],
    mine_outside: tuple[int, int],
    theirs: Int[np.ndarray, " b"],
    theirs_outside: tuple[int, int],
) -> float:
    return separation_power(np.concatenate([mine, mine_outside]), np.concatenate([theirs, theirs_outside]))


def _linear(feature: Feature, limits: tuple[float, float] | None, n_bins: int) -> Float[np.ndarray, " b+1"]:
    if limits is None:
        return reference_edges(feature.values, n_bins=n_bins)
    return np.linspace(*limits, n_bins + 1)


def _log_edges(low: float, high: float, n_edges: int) -> Float[np.ndarray, " b+1"]:
    """From the threshold to the largest value; a decade where there is nothing above the threshold."""
    return np.logspace(np.log10(low), np.log10(high if high > low else 10 * low), n_edges)


def _lowest(reference: SampleStatistics) -> float:
    """Where the energy histograms begin, MeV."""
    return reference.threshold or challenge_threshold(reference.geometry) or keV
