"""Long Geant4 runs survive kills, and a command line that cannot simulate says why."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import caloforge
from caloforge.geometry import get_geometry
from support.geant4 import needs_geant4
from support.processes import child_processes

CALOGAN = get_geometry("calogan")


def command(output: Path, *options: str) -> list[str]:
    words = [sys.executable, "-m", "caloforge", "simulate", "calogan", "e+", "--energies", "1:3"]
    return [*words, "-o", str(output), *options]


@needs_geant4
@pytest.mark.slow
def test_two_thousand_showers_killed_twice_are_those_of_an_undisturbed_run(tmp_path, geant4_data):
    whole, torn = tmp_path / "whole.h5", tmp_path / "torn.h5"
    subprocess.run(command(whole, "-n", "2000", "--workers", "2"), check=True, env=geant4_data)
    parts = tmp_path / "torn.h5.parts"
    for goal in (3, 9):  # shards that shall be there before the kill
        resume = ["--resume"] if parts.exists() else []
        process = subprocess.Popen(
            command(torn, "-n", "2000", "--workers", "2", *resume), env=geant4_data, start_new_session=True
        )
        while len(list(parts.glob("[0-9]*.h5"))) < goal:
            assert process.poll() is None, "ended before it was killed"
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    # And a process of the last run is killed, too, as a system out of memory would.
    process = subprocess.Popen(command(torn, "-n", "2000", "--workers", "2", "--resume"), env=geant4_data)
    while len(list(parts.glob("[0-9]*.h5"))) < 13:
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(child_processes(process.pid)[-1], signal.SIGKILL)
    assert process.wait() == 0
    one, other = (caloforge.read(path, geometry=CALOGAN) for path in (whole, torn))
    np.testing.assert_array_equal(one.voxels, other.voxels)
    np.testing.assert_array_equal(one.e_inc, other.e_inc)
    assert other.provenance["replaced_events"] == []  # the same random numbers did well the second time


@needs_geant4
def test_no_data_is_an_error_and_no_question(tmp_path):
    """Even where geant4-pybind would download (CI=true) or ask."""
    bare = {name: value for name, value in os.environ.items() if "DATA" not in name}
    bare |= {"HOME": str(tmp_path), "CI": "true"}
    words = command(tmp_path / "out.h5", "-n", "3")
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=bare, timeout=120)
    assert done.returncode == 2
    assert "Geant4 data sets are missing: G4EMLOW (G4LEDATA)" in done.stderr
    assert 'echo y | python -c "import geant4_pybind"' in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_geant4
def test_data_that_geant4_cannot_use_end_with_its_own_words(tmp_path, geant4_data):
    """What the search cannot see: Geant4 then aborts in its process, and the log says on what."""
    sets = ("G4EMLOW8.8/brem_SB", "G4PARTICLEXS4.2/neutron", "PhotonEvaporation6.1", "G4SAIDDATA2.0")
    for name in sets:
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "G4ENSDFSTATE3.0").mkdir()
    (tmp_path / "data" / "G4ENSDFSTATE3.0" / "ENSDFSTATE.dat").touch()
    words = command(tmp_path / "out.h5", "-n", "3", "--geant4-data", str(tmp_path / "data"))
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=geant4_data, timeout=120)
    assert done.returncode == 2
    assert "G4Exception" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@needs_geant4
def test_two_runs_on_one_output(tmp_path, geant4_data):
    """The second is refused, whatever its options, and the first goes on."""
    output = tmp_path / "out.h5"
    first = subprocess.Popen(command(output, "-n", "400"), env=geant4_data)
    while not (tmp_path / "out.h5.parts" / "job.json").exists():
        assert first.poll() is None
        time.sleep(0.05)
    for options in ([], ["--resume"], ["--overwrite"]):
        words = command(output, "-n", "400", *options)
        done = subprocess.run(words, check=False, capture_output=True, text=True, env=geant4_data)
        assert done.returncode == 2
        assert "another run is making it right now" in done.stderr
    assert first.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


ABORT = """
import os
from caloforge.geometry import get_geometry
from caloforge.simulation._geant4 import import_geant4
from caloforge.simulation.geant4 import Event, Geant4

begun = []

def died():
    print("told of", begun[-1], flush=True)
    os._exit(70)

geant4 = Geant4(get_geometry("calogan"), particle="e-", physics="em", on_abort=died)
g4 = import_geant4()

class Tracking(g4.G4UserTrackingAction):
    def PreUserTrackingAction(self, track):
        if begun[-1] == 1:
            g4.G4RunManager.GetRunManager().AbortEvent()

tracking = Tracking()
g4.G4RunManager.GetRunManager().SetUserAction(tracking)
list(geant4.showers([Event(index=k, e_kin=10.0, entry=(0, 0), seeds=(1, 2, 3, 4)) for k in range(3)], begun.append))
os._exit(0)
"""


@needs_geant4
def test_an_event_that_geant4_gives_up_is_noticed_at_once(geant4_data):
    done = subprocess.run(
        [sys.executable, "-c", ABORT], check=False, capture_output=True, text=True, env=geant4_data
    )
    assert done.returncode == 70, done.stderr
    assert "told of 1" in done.stdout


BAD = {
    "energies beyond Geant4's physics": (["--energies", "1e9"], "outside the range of Geant4's physics"),
    "energies that are no energies": (["--energies", "0:5"], "must be positive"),
    "a list without saying so": (["--energies", "1,2"], "--spectrum list"),
    "an aim beside the calorimeter": (["--energies", "1", "--spread", "5000"], "outside the front face"),
    "an unknown list of physics": (["--energies", "1", "--physics", "FTFP_BRET"], "Did you mean 'FTFP_BERT'"),
    "a cut that is none": (["--energies", "1", "--cut", "0"], "a length of 0.001 to 1000 mm"),
    "a direction from behind": (["--energies", "1", "--angle", "120"], "in 0 .. 80 degrees"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_options(tmp_path, options, message, monkeypatch, capsys):
    from caloforge.cli.main import main

    output = tmp_path / "out.h5"
    monkeypatch.setattr(
        sys, "argv", ["caloforge", "simulate", "calogan", "e+", "-n", "3", "-o", str(output), *options]
    )
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
