"""Trainings and command lines that take a second: a calorimeter of 6 voxels and flows of a few numbers."""

import contextlib
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import caloforge
from caloforge.io import write
from caloforge.showers import Showers
from caloforge.training import DataFacts, RunConfig, Teacher, start_or_resume
from support.toys import cartesian, geometry_of, toy_showers

__all__ = [
    "GEOMETRY",
    "RECIPE",
    "RECIPES",
    "STUDENT",
    "command_line",
    "distill_tiny",
    "file_size_limit",
    "python",
    "subprocess_environment",
    "tiny_config",
    "tiny_showers",
    "train_tiny",
    "write_inputs",
]

GEOMETRY = geometry_of(cartesian(2, 2), cartesian(2, 1))

RECIPE = """
family = "caloflow"
geometry = "toy"
summary = "for tests"
[model.energies]
blocks = 1
hidden = 8
depth = 1
standardize = true
min_bin = 1e-3
min_slope = 1e-3
[model.shape]
blocks = 2
hidden = 8
dropout = 0.2
min_bin = 1e-3
min_slope = 1e-3
encoding = "log-energy"
standardize = true
symmetry = "all"
[training.energies]
epochs = 2
batch_size = 20
learning_rate = 1e-2
[training.shape]
epochs = 2
batch_size = 20
learning_rate = 1e-2
"""

STUDENT = """
family = "caloflow"
geometry = "toy"
summary = "for tests"
[model.shape]
role = "student"
blocks = 2
hidden = 8
[training.shape]
epochs = 2
batch_size = 20
learning_rate = 1e-2
"""


CALOMAN_RECIPE = """
family = "caloman"
geometry = "toy"
summary = "for tests"
[model.energies]
blocks = 1
hidden = 8
depth = 1
standardize = true
min_bin = 1e-3
min_slope = 1e-3
[model.manifold]
hidden = 8
depth = 1
dropout = 0.2
beta = 0.5
encoder_input = "surprise"
condition_encoder = true
condition_decoder = true
likelihood = "hits"
symmetry = "all"
[model.density]
conditioner = "coupling"
blocks = 2
hidden = 8
depth = 1
[training.energies]
epochs = 2
batch_size = 20
learning_rate = 1e-2
[training.manifold]
epochs = 2
batch_size = 20
learning_rate = 1e-2
[training.density]
epochs = 2
batch_size = 20
learning_rate = 1e-2
"""

GROUPWISE_RECIPE = """
family = "groupwise"
geometry = "toy"
summary = "for tests"
[model.moments]
hidden = 8
components = 2
[model.voxels]
groups = 3
hidden = 8
[training.moments]
epochs = 2
batch_size = 20
learning_rate = 1e-2
[training.voxels]
epochs = 2
batch_size = 20
learning_rate = 1e-2
"""

BLOCKWISE_RECIPE = GROUPWISE_RECIPE.replace('"groupwise"', '"blockwise"').replace("groups = 3", "late = 6")

RECIPES = {
    "caloflow": RECIPE,
    "blockwise": BLOCKWISE_RECIPE,
    "caloman": CALOMAN_RECIPE,
    "groupwise": GROUPWISE_RECIPE,
}


def tiny_showers(n: int = 120, *, seed: int = 0) -> Showers:
    """Showers with float32 voxels, as files have them."""
    showers = toy_showers(GEOMETRY, n, seed=seed)
    return Showers(e_inc=showers.e_inc, voxels=showers.voxels.astype(np.float32), geometry=GEOMETRY)


def tiny_config(*settings: str, family: str = "caloflow") -> RunConfig:
    import tomllib

    return RunConfig.from_dict(tomllib.loads(RECIPES[family]), settings)


def train_tiny(
    folder: Path, *settings: str, showers: Showers | None = None, family: str = "caloflow", **options
):
    """One run through the public entry; ``options`` as those of :func:`caloforge.training.start_or_resume`."""
    showers = showers or tiny_showers()
    facts = DataFacts.of(showers, file="showers.h5", start=0)
    return start_or_resume(
        folder, tiny_config(*settings, family=family), showers, facts, recipe="tiny", **options
    )


def distill_tiny(
    folder: Path, teacher: Path | Teacher, *settings: str, showers: Showers | None = None, **options
):
    """A student of a tiny run, through the same entry."""
    import tomllib

    showers = showers or tiny_showers()
    facts = DataFacts.of(showers, file="showers.h5", start=0)
    config = RunConfig.from_dict(tomllib.loads(STUDENT), settings)
    teacher = teacher if isinstance(teacher, Teacher) else Teacher.load(teacher)
    return start_or_resume(folder, config, showers, facts, recipe="student", teacher=teacher, **options)


def write_inputs(folder: Path, n: int = 120, *, family: str = "caloflow") -> list[str]:
    """Recipes and a file of showers; gives the options of ``caloforge train`` that name them."""
    recipe, data = folder / "tiny.toml", folder / "showers.h5"
    recipe.write_text(RECIPES[family])
    (folder / "student.toml").write_text(STUDENT)
    write(tiny_showers(n), data)
    return ["--preset", str(recipe), "--data", str(data)]


def command_line(
    args: Sequence[str | Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """``caloforge ARGS`` in this process: exit code, output, errors."""
    from caloforge.cli.main import main

    monkeypatch.setattr(sys, "argv", ["caloforge", *map(str, args)])
    capsys.readouterr()
    with warnings.catch_warnings(), pytest.raises(SystemExit) as caught:  # main replaces showwarning
        main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def subprocess_environment() -> dict[str, str]:
    """One thread, as sums depend on their number; no colours; the package that is tested, wherever it is."""
    paths = Path(__file__).parents[1], Path(caloforge.__file__).parents[1]
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }


def python(*args: object, start_new_session: bool = False) -> subprocess.Popen[str]:
    """A Python process in that environment."""
    return subprocess.Popen(
        [sys.executable, *map(str, args)],
        env=subprocess_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )


@contextlib.contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond ``n_bytes``: a disk that is full, as a program sees it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
