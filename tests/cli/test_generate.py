"""`caloforge generate` by its command line; what happens inside is tested in tests/generation."""

import re

import numpy as np
import pytest

from caloforge.io import read, read_energies, write
from support.tiny_runs import command_line, file_size_limit, tiny_showers, train_tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate") / "run"
    train_tiny(folder, "training.energies.epochs=1", "training.shape.epochs=1")
    return folder


@pytest.fixture
def generate(run, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *args, model=run: command_line(("generate", model, *args), capsys, monkeypatch)


def test_energies(generate, tmp_path):
    code, out, err = generate("-n", 1500, "--energies", 50, "-o", "one.h5")
    assert code == 0, err
    assert re.fullmatch(r"one\.h5: 1,500 showers of 'toy' \(2 layers, 6 voxels\) in \d+\.\d s\n", out)
    assert (read("one.h5").e_inc == 5e4).all()
    assert generate("-n", 1500, "--energies", "2:90", "-o", "range.h5")[0] == 0
    assert generate("-n", 1500, "--energies", "2:90", "--spectrum", "log-uniform", "-o", "log.h5")[0] == 0
    uniform, logarithmic = (read_energies(name) for name in ("range.h5", "log.h5"))
    for e_inc in (uniform, logarithmic):
        assert e_inc.min() >= 2e3
        assert e_inc.max() <= 9e4
    assert np.median(uniform) == pytest.approx(46e3, rel=0.1)
    assert np.median(logarithmic) == pytest.approx(np.sqrt(2e3 * 9e4), rel=0.1)


def test_energies_of_a_file(generate, tmp_path):
    showers = tiny_showers(200)
    write(showers, tmp_path / "geant4.h5")
    # The least and greatest energy of the file may be among the showers kept for validation.
    assert generate("--energies", "geant4.h5", "-o", "all.h5", "--allow-extrapolation")[0] == 0
    np.testing.assert_array_equal(read_energies("all.h5"), read_energies("geant4.h5"))
    assert generate("--energies", "geant4.h5", "-n", 50, "-o", "some.h5", "--allow-extrapolation")[0] == 0
    np.testing.assert_array_equal(read("some.h5").voxels, read("all.h5").voxels[:50])
    code, _, err = generate("--energies", "geant4.h5", "-n", 201, "-o", "more.h5")
    assert (code, err.count("error: ")) == (2, 1)
    assert "201 showers need as many incident energies, got 200" in err
    assert not (tmp_path / "more.h5").exists()


def test_seed_and_workers(generate):
    for name, options in {"a": (), "b": ("--workers", 2), "c": ("--seed", 2)}.items():
        assert generate("-n", 100, "--energies", 50, "-o", f"{name}.h5", *options)[0] == 0
    a, b, c = (read(f"{name}.h5").voxels for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_overwrite_and_extrapolation(generate, tmp_path):
    command = ("-n", 10, "--energies", 50, "-o", "a.h5")
    assert generate(*command)[0] == 0
    before = (tmp_path / "a.h5").read_bytes()
    code, _, err = generate(*command)
    assert (code, err) == (2, "error: a.h5: exists already; choose another name or pass --overwrite.\n")
    assert (tmp_path / "a.h5").read_bytes() == before
    far = ("-n", 10, "--energies", 500, "-o", "a.h5", "--overwrite")
    code, _, err = generate(*far)
    assert code == 2
    assert re.match(
        r"error: Incident energies 500 to 500 GeV are outside the trained range 1\.\d+ to \d+", err
    )
    assert (tmp_path / "a.h5").read_bytes() == before
    assert generate(*far, "--allow-extrapolation")[0] == 0
    assert (read("a.h5").e_inc == 5e5).all()


def test_a_full_disk(generate, tmp_path):
    with file_size_limit(3000):
        code, out, err = generate("-n", 1000, "--energies", 50, "-o", "a.h5")
    assert (code, out, err.count("error: "), err.count("\n")) == (2, "", 1, 1)
    assert not list(tmp_path.iterdir())


def test_a_scheduler_that_is_not_there(generate, tmp_path):
    command = ("-n", 10, "--energies", 50, "-o", "a.h5", "--scheduler", "cluster.json")
    code, out, err = generate(*command)
    assert (code, out) == (2, "")
    assert (
        "--scheduler cluster.json is neither an address, such as tcp://host:8786, nor a scheduler file" in err
    )
    assert generate(*command, "--workers", 2)[0] == 2
    assert not list(tmp_path.iterdir())
