"""The same job on a real Dask cluster of two worker processes: same sample, same care for crashes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from caloforge.errors import ConfigError, MissingExtraError, OutputError, ShardsFailedError
from caloforge.io import read
from caloforge.production import cluster, run_job
from support.processes import own_children
from support.tiny_runs import python, subprocess_environment
from support.toy_jobs import Fate, ToyJob

distributed = pytest.importorskip("distributed")

ABORT = "signal 6 (SIGABRT)"


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """Scheduler and two workers in processes; in one of their own, as Dask's event loop outlives a test."""
    folder = tmp_path_factory.mktemp("dask")
    script, file = folder / "cluster.py", folder / "scheduler.json"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, script, file, folder / "scratch"],
        env=subprocess_environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not file.exists() or not file.read_text().endswith("}"):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    yield json.loads(file.read_text())["address"], file
    process.communicate()


CLUSTER = """
import json, sys
from pathlib import Path
import dask
from distributed import LocalCluster

if __name__ == "__main__":
    with dask.config.set({"temporary-directory": sys.argv[2]}), LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        Path(sys.argv[1]).write_text(json.dumps(cluster.scheduler.identity(), default=str))
        sys.stdin.read()
"""


@pytest.fixture
def job(folder):
    """Four shards of five showers."""
    return ToyJob(output=folder / "out.h5")


def processes_of(dask):
    """Children of all workers of the cluster."""
    with distributed.Client(dask[0], set_as_default=False) as client:
        return sorted(pid for pids in client.run(own_children).values() for pid in pids)


def test_same_as_here_with_crashes_replaced(job, check_output, dask):
    job = replace(job, keeps_log=True, fates=(Fate(event=7, way="abort", times=2), Fate(event=8, way="kill")))
    done = []
    assert run_job(job, scheduler=dask[0], on_showers=done.append) == job.output
    assert sum(done) == 20
    check_output(job, [{"event": 7, "attempt": 1, "died_of": [ABORT] * 2}])
    assert processes_of(dask) == []


def test_a_scheduler_file_and_relative_names(job, check_output, dask, monkeypatch):
    monkeypatch.chdir(job.output.parent)
    (job.output.parent.parent / "note").write_text("1")
    relative = replace(job, output=job.output.relative_to(job.output.parent))
    run_job(relative, scheduler=dask[1])
    check_output(job)


def test_failures_are_named_and_the_rest_is_kept(job, check_output, dask):
    bad = replace(job, fates=(Fate(event=7, way="raise", times=3), Fate(event=12, way="raise", times=2)))
    with pytest.raises(
        ShardsFailedError, match=r"1 of 4 shards failed \(shard 1: KeyError: 'event 7'\)"
    ) as caught:
        run_job(bad, scheduler=dask[0])
    assert list(caught.value.failures) == [1]
    assert isinstance(caught.value.__cause__, KeyError)
    assert len(list(job.output.parent.glob("out.h5.parts/0*.h5"))) == 3
    done = []
    run_job(bad, scheduler=dask[0], resume=True, on_showers=done.append)
    assert done == [15, 5]
    check_output(job)


def test_an_event_that_always_kills(job, dask):
    with pytest.raises(ShardsFailedError, match="shard 1: 7 workers died at shower 7"):
        run_job(replace(job, fates=(Fate(event=7, way="abort", times=99),)), scheduler=dask[0])


def test_a_run_with_too_many_failures_is_given_up(job, dask, monkeypatch):
    monkeypatch.setattr(cluster, "_RETRIES", 0)
    job = replace(job, n_showers=200, shard_size=1, dies_at_start="raise")
    with pytest.raises(
        ShardsFailedError, match=r"[45] of 200 shards failed .*FileNotFoundError.* no such thing"
    ):
        run_job(job, scheduler=dask[0])


def test_a_lost_worker_costs_its_shard_only(job, check_output, dask):
    job = replace(job, seconds=0.1)
    lost = []

    def lose(n):
        if n and not lost:
            with distributed.Client(dask[0], set_as_default=False) as client:
                lost.append(min(client.run(os.getpid).values()))
            os.kill(lost[0], signal.SIGKILL)

    run_job(job, scheduler=dask[0], on_showers=lose)
    assert lost
    check_output(job)


def test_parts_that_workers_do_not_see(job, dask, monkeypatch):
    """Another folder of the same name, as on a disk of each machine."""
    monkeypatch.setattr(cluster, "_mark", lambda parts: "other")
    with pytest.raises(
        OutputError, match=r"seen or written by [12] of [12] workers of the cluster, e\.g\. tcp://"
    ):
        run_job(job, scheduler=dask[0])
    assert not list(job.output.parent.iterdir())


def test_another_version_on_the_workers(job, dask, monkeypatch):
    monkeypatch.setattr(cluster, "__version__", "99")
    with pytest.raises(ConfigError, match=r"workers of the cluster have caloforge .*, here it is 99"):
        run_job(job, scheduler=dask[0])


def test_a_job_that_is_another_there(job, dask, tmp_path, monkeypatch):
    """Weights that are not the same file on all machines."""
    (tmp_path / "weights").write_text("here")
    monkeypatch.setattr(ToyJob, "fingerprint", lambda self: {"file": "elsewhere"})
    job = replace(job, fingerprint_file=tmp_path / "weights")
    with pytest.raises(ShardsFailedError, match=r"the job is another one .*\(different: .*file\)"):
        run_job(job, scheduler=dask[0])


def test_no_scheduler(job, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.5)
    with pytest.raises(ConfigError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9: "):
        run_job(job, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(
        ConfigError, match="neither an address, such as tcp://host:8786, nor a scheduler file"
    ):
        run_job(job, scheduler="there.json")
    with pytest.raises(ConfigError, match="--workers or --scheduler"):
        run_job(job, scheduler="tcp://127.0.0.1:9", workers=2)
    assert not list(job.output.parent.iterdir())


def test_without_dask(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"caloforge\[cluster\]"):
        run_job(job, scheduler="tcp://127.0.0.1:9")


SCRIPT = """
import sys
from pathlib import Path
from caloforge.production import run_job
from support.toy_jobs import Fate, ToyJob

output, scheduler, options = sys.argv[1:]
run_job(ToyJob(output=Path(output), n_showers=60, **eval(options)), scheduler=scheduler, resume=True)
"""


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_resumed(job, check_output, dask, tmp_path, way):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = python(script, job.output, dask[0], "{'seconds': 0.05}")
    while len(list(job.output.parent.glob("out.h5.parts/0*.h5"))) < 3:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(way)
    begin = time.monotonic()
    process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    if way == signal.SIGINT:
        assert processes_of(dask) == []
    job = replace(job, n_showers=60)
    run_job(job, scheduler=dask[0], resume=True)
    check_output(job)


def test_generate_on_a_cluster(dask, folder, tmp_path):
    """Serial, processes and cluster, bit for bit."""
    from caloforge.generation import GenerationJob, Spectrum
    from caloforge.generation import run_job as generate
    from support.tiny_runs import GEOMETRY, train_tiny

    run = tmp_path / "run"
    train_tiny(run, "training.energies.epochs=1", "training.shape.epochs=1")
    outputs = {}
    for name, options in {"one": {}, "two": {"workers": 2}, "dask": {"scheduler": dask[0]}}.items():
        job = GenerationJob(
            weights=str(run),
            n_showers=2500,
            energies=Spectrum(low=2e3, high=9e4),
            seed=11,
            output=folder / f"{name}.h5",
            shard_bytes=4 * GEOMETRY.n_voxels * 1024,
        )
        outputs[name] = read(generate(job, **options))
    for other in ("two", "dask"):
        assert outputs[other].voxels.tobytes() == outputs["one"].voxels.tobytes()
        assert outputs[other].provenance == outputs["one"].provenance
