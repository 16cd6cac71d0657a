"""Processes that die, fail, hang or are killed: the sample is the same, or the error says why there is none."""

import json
import os
import signal
import time
from dataclasses import replace

import pytest

from caloforge.errors import CaloForgeError, ConfigError, OutputError, WorkerDiedError
from caloforge.production import ShardedJob, ShardWorker, run_job
from caloforge.production.supervision import Restarts
from support.processes import child_processes
from support.tiny_runs import python
from support.toy_jobs import Fate, ToyJob, ToyWorker

ABORT, KILL = "signal 6 (SIGABRT)", "signal 9 (SIGKILL)"


@pytest.fixture
def job(folder):
    """Four shards of five showers."""
    return ToyJob(output=folder / "out.h5")


def test_the_toy_is_a_job(job):
    assert isinstance(job, ShardedJob)
    assert isinstance(job.open_worker(), ShardWorker)


@pytest.mark.parametrize("workers", [1, 3, 9])
@pytest.mark.parametrize("in_process_ok", [True, False])
def test_any_number_of_processes(job, check_output, workers, in_process_ok):
    job = replace(job, in_process_ok=in_process_ok)
    done = []
    assert run_job(job, workers=workers, on_showers=done.append) == job.output
    assert sum(done) == 20
    assert min(done) >= 0
    check_output(job)


def test_one_shard(job, check_output):
    job = replace(job, n_showers=4, fates=(Fate(event=2, way="abort", times=2),))
    run_job(job)
    check_output(job, [{"event": 2, "attempt": 1, "died_of": [ABORT] * 2}])


def test_progress_within_a_shard(job, check_output):
    job = replace(job, shard_size=20, seconds=0.06, fates=(Fate(event=10, way="kill"),))
    done = []
    run_job(job, on_showers=done.append)
    assert sum(done) == 20
    assert len(done) > 5
    assert min(done) >= 0
    check_output(job)


@pytest.mark.parametrize("way", ["abort", "kill", "exit", "terminate"])
def test_an_event_that_kills_once_is_made_again(job, check_output, way):
    """The same numbers: memory may have been short."""
    job = replace(job, fates=(Fate(event=7, way=way), Fate(event=8, way=way)))
    done = []
    run_job(job, workers=2, on_showers=done.append)
    assert sum(done) == 20
    check_output(job)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_an_event_that_kills_again_is_replaced(job, check_output, times):
    job = replace(job, fates=(Fate(event=7, way="abort", times=times), Fate(event=16, way="kill", times=2)))
    run_job(job, workers=2)
    check_output(
        job,
        [
            {"event": 7, "attempt": times - 1, "died_of": [ABORT] * times},
            {"event": 16, "attempt": 1, "died_of": [KILL] * 2},
        ],
    )


def test_an_event_that_always_kills_ends_the_run_which_remembers(job, check_output):
    job = replace(job, fates=(Fate(event=17, way="abort", times=6),))
    message = (
        rf"5 workers died at shower 17 \(signal 6 \(SIGABRT\)\)\. Finished shards are in {job.output}.parts"
    )
    with pytest.raises(WorkerDiedError, match=message):
        run_job(job)
    journal = json.loads((job.output.parent / "out.h5.parts" / "000003.crashes.json").read_text())
    assert [crash["attempt"] for crash in journal["crashes"]] == [0, 0, 1, 2, 3]
    with pytest.raises(WorkerDiedError, match="6 workers died at shower 17"):
        run_job(job, resume=True)  # one more attempt
    run_job(job, resume=True)
    check_output(job, [{"event": 17, "attempt": 3, "died_of": [ABORT] * 6}])


def test_a_job_that_cannot_replace(job, check_output):
    job = replace(job, can_replace=False, fates=(Fate(event=7, way="kill", times=3),))
    message = r"2 workers died at shower 7 \(signal 9 \(SIGKILL\), perhaps out of memory\)"
    with pytest.raises(WorkerDiedError, match=rf"{message}.*perhaps with fewer --workers"):
        run_job(job, workers=1)
    run_job(job, resume=True)  # has two attempts again, and needs them
    check_output(job)


def test_ended_from_outside_is_not_the_fault_of_an_event(job, check_output):
    job = replace(job, fates=(Fate(event=7, way="terminate", times=2),))
    run_job(job)
    check_output(job)


def test_a_broken_set_up_ends_at_once_with_its_last_words(job):
    broken = replace(job, dies_at_start="exit", keeps_log=True)
    with pytest.raises(WorkerDiedError, match=r"died before its first shower \(exit code 3\)") as caught:
        run_job(broken, workers=2)
    assert str(caught.value).endswith("Its last words: toy: set up\ntoy: no licence")
    assert not list(job.output.parent.iterdir())
    with pytest.raises(FileNotFoundError, match="no such thing") as caught:
        run_job(replace(job, dies_at_start="raise"))
    assert caught.value.filename == "toy.dat"
    assert not list(job.output.parent.iterdir())


def test_workers_that_die_everywhere(job, monkeypatch):
    """Each event once: no event is to blame, so something else is."""
    monkeypatch.setattr("caloforge.production.workers.Restarts", lambda: Restarts(allowed=3))
    job = replace(job, fates=tuple(Fate(event=k, way="abort") for k in range(20)))
    with pytest.raises(WorkerDiedError, match="Workers keep dying at different showers"):
        run_job(job)


def test_restarts():
    few = Restarts(allowed=2)
    assert not few.any_unit
    assert [few.spend() for _ in range(3)] == [True, True, False]
    for _ in range(200):
        few.count_unit()
    assert few.any_unit
    assert [few.spend() for _ in range(2)] == [True, False]


def test_the_last_words_are_in_the_log(job, capfd):
    job = replace(job, keeps_log=True, fates=(Fate(event=17, way="chatter and abort", times=5),))
    with pytest.raises(WorkerDiedError, match=r"(?s)Its last words: .*a step of no length"):
        run_job(job)
    assert len(list(job.output.parent.glob("out.h5.parts/worker-*.log"))) == 1
    run_job(job, resume=True)
    assert [path.name for path in job.output.parent.iterdir()] == ["out.h5"]
    out, err = capfd.readouterr()
    assert "toy" not in out + err
    assert "G4" not in out + err


def test_what_is_printed_goes_where_errors_go(job, capfd):
    run_job(job)
    assert capfd.readouterr() == ("", "toy: set up\n")


def test_exceptions_arrive_as_themselves(job):
    with pytest.raises(KeyError, match="event 7") as caught:
        run_job(replace(job, fates=(Fate(event=7, way="raise"),)), workers=2)
    assert "in meet" in caught.value.__notes__[0]
    other = replace(job, fates=(Fate(event=8, way="odd exception"),))
    with pytest.raises(CaloForgeError, match="A worker failed: OddError: odd"):
        run_job(other, workers=2, overwrite=True)


def test_a_shard_that_is_too_short(job, monkeypatch):
    monkeypatch.setattr(ToyWorker, "showers", lambda self, *args: iter(()))
    with pytest.raises(CaloForgeError, match="Shard 0 has 0 showers, expected 5"):
        run_job(replace(job, in_process_ok=True))


def test_resuming_another_job(job):
    with pytest.raises(KeyError):
        run_job(replace(job, fates=(Fate(event=7, way="raise"),)))
    with pytest.raises(OutputError, match="holds an interrupted run"):
        run_job(job)
    with pytest.raises(ConfigError, match="different: seed"):
        run_job(replace(job, seed=2), resume=True)


def test_a_job_of_a_script(job, monkeypatch):
    monkeypatch.setattr(ToyJob, "__module__", "__main__")
    with pytest.raises(ConfigError, match="ToyJob is defined in the script that runs"):
        run_job(job)
    assert not list(job.output.parent.iterdir())


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from caloforge.production import run_job
from support.toy_jobs import Fate, ToyJob

output, workers, options = sys.argv[1:]
job = ToyJob(output=Path(output), n_showers=60, **eval(options))
run_job(job, workers=int(workers), resume=True)
"""


def start(tmp_path, job, workers, options):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return python(script, job.output, workers, options, start_new_session=True)


def wait_for_shards(process, job, n):
    while len(list(job.output.parent.glob("out.h5.parts/0*.h5"))) < n:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def gone(pids):
    """Whether processes have ended; one that nobody has waited for counts."""
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killed_twice_and_resumed(tmp_path, job, check_output):
    """Without a word, as by the batch system: its processes end too, and the run goes on where it was."""
    options = "{'seconds': 0.02, 'fates': (Fate(event=22, way='abort', times=3),)}"
    for n_shards in (2, 6):
        process = start(tmp_path, job, 2, options)
        wait_for_shards(process, job, n_shards)
        children = child_processes(process.pid)
        assert len(children) == 2
        process.kill()
        process.communicate()
        assert gone(children)
    process = start(tmp_path, job, 2, options)
    assert process.wait(60) == 0, process.communicate()[1]
    process.communicate()
    check_output(
        replace(job, n_showers=60), [{"event": 22, "attempt": 2, "died_of": ["signal 6 (SIGABRT)"] * 3}]
    )


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_run(tmp_path, job, way):
    """Not even a process that hangs in an event."""
    process = start(tmp_path, job, 2, "{'seconds': 0.02, 'fates': (Fate(event=22, way='wait', times=9),)}")
    wait_for_shards(process, job, 3)
    while not (tmp_path / "here-fates" / "22-0").exists():
        time.sleep(0.01)
    children = child_processes(process.pid)
    assert len(children) == 2
    if way == signal.SIGINT:
        os.killpg(process.pid, way)  # as a terminal does
    else:
        process.kill()
    begin = time.monotonic()
    try:
        _, errors = process.communicate(timeout=5)
    finally:
        process.kill()
    assert time.monotonic() - begin < 5
    assert gone(children)
    assert len(list(job.output.parent.glob("out.h5.parts/0*.h5"))) >= 3
    if way == signal.SIGINT:
        assert errors.count("Traceback") == 1, errors  # that of the script itself
        assert not list(job.output.parent.glob("out.h5.parts/.*"))
