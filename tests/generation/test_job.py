"""Shards, workers, kills and full disks do not change a sample; what is half done is kept, refused or continued."""

import os
import signal
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from caloforge.errors import (
    CaloForgeError,
    CheckpointError,
    ConfigError,
    EnergyRangeError,
    OutputError,
    UnknownNameError,
    ValueRangeError,
)
from caloforge.generation import GenerationJob, GivenEnergies, Spectrum, load_model, run_job
from caloforge.io import LAYOUTS, read
from caloforge.production.parts import PartsFolder
from support.processes import child_processes
from support.tiny_runs import GEOMETRY, file_size_limit, python

SHARD = 4 * GEOMETRY.n_voxels * 1024  # bytes of one block


@pytest.fixture
def job(run, tmp_path):
    """Four shards, the last of them not full."""
    return GenerationJob(
        weights=str(run),
        n_showers=3500,
        energies=Spectrum(low=2e3, high=9e4, shape="log-uniform"),
        seed=11,
        output=tmp_path / "out.h5",
        shard_bytes=SHARD,
    )


@pytest.fixture(scope="module")
def expected(run):
    """The sample of ``job`` straight from the engine."""
    e_inc = Spectrum(low=2e3, high=9e4, shape="log-uniform").e_inc(11, 0, 3500)
    return load_model(run).sample(e_inc, seed=11)


def check_sample(path, expected):
    showers = read(path)
    np.testing.assert_array_equal(showers.voxels, expected.voxels)
    np.testing.assert_allclose(showers.e_inc, expected.e_inc, rtol=1e-15)  # GeV and back
    assert showers.geometry == expected.geometry
    assert showers.provenance == expected.provenance
    assert not path.with_name(f"{path.name}.parts").exists()


class Stop(BaseException):
    """Takes the place of a kill: nothing in the package catches it."""


def stop_after(n_shards, **options):
    """Run until so many shards are finished."""
    job = options.pop("job")

    def check(n):
        if sum(job.shard_path(k).exists() for k in range(job.n_shards)) == n_shards:
            raise Stop

    with pytest.raises(Stop):
        run_job(job, on_showers=check, **options)


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 1000])
def test_shard_sizes(job, expected, n_blocks):
    job = replace(job, shard_bytes=n_blocks * SHARD)
    assert job.shard_size == 1024 * n_blocks
    assert sum(job.shard_count(k) for k in range(job.n_shards)) == 3500
    done = []
    assert run_job(job, on_showers=done.append) == job.output
    assert sum(done) == 3500
    check_sample(job.output, expected)
    assert [path.name for path in job.output.parent.iterdir()] == ["out.h5"]


def test_a_default_shard_is_about_16_megabytes(job):
    (default,) = (field.default for field in fields(job) if field.name == "shard_bytes")
    job = replace(job, shard_bytes=default, weights="caloflow-eplus")
    assert job.shard_size == 8 * 1024


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name == "calochallenge"])
def test_layout_and_compression(job, expected, layout):
    run_job(replace(job, layout=layout, compression=0))
    check_sample(job.output, expected)


def test_a_layout_that_cannot_hold_it_leaves_nothing(job):
    with pytest.raises(CaloForgeError, match="ild"):
        run_job(replace(job, layout="ild"))
    with pytest.raises(UnknownNameError, match="calogann"):
        run_job(replace(job, layout="calogann"))
    assert not list(job.output.parent.iterdir())


def test_given_energies(job, expected):
    given = replace(job, energies=GivenEnergies(expected.e_inc))
    run_job(given)
    check_sample(job.output, expected)
    with pytest.raises(ValueRangeError, match="3501 showers need as many incident energies, got 3500"):
        replace(given, n_showers=3501)
    assert replace(given, n_showers=10).n_shards == 1


def test_interrupted_and_continued(job, expected):
    stop_after(1, job=job)
    stop_after(3, job=job, resume=True)
    times = {k: job.shard_path(k).stat().st_mtime_ns for k in range(3)}
    done = []

    def note(n):
        done.append(n)
        assert {k: job.shard_path(k).stat().st_mtime_ns for k in range(3)} == times

    run_job(job, resume=True, on_showers=note)
    assert done[0] == 3 * 1024
    check_sample(job.output, expected)


def test_a_full_disk_while_joining(job, expected):
    """The shards fit, the whole does not."""
    stop_after(1, job=job)
    size = job.shard_path(0).stat().st_size
    with file_size_limit(size * 2), pytest.raises(OutputError, match=r"cannot be written|no space"):
        run_job(job, resume=True)
    assert not job.output.exists()
    assert all(job.shard_path(k).exists() for k in range(4))
    (job.parts / ".whole.h5.1234.part").write_bytes(b"of a run that was killed here")
    done = []
    run_job(job, resume=True, on_showers=done.append)
    assert done == [3500]
    check_sample(job.output, expected)
    assert [path.name for path in job.output.parent.iterdir()] == ["out.h5"]


def test_shards_of_an_interrupted_run(job, expected):
    stop_after(2, job=job)
    before = {path.name: path.read_bytes() for path in job.parts.iterdir()}
    with pytest.raises(OutputError, match=r"out\.h5\.parts: holds an interrupted run; pass --resume"):
        run_job(job)
    others = {
        "seed": replace(job, seed=12),
        "n_showers": replace(job, n_showers=3000),
        "energies": replace(job, energies=Spectrum(low=3e3, high=9e4)),
        "shard_size": replace(job, shard_bytes=2 * SHARD),
        "compression": replace(job, compression=0),
    }
    for name, other in others.items():
        with pytest.raises(ConfigError, match=rf"belongs to another run \(different: {name}\)"):
            run_job(other, resume=True)
    assert {path.name: path.read_bytes() for path in job.parts.iterdir()} == before
    run_job(job, overwrite=True)
    check_sample(job.output, expected)


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize("name", ["thesis.tex", "1.h5", "000001.h5/data", ".job.json.part"])
def test_foreign_files_in_the_parts_are_kept(job, options, name):
    mine = job.parts / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (job.parts / "000000.h5").touch()
    with pytest.raises(OutputError, match=r"parts: holds files that are not of a run \("):
        run_job(job, **options)
    assert mine.read_text() == "mine"
    assert (job.parts / "000000.h5").exists()


def test_foreign_files_that_come_during_a_run_are_kept(job, expected):
    run_job(job, on_showers=lambda n: (job.parts / "notes.txt").write_text("mine"))
    assert [path.name for path in job.parts.iterdir()] == ["notes.txt"]
    np.testing.assert_array_equal(read(job.output).voxels, expected.voxels)


def test_the_parts_are_no_folder(job, tmp_path):
    job.parts.write_text("mine")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(OutputError, match="parts: is no folder"):
            run_job(job, **options)
    assert job.parts.read_text() == "mine"
    job.parts.unlink()
    (tmp_path / "elsewhere").mkdir()
    job.parts.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="parts: is no folder"):
        run_job(job, overwrite=True)


def test_more_showers_than_the_disk_holds(job):
    for n_showers in (10**14, 2**48):
        with pytest.raises(OutputError, match="cannot fit on this disk: 8 bytes each"):
            run_job(replace(job, n_showers=n_showers))
    with pytest.raises(ValueRangeError, match="n_showers must lie in"):
        replace(job, n_showers=2**48 + 1)
    assert not list(job.output.parent.iterdir())


def test_very_many_shards_are_not_counted_one_by_one(job, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: (2**60, 0, 2**60))
    many = replace(job, n_showers=10**12)
    stop_after_first = []

    def stop(n):
        stop_after_first.append(n)
        if len(stop_after_first) == 3:
            raise Stop

    with pytest.raises(Stop):
        run_job(many, on_showers=stop)
    assert stop_after_first == [0, 1024, 1024]


@pytest.mark.parametrize("n_showers", [3500, 10])
def test_killed_between_the_last_two_steps(job, expected, n_showers, monkeypatch):
    job = replace(job, n_showers=n_showers)

    def kill(self):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(PartsFolder, "remove", kill)
        with pytest.raises(Stop):
            run_job(job)
    before = job.output.read_bytes()
    with pytest.raises(ConfigError, match=r"belongs to another run \(different: seed\)"):
        run_job(replace(job, seed=12), resume=True)
    done = []
    assert run_job(job, resume=True, on_showers=done.append) == job.output
    assert done == [n_showers]
    assert job.output.read_bytes() == before
    check_sample(job.output, expected[:n_showers])


def test_an_old_output_is_not_taken_for_the_joined_one(job, expected, monkeypatch):
    """Killed in the moment before it would have been replaced."""
    job.output.write_bytes(b"old")

    def kill(*args):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("caloforge.production.run.real_path", kill)
        with pytest.raises(Stop):
            run_job(job, overwrite=True)
    assert (job.parts / "joined.json").exists()
    with pytest.raises(OutputError, match="exists already; choose"):
        run_job(job, resume=True)
    run_job(job, resume=True, overwrite=True)
    check_sample(job.output, expected)


def test_an_output_that_is_a_link(job, expected, tmp_path):
    (tmp_path / "scratch").mkdir()
    job.output.symlink_to(tmp_path / "scratch" / "big.h5")
    assert job.parts == tmp_path / "scratch" / "big.h5.parts"
    run_job(job)
    assert job.output.is_symlink()
    np.testing.assert_array_equal(read(tmp_path / "scratch" / "big.h5").voxels, expected.voxels)


@pytest.mark.parametrize("content", ["", "[]", "null", "{}"])
def test_a_damaged_journal(job, content):
    stop_after(1, job=job)
    (job.parts / "job.json").write_text(content)
    with pytest.raises(ConfigError, match="belongs to another run"):
        run_job(job, resume=True)


def test_shards_without_a_journal_are_not_trusted(job, expected):
    """A kill between the two halves of --overwrite leaves shards of the old run."""
    stop_after(2, job=replace(job, seed=12))
    (job.parts / "job.json").unlink()
    run_job(job, resume=True)
    check_sample(job.output, expected)


def test_other_weights_on_resume(job, run, tmp_path):
    other = tmp_path / "other.safetensors"
    data = bytearray((run / "best.safetensors").read_bytes())
    stop_after(1, job=job)
    data[-1] ^= 1
    other.write_bytes(data)
    with pytest.raises(ConfigError, match=r"different: weights\)"):
        run_job(replace(job, weights=str(other)), resume=True)


def test_an_output_that_exists(job, expected):
    job.output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already; choose another name or pass --overwrite"):
        run_job(job)
    with pytest.raises(OutputError, match="no interrupted run is beside it: there is nothing to resume"):
        run_job(job, resume=True)
    assert job.output.read_bytes() == b"precious"
    with pytest.raises(EnergyRangeError):
        run_job(replace(job, energies=Spectrum(low=1.0, high=1.0)), overwrite=True)
    assert job.output.read_bytes() == b"precious"
    run_job(job, overwrite=True)
    check_sample(job.output, expected)


def test_what_is_refused_before_work_leaves_nothing(job, tmp_path):
    for change in ({"seed": -1}, {"seed": 2**64}, {"n_showers": 0}):
        with pytest.raises((ValueRangeError, ConfigError)):
            replace(job, **change)
    with pytest.raises(ConfigError, match="At least one worker"):
        run_job(job, workers=0)
    with pytest.raises(EnergyRangeError, match=r"1000 to 1000 GeV are outside the trained range"):
        run_job(replace(job, energies=Spectrum(low=1e6, high=1e6)))
    with pytest.raises(ConfigError, match="gzip level"):
        run_job(replace(job, compression=11))
    with pytest.raises(CheckpointError):
        run_job(replace(job, weights=str(tmp_path / "no" / "weights")))
    with pytest.raises(OutputError, match="does not exist"):
        run_job(replace(job, output=tmp_path / "no" / "out.h5"))
    assert not list(tmp_path.iterdir())
    high = replace(job, energies=Spectrum(low=1e6, high=1e6), n_showers=10)
    assert len(read(run_job(high, allow_extrapolation=True))) == 10


def test_a_full_disk_keeps_the_finished_shards(job, expected):
    limit = file_size_limit(10_000)
    stop_after(2, job=job)
    before = {path.name: path.read_bytes() for path in job.parts.iterdir()}
    with limit, pytest.raises(OutputError, match=r"000002\.h5: (cannot be written|no space)"):
        run_job(job, resume=True)
    assert {path.name: path.read_bytes() for path in job.parts.iterdir()} == before
    run_job(job, resume=True)
    check_sample(job.output, expected)


def test_a_full_disk_before_the_first_shard_leaves_nothing(job):
    with file_size_limit(10_000), pytest.raises(OutputError):
        run_job(job)
    assert not list(job.output.parent.iterdir())


@pytest.mark.slow
def test_an_error_in_a_worker_arrives_as_itself(job):
    limit = file_size_limit(10_000)
    with limit, pytest.raises(OutputError, match=r"0000\d\d\.h5: (cannot be written|no space)") as caught:
        run_job(job, workers=2)
    assert caught.value.path.parent == job.parts


def test_two_workers(job, expected):
    done = []
    run_job(job, workers=2, on_showers=done.append)
    assert sum(done) == 3500
    check_sample(job.output, expected)


@pytest.mark.slow
def test_a_worker_that_is_killed_once_is_replaced(job, run):
    """As the system does when memory is short; its shard is made again, and is the same."""
    killed = []

    def kill(n):
        # Workers have started when the first shards are there.
        if n and not killed and (children := child_processes(os.getpid())):
            os.kill(children[0], signal.SIGKILL)
            killed.extend(children)

    slow = replace(job, n_showers=40 * 1024)
    done = []
    run_job(slow, workers=2, on_showers=lambda n: (kill(n), done.append(n)))
    assert len(killed) == 2
    assert sum(done) == 40 * 1024
    e_inc = slow.energies.e_inc(11, 0, 40 * 1024)
    check_sample(job.output, load_model(run).sample(e_inc, seed=11))


KILLED = """
import sys
from pathlib import Path
from caloforge.generation import GenerationJob, Spectrum, run_job

if __name__ == "__main__":
    weights, output, shard_bytes, workers = sys.argv[1:]
    job = GenerationJob(
        weights=weights, n_showers=200 * 1024 + 7, energies=Spectrum(low=2e3, high=9e4), seed=1,
        output=Path(output), shard_bytes=int(shard_bytes),
    )
    run_job(job, workers=int(workers), resume=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_twice(run, tmp_path, workers):
    script, output = tmp_path / "job.py", tmp_path / "out.h5"
    script.write_text(KILLED)
    for n_shards in (3, 40):
        process = python(script, run, output, SHARD, workers)
        while len(list(tmp_path.glob("out.h5.parts/0*.h5"))) < n_shards and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()[1]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not output.exists()
    process = python(script, run, output, SHARD, workers)
    assert process.wait(timeout=300) == 0, process.communicate()[1]
    process.communicate()
    e_inc = Spectrum(low=2e3, high=9e4).e_inc(1, 0, 200 * 1024 + 7)
    check_sample(output, load_model(run).sample(e_inc, seed=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.py", "out.h5"]


@pytest.mark.slow
@pytest.mark.parametrize("n_shards", [0, 3])
def test_interrupted_workers_end_at_once(run, tmp_path, n_shards):
    script, output = tmp_path / "job.py", tmp_path / "out.h5"
    script.write_text(KILLED)
    process = python(script, run, output, SHARD, 2, start_new_session=True)
    while (
        len(list(tmp_path.glob("out.h5.parts/0*.h5"))) < n_shards or not (tmp_path / "out.h5.parts").exists()
    ):
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()[1]
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    begin = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin < 5
    assert errors.count("Traceback") == 1, errors  # that of the script itself
    assert not list(tmp_path.glob("out.h5.parts/.*"))
    assert output.with_name("out.h5.parts").exists() == bool(list(tmp_path.glob("out.h5.parts/0*.h5")))
