"""A generated sample beside a reference sample, feature by feature."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ValueRangeError
from caloforge.evaluation.catalogue import Feature, Group, high_level_features
from caloforge.evaluation.histograms import (
    BinnedComparison,
    bin_samples,
    reference_edges,
    separation_error,
    separation_floor,
)
from caloforge.evaluation.sample import SampleStatistics
from caloforge.showers import Showers

__all__ = ["Moments", "FeatureComparison", "compare"]


@final
@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and standard deviation of a sample with their standard errors, in the unit of the values."""

    mean: float
    mean_error: float
    """Standard deviation over the square root of n; NaN for a single value."""
    std: float
    """With n - 1 in the denominator; NaN for a single value."""
    std_error: float
    """From the fourth central moment, to leading order in 1/n; right for any distribution."""

    @classmethod
    def of(cls, values: Float[np.ndarray, " n"]) -> "Moments":
        """Estimate from a sample, ``(n,)``.

        Raises:
            ValueRangeError: The sample is empty.
        """
        n = len(values)
        if n == 0:
            raise ValueRangeError("The sample is empty; at least one shower is needed.")
        mean = float(np.mean(values, dtype=np.float64))
        if n == 1:
            return cls(mean=mean, mean_error=math.nan, std=math.nan, std_error=math.nan)
        away = np.asarray(values, dtype=np.float64) - mean
        variance = float(np.mean(away**2))
        excess = max(0.0, float(np.mean(away**4)) - variance**2)  # of the squared deviation's variance
        std = math.sqrt(variance * n / (n - 1))
        std_error = math.sqrt(excess / n) / (2 * std) if std > 0 else 0.0
        return cls(mean=mean, mean_error=std / math.sqrt(n), std=std, std_error=std_error)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureComparison:
    """One feature in both samples."""

    name: str
    """As in :class:`~caloforge.evaluation.catalogue.Feature`."""
    label: str
    """For people; without the unit."""
    unit: str
    """``"MeV"``, ``"mm"``, or empty for a pure number."""
    generated: Moments
    reference: Moments
    histograms: BinnedComparison
    """Both samples in bins that the reference chose."""
    group: Group
    """What the feature is about."""
    separation: float
    """Separation power of the histograms, 0 to 1, lower is better."""
    floor: float
    """Mean separation power of two samples of the same sizes from one distribution."""
    floor_95: float
    """Its 95 % quantile: a larger ``separation`` is a real difference."""
    separation_error: float = math.nan
    """Standard error of ``separation``."""
    chi2: float = math.nan
    """Chi-square of the histograms with statistical errors of both."""
    ndf: int = 0
    """Its degrees of freedom."""
    p_value: float = math.nan
    """Chance of a larger chi-square for samples of one distribution."""

    @property
    def chi2_ndf(self) -> float:
        """Chi-square per degree of freedom: about 1 for one distribution, lower is better."""
        return self.chi2 / self.ndf if self.ndf else math.nan


def compare(
    generated: Showers | SampleStatistics,
    reference: Showers | SampleStatistics,
    *,
    n_bins: int = 30,
    seed: int = 0,
) -> tuple[FeatureComparison, ...]:
    """Compare two samples in every high-level feature.

    Both must have the same spectrum of incident energies: most features depend on the energy, and
    a difference of the spectra shows up as one of the showers. It is not checked, because samples of other
    energies are worth comparing, too, e.g. in ``e_ratio``.

    Args:
        generated: The showers in question, or a second Geant4 sample; or what
            :func:`~caloforge.evaluation.sample.sample_statistics` says of them.
        reference: The showers that are right, usually Geant4, or theirs; they choose the bins.
        n_bins: Bins of each histogram.
        seed: Of the draws behind the floor.

    Returns:
        One row per feature, in the order of
        :func:`~caloforge.evaluation.catalogue.high_level_features`.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: A sample has no showers.
    """
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference sample", theirs="the generated one"
    )
    for name, sample in (("generated", generated), ("reference", reference)):
        if isinstance(sample, Showers) and not len(sample):
            raise ValueRangeError(f"The {name} sample has no showers; at least one is needed.")
    # Names of layers may differ; the reference's are taken.
    return tuple(
        _compare_feature(mine, theirs, n_bins=n_bins, seed=seed)
        for mine, theirs in zip(_features(generated), _features(reference), strict=True)
    )


def _features(sample: Showers | SampleStatistics) -> tuple[Feature, ...]:
    return high_level_features(sample) if isinstance(sample, Showers) else sample.features


def _compare_feature(generated: Feature, reference: Feature, *, n_bins: int, seed: int) -> FeatureComparison:
    logarithmic = reference.logarithmic
    edges = reference_edges(reference.values, n_bins=n_bins, logarithmic=logarithmic)
    histograms = bin_samples(generated.values, reference.values, edges, logarithmic=logarithmic)
    floor, floor_95 = separation_floor(histograms.generated, histograms.reference, seed=seed)
    chi2 = histograms.chi2
    return FeatureComparison(
        name=reference.name,
        label=reference.label,
        unit=reference.unit,
        generated=Moments.of(generated.values),
        reference=Moments.of(reference.values),
        histograms=histograms,
        group=reference.group,
        separation=histograms.separation,
        floor=floor,
        floor_95=floor_95,
        separation_error=separation_error(histograms.generated, histograms.reference),
        chi2=chi2.value,
        ndf=chi2.ndf,
        p_value=chi2.p_value,
    )
