"""What the classifiers are told, on paper."""

import numpy as np
import pytest
import torch

from caloforge import Showers
from caloforge.classifier import ClassifierConfig, inputs
from caloforge.classifier.inputs import InputRows, InputTable
from caloforge.evaluation import high_level_features, l2lflows_features
from caloforge.evaluation.challenge import challenge_features
from caloforge.geometry import get_geometry
from support.toys import cartesian, geometry_of, toy_showers

GEOMETRY = geometry_of(cartesian(1, 2), cartesian(1, 1))


def showers(*voxels, e_inc):
    return Showers(e_inc=np.array(e_inc), voxels=np.array(voxels), geometry=GEOMETRY)


REFERENCE = showers([1000.0, 3000.0, 500.0], e_inc=[10_000.0])
GENERATED = showers([0.0, 0.0, 2000.0], [100.0, 0.0, 0.0], e_inc=[100_000.0, 1000.0])

ROWS = {
    ("caloflow", "unnormalised"): [0, np.log10(0.4 + 1e-8), np.log10(0.05 + 1e-8), 1, 3, 0.5],
    ("caloflow", "normalised"): [0, np.log10(0.4 + 1e-8), np.log10(0.05 + 1e-8), 0.25, 0.75, 1],
    ("calochallenge", "unnormalised"): [4, 0.1, 0.3, 0.05],
    ("calochallenge", "normalised"): [4, 0.25, 0.75, 1, np.log10(4000 + 1e-8), np.log10(500 + 1e-8)],
    ("resnet", "unnormalised"): [4, 0.1, 0.3, 0.05],
    ("images", "log-voxels"): [0, np.log(1 + 1e6), np.log(1 + 3e6), np.log(1 + 5e5)],
}


@pytest.mark.parametrize(("architecture", "kind"), ROWS)
def test_rows_on_paper(architecture, kind):
    table = InputTable(GENERATED, REFERENCE, ClassifierConfig(architecture=architecture, inputs=kind))
    assert table.labels.tolist() == [1, 0, 0]
    assert table.rows(np.array([0]))[0] == pytest.approx(np.array(ROWS[architecture, kind]), rel=1e-6)
    assert table.rows(np.array([2, 0, 1]))[1] == pytest.approx(np.array(ROWS[architecture, kind]), rel=1e-6)
    assert table.n_inputs == len(ROWS[architecture, kind])
    # An empty layer has zeros, not NaN.
    assert np.isfinite(table.rows(np.arange(3))).all()


@pytest.mark.parametrize(
    ("name", "size"),
    [("calochallenge_1_photons", 30), ("calochallenge_1_pions", 46), ("calochallenge_2", 362)],
)
def test_high_level_inputs_are_the_challenges(name, size):
    a, b = (toy_showers(get_geometry(name), 3, seed=seed) for seed in (1, 2))
    table = InputTable(a, b, ClassifierConfig(architecture="calochallenge", inputs="high-level"))
    assert table.n_inputs == size
    np.testing.assert_allclose(table.rows(np.arange(3, 6)), challenge_features(a))
    assert not table.standardised


def test_all_features_with_the_incident_energy():
    table = InputTable(GENERATED, REFERENCE, ClassifierConfig(architecture="trees", inputs="features"))
    assert table.n_inputs == 1 + len(high_level_features(GENERATED))
    assert table.rows(np.arange(3))[:, 0] == pytest.approx(np.array([4, 5, 3]))
    assert np.isfinite(table.rows(np.arange(3))).all()


def test_the_ten_of_l2lflows():
    a, b = (toy_showers(geometry_of(cartesian(2, 2), cartesian(3, 2)), 3, seed=seed) for seed in (1, 2))
    table = InputTable(a, b, ClassifierConfig(architecture="calochallenge", inputs="l2lflows"))
    assert table.n_inputs == 10
    np.testing.assert_allclose(table.rows(np.arange(3, 6)), l2lflows_features(a))
    assert table.standardised


def test_moments_are_those_of_all_rows_at_once(monkeypatch):
    monkeypatch.setattr(inputs, "_CHUNK", 7)
    a, b = (toy_showers(GEOMETRY, 50, seed=seed) for seed in (1, 2))
    table = InputTable(a, b, ClassifierConfig(precision="float64"))
    index = np.random.default_rng(0).permutation(100)[:60]
    mean, std = table.moments(index)
    rows = table.rows(index)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, rows.std(axis=0, ddof=1), rtol=1e-12)


def test_constant_input_keeps_its_scale():
    table = InputTable(GENERATED, REFERENCE, ClassifierConfig())
    assert table.moments(np.array([0, 0, 0]))[1] == pytest.approx(np.ones(table.n_inputs))


def test_kept_and_made_rows_agree(monkeypatch):
    a, b = (toy_showers(GEOMETRY, 20, seed=seed) for seed in (1, 2))
    table = InputTable(a, b, ClassifierConfig())
    index = np.array([3, 39, 0])
    kept = InputRows(table, torch.device("cpu"))(index)
    monkeypatch.setattr(inputs, "_CACHE_BYTES", 0)
    assert torch.equal(InputRows(table, torch.device("cpu"))(index), kept)
    assert kept.dtype == torch.float32
