"""The physics that a provenance tells of, whoever wrote it; what cannot be understood is unknown."""

import pytest

from caloforge.geometry import Incidence
from caloforge.io.physics import Physics

SIMULATED = {
    "generator": "geant4",
    "geant4": "geant4-11-04-patch-01 [MT]",
    "geant4_data": {"source": "given folder", "versions": {"G4PARTICLEXS": "4.2", "G4EMLOW": "8.8"}},
    "physics": "QGSP_BERT",
    "production_cut_mm": 0.1,
    "particle": "e+",
    "incidence": {"angle": 20.0, "azimuth": 0.0, "x": 0.0, "y": 0.0, "spread": 5.0},
}
FOREIGN = {
    "attributes": {
        "cut_mm": 0.7,
        "data": "reduced tables (somewhere)",
        "geant4": "11.4.1 (geant4-pybind 0.1.3)",
        "particle": "gamma",
        "physics": "G4EmStandardPhysics",
    }
}


def test_what_simulate_writes():
    found = Physics.of(SIMULATED)
    assert found == Physics(
        particle="e+",
        physics_list="QGSP_BERT",
        cut=0.1,
        geant4="11.4.1",
        data="G4EMLOW8.8, G4PARTICLEXS4.2",
        incidence=Incidence(angle=20.0, spread=5.0),
    )
    assert found.describe() == (
        "QGSP_BERT, cut 0.1 mm, Geant4 11.4.1, G4EMLOW8.8, G4PARTICLEXS4.2, 20 degrees centred spread ±5 mm"
    )


def test_attributes_of_others():
    found = Physics.of(FOREIGN)
    assert found == Physics(
        particle="gamma", physics_list="em", cut=0.7, geant4="11.4.1", data="reduced tables"
    )
    assert found.describe() == "em, cut 0.7 mm, Geant4 11.4.1, reduced tables, incidence unknown"


@pytest.mark.parametrize("origin", [SIMULATED, FOREIGN], ids=["simulated", "foreign"])
def test_weights_and_their_showers_say_what_the_training_showers_said(origin):
    made = Physics.of(origin)
    weights = {"particle": made.particle, "physics": made.table(), "source": origin}
    showers = {"generator": "caloforge", "particle": made.particle, "physics": made.table()}
    for provenance in (weights, showers, {"particle": made.particle, "source": origin}):
        found = Physics.of(provenance)
        assert found.learned
        assert (found.table(), found.particle) == (made.table(), made.particle)


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"particle": "e+", "attributes": {"energy_unit": "GeV"}},
        {"physics": None, "source": {}},
        {"physics": {"list": None}},
        {"physics": ["FTFP_BERT"], "cut_mm": "0.7", "geant4": 11.4, "data": 3, "incidence": "20 degrees"},
        {"physics": " ", "cut_mm": -1, "geant4": "recent", "data": "of 2019", "incidence": {"angle": 99}},
        {"physics": "as in the paper, with the list that was the default there", "cut_mm": float("nan")},
        {"geant4_data": {"versions": {"G4EMLOW": "8.8", "G4PARTICLEXS": "unknown"}}},
    ],
)
def test_unknown(provenance):
    found = Physics.of(provenance)
    assert not found.known
    assert (found.table(), found.describe()) == (None, "unknown")


def test_showers_of_weights_that_do_not_know_are_a_model_s_all_the_same():
    assert Physics.of({"generator": "caloforge", "physics": None}).learned
    assert not Physics.of(SIMULATED).learned


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("geant4-11-04 [MT]", "11.4.0"),
        ("Geant4-10-07-patch-02", "10.7.2"),
        ("11.4", "11.4"),
        ("Geant4 10.7.p02", "10.7.2"),
        ("v11.2.1", "11.2.1"),
        ("4.10.07.p02", "10.7.2"),
        ("geant4-pybind 0.1.3", None),
    ],
)
def test_versions(text, version):
    assert Physics.of({"geant4": text}).geant4 == version


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FTFP_BERT_EMZ", "FTFP_BERT_EMZ"),
        ("Geant4 with the list QGSP_BIC and a range cut of a millimetre", "QGSP_BIC"),
        ("FTFP_BERT or QGSP_BERT, nobody knows which of the two any more", None),
        ("G4EmStandardPhysics_option4", "G4EmStandardPhysics_option4"),
    ],
)
def test_lists(text, name):
    assert Physics.of({"attributes": {"physics_list": text}}).physics_list == name
