"""Reports side by side."""

import json
import shutil

import pytest

from caloforge.errors import ConfigError, FileFormatError, GeometryMismatchError, OutputError
from caloforge.report import compare_reports, load_report
from caloforge.report.page import render_page
from caloforge.report.plain import plain
from caloforge.report.published import rank


@pytest.fixture
def two(report_folder, tmp_path):
    """The report and a worse one."""
    shutil.copytree(report_folder, tmp_path / "good")
    report = load_report(report_folder)
    report["classifiers"][0]["result"]["auc"] = 0.9
    report["samples"]["generated"]["n_showers"] = 7
    report["copies"]["checks"]["reference"] |= {"alarm": True, "copies": 0.251}
    (tmp_path / "<bad>").mkdir()
    (tmp_path / "<bad>" / "report.json").write_text(json.dumps(report))
    return tmp_path / "good", tmp_path / "<bad>"


def test_comparison(two, tmp_path):
    found = compare_reports(two, tmp_path / "out")
    assert [row["name"] for row in found["rows"]] == ["good", "<bad>"]
    key = "AUC, boosted trees on all features"
    assert found["rows"][1]["values"][key]["value"] == 0.9
    assert found["columns"][0] == key
    copies = [row["values"]["copies"]["text"] for row in found["rows"]]
    assert copies == ["no copies (training showers not compared)", "copies of reference showers: 25 %"]
    assert not {"recall", "precision", "density"} & set(found["columns"]), "larger for worse models"
    coverage = [row["values"]["coverage"]["text"] for row in found["rows"]]
    assert all(text.endswith(" of equal samples)") for text in coverage)
    assert any("numbers of generated showers" in note for note in found["notes"])
    out = tmp_path / "out"
    assert json.loads((out / "report.json").read_text())["rows"] == json.loads(json.dumps(found["rows"]))
    page = (out / "report.html").read_text()
    assert "&lt;bad&gt;" in page
    assert "<bad>" not in page
    assert (out / "plots" / "overlay.png").stat().st_size > 10_000
    with pytest.raises(OutputError, match="--overwrite"):
        compare_reports(two, out)


def test_refusals(two, report_folder, tmp_path):
    with pytest.raises(ConfigError, match="at least two"):
        compare_reports(two[:1], tmp_path / "out")
    with pytest.raises(ConfigError, match="2 reports and 1 names"):
        compare_reports(two, tmp_path / "out", names=["a"])
    report = load_report(report_folder)
    other = tmp_path / "other.json"
    report["geometry"]["layers"] = report["geometry"]["layers"][:1]
    other.write_text(json.dumps(report))
    with pytest.raises(GeometryMismatchError, match="Report 'good'"):
        compare_reports([two[0], other], tmp_path / "out")
    for text, message in (
        ("{", "not valid JSON"),
        ("[]", "no report"),
        (json.dumps(report | {"schema_version": 99}), "version 99"),
        (json.dumps(report | {"features": None}), "'features'"),
    ):
        other.write_text(text)
        with pytest.raises(FileFormatError, match=message):
            compare_reports([two[0], other], tmp_path / "out")
    with pytest.raises(FileFormatError, match="cannot be read"):
        compare_reports([two[0], tmp_path / "missing"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ranking_on_the_page(report_folder):
    report = load_report(report_folder)
    report["ranking"] = plain(
        rank("calochallenge_2", {"auc_low": (0.55, 0.01), "separation_voxel": (1e-4, None)})
    )
    page = render_page(report, {})
    assert "2 of 18" in page
    assert "CaloDREAM" in page
    assert "2410.21611" in page


def test_names_that_are_hard_to_draw_or_to_tell_apart(two, tmp_path):
    good, bad = two
    found = compare_reports([good, bad, good], tmp_path / "out", names=["a", "a", "a (1)"])
    assert len({row["name"] for row in found["rows"]}) == 3
    compare_reports([good, bad], tmp_path / "formula", names=[r"a$\frac{$", "b"])


DAMAGES = {
    "a feature is a number": lambda report: report | {"features": [1]},
    "no sample": lambda report: report | {"samples": {}},
    "classifiers are words": lambda report: report | {"classifiers": ["none"]},
    "a verdict without numbers": lambda report: report | {"verdict": {}},
    "bins that are none": lambda report: (
        report | {"features": [{**row, "histograms": {"edges": []}} for row in report["features"]]}
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_reports(two, tmp_path, damage):
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(damage(load_report(two[0]))))
    with pytest.raises((ConfigError, FileFormatError)):
        compare_reports([two[0], broken], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_json_without_end(two, tmp_path):
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(FileFormatError):
        compare_reports([two[0], deep], tmp_path / "out")
