"""The classifier test against known answers, and as a program that is fed nonsense or killed."""

import dataclasses
import math
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from caloforge import Showers, io
from caloforge.classifier import ClassifierConfig, classifier_test, inputs
from caloforge.errors import (
    CaloForgeError,
    ConfigError,
    GeometryMismatchError,
    NonFiniteError,
    OutputError,
    UnknownNameError,
    ValueRangeError,
)
from caloforge.io import write
from support.checks import no_global_draws
from support.tiny_runs import python
from support.toys import cartesian, geometry_of, polar, toy_showers

KINDS = {
    "caloflow": ClassifierConfig(architecture="caloflow", epochs=6, batch_size=200, trainings=2),
    "trees": ClassifierConfig(architecture="trees", epochs=60, trainings=2),
}


def numbers(result):
    """All of a result that must be reproducible: not the times."""
    trainings = [replace(t, seconds=0.0) for t in result.trainings]
    return dataclasses.asdict(replace(result, seconds=0.0, trainings=tuple(trainings)))


def error_of(result):
    """Standard error of the mean AUC: trainings share showers, so that of one."""
    return max(result.auc_error, result.auc_spread or 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_two_gaussians(gaussian, kind):
    result = classifier_test(gaussian(2000, shift=1.0, seed=1), gaussian(2000, seed=2), KINDS[kind])
    x = np.linspace(-10, 11, 100_001)
    p, q = norm.pdf(x), norm.pdf(x - 1)
    jsd = np.trapezoid(p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q)), x) / 2
    # A trained classifier is a little worse than the best one.
    assert -0.03 < result.auc - norm.cdf(1 / math.sqrt(2)) < 5 * error_of(result)
    assert -0.05 < result.jsd - jsd < 0.05
    assert result.auc == pytest.approx(np.mean(result.aucs))
    assert result.jsd_spread == pytest.approx(np.std(result.jsds, ddof=1))
    assert len(set(result.aucs)) == 2  # other splits
    assert (result.n_train, result.n_selection, result.n_test) == (1200, 400, 400)
    assert sum(result.calibration_after.showers) == 2 * 800


@pytest.mark.parametrize("kind", KINDS)
def test_one_distribution(gaussian, kind):
    result = classifier_test(gaussian(1000, seed=1), gaussian(1000, seed=2), KINDS[kind])
    assert abs(result.auc - 0.5) < 5 * max(error_of(result), 1 / math.sqrt(6 * result.n_test)) / math.sqrt(2)
    assert -0.1 < result.jsd < 0.02


@pytest.mark.parametrize(
    ("kind", "sort"), [("caloflow", "normalised"), ("trees", "unnormalised"), ("trees", "normalised")]
)
def test_a_shifted_voxel_is_found(kind, sort):
    """The energy of one voxel lies in its neighbour: layers and showers have the energy they should."""
    geometry = geometry_of(cartesian(3, 3), cartesian(2, 2))
    reference, generated = (toy_showers(geometry, 600, seed=seed) for seed in (1, 2))
    voxels = generated.voxels.copy()
    voxels[:, 5] += voxels[:, 4]
    voxels[:, 4] = 0
    config = replace(KINDS[kind], inputs=sort)
    right = classifier_test(generated, reference, config)
    wrong = classifier_test(
        Showers(e_inc=generated.e_inc, voxels=voxels, geometry=geometry), reference, config
    )
    assert abs(right.auc - 0.5) < 5 / math.sqrt(6 * right.n_test)
    assert wrong.auc > 0.5 + 5 * wrong.auc_error


def test_twins_do_not_mislead(gaussian):
    reference = gaussian(1000, seed=2)
    generated = Showers(
        e_inc=reference.e_inc, voxels=gaussian(1000, seed=1).voxels, geometry=reference.geometry
    )
    result = classifier_test(generated, reference, KINDS["trees"])
    assert result.n_twins == 1000
    assert any("incident energy of a reference shower" in note for note in result.notes)
    assert abs(result.auc - 0.5) < 5 / math.sqrt(6 * result.n_test)


def test_unequal_counts_are_said(gaussian, quick):
    result = classifier_test(gaussian(60, seed=1), gaussian(100, seed=2), quick(trainings=1))
    assert (result.n_generated, result.n_reference) == (60, 100)
    assert (result.n_train, result.n_selection, result.n_test) == (36, 12, 12)
    assert "60 generated and 100 reference" in " ".join(result.notes)
    assert "Only 36 showers" in " ".join(result.notes)
    assert result.auc_spread is result.jsd_spread is None


def test_same_seed_same_numbers(gaussian, quick, device):
    samples = gaussian(80, shift=0.5, seed=1), gaussian(80, seed=2)
    with no_global_draws():
        first = classifier_test(*samples, quick(), device=device)
    assert numbers(first) == numbers(classifier_test(*samples, quick(), device=device))
    assert first.aucs != classifier_test(*samples, quick(seed=1), device=device).aucs


def test_batchwise_inputs_give_the_same_numbers(gaussian, quick, monkeypatch):
    samples = gaussian(80, shift=0.5, seed=1), gaussian(80, seed=2)
    kept = classifier_test(*samples, quick())
    monkeypatch.setattr(inputs, "_CACHE_BYTES", 0)
    assert numbers(classifier_test(*samples, quick())) == numbers(kept)


@pytest.mark.parametrize("architecture", ["caloflow", "resnet"])
@pytest.mark.parametrize("kill_at", [(0, 1), (1, 2)])
def test_killed_and_repeated(quick, tmp_path, architecture, kill_at):
    geometry = geometry_of(*[polar(4, 3)] * 3)
    samples = tuple(toy_showers(geometry, 60, seed=seed) for seed in (1, 2))
    config = quick(architecture=architecture)
    whole = classifier_test(*samples, config)

    def kill(progress):
        if (progress.training, progress.epoch) == kill_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifier_test(*samples, config, checkpoint_dir=tmp_path / "cls", save_seconds=0, on_progress=kill)
    seen = []
    again = classifier_test(*samples, config, checkpoint_dir=tmp_path / "cls", on_progress=seen.append)
    assert numbers(again) == numbers(whole)
    # Neither finished trainings nor finished epochs are repeated.
    assert next((p.training, p.epoch) for p in seen if p.epoch) == (kill_at[0], kill_at[1] + 1)
    assert sorted(path.suffix for path in (tmp_path / "cls").iterdir()) == [".json", ".json"]

    seen.clear()
    more = classifier_test(
        *samples, replace(config, trainings=3), checkpoint_dir=tmp_path / "cls", on_progress=seen.append
    )
    assert {p.training for p in seen} == {2}
    assert more.aucs[:2] == whole.aucs


def test_killed_for_good(gaussian, tmp_path):
    """A process that gets no chance to say goodbye."""
    samples = gaussian(60, shift=0.5, seed=1), gaussian(60, seed=2)
    for name, showers in zip("ab", samples, strict=True):
        write(showers, tmp_path / f"{name}.h5")
    script = """
import sys, torch
from caloforge import io
from caloforge.classifier import ClassifierConfig, classifier_test
torch.set_num_threads(1)
from pathlib import Path
folder = Path(sys.argv[1])
config = ClassifierConfig(trainings=2, epochs=30, batch_size=100)
classifier_test(*(io.read(folder / f"{n}.h5") for n in "ab"), config, checkpoint_dir=folder / "cls", save_seconds=0)
"""
    process = python("-c", script, tmp_path)
    while process.poll() is None and not list((tmp_path / "cls").glob("training-*.safetensors")):
        time.sleep(0.01)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors

    config = ClassifierConfig(trainings=1, epochs=30, batch_size=100)
    read = [io.read(tmp_path / f"{name}.h5") for name in "ab"]
    seen = []
    again = classifier_test(*read, config, checkpoint_dir=tmp_path / "cls", on_progress=seen.append)
    assert next(p.epoch for p in seen if p.epoch) > 1
    assert numbers(again) == numbers(classifier_test(*read, config))


def test_damaged_and_foreign_checkpoints_are_not_used(gaussian, quick, tmp_path):
    samples = gaussian(60, seed=1), gaussian(60, seed=2)
    whole = classifier_test(*samples, quick(), checkpoint_dir=tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text()[:50])
    assert numbers(classifier_test(*samples, quick(), checkpoint_dir=tmp_path)) == numbers(whole)
    other = classifier_test(samples[0], gaussian(60, seed=3), quick(), checkpoint_dir=tmp_path)
    assert other.aucs != whole.aucs
    assert len(list(tmp_path.glob("*.json"))) == 4
    state = next(tmp_path.glob("*.json")).with_suffix(".safetensors")
    state.write_bytes(b"no tensors")
    state.with_suffix(".json").unlink()
    classifier_test(*samples, quick(), checkpoint_dir=tmp_path)


def test_checkpoint_folder_that_cannot_be_made(gaussian, quick, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        classifier_test(
            gaussian(60, seed=1), gaussian(60, seed=2), quick(), checkpoint_dir=tmp_path / "file" / "cls"
        )


def test_progress(gaussian, quick):
    seen = []
    classifier_test(gaussian(60, seed=1), gaussian(60, seed=2), quick(), on_progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert seen[-1].n_showers == 60
    assert 0 <= seen[-1].accuracy <= 1


def test_resnet_needs_one_grid(gaussian, quick):
    with pytest.raises(GeometryMismatchError, match="one grid"):
        classifier_test(gaussian(60, seed=1), gaussian(60, seed=2), quick(architecture="resnet"))


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_few_showers(gaussian, quick, n):
    with pytest.raises(ValueRangeError, match=f"generated sample has {n} "):
        classifier_test(gaussian(60, seed=1)[:n], gaussian(60, seed=2), quick())


def test_other_bad_samples(gaussian, quick, squares):
    good = gaussian(60, seed=2)
    with pytest.raises(GeometryMismatchError, match="same voxels"):
        classifier_test(toy_showers(geometry_of(cartesian(2, 2)), 60), good, quick())
    empty = Showers(e_inc=good.e_inc, voxels=np.zeros((60, squares.n_voxels)), geometry=squares)
    with pytest.raises(ValueRangeError, match="All 60 reference showers are empty"):
        classifier_test(good, empty, quick())
    bad = gaussian(60, seed=1)
    bad.voxels[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match="generated"):
        classifier_test(bad, good, quick())
    with pytest.raises(ValueRangeError, match="nowhere"):
        classifier_test(good, good, quick(), device="nowhere")


def test_single_energy_and_empty_showers_among_others(gaussian, quick):
    samples = [gaussian(60, seed=seed) for seed in (1, 2)]
    for showers in samples:
        showers.e_inc[:] = 5e4
        showers.voxels[::3] = 0
        showers.voxels[:, 2] = 0
    for sort in ("unnormalised", "normalised", "high-level", "l2lflows", "features"):
        for architecture in ("caloflow", "trees"):
            result = classifier_test(*samples, quick(architecture=architecture, inputs=sort, trainings=1))
            assert 0 <= result.auc <= 1
            assert result.n_twins == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "transformer"},
        {"inputs": "pixels"},
        {"trainings": 0},
        {"seed": -1},
        {"epochs": -2},
        {"epochs": 2.5},
        {"batch_size": 1},
        {"learning_rate": math.nan},
        {"precision": "float16"},
        {"split": (0.5, 0.5, 0.0)},
        {"split": (0.5, 0.2, 0.2)},
        {"architecture": "resnet", "inputs": "normalised"},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(CaloForgeError) as caught:
        ClassifierConfig(**settings)
    assert isinstance(caught.value, ConfigError | UnknownNameError)


def test_published_settings():
    known = ClassifierConfig(architecture="calochallenge")
    assert (known.epochs, known.batch_size, known.learning_rate, known.precision) == (
        50,
        1000,
        2e-4,
        "float64",
    )
    known = ClassifierConfig()
    assert (known.epochs, known.batch_size, known.learning_rate, known.precision) == (
        150,
        1000,
        1e-3,
        "float32",
    )
    assert ClassifierConfig(epochs=7).epochs == 7


def test_state_of_the_caller_is_left_alone(gaussian, quick):
    dtype = torch.get_default_dtype()
    config = quick(architecture="calochallenge", epochs=1, trainings=1)
    result = classifier_test(gaussian(20, seed=1), gaussian(20, seed=2), config)
    assert torch.get_default_dtype() == dtype
    assert result.n_parameters == 7 * 2048 + 2048 + 2 * (2048**2 + 2048) + 2049
