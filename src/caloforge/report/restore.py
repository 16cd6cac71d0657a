"""The dataclasses of results from the plain data of a report, for the figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from caloforge.evaluation import AverageShower, BinnedComparison, FeatureComparison, Moments
from caloforge.geometry import Geometry

__all__ = ["array", "average_of", "feature_of"]


def array(values: Any) -> np.ndarray:
    """Numbers as float64; null becomes NaN."""
    return np.array(values, dtype=np.float64)


def feature_of(row: Mapping[str, Any]) -> FeatureComparison:
    """One row of ``report["features"]``."""
    bins = row["histograms"]
    return FeatureComparison(
        **{key: row[key] for key in ("name", "label", "unit", "separation", "floor", "floor_95")},
        generated=_moments(row["generated"]),
        reference=_moments(row["reference"]),
        histograms=BinnedComparison(
            edges=array(bins["edges"]),
            generated=np.array(bins["generated"]),
            reference=np.array(bins["reference"]),
            logarithmic=bins["logarithmic"],
        ),
    )


def _moments(data: Mapping[str, Any]) -> Moments:
    return Moments(**{key: np.nan if value is None else value for key, value in data.items()})


def average_of(data: Mapping[str, Any], geometry: Geometry) -> AverageShower:
    """One of ``report["average_showers"]``."""
    return AverageShower(
        geometry=geometry,
        n_showers=data["n_showers"],
        mean=array(data["mean"]),
        error=array(data["error"]),
    )
