"""Numbers as text, the verdict in words, places among the published."""

import numpy as np
import pytest

from caloforge.report.copies import copy_note, copy_words
from caloforge.report.formatting import auc, flat, over_floor, pm, sig, span
from caloforge.report.naming import reference_name, sample_names
from caloforge.report.plain import plain
from caloforge.report.published import METRICS, challenge_metrics, published, rank
from caloforge.report.samples import split_slice
from caloforge.report.spectra import energy_facts
from caloforge.report.verdict import distinguishable, single_voxel_words, verdict


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0123456, 2, "0.012"), (1234.5, 3, "1234"), (0, 2, "0"), (None, 2, "–"), (float("nan"), 2, "–")],
)
def test_sig(value, digits, text):
    assert sig(value, digits) == text


def test_errors():
    assert pm(0.73124, 0.0123) == "0.731 ± 0.012"
    assert pm(1234.5, 67.0) == "1234 ± 67"
    assert pm(None, 0.1) == "–"
    assert (sig(-0.5, 2), pm(-0.017, 0.014), auc(-0.01, None)) == ("−0.50", "−0.017 ± 0.014", "−0.010")
    assert pm(3.2e-8, 1e-9) == "(3.20 ± 0.10)·10⁻⁸"
    assert auc(0.68264, 0.0001) == "0.683 ± 0.001"
    assert span([1000.0, 1000.0]) == "1 GeV"
    assert dict(flat({"a": {"b": 1}, "c": "x"})) == {"a: b": "1", "c": "x"}
    row = {"separation": 0.02, "floor": 0.01, "floor_95": 0.015}
    assert over_floor(row) == "2.0 ×"
    assert over_floor(row | {"separation": 0.015}) == "–"


def test_plain():
    assert plain({"a": float("inf"), 1: (1.23456789, True)}) == {"a": None, "1": [1.234568, True]}


def test_slices(tmp_path):
    path = tmp_path / "a.h5"
    assert split_slice(f"{path}[2:5]") == (path, 2, 5)
    assert split_slice(f"{path}[:]") == (path, 0, None)
    assert split_slice(str(path)) == (path, 0, None)
    odd = tmp_path / "b[1:2]"
    odd.touch()
    assert split_slice(str(odd)) == (odd, 0, None)


def test_words_grow_with_the_auc():
    words = [distinguishable(value, 0.001, 0.5, 0.001) for value in (0.5, 0.52, 0.6, 0.7, 0.9, 0.99)]
    assert words[0] == "not distinguishable from"
    assert len(set(words)) == 6
    assert distinguishable(0.6, 0.01, 0.609, 0.01) == "not distinguishable from", "the floor counts"
    assert reference_name({"attributes": {"geant4": "11.4"}}) == "Geant4"
    assert reference_name({"generator": "caloforge"}) == "the reference"


def test_samples_are_told_apart():
    def sample(file, start, **provenance):
        return {
            "name": file.rpartition("/")[2],
            "file": file,
            "start": start,
            "stop": 9,
            "provenance": provenance,
        }

    def names(*samples):
        return list(sample_names(dict(zip(("generated", "reference"), samples, strict=True))).values())

    simulated = {"generator": "geant4", "particle": "gamma"}
    assert names(sample("a.h5", 0), sample("b.h5", 0, **simulated)) == ["a.h5", "b.h5 (Geant4, gamma)"]
    assert names(sample("a/x.h5", 0), sample("b/x.h5", 0)) == ["a/x.h5", "b/x.h5"]
    assert names(sample("x.h5", 0), sample("x.h5", 5)) == ["x.h5[0:9]", "x.h5[5:9]"]
    memory = {"name": "in memory", "file": None, "start": 0, "stop": 9, "provenance": {"family": "caloflow"}}
    assert names(memory, memory)[0] == "in memory[0:9] (caloflow)"


def row(name, separation, floor=0.01, floor_95=0.015):
    return {"name": name, "label": name, "separation": separation, "floor": floor, "floor_95": floor_95}


def test_verdict_without_classifier():
    report = {
        "features": [row("a", 0.01), row("b", 0.05), row("c", 0.30)],
        "samples": {"reference": {"provenance": {}}},
    }
    found = verdict(report)
    assert found["worst_features"] == ["c", "b"]
    assert found["headline"] == "2 of 3 features differ from the reference."
    assert "c (separation 0.30, 30 × its floor)" in found["sentences"][0]


def judged(auc=0.5, error=0.01, spread=0.01, floor=None, features=(), n=100, **entries):
    """Headline of a report with one classifier."""
    sizes = {"n_train": 6 * n // 10, "n_selection": 2 * n // 10, "n_test": 2 * n // 10}
    result = {"auc": auc, "auc_error": error, "auc_spread": spread, "aucs": [auc] * 2, "jsd": 0.0} | sizes
    report = {
        "features": list(features) or [row("a", 0.01)],
        "samples": {"reference": {"provenance": {}}},
        "classifiers": [{"title": "trees", "result": result, "floor": floor, "learning_curve": None}],
    }
    return verdict(report | entries)


def test_small_samples_say_what_they_could_show():
    """Two standard errors of result and floor above the floor."""
    small = judged(error=0.04, n=500)["sentences"][0]
    assert "only 500 showers per class no AUC below 0.58 could be told from the floor" in small
    assert "lower limit" in small
    floor = {"auc": 0.56, "auc_spread": 0.0, "auc_error": 0.03, "aucs": [0.56] * 2, "jsd": 0.0}
    assert "no AUC below 0.66 could" in judged(error=0.04, spread=0.0, n=500, floor=floor)["sentences"][0]
    assert "told apart every time" in judged(error=0.3, n=10)["sentences"][0]
    large = judged(error=0.04, n=1000)["sentences"][0]
    assert "only" not in large
    assert "below 0.08 would not be seen" in large


def different(quantity="energy", n_beyond=1):
    worst = {
        "place": "voxel (6, 3) of layer 1",
        "quantity": quantity,
        "pull": -8.13,
        "hit_rate": [0.0, 0.9951],
        "mean_energy_MeV": [12.0, 10.0],
        "energy_factor": 0.9,
        "energy_factor_error": 0.01,
    }
    numbers = {"n_pulls": 1451, "largest_by_chance": 3.49, "n_voxels": 504}
    return {"single_voxels": numbers | {"differs": n_beyond > 0, "n_beyond": n_beyond, "worst": [worst]}}


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        ("energy", "has hits of 0.900 ± 0.010 times the energy that they have in the reference"),
        ("hits", "is hit in 0 % of the showers (99.5 % in the reference)"),
        ("share", "has 12.0 MeV on average (10.0 MeV in the reference)"),
    ],
)
def test_a_voxel_in_words(quantity, words):
    samples = {"samples": {"reference": {"provenance": {}}}}
    found = single_voxel_words(samples | different(quantity))
    assert found.startswith(f"Single voxels: voxel (6, 3) of layer 1 {words}, a pull of 8.1 where chance")
    assert "largest of 1,451 about 3.5." in found
    assert "of 504 voxels 20 differ in all" in single_voxel_words(samples | different(quantity, 20))
    assert single_voxel_words(samples | different(n_beyond=0)) is None
    assert single_voxel_words(samples | {"single_voxels": {"left_out": "too few"}}) is None
    assert single_voxel_words(samples) is None


def test_a_voxel_is_in_the_headline():
    assert judged(**different())["headline"].endswith("; but single voxels differ.")
    assert judged(**different())["sentences"][-1].startswith("Single voxels: voxel (6, 3)")
    assert "voxels" not in judged(auc=0.9, **different())["headline"], "all differ there"
    assert "voxels" not in judged(**different(n_beyond=0))["headline"]


def test_a_few_showers_acquit_nobody():
    assert "not distinguishable" in judged(error=0.02)["headline"]
    assert judged(error=0.09)["headline"].startswith("Too few showers to tell")


@pytest.mark.parametrize(
    ("alarm", "words", "short"),
    [
        ("training", "copies of training showers: 100 %", "copies of training showers: 100 %"),
        ("reference", "copies of reference showers: 100 %", "copies of reference showers: 100 %"),
        ("generated", "they repeat themselves: 100 % have a twin", "repeats itself: 100 %"),
    ],
)
def test_copies_are_in_the_headline(alarm, words, short):
    quiet = {name: {"alarm": False, "copies": 0.0} for name in ("training", "reference", "generated")}
    found = judged(copies={"checks": quiet})
    assert words not in found["headline"]
    (fact,) = (fact for fact in found["facts"] if fact["name"] == "Copies")
    assert fact["value"] == "no copies"
    assert "training" in fact["note"]
    alarmed = {"checks": quiet | {alarm: {"alarm": True, "copies": 1.0}}}
    assert judged(copies=alarmed)["headline"].endswith(f"; but {words}.")
    assert judged(auc=0.9, copies=alarmed)["headline"].endswith(f"; and {words}.")
    assert copy_words({"copies": alarmed}) == short
    assert "no other number" in copy_note({"copies": alarmed})


def test_training_showers_that_were_not_compared_are_named():
    report = {
        "copies": {"checks": {name: {"alarm": False, "copies": 0.0} for name in ("reference", "generated")}}
    }
    assert copy_words(report) == "no copies (training showers not compared)"
    assert "training showers were not compared" in copy_note(report)
    assert "no model was trained" in copy_note(report | {"training": {"status": "none"}})
    assert copy_words({"copies": {"left_out": "too few"}}) is None


def test_other_energies_come_first():
    rng = np.random.default_rng(0)
    low, high = rng.uniform(1e3, 1e5, 400), rng.uniform(5e4, 1e5, 400)
    assert energy_facts(low, rng.uniform(1e3, 1e5, 400))["distance"] is None
    headline = judged(auc=0.93, energies=energy_facts(high, low))["headline"]
    assert headline.startswith("The generated showers have other incident energies (50")
    assert "on average 75" in headline
    assert headline.endswith("so no number says how good they are, AUC 0.930 ± 0.010 neither.")
    same = judged(energies=energy_facts(low, low))["headline"]
    assert "energies" not in same
    copies = {"checks": {"training": {"alarm": True, "copies": 1.0}}}
    both = judged(energies=energy_facts(high, low), copies=copies)["headline"]
    assert both.endswith("neither; and copies of training showers: 100 %.")


def test_one_feature_that_is_far_off_is_no_chance():
    quiet = [row(f"f{k}", 0.01) for k in range(40)]
    assert "no more than chance" in judged(features=[*quiet, row("a", 0.02)])["sentences"][-1]
    assert "worst are a " in judged(features=[*quiet, row("a", 0.05)])["sentences"][-1]
    many = [row(f"g{k}", 0.02) for k in range(30)]
    assert "but most features differ" in judged(features=[*quiet[:5], *many])["headline"]
    assert "most features" not in judged(auc=0.9, features=[*quiet[:5], *many])["headline"]


def test_published_figures():
    """A few, typed from the table of the paper's figures."""
    known = {entry["submission"]: entry for entry in published("calochallenge_2")}
    assert known["CaloDREAM"]["auc_low"][0] == 0.5308
    assert known["CaloDREAM"]["fpd_e3"][0] == 24.65
    assert len(known) == 18
    assert published("calogan") == []
    assert [len(published(f"calochallenge_{name}")) for name in ("1_photons", "1_pions", "3")] == [16, 13, 16]


def test_rank():
    found = rank("calochallenge_2", {"auc_low": (0.55, 0.01), "kpd_e3": (1e9, None)})
    places = {metric["name"]: (metric["place"], metric["of"]) for metric in found["metrics"]}
    assert places == {"auc_low": (2, 18), "kpd_e3": (18, 18)}
    names = [entry["submission"] for entry in found["rows"]]
    assert names[:3] == ["Geant4", "CaloDREAM", "this sample"]
    assert "2410.21611" in found["source"]
    assert found["warning"] is None
    assert "not fair" in rank("calochallenge_2", {"auc_low": (0.55, None)}, n_showers=600)["warning"]
    assert rank("calogan", {"auc_low": (0.55, 0.01)}) is None
    assert rank("calochallenge_2", {}) is None
    report = {
        "classifiers": [{"name": "calochallenge-unnormalised", "result": {"auc": 0.6, "auc_spread": 0.01}}],
        "distances": {"settings": {"calochallenge": {"fpd": {"value": 0.1, "error": 0.01}}}},
        "challenge": {"metrics": {"separation_voxel": 1e-4}},
    }
    mine = challenge_metrics(report)
    assert mine == {"auc_low": (0.6, 0.01), "fpd_e3": (100.0, 10.0), "separation_voxel": (1e-4, None)}
    assert set(mine) <= {metric.name for metric in METRICS}
