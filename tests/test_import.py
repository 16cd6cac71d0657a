"""Importing costs nothing, and the public names change on purpose only."""

import subprocess
import sys

import pytest

import caloforge

HEAVY = ("torch", "h5py", "matplotlib", "dask", "numpy", "jaxtyping", "rich", "typer", "safetensors")


def loaded_after(code: str) -> list[str]:
    """The heavy modules that a fresh interpreter holds after running some code."""
    code = f"import sys\n{code}\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("LOADED")[2].split()


def test_import_loads_nothing_heavy():
    assert loaded_after("import caloforge; caloforge.__version__; dir(caloforge)") == []


def test_the_check_itself_sees_what_is_loaded():
    assert "numpy" in loaded_after("import caloforge; caloforge.Showers")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["generate", "--help"],
        ["benchmark", "--help"],
        ["geometry", "show", "--help"],
    ],
)
def test_help_loads_no_torch(arguments):
    code = (
        "from caloforge.cli.main import main\n"
        f"sys.argv = ['caloforge', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert not {"torch", "h5py", "matplotlib", "numpy", "dask"} & set(loaded_after(code))


@pytest.mark.parametrize(
    "module",
    [
        "caloforge.io",
        "caloforge.geometry",
        "caloforge.evaluation",
        "caloforge.energies",
        "caloforge.production",
    ],
)
def test_data_metrics_and_production_load_no_torch(module):
    assert "torch" not in loaded_after(f"import {module}")


def test_public_names_are_frozen():
    assert dir(caloforge) == ["Showers", "__version__", "load_model", "read", "write"]
    for name in dir(caloforge):
        assert getattr(caloforge, name) is not None


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'raed'"):
        caloforge.raed  # noqa: B018


def test_shapes_are_checked_in_tests():
    """The import hook of ``conftest.py`` is at work; without it, wrong annotations would go unseen."""
    import torch
    from jaxtyping import TypeCheckError

    from caloforge.flows import Permutation

    with pytest.raises(TypeCheckError):
        Permutation([1, 0])(torch.zeros(3, 2), torch.zeros(4, 1))
    with pytest.raises(TypeCheckError):
        Permutation([1, 0])(torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 1))
