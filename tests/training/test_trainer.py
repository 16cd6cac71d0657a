"""Training: losses fall, files say what they should, precision is what was asked for, bad losses stop it."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import caloforge
from caloforge.errors import CheckpointError, NonFiniteError, OutputError, ValueRangeError
from caloforge.generation import load_model
from caloforge.models.checkpoint import load_checkpoint, read_header
from caloforge.models.zoo import find_weights
from caloforge.showers import Showers
from caloforge.training import BEST, LAST, METRICS, STATE, split_showers
from caloforge.training.state import load_state
from support.tiny_runs import GEOMETRY, file_size_limit, tiny_showers, train_tiny


def metrics(folder):
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run and the events it sent."""
    folder, events = tmp_path_factory.mktemp("training") / "run", []
    model = train_tiny(
        folder, "training.energies.epochs=6", "training.shape.epochs=4", on_event=events.append
    )
    return folder, model, events


def test_losses_fall_and_are_written_down(run):
    folder, _, events = run
    rows = metrics(folder)
    assert [(row["stage"], int(row["epoch"])) for row in rows] == [("energies", k + 1) for k in range(6)] + [
        ("shape", k + 1) for k in range(4)
    ]
    for stage in ("energies", "shape"):
        train, validation, iterations = (
            [float(row[key]) for row in rows if row["stage"] == stage]
            for key in ("train_loss", "validation_loss", "iteration")
        )
        assert train[-1] < train[0] - 0.1
        assert validation[-1] < validation[0]
        assert iterations == [5.0 * (k + 1) for k in range(len(train))]  # 108 showers in batches of 20
    assert all(float(row["learning_rate"]) == 1e-2 and float(row["seconds"]) > 0 for row in rows)
    records = [event.record for event in events if event.record is not None]
    assert [repr(record.train_loss) for record in records] == [row["train_loss"] for row in rows]
    assert all(event.per_epoch == 5 for event in events)


def test_files_of_a_run_load(run):
    folder, model, _ = run
    assert sorted(path.name for path in folder.iterdir()) == sorted([BEST, LAST, METRICS, STATE, "run.json"])
    assert not model.training
    for name in (BEST, LAST):
        showers = load_model(folder / name).sample([5e4, 2e4], seed=1)
        assert showers.geometry == GEOMETRY
    assert load_model(folder).header.provenance["recipe"] == "tiny"
    best = load_file(folder / BEST)
    for name, tensor in model.state_dict().items():
        assert torch.equal(best[name], tensor)
    known = json.loads((folder / "run.json").read_text())
    assert known["data"] == read_header(folder / BEST).provenance["data"]
    assert known["data"]["stop"] == 120


def test_the_range_of_energies_is_that_of_the_training_split_exactly(run):
    folder, _, _ = run
    showers = tiny_showers()
    training, _ = split_showers(len(showers), validation=0.1, seed=1)
    e_inc = showers[training].e_inc
    assert load_model(folder).e_inc_range == (e_inc.min(), e_inc.max())


def test_split_is_a_pure_function_of_the_seed():
    first, again, other = (split_showers(1000, validation=0.1, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])
    assert len(first[1]) == 100
    assert np.array_equal(np.sort(np.concatenate(first)), np.arange(1000))
    assert all((np.diff(part) > 0).all() for part in first)


@pytest.mark.parametrize(("n", "validation"), [(0, 0.1), (1, 0.5), (4, 0.1), (10, 0.99)])
def test_too_few_showers_to_split(n, validation):
    with pytest.raises(ValueRangeError, match=f"{n} showers cannot be split"):
        split_showers(n, validation=validation, seed=1)


def test_early_stopping_and_that_best_is_the_best_epoch_and_last_the_last(tmp_path):
    train_tiny(
        tmp_path,
        "training.energies.epochs=1",
        "training.shape.epochs=50",
        "training.shape.learning_rate=0.5",
        "training.shape.patience=3",
    )
    losses = [float(row["validation_loss"]) for row in metrics(tmp_path) if row["stage"] == "shape"]
    assert len(losses) < 50
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    best, last = load_file(tmp_path / BEST), load_file(tmp_path / LAST)
    assert any(not torch.equal(best[name], last[name]) for name in best if name.startswith("shape"))
    assert all(torch.equal(best[name], last[name]) for name in best if name.startswith("energies"))
    progress, groups = load_state(tmp_path / STATE)
    assert progress.best_epoch == len(losses) - 3
    for name, tensor in groups["best"].items():
        assert torch.equal(tensor, best[f"shape.{name}"])


def test_float64_is_float64_throughout(tmp_path):
    model = train_tiny(tmp_path, "precision=float64", "training.shape.epochs=1")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float64}
    assert {b.dtype for b in model.buffers() if b.is_floating_point()} == {torch.float64}
    losses = [float(row["train_loss"]) for row in metrics(tmp_path)]
    assert all(loss != float(np.float32(5 * loss)) / 5 for loss in losses)  # digits that float32 has not
    loaded, _ = load_checkpoint(tmp_path / BEST)
    for name, tensor in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == tensor.dtype
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert load_model(tmp_path).sample([5e4], seed=1).voxels.shape == (1, 6)


def test_float32_keeps_range_and_ratio_in_float64(run):
    _, model, _ = run
    kept = {name for name, buffer in model.named_buffers() if buffer.dtype == torch.float64}
    assert kept == {"e_inc_range", "energies.shares.max_e_ratio"}
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    showers = tiny_showers()
    training, _ = split_showers(len(showers), validation=0.1, seed=1)
    assert model.energies.shares.max_e_ratio.item() == 1.001 * showers[training].e_ratio.max()


def test_bfloat16_differs_by_rounding_and_keeps_float32_weights(tmp_path, run):
    folder, _, _ = run
    model = train_tiny(tmp_path, "precision=bfloat16")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    rounded, exact = metrics(tmp_path)[0], metrics(folder)[0]
    assert rounded["train_loss"] != exact["train_loss"]
    assert float(rounded["train_loss"]) == pytest.approx(float(exact["train_loss"]), rel=2e-2)


def test_training_leaves_no_trace_in_the_global_generator(tmp_path):
    before = torch.get_rng_state()
    train_tiny(tmp_path, "training.energies.epochs=1", "training.shape.epochs=1")
    assert torch.equal(before, torch.get_rng_state())


def test_a_spoilt_loss_stops_and_leaves_the_last_good_state(tmp_path):
    """A weight decay that multiplies the weights by about -500 per step overflows after some good epochs."""
    settings = (
        "training.energies.epochs=1",
        "training.shape.epochs=50",
        "training.shape.learning_rate=0.5",
        "training.shape.weight_decay=200.0",
        "training.shape.batch_size=60",
    )
    with pytest.raises(NonFiniteError, match=r"loss of stage 'shape' became (nan|inf|-inf) in epoch \d+"):
        train_tiny(tmp_path, *settings, save_seconds=0.0)
    good = [row for row in metrics(tmp_path) if row["stage"] == "shape"]
    assert good, "the test needs at least one good epoch"
    assert all(math.isfinite(float(row["validation_loss"])) for row in good)
    for name in (BEST, LAST):
        load_checkpoint(tmp_path / name)
    progress, groups = load_state(tmp_path / STATE)
    assert progress.epoch == len(good)
    assert all(torch.isfinite(tensor).all() for tensor in groups["weights"].values())
    with pytest.raises(NonFiniteError):  # and resuming runs into it again, from there
        train_tiny(tmp_path, *settings, resume=True)
    assert [row for row in metrics(tmp_path) if row["stage"] == "shape"] == good


def test_showers_that_overflow_float32(tmp_path):
    showers = tiny_showers()
    voxels = showers.voxels.astype(np.float64)
    voxels[3] = 1e200
    huge = Showers(e_inc=showers.e_inc, voxels=voxels, geometry=GEOMETRY)
    with pytest.raises(NonFiniteError, match="loss of stage"):
        train_tiny(tmp_path, showers=huge)


def test_a_full_disk_leaves_the_files_of_the_epoch_before(tmp_path):
    def fill_the_disk(event):
        if event.record is not None and event.stage == "shape":
            nonlocal files
            files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
            limit.__enter__()

    files, limit = {}, file_size_limit(1000)
    try:
        with pytest.raises(OutputError, match=r"cannot be written|no space"):
            train_tiny(tmp_path, on_event=fill_the_disk)
    finally:
        limit.__exit__(None, None, None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    load_checkpoint(tmp_path / BEST)
    train_tiny(tmp_path, resume=True)
    assert len(metrics(tmp_path)) == 4


def test_weights_are_written_in_the_last_stage_only(tmp_path):
    """Before it the stages to come are untrained, and nothing must generate with them."""
    seen = []

    def look(event):
        if event.record is not None:
            seen.append((event.stage, (tmp_path / BEST).exists(), (tmp_path / LAST).exists()))
        if len(seen) == 1:
            assert (tmp_path / STATE).exists()
            assert (tmp_path / METRICS).exists()
            with pytest.raises(CheckpointError, match=r"has not reached its last stage.*--resume"):
                find_weights(tmp_path)

    train_tiny(tmp_path, on_event=look)
    assert seen == [("energies", False, False)] * 2 + [("shape", True, True)] * 2


def test_weights_carry_settings_and_the_record_of_each_stages_best_epoch(run):
    folder, _, _ = run
    known = read_header(folder / BEST).provenance
    assert known["config"] == json.loads((folder / "run.json").read_text())["config"]
    assert known["caloforge"] == caloforge.__version__
    expected = []
    for stage in ("energies", "shape"):
        rows = [row for row in metrics(folder) if row["stage"] == stage]
        best = min(rows, key=lambda row: float(row["validation_loss"]))
        expected.append((stage, int(best["epoch"]), float(best["validation_loss"])))
    assert [(r["stage"], r["epoch"], r["validation_loss"]) for r in known["training"]] == expected
    last = read_header(folder / LAST).provenance["training"]
    assert [(r["stage"], r["epoch"]) for r in last] == [expected[0][:2], ("shape", 4)]
