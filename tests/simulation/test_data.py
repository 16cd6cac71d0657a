"""Geant4's data sets are found, or their lack is explained, before Geant4 starts."""

import shutil

import pytest

from caloforge.simulation.data import DOWNLOAD_COMMAND, Geant4DataError, find_data

SETS = ("G4EMLOW8.8", "G4PARTICLEXS4.2", "PhotonEvaporation6.1.2", "G4ENSDFSTATE3.0", "G4SAIDDATA2.0")


def make_sets(folder):
    """As much of the official sets as is looked at."""
    for name in SETS:
        (folder / name).mkdir(parents=True)
    (folder / "G4EMLOW8.8" / "livermore").mkdir()
    (folder / "G4EMLOW8.8" / "brem_SB").mkdir()
    (folder / "G4PARTICLEXS4.2" / "neutron").mkdir()
    (folder / "G4ENSDFSTATE3.0" / "ENSDFSTATE.dat").touch()


@pytest.fixture
def official(tmp_path):
    make_sets(tmp_path)
    return tmp_path


def test_folder_of_sets(official):
    data = find_data(official, environ={})
    assert data.versions["G4EMLOW"] == "8.8"
    assert data.environment["G4LEDATA"] == str(official / "G4EMLOW8.8")
    assert data.environment["GEANT4_DATA_DIR"] == str(official)


def test_the_newest_version_is_taken(official):
    (official / "G4EMLOW8.10" / "brem_SB").mkdir(parents=True)
    assert find_data(official, environ={}).versions["G4EMLOW"] == "8.10"


def test_common_folder_by_variable(official):
    assert find_data(environ={"GEANT4_DATA_DIR": str(official)}).versions["G4PARTICLEXS"] == "4.2"


def test_where_geant4_pybind_downloads(official, monkeypatch, tmp_path):
    home = tmp_path / "home"
    official_home = home / ".geant4_pybind"
    make_sets(official_home)
    monkeypatch.setenv("HOME", str(home))
    assert find_data(environ={}).folders["G4EMLOW"] == str(official_home / "G4EMLOW8.8")


def test_single_variables_come_before_the_common_folder(official, tmp_path):
    own = tmp_path / "own" / "EMLOW"
    (own / "brem_SB").mkdir(parents=True)
    data = find_data(environ={"GEANT4_DATA_DIR": str(official), "G4LEDATA": str(own)})
    assert data.folders["G4EMLOW"] == str(own)
    assert data.versions["G4EMLOW"] == "reduced"
    assert data.versions["PhotonEvaporation"] == "6.1.2"


def test_missing_sets_are_named_with_the_command_that_gets_them(official):
    shutil.rmtree(official / "G4PARTICLEXS4.2")
    with pytest.raises(Geant4DataError) as caught:
        find_data(official, environ={})
    message = str(caught.value)
    assert "G4PARTICLEXS (G4PARTICLEXSDATA)" in message
    assert "G4EMLOW" not in message.split(";")[0]
    assert DOWNLOAD_COMMAND in message
    assert str(official) in message


def test_nothing_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Geant4DataError, match="PhotonEvaporation"):
        find_data(environ={})


def test_high_precision_lists_need_a_set_more(official):
    with pytest.raises(Geant4DataError, match=r"G4NDL .*RadioactiveDecay"):
        find_data(official, physics="FTFP_BERT_HP", environ={})


def test_a_variable_that_names_no_folder(tmp_path):
    with pytest.raises(Geant4DataError, match=r"G4LEDATA names .* is no folder"):
        find_data(environ={"G4LEDATA": str(tmp_path / "gone")})


@pytest.mark.parametrize("name", ["G4EMLOW8.8/brem_SB", "G4PARTICLEXS4.2/neutron"])
def test_a_folder_that_is_another_thing(official, name):
    (official / name).rmdir()
    with pytest.raises(Geant4DataError, match=f"it has no {name.partition('/')[2]}"):
        find_data(official, environ={})


def test_empty_sets_of_high_precision_lists(official):
    """Geant4 would abort; and they are of no account to other lists."""
    (official / "RadioactiveDecay6.1.2").mkdir()
    (official / "G4NDL4.7.1" / "Elastic").mkdir(parents=True)
    assert find_data(official, environ={}).versions["G4EMLOW"] == "8.8"
    with pytest.raises(Geant4DataError, match=r"RadioactiveDecay: it has no z1\.a3"):
        find_data(official, physics="FTFP_BERT_HP", environ={})
    (official / "RadioactiveDecay6.1.2" / "z1.a3").touch()
    assert find_data(official, physics="FTFP_BERT_HP", environ={}).versions["G4NDL"] == "4.7.1"
