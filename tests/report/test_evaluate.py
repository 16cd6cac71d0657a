"""One command, one folder: whole or not there, with everything that the page shows in report.json."""

import json
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
from caloforge.report import EvaluationSettings, evaluate, load_report
from caloforge.report.energy_slices import energy_slices
from caloforge.report.samples import open_sample
from report.conftest import QUICK, geant4_halves
from support.toys import cartesian, geometry_of, toy_showers


def test_folder(report_folder):
    assert {path.name for path in report_folder.iterdir()} == {"report.html", "report.json", "plots"}
    plots = {path.stem for path in (report_folder / "plots").iterdir()}
    assert {"overview", "average_showers", "correlations", "neighbours", "calibration"} <= plots
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
    assert report["ranking"] is None
    assert "Geant4" in report["verdict"]["headline"]


def test_page(report_folder):
    page = (report_folder / "report.html").read_text()
    assert "<title>a.h5 (Geant4) against b.h5 (Geant4)</title>" in page
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    for outside in ('src="http', 'href="http', "url(http", "@import"):
        assert outside not in page


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
    for key in ("features", "shapes", "average_showers", "challenge"):
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
    assert report["prdc"]["result"]["n_generated"] == 150
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
