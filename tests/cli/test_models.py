"""`caloforge models` lists what there is."""

import json

import pytest

from caloforge.models.zoo import shipped_weights
from caloforge.recipes import recipe_names
from support.tiny_runs import command_line


@pytest.mark.slow  # builds the paper's networks to count their parameters
def test_models(capsys, monkeypatch):
    code, out, _ = command_line(["models", "--json"], capsys, monkeypatch)
    assert code == 0
    found = json.loads(out)
    assert set(found) == {"recipes", "weights"}
    assert set(found["recipes"]) == set(recipe_names())
    assert set(found["weights"]) == set(shipped_weights())
    for recipe in found["recipes"].values():
        assert recipe.keys() == {"family", "geometry", "parameters", "summary", "source"}
        assert all(count > 1000 for count in recipe["parameters"].values())
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = command_line(["models"], capsys, monkeypatch)
    assert code == 0
    for name in (*recipe_names(), *shipped_weights()):
        assert name in out


def test_physics_of_the_weights(capsys, monkeypatch):
    """In the list, which fits a terminal of 80 columns, and in full for each."""
    monkeypatch.setattr("caloforge.recipes.recipe_facts", dict)  # builds the paper's networks
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = command_line(["models"], capsys, monkeypatch)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert shipped_weights()
    for name in shipped_weights():
        assert rows[name].split()[1] == ("FTFP_BERT" if name.endswith("piplus") else "em")
        assert "…" not in rows[name]
