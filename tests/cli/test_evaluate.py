"""The commands ``evaluate`` and ``compare``: what they print, and bad input."""

import json

import pytest

from caloforge import write
from caloforge.evaluation import reference_sample
from support.tiny_runs import command_line


@pytest.fixture
def quick(monkeypatch):
    """Everything but the command line itself is tested elsewhere."""

    def evaluate(generated, reference, output, **options):
        calls.append((generated, reference, output, options))
        return {"verdict": {"headline": "Good.", "sentences": ["Very."]}, "notes": ["But."]}

    calls = []
    monkeypatch.setattr("caloforge.report.evaluate", evaluate)
    return calls


def test_evaluate(quick, capsys, monkeypatch):
    command = "evaluate a.h5[0:9] --reference b.h5 --start 3 --stop 7 --level full --trainings 4 --seed 5"
    command += " --overlap --device cuda:1 --training t.h5[0:5]"
    code, out, err = command_line([*command.split(), "-o", "r", "--threshold", "0.5"], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == ["Good.", "Very.", "But."]
    assert "r/report.html" in out
    ((generated, reference, output, options),) = quick
    assert (generated, reference, str(output)) == ("a.h5[0:9]", "b.h5", "r")
    settings = options["settings"]
    assert (settings.level, settings.trainings, settings.seed, settings.overlap) == ("full", 4, 5, True)
    assert settings.device == "cuda:1"
    assert (options["start"], options["stop"], options["threshold"]) == (3, 7, 0.5)
    assert options["training"] == "t.h5[0:5]"


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    sample = reference_sample("eplus")
    for name, part in {"a": sample[:50], "b": sample[50:100], "one": sample[:1]}.items():
        write(part, folder / f"{name}.h5")
    low = sample[sample.e_inc < 4e4]
    write(low, folder / "low.h5")
    (folder / "text.h5").write_text("hello")
    (folder / "report.json").write_text(json.dumps({"schema": "other"}))
    (folder / "full").mkdir()
    (folder / "full" / "thesis.tex").touch()
    return folder


BAD = {
    "no reference": ("evaluate a.h5 -o r", "--reference"),
    "unknown level": ("evaluate a.h5 --reference b.h5 -o r --level fats", "Did you mean 'fast'"),
    "one training": ("evaluate a.h5 --reference b.h5 -o r --trainings 1", "trainings"),
    "no such device": ("evaluate a.h5 --reference b.h5 -o r --device nowhere", "Device 'nowhere'"),
    "no file": ("evaluate c.h5 --reference b.h5 -o r", "c.h5"),
    "no showers": ("evaluate text.h5 --reference b.h5 -o r", "text.h5"),
    "one shower": ("evaluate one.h5 --reference b.h5 -o r", "has 1 shower;"),
    "the same": ("evaluate a.h5 --reference a.h5 -o r", "are the same showers of a.h5"),
    "other energies": ("evaluate low.h5 --reference b.h5 -o r", "--overlap"),
    "too high a threshold": (
        "evaluate a.h5 --reference b.h5 -o r --threshold 1e9",
        "are empty above 1e+09 MeV",
    ),
    "slice beyond the end": ("evaluate a.h5[0:99] --reference b.h5 -o r", "a.h5"),
    "folder of others": ("evaluate a.h5 --reference b.h5 -o full --overwrite", "other things in it"),
    "no folder": ("evaluate a.h5 --reference b.h5 -o no/r", "does not exist"),
    "one report": ("compare report.json -o r", "at least two"),
    "no report": ("compare report.json report.json -o r", "is no report"),
}


@pytest.mark.parametrize(("command", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(command, message, samples, capsys, monkeypatch):
    monkeypatch.chdir(samples)
    before = sorted(samples.rglob("*"))
    code, out, err = command_line(command.split(), capsys, monkeypatch)
    assert code == 2
    assert message in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err
    assert out == ""
    assert sorted(samples.rglob("*")) == before
