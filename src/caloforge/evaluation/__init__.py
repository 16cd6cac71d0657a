"""Metrics: functions of showers, whoever made them; NumPy only.

Two Geant4 samples compare like a generated and a Geant4 sample, which is how every number gets its floor.
"""

from caloforge.evaluation.average_showers import AverageShower, average_ratio, average_shower
from caloforge.evaluation.catalogue import GROUPS, Feature, high_level_features, usual_features
from caloforge.evaluation.challenge import (
    ChallengeHistogram,
    challenge_comparison,
    challenge_data_set,
    challenge_feature_names,
    challenge_features,
    challenge_threshold,
    challenge_voxel_edges,
)
from caloforge.evaluation.comparison import FeatureComparison, Moments, compare
from caloforge.evaluation.dimension import (
    DimensionStudy,
    RegionDimension,
    dimension_study,
    drawn_showers,
    points_of_showers,
)
from caloforge.evaluation.histograms import (
    BinnedComparison,
    ChiSquare,
    bin_samples,
    chi_square,
    reference_edges,
    separation_error,
    separation_floor,
    separation_power,
)
from caloforge.evaluation.l2lflows import l2lflows_feature_names, l2lflows_features
from caloforge.evaluation.leakage import LeakageReport, check_leakage
from caloforge.evaluation.profiles import Profile, VoxelSpectrum
from caloforge.evaluation.reference_samples import (
    REFERENCE_E_INC,
    reference_names,
    reference_sample,
    sample_of_particle,
)
from caloforge.evaluation.same_physics import PhysicsDifference, physics_difference
from caloforge.evaluation.sample import EnergySlice, SampleStatistics, sample_statistics, voxel_spectrum

__all__ = [
    "GROUPS",
    "REFERENCE_E_INC",
    "AverageShower",
    "BinnedComparison",
    "ChallengeHistogram",
    "ChiSquare",
    "DimensionStudy",
    "EnergySlice",
    "Feature",
    "FeatureComparison",
    "LeakageReport",
    "Moments",
    "PhysicsDifference",
    "Profile",
    "RegionDimension",
    "SampleStatistics",
    "VoxelSpectrum",
    "average_ratio",
    "average_shower",
    "bin_samples",
    "challenge_comparison",
    "challenge_data_set",
    "challenge_feature_names",
    "challenge_features",
    "challenge_threshold",
    "challenge_voxel_edges",
    "check_leakage",
    "chi_square",
    "compare",
    "dimension_study",
    "drawn_showers",
    "high_level_features",
    "l2lflows_feature_names",
    "l2lflows_features",
    "physics_difference",
    "points_of_showers",
    "reference_edges",
    "reference_names",
    "reference_sample",
    "sample_of_particle",
    "sample_statistics",
    "separation_error",
    "separation_floor",
    "separation_power",
    "usual_features",
    "voxel_spectrum",
]
