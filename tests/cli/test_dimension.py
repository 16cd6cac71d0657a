"""``caloforge dimension``: table, files, and what it refuses."""

import json
import re

import pytest

from caloforge.evaluation import reference_sample
from caloforge.io import write
from caloforge.showers import Showers
from support.tiny_runs import command_line


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "gamma.h5"
    write(reference_sample("gamma"), path)
    return path


def test_table_and_files(data, tmp_path, capsys, monkeypatch):
    out = tmp_path / "new" / "dimension"
    args = ["dimension", data, "--k", "10,5", "--slices", 2, "-o", out, "--stop", 300, "--max-showers", 250]
    code, text, _ = command_line(args, capsys, monkeypatch)
    assert code == 0
    assert "250 showers, drawn from 300; distance in space 'normalised'" in text
    assert "k = 5" in text
    assert "layer 0" in text
    assert "showers without energy were left out" in text
    found = json.loads((out / "dimension.json").read_text())
    assert [e["k"] for e in found["whole"]["estimates"]] == [5, 10]
    assert len(found["slices"]) == 2
    assert (found["file"], found["showers_in_range"], found["n_showers"]) == ("gamma.h5", 300, 250)
    assert (out / "dimension.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = command_line(args, capsys, monkeypatch)
    assert code == 2
    assert "exists already" in err
    assert command_line([*args, "--overwrite"], capsys, monkeypatch)[0] == 0


def test_each_kind_of_note_is_one_line(tmp_path, capsys, monkeypatch):
    """With the number of slices it holds for, and the range of what it counts."""
    showers = reference_sample("gamma")
    twins = Showers.concatenate([showers[:80], showers[:20]])
    write(twins, tmp_path / "twins.h5")
    args = ["dimension", tmp_path / "twins.h5", "--k", "30", "--slices", 6]
    code, text, _ = command_line(args, capsys, monkeypatch)
    assert code == 0
    few = [line for line in text.splitlines() if "too few for k = 30" in line]
    (line,) = few
    slices, named, least, most = re.match(
        r"(\d) of 10 rows \((.*)\): (\d+) to (\d+) different showers are too few for k = 30 neighbours; "
        r"at least 31 are needed",
        line,
    ).groups()
    assert int(slices) == 6
    assert named.count("GeV") == 3
    assert named.endswith(" and 3 more")
    assert 10 < int(least) < int(most) <= 17  # of 16 or 17 showers some are twins
    assert sum("equal another one" in line for line in text.splitlines()) == 1
    args[-1] = 0
    text = command_line(args, capsys, monkeypatch)[1]
    assert "too few" not in text
    # Of the 20 that are in the file twice one has no energy in the last layer.
    assert "4 of 4 rows (all, layer 0, layer 1 and 1 more): 19 to 20 showers equal another one" in text


def test_a_single_slice_is_named(data, capsys, monkeypatch):
    text = command_line(["dimension", data, "--stop", 300, "--slices", 0], capsys, monkeypatch)[1]
    (line,) = [line for line in text.splitlines() if "without energy" in line]
    assert re.fullmatch(r"layer 2: \d+ showers without energy were left out\.", line)


def test_a_file_where_the_folder_should_be(data, capsys, monkeypatch, tmp_path):
    for name in ("file", "link"):
        path = tmp_path / name
        path.symlink_to(tmp_path / "nowhere") if name == "link" else path.write_text("mine")
        code, out, err = command_line(["dimension", data, "-o", path], capsys, monkeypatch)
        assert (code, out) == (2, "")
        assert err == f"error: {path}: exists and is no folder; choose another name.\n"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--k", "five"], "is no list of whole numbers"),
        (["--k", "1"], "2 neighbours are the fewest"),
        (["--k", "10", "--stop", "8"], "8 different points are too few for k = 10"),
        (["--stop", "0"], "has no showers"),
        (["--space", "logs"], "Did you mean 'log'"),
        (["--stop", "9999"], "holds 400 showers"),
    ],
)
def test_refusals(data, options, match, capsys, monkeypatch):
    code, _, err = command_line(["dimension", data, *options], capsys, monkeypatch)
    assert code == 2
    assert match in err
    assert err.count("\n") == 1
