"""The dataclasses of results from the plain data of a report, for the figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from caloforge.evaluation import AverageShower, BinnedComparison, FeatureComparison, Moments
from caloforge.geometry import Geometry
from caloforge.plotting import Curve

__all__ = ["array", "average_of", "curve_of", "dense", "feature_of", "moments_of"]


def array(values: Any) -> np.ndarray:
    """Numbers as float64; null becomes NaN."""
    return np.array(values, dtype=np.float64)


def feature_of(row: Mapping[str, Any]) -> FeatureComparison:
    """One row of ``report["features"]``."""
    bins = row["histograms"]
    more = {
        key: row[key] for key in ("separation_error", "chi2", "ndf", "p_value") if row.get(key) is not None
    }
    return FeatureComparison(
        **{key: row[key] for key in ("name", "label", "unit", "group", "separation", "floor", "floor_95")},
        **more,
        generated=moments_of(row["generated"]),
        reference=moments_of(row["reference"]),
        histograms=BinnedComparison(
            edges=array(bins["edges"]),
            generated=np.array(bins["generated"]),
            reference=np.array(bins["reference"]),
            logarithmic=bins["logarithmic"],
        ),
    )


def moments_of(data: Mapping[str, Any]) -> Moments:
    """Mean and spread of one sample."""
    return Moments(**{key: np.nan if value is None else value for key, value in data.items()})


def average_of(data: Mapping[str, Any], geometry: Geometry) -> AverageShower:
    """One of ``report["average_showers"]``."""
    return AverageShower(
        geometry=geometry,
        n_showers=data["n_showers"],
        mean=array(data["mean"]),
        error=array(data["error"]),
    )


def curve_of(data: Mapping[str, Any]) -> Curve:
    """One of ``report["profiles"]``, or ``report["voxel_spectrum"]``."""
    generated, reference = (
        (array(data[name]["mean"]), np.nan_to_num(array(data[name]["error"])))
        for name in ("generated", "reference")
    )
    return data["x_label"], data["y_label"], array(data["edges"]), generated, reference, data["logarithmic"]


def dense(shower: Mapping[str, Any], n_voxels: int) -> np.ndarray:
    """Voxels of one shower, MeV, ``(V,)``, from its sparse form."""
    voxels = np.zeros(n_voxels)
    voxels[shower["voxel"]] = shower["energy_MeV"]
    return voxels
