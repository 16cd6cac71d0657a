"""Importing Geant4 asks nothing, downloads nothing, and leaves the environment alone."""

import os
import subprocess
import sys

import pytest

from caloforge.errors import MissingExtraError
from caloforge.simulation._geant4 import import_geant4
from support.geant4 import needs_geant4


@needs_geant4
@pytest.mark.parametrize("ci", [{}, {"CI": "true"}], ids=["at a terminal", "CI"])
def test_no_question_no_download(ci, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("G4", "GEANT4", "CI"))}
    code = (
        "import os, socket\n"
        "socket.socket.connect = None\n"  # any download would fail here
        "from caloforge.simulation._geant4 import import_geant4\n"
        "before = dict(os.environ)\n"
        "import_geant4().G4NistManager.Instance()\n"
        "assert dict(os.environ) == before, set(os.environ) ^ set(before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | ci | {"HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,  # a question would end in EOFError
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_a_set_folder_is_kept(monkeypatch):
    monkeypatch.setenv("GEANT4_DATA_DIR", "/somewhere")
    monkeypatch.setitem(sys.modules, "geant4_pybind", os)
    assert import_geant4() is os
    assert os.environ["GEANT4_DATA_DIR"] == "/somewhere"


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "geant4_pybind", None)
    monkeypatch.delenv("GEANT4_DATA_DIR", raising=False)
    with pytest.raises(
        MissingExtraError, match=r'needed for radiation lengths: pip install "caloforge\[geant4\]"'
    ) as raised:
        import_geant4("radiation lengths")
    assert isinstance(raised.value, ImportError)
    assert raised.value.extra == "geant4"
    assert "GEANT4_DATA_DIR" not in os.environ


def test_a_broken_install_is_not_hidden(monkeypatch, tmp_path):
    (tmp_path / "geant4_pybind.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "geant4_pybind", raising=False)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_geant4()
