"""Samples of other physics are named in one line, equal and unknown ones are not."""

import itertools

import pytest

from caloforge.evaluation import physics_difference

AIM = {"angle": 0.0, "azimuth": 0.0, "x": 0.0, "y": 0.0, "spread": 0.0}
MADE = {
    "particle": "e+",
    "physics": "em",
    "production_cut_mm": 0.7,
    "incidence": AIM,
    "geant4_data": {"versions": {"G4EMLOW": "8.8", "G4PARTICLEXS": "4.2"}},
    "geant4": "geant4-11-04-patch-01 [MT]",
}
OTHER = {
    "particle": ("particle", "gamma"),
    "physics list": ("physics", "FTFP_BERT"),
    "cut": ("production_cut_mm", 0.1),
    "incidence": ("incidence", AIM | {"angle": 20.0}),
    "data": ("geant4_data", {"versions": {"G4EMLOW": "reduced"}}),
    "Geant4 version": ("geant4", "11.4.0"),
}


def learned(made: dict) -> dict:
    """The provenance of showers of a model that was trained on these."""
    table = {
        "list": made.get("physics"),
        "cut_mm": made.get("production_cut_mm"),
        "incidence": made.get("incidence"),
        "data": {"8.8": "G4EMLOW8.8, G4PARTICLEXS4.2", "reduced": "reduced tables"}.get(
            made.get("geant4_data", {}).get("versions", {}).get("G4EMLOW")
        ),
        "geant4": made.get("geant4"),
    }
    return {"generator": "caloforge", "particle": made.get("particle"), "physics": table}


KINDS = {"made": dict, "learned": learned}


@pytest.mark.parametrize(("mine", "theirs"), list(itertools.product(KINDS, KINDS)))
@pytest.mark.parametrize("name", OTHER)
def test_every_entry_same_different_and_unknown(name, mine, theirs):
    key, value = OTHER[name]
    mine, theirs = KINDS[mine], KINDS[theirs]
    changed = MADE | {key: value}
    silent = {k: v for k, v in MADE.items() if k != key}
    assert physics_difference(mine(MADE), theirs(MADE)) is None
    assert physics_difference(mine(changed), theirs(changed)) is None
    for first, second in ((MADE, changed), (changed, MADE)):
        found = physics_difference(mine(first), theirs(second))
        assert found.names == (name,)
        assert found.message.count("\n") == 0
        assert found.matters is (name != "Geant4 version")
    for first, second in ((silent, changed), (changed, silent), (silent, silent)):
        assert physics_difference(mine(first), theirs(second)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_known_accuses_nobody(kind):
    for nothing in ({}, {"attributes": {"energy_unit": "GeV"}}, {"generator": "caloforge", "physics": None}):
        assert physics_difference(KINDS[kind](MADE), nothing) is None
        assert physics_difference(nothing, KINDS[kind](MADE)) is None


def test_the_line_for_shipped_weights_and_simulate_as_it_is():
    found = physics_difference(learned(MADE), MADE | {"physics": "FTFP_BERT"})
    assert found.message == (
        "The generated showers learned em; the reference showers were made with FTFP_BERT: em has no photonuclear "
        "reactions, which cost some per mille of e_dep/e_inc; such differences are the physics', not the model's. "
        "Simulate the reference with --physics em, or train on showers made like it."
    )
    assert found.clause == "they learned em and the reference showers were made with FTFP_BERT"


def test_what_to_do():
    angle = MADE | {"incidence": AIM | {"angle": 20.0, "spread": 5.0}}
    several = MADE | {"physics": "FTFP_BERT", "production_cut_mm": 0.1, "geant4": "11.3.0"}
    pairs = {
        (0, "--angle 20 --spread 5, or train"): (learned(angle), MADE),
        (1, "--physics em --cut 0.7 to come nearer, or train on showers made like it."): (
            learned(MADE),
            several,
        ),
        (2, "Train on showers made like the reference."): (learned(MADE), MADE | {"geant4": "11.3.0"}),
        (3, "Simulate both alike."): (MADE, several),
        (4, "Compare with showers of the physics it learned."): (MADE, learned(several)),
        (5, "Train on showers made like the reference."): (learned(MADE), learned(several)),
        (6, "Compare showers of one particle."): (learned(MADE), several | {"particle": "gamma"}),
    }
    for (_, words), pair in pairs.items():
        assert words in physics_difference(*pair).message


def test_of_data_sets_those_that_differ():
    newer = MADE | {"geant4_data": {"versions": {"G4EMLOW": "8.8", "G4PARTICLEXS": "4.3"}}}
    message = physics_difference(learned(MADE), newer).message
    assert "learned G4PARTICLEXS4.2; the reference showers were made with G4PARTICLEXS4.3:" in message


def test_equal_in_other_words():
    """A shorter version, an azimuth of perpendicular particles, a cut as float32."""
    assert physics_difference(MADE, MADE | {"geant4": "11.4"}) is None
    assert physics_difference(MADE, MADE | {"incidence": AIM | {"azimuth": 90.0}}) is None
    assert physics_difference(MADE, MADE | {"production_cut_mm": 0.699999988}) is None
    foreign = {"attributes": {"physics": "G4EmStandardPhysics", "cut_mm": 0.7, "geant4": "11.4.1 (pybind)"}}
    assert physics_difference(foreign, MADE) is None


def test_names_of_the_samples():
    other = MADE | {"physics": "QBBC"}
    found = physics_difference(MADE, other, name="the showers of a.h5", other_name="those of b.h5")
    assert found.message.startswith(
        "The showers of a.h5 were made with em; those of b.h5 were made with QBBC: "
    )
