"""``caloforge dimension``: table, files, and what it refuses."""

import json

import pytest

from caloforge.evaluation import reference_sample
from caloforge.io import write
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
