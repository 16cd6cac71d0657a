"""One command, one folder: whole or not there, with everything that the page shows in report.json."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import caloforge.report.assemble
from caloforge import Showers
from caloforge.errors import (
    CaloForgeError,
    EnergyRangeError,
    GeometryMismatchError,
    LeakageWarning,
    OutputError,
    SameSampleError,
    UnknownNameError,
    ValueRangeError,
)
from caloforge.evaluation import sample_statistics
from caloforge.geometry import get_geometry
from caloforge.report import EvaluationSettings, classifier_tests, evaluate, load_report
from caloforge.report.energy_slices import energy_slices
from caloforge.report.page import environment
from caloforge.report.samples import open_sample
from report.conftest import QUICK, _canned_test, geant4_halves
from support.toys import cartesian, geometry_of, toy_showers


def test_folder(report_folder):
    assert {path.name for path in report_folder.iterdir()} == {"report.html", "report.json", "plots"}
    plots = {path.stem for path in (report_folder / "plots").iterdir()}
    assert {"overview", "average_showers", "correlations", "neighbours", "copies", "calibration"} <= plots
    for name in plots:
        assert (report_folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (report_folder / "plots" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert not list(report_folder.parent.glob("*.parts"))
    assert [path.name for path in report_folder.parent.iterdir()] == ["report"]


def test_report(report_folder):
    report = load_report(report_folder)
    json.dumps(report, allow_nan=False)
    samples = report["samples"]
    assert set(samples) == {"generated", "reference", "second_reference"}
    assert [sample["n_showers"] for sample in samples.values()] == [200, 200, 120]
    assert samples["generated"]["provenance"]["generator"] == "geant4"
    assert [test["name"] for test in report["classifiers"]] == ["trees-features", "images-log-voxels"]
    for test in report["classifiers"]:
        assert len(test["result"]["aucs"]) == QUICK.trainings
        assert abs(test["result"]["auc"] - 0.5) < 5 * test["result"]["auc_error"]
        assert [point["n_showers"] for point in test["learning_curve"]["points"]][-1] == 200
    assert report["classifiers"][0]["floor"]["auc"] > 0.8, "pions are no electrons"
    assert {row["name"] for row in report["features"]} >= {"e_ratio", "e_layer_0", "width_y_1"}
    bins = report["features"][0]["histograms"]
    assert sum(bins["generated"]) == 200
    assert len(bins["edges"]) == len(bins["generated"]) + 1
    assert set(report["times_s"]) >= {
        "features",
        "all",
        "classifier-trees-features",
        "classifier-images-log-voxels",
    }
    voxels = report["single_voxels"]
    assert (voxels["n_voxels"], voxels["differs"], len(voxels["worst"])) == (504, False, 10)
    assert 1000 < voxels["n_pulls"] <= 3 * 504
    assert 1 < voxels["visible_factor_median"] < 1.3
    assert report["ranking"] is None
    assert report["energies"]["distance"] is None
    assert report["training"]["status"] == "none"
    assert set(report["copies"]["checks"]) == {"reference", "generated"}
    assert not any(check["alarm"] for check in report["copies"]["checks"].values())
    floor, found = (report["prdc"][name] for name in ("floor", "result"))
    assert floor["n_generated"] == found["n_generated"] == 120
    assert "Geant4" in report["verdict"]["headline"]


def test_page(report_folder):
    page = (report_folder / "report.html").read_text()
    assert "<title>a.h5 (Geant4) against b.h5 (Geant4)</title>" in page
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "So no single voxel stands out." in page
    assert "of the voxels that hold 99 % of the energy" in re.sub(r"\d+ voxels", "voxels", page)
    for outside in ('src="http', 'href="http', "url(http", "@import"):
        assert outside not in page


def test_full_level_has_the_classifiers_of_the_challenge():
    full = EvaluationSettings(level="full")
    names = {
        name: list(classifier_tests.test_configs(get_geometry(name), full, threshold=1.0))
        for name in ("calochallenge_1_pions", "calogan")
    }
    own = [f"calochallenge-{inputs}" for inputs in ("unnormalised", "normalised", "high-level")]
    assert [name for name in names["calochallenge_1_pions"] if name.startswith("calochallenge")] == own
    assert not set(own) & set(names["calogan"])


def test_a_broken_voxel_is_on_the_page(tmp_path, quick):
    first, second = geant4_halves()
    voxels = first.voxels.copy()
    voxels[:, 363] = 0
    report = evaluate(replace(first, voxels=voxels), second, tmp_path / "r", settings=QUICK)
    section = environment().get_template("sections/voxels.html").render(report=report)
    text = " ".join(re.sub(r"<[^>]*>", " ", section).split())
    place = "voxel (6, 3) of layer 1 (centre x = 20 mm, y = -100 mm)"
    assert f"{place} is hit in 0 % of the showers" in report["verdict"]["sentences"][-1]
    assert "1 of 504 voxels lies above that." in text
    assert f"{place} how often it is hit" in text


def test_resumes(files, tmp_path, monkeypatch, quick):
    """A run that stops goes on with what is finished, and only with the same samples and settings."""
    calls = []
    real = caloforge.report.assemble.energy_slices

    def counting(*args):
        calls.append(1)
        return real(*args)

    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("caloforge.report.assemble.energy_slices", counting)
    monkeypatch.setattr("caloforge.report.assemble.shower_prdc", broken)
    pair = files / "a.h5", files / "b.h5"
    with pytest.raises(KeyboardInterrupt):
        evaluate(*pair, tmp_path / "r", settings=QUICK)
    assert not (tmp_path / "r").exists()
    assert (tmp_path / "r.parts").is_dir()
    monkeypatch.setattr("caloforge.report.assemble.shower_prdc", lambda *args, **kwargs: None)
    resumed = evaluate(*pair, tmp_path / "r", settings=QUICK)
    assert len(calls) == 1
    assert not (tmp_path / "r.parts").exists()
    fresh = evaluate(*pair, tmp_path / "s", settings=QUICK)
    assert len(calls) == 2
    for key in ("features", "average_showers", "verdict", "correlations"):
        assert resumed[key] == fresh[key]


def test_chunks_do_not_matter(files, tmp_path, monkeypatch, quick):
    one = evaluate(files / "a.h5", files / "b.h5", tmp_path / "one", settings=QUICK)
    two = evaluate(*geant4_halves_in_memory(monkeypatch), tmp_path / "two", settings=QUICK)
    for key in ("features", "shapes", "average_showers", "challenge", "single_voxels"):
        assert one[key] == two[key]


def geant4_halves_in_memory(monkeypatch):
    monkeypatch.setattr("caloforge.report.samples._ROWS", 7)
    provenance = {"generator": "geant4"}
    return [replace(showers, provenance=provenance) for showers in geant4_halves()]


GEOMETRY = geometry_of(cartesian(2, 3))
SIMULATED = {"generator": "geant4"}


def showers(n=30, *, low=1e3, high=1e4, seed=0, geometry=GEOMETRY, value=1.0):
    rng = np.random.default_rng(seed)
    voxels = value * rng.uniform(1, 2, (n, geometry.n_voxels))
    return Showers(e_inc=rng.uniform(low, high, n), voxels=voxels, geometry=geometry, provenance=SIMULATED)


BAD = {
    "other geometry": (
        showers(geometry=geometry_of(cartesian(3, 2))),
        showers(),
        GeometryMismatchError,
        "must have the same voxels",
    ),
    "one shower": (showers(1), showers(), ValueRangeError, "generated sample .* 1 shower;"),
    "no showers": (showers(), showers(0), ValueRangeError, "reference sample .* 0 showers;"),
    "empty showers": (showers(value=0.0), showers(), ValueRangeError, "All 30 generated showers .* empty"),
    "other energies": (
        showers(low=1e3, high=5e4),
        showers(low=1e4, high=1e5, seed=1),
        EnergyRangeError,
        r"generated .* GeV, reference .* GeV\. Pass --overlap",
    ),
    "no common energies": (
        showers(low=1e3, high=2e3),
        showers(low=1e4, high=1e5, seed=1),
        EnergyRangeError,
        "nothing in common",
    ),
    "one energy": (
        replace(showers(low=5e3, high=5e3), e_inc=np.full(30, 5e3)),
        showers(100, seed=1),
        EnergyRangeError,
        r"generated 5 GeV, reference 1\.\d+ to 9\.\d+ GeV",
    ),
    "the same showers": (showers(), showers(), SameSampleError, "hold the same showers"),
}


@pytest.mark.parametrize(("generated", "reference", "error", "message"), BAD.values(), ids=BAD.keys())
def test_bad_samples(generated, reference, error, message, tmp_path):
    with pytest.raises(error, match=message) as caught:
        evaluate(generated, reference, tmp_path / "r")
    assert isinstance(caught.value, CaloForgeError)
    assert not list(tmp_path.iterdir())


def test_same_file(files, tmp_path):
    path = files / "a.h5"
    with pytest.raises(SameSampleError, match=r"a\.h5\[0:1000\]"):
        evaluate(path, path, tmp_path / "r")
    with pytest.raises(SameSampleError):
        evaluate(f"{path}[0:120]", path, tmp_path / "r", start=100)


def test_some_showers_in_both(tmp_path):
    """Found in any order, and under any threshold, which leaves the brightest voxels."""
    one, other = showers(40), showers(40, seed=1)
    mixed = Showers.concatenate([other[20:], one[3:6]])
    with pytest.raises(SameSampleError, match="the same showers, 3 of them"):
        evaluate(mixed, one, tmp_path / "r", threshold=0.5)
    assert not list(tmp_path.iterdir())


def test_overlap_and_notes(tmp_path, quick):
    generated = showers(300, low=1e3, high=5e4)
    reference = showers(200, low=1e4, high=1e5, seed=1)
    report = evaluate(generated, reference, tmp_path / "r", settings=replace(QUICK, overlap=True))
    low, high = report["samples"]["generated"]["e_inc_range_MeV"]
    assert 1e4 <= low < high <= 5e4
    assert report["samples"]["generated"]["n_left_out"] > 0
    (note,) = report["notes"]
    assert "different sizes" in note


def test_leakage(tmp_path, quick):
    generated = replace(showers(), provenance={})
    with pytest.warns(LeakageWarning, match="do not say"):
        report = evaluate(generated, showers(seed=1), tmp_path / "r", settings=QUICK)
    assert report["leakage"]["status"] == "unknown"
    assert any("trained on" in note for note in report["notes"])


def test_some_empty_showers(tmp_path, quick):
    generated = showers()
    voxels = generated.voxels.copy()
    voxels[:3] = 0
    report = evaluate(
        replace(generated, voxels=voxels), showers(seed=1), tmp_path / "r", settings=QUICK, threshold=0.5
    )
    assert any(note.startswith("3 of 30 generated showers (10 %)") for note in report["notes"])


def test_output(files, tmp_path, quick):
    pair = files / "a.h5", files / "b.h5"
    for wrong in (tmp_path / "missing" / "r", files):
        with pytest.raises(OutputError):
            evaluate(*pair, wrong, settings=QUICK, overwrite=True)
    evaluate(*pair, tmp_path / "r", settings=QUICK)
    with pytest.raises(OutputError, match="--overwrite"):
        evaluate(*pair, tmp_path / "r", settings=QUICK)
    evaluate(*pair, tmp_path / "r", settings=QUICK, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", ["notes.txt", "plots/data.csv"])
def test_what_somebody_keeps_in_a_report_is_not_lost(files, tmp_path, quick, name):
    pair = files / "a.h5", files / "b.h5"
    evaluate(*pair, tmp_path / "r", settings=QUICK)
    (tmp_path / "r" / name).write_text("mine")
    with pytest.raises(OutputError, match=name):
        evaluate(*pair, tmp_path / "r", settings=QUICK, overwrite=True)
    assert (tmp_path / "r" / name).read_text() == "mine"


def test_what_somebody_keeps_where_the_pieces_go_is_not_lost(files, tmp_path, quick):
    folder = tmp_path / "r.parts"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    evaluate(files / "a.h5", files / "b.h5", tmp_path / "r", settings=QUICK)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_one_evaluation_at_a_time_writes_a_folder(files, tmp_path, monkeypatch, quick):
    """A second one beside it would remove the pieces that the first one still needs."""
    pair = files / "a.h5", files / "b.h5"
    seen = []

    def second(*args):
        with pytest.raises(OutputError, match="another run is making it right now"):
            evaluate(*pair, tmp_path / "r", settings=QUICK)
        seen.append((tmp_path / "r.parts").is_dir())
        return {}

    monkeypatch.setattr("caloforge.report.run.challenge_metrics", second)
    monkeypatch.setattr("caloforge.report.run.rank", lambda *args, **kwargs: None)
    evaluate(*pair, tmp_path / "r", settings=QUICK)
    assert seen == [True]
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_folder_that_cannot_be_renamed(files, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="give the name of one to make"):
        evaluate(files / "a.h5", files / "b.h5", name, settings=QUICK)


def test_a_sample_is_not_its_own_floor(files, tmp_path, quick):
    with pytest.raises(SameSampleError, match="second reference"):
        evaluate(
            files / "a.h5",
            files / "b.h5",
            tmp_path / "r",
            second_reference=files / "a.h5",
            settings=QUICK,
        )


def test_shared_showers_can_be_allowed(files, tmp_path, quick):
    whole = caloforge.read(files / "a.h5")
    allowed = replace(QUICK, allow_leakage=True)
    report = evaluate(whole[:150], whole[100:], tmp_path / "r", settings=allowed)
    assert any("50 of them; that was allowed" in note for note in report["notes"])


def test_a_large_sorted_sample_is_drawn_from_all_over(files):
    sample = open_sample(files / "a.h5", role="generated", threshold=None, geometry=None)
    few = sample.load(40, seed=1)
    assert len(few) == 40
    where = np.searchsorted(np.sort(sample.e_inc), np.sort(few.e_inc))
    assert where.max() > 150
    np.testing.assert_array_equal(few.voxels, sample.load(40, seed=1).voxels)
    assert (few.e_inc != sample.load(40, seed=2).e_inc).any()


def test_pieces_are_of_one_geometry(files):
    named = [
        open_sample(files / "a.h5", role="generated", threshold=None, geometry=geometry).fingerprint
        for geometry in (None, replace(get_geometry("calogan"), name="other"))
    ]
    assert named[0] != named[1]


def test_a_scan_has_no_ranges():
    pair = [showers(60, seed=seed) for seed in (1, 2)]
    for sample in pair:
        sample.e_inc[:] = np.repeat([1e3, 5e3], 30)
    statistics = [sample_statistics([sample]) for sample in pair]
    found = energy_slices(*(s.features for s in statistics), *(s.e_inc for s in statistics))
    assert [(row["low_MeV"], row["high_MeV"]) for row in found["response"]] == [(1e3, 1e3), (5e3, 5e3)]


def test_a_large_sample_is_cut_where_it_must_be_in_memory(files, tmp_path, monkeypatch, quick):
    monkeypatch.setattr("caloforge.report.assemble._MAX_BYTES", 4 * 504 * 150)
    pair = files / "a.h5", files / "b.h5"
    report = evaluate(*pair, tmp_path / "r", settings=QUICK)
    assert report["notes"][0].startswith("Of the 200 generated showers 150, drawn at random, are used")
    assert report["prdc"]["result"]["n_generated"] == 75, "against half of the reference"
    assert report["average_showers"]["generated"]["n_showers"] == 200


def test_settings():
    with pytest.raises(UnknownNameError, match="Did you mean 'fast'"):
        EvaluationSettings(level="fats")
    with pytest.raises(CaloForgeError, match="two trainings"):
        EvaluationSettings(trainings=1)


@pytest.mark.slow
def test_many_layers(tmp_path):
    """Forty layers: summaries instead of hundreds of panels."""
    geometry = geometry_of(*[cartesian(3, 3)] * 40)
    pair = [replace(toy_showers(geometry, 200, seed=seed), provenance=SIMULATED) for seed in (1, 2)]
    evaluate(*pair, tmp_path / "r", settings=QUICK)
    plots = {path.stem for path in (tmp_path / "r" / "plots").iterdir()}
    assert "separation_by_layer" in plots
    assert "widths" not in plots
    assert len(plots) < 16


LEARNED_EM = {"generator": "caloforge", "particle": "e+", "physics": {"list": "em", "cut_mm": 0.7}}
MADE = {"generator": "geant4", "geant4": "11.4.1", "particle": "e+", "production_cut_mm": 0.7}


@pytest.mark.filterwarnings("ignore::caloforge.errors.LeakageWarning")
@pytest.mark.parametrize("physics", ["em", "FTFP_BERT", None])
def test_reference_of_other_physics(physics, tmp_path, quick, monkeypatch):
    """A note, and in the first sentence if something is found that it could explain; the unknown is not accused."""

    def told_apart(self, name, on_part):
        test = _canned_test(self, name, on_part)
        test["result"] |= {"auc": 0.9}
        return test

    generated = replace(showers(), provenance=LEARNED_EM)
    reference = replace(showers(seed=1), provenance=MADE | ({"physics": physics} if physics else {}))
    equal = evaluate(generated, reference, tmp_path / "equal", settings=QUICK)
    monkeypatch.setattr("caloforge.report.classifier_tests.ClassifierTests.run", told_apart)
    apart = evaluate(generated, reference, tmp_path / "apart", settings=QUICK)
    clause = "; but they learned em and the reference showers were made with FTFP_BERT."
    for report in (equal, apart):
        notes = [note for note in report["notes"] if "learned em; " in note]
        assert len(notes) == (physics == "FTFP_BERT")
        assert report["samples"]["generated"]["physics"].startswith("em, cut 0.7 mm, ")
        assert report["samples"]["reference"]["physics"].startswith(f"{physics or 'cut 0.7 mm'}, ")
    assert apart["verdict"]["headline"].endswith(clause) == (physics == "FTFP_BERT")
    assert "learned" not in equal["verdict"]["headline"]


@pytest.mark.filterwarnings("ignore::caloforge.errors.LeakageWarning")
def test_a_second_reference_of_other_physics(tmp_path, quick):
    parts = [replace(showers(seed=k), provenance=MADE | {"physics": "em"}) for k in range(2)]
    second = replace(showers(seed=2), provenance=MADE | {"physics": "QBBC"})
    report = evaluate(*parts, tmp_path / "r", settings=QUICK, second_reference=second)
    (note,) = [note for note in report["notes"] if "QBBC" in note]
    assert note.startswith("The second reference showers were made with QBBC; the reference showers were")
    assert report["samples"]["second_reference"]["physics"].startswith("QBBC, ")
