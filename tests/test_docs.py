"""The documentation says what is there: commands, options, names, links and code blocks."""

import ast
import importlib
import json
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import caloforge
from caloforge.benchmark import load_benchmark, markdown_table
from caloforge.benchmark.tables import MARKERS
from caloforge.cli.main import app
from caloforge.geometry import Geometry, catalogue, get_geometry
from caloforge.io import LAYOUTS, read, write
from caloforge.models import FAMILIES
from caloforge.models.zoo import shipped_weights
from caloforge.recipes import load_recipe, recipe_names
from caloforge.training import RunConfig
from support.tiny_runs import GEOMETRY, command_line, tiny_showers

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
IDS = [page.name for page in PAGES]
TREE = (ROOT / "Makefile").exists()  # an installed copy of the tests has no repository around it

pytestmark = pytest.mark.skipif(not TREE, reason="needs the repository")

NOT_TESTED = ("dask_jobqueue",)  # needs a batch system
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app)


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in BLOCK.findall(page.read_text()) if language in languages]


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def shell_lines(page: Path) -> Iterator[str]:
    """Commands of ``sh`` blocks, and of ``console`` blocks those after a prompt."""
    for code in blocks(page, "sh"):
        yield from code.replace("\\\n", " ").splitlines()
    for code in blocks(page, "console"):
        lines = code.replace("\\\n", " ").splitlines()
        yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def caloforge_calls(page: Path) -> Iterator[list[str]]:
    """Arguments after ``caloforge`` of every command of a page, in blocks and in running text."""
    for line in [*shell_lines(page), *re.findall(r"`(caloforge [^`]+)`", prose(page))]:
        words = shlex.split(line, comments=True)
        if words and "caloforge" in words:
            yield words[words.index("caloforge") + 1 :]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_parse(page):
    for name, *args in caloforge_calls(page):
        command = COMMANDS.commands[name]
        while args and hasattr(command, "commands"):
            name, *args = args
            command = command.commands[name]
        if args:  # the bare name in running text means the command as such
            with command.make_context(name, args) as context:
                for option, known in (("preset", recipe_names()), ("layout", LAYOUTS), ("family", FAMILIES)):
                    value = context.params.get(option)
                    if value and value != "voxelwise" and not value.isupper() and "." not in value:
                        assert value in known, f"{page.name}: {value}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_options_in_text_exist(page):
    commands = [
        command
        for outer in COMMANDS.commands.values()
        for command in (outer, *getattr(outer, "commands", {}).values())
    ]
    known = {option for command in commands for p in command.params for option in p.opts}
    for text in re.findall(r"`(--[a-z0-9-]+)[^`]*`", prose(page)):
        assert text in known, f"{page.name}: {text}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_other_commands_exist(page):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in [*shell_lines(page), *re.findall(r"`(make [^`]+)`", prose(page))]:
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            assert words[1] in targets, line
        if words[:1] == ["python"] and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), line
    for path in re.findall(r"`((?:src|tools|benchmarks|tests|docs)/[\w/.-]+\.\w+)`", prose(page)):
        made_here = "voxelwise" in path
        assert made_here or (ROOT / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_blocks(page):
    """They compile, and what they import is there."""
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module not in NOT_TESTED:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "caloforge" or hasattr(caloforge, node.attr), ast.unparse(node)


@pytest.mark.parametrize("page", ["units-and-conventions.md", "geometry.md"])
def test_examples_run(page):
    for code in blocks(DOCS / page, "python"):
        exec(compile(code, page, "exec"), {})


def test_toml_blocks():
    geometries = [Geometry.from_dict(tomllib.loads(code)) for code in blocks(DOCS / "geometry.md", "toml")]
    assert [geometry.n_layers for geometry in geometries] == [11, 5, 4, 1]
    assert [layer.name for layer in geometries[0].layers][1::9] == ["1", "10"]
    for code in blocks(DOCS / "adding-a-model.md", "toml"):
        RunConfig.from_dict(tomllib.loads(code))


def first_column(page: str, heading: str) -> list[str]:
    """Names in the first column of the tables below a heading, in the order of the page."""
    section = (DOCS / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([\w.-]+)` \|", section, re.MULTILINE)


def test_tables_are_complete():
    assert sorted(first_column("geometry.md", "Catalogue")) == sorted(catalogue())
    assert sorted(first_column("units-and-conventions.md", "File layouts")) == sorted(LAYOUTS)
    assert sorted(first_column("training.md", "Recipes")) == sorted(recipe_names())


def test_catalogue_numbers():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\w+)", (DOCS / "geometry.md").read_text(), re.M)
    assert len(rows) == len(catalogue())
    for name, n_layers, n_voxels, kind in rows:
        geometry = get_geometry(name)
        assert (geometry.n_layers, geometry.n_voxels) == (int(n_layers), int(n_voxels))
        assert {layer.grid.kind for layer in geometry.layers} == {kind.lower()}


def test_recipes_as_described():
    text = (DOCS / "training.md").read_text()
    for name in recipe_names():
        assert f"`{name}`" in text
        for stage in RunConfig.from_dict(load_recipe(name)).training:
            assert f"`training.{stage}`" in text


def test_weights_named_in_the_docs_are_shipped():
    if not (known := shipped_weights()):
        pytest.skip("this build has no weights")
    calls = [call for page in PAGES for call in caloforge_calls(page) if call[0] == "generate" and call[1:]]
    named = {call[1] for call in calls} | {
        name for page in PAGES for name in re.findall(r'load_model\("([\w-]+)"\)', page.read_text())
    }
    assert {name for name in named if "/" not in name and not name.isupper()} <= set(known)


def test_the_ablation_is_that_of_the_stored_report():
    table = (DOCS / "distilling.md").read_text().split("<!-- ablation -->")[1].split("<!-- /ablation -->")[0]
    shown = {}
    for line in table.strip().splitlines()[2:]:
        name, *numbers = (cell.strip() for cell in line.strip("|").split("|"))
        shown[name] = numbers
    rows = json.loads((ROOT / "benchmarks/results/distillation-ablation.json").read_text())["rows"]
    assert shown == {
        name: [
            *(f"{row[key]:.1f}" if key in row else "" for key in ("nll", "kl")),
            f"{row['auc']:.3f} ± {row['auc_spread']:.3f}",
        ]
        for name, row in rows.items()
    }


def test_results_are_the_same_everywhere():
    tables = [
        page.read_text().split("<!-- results -->")[1].split("<!-- /results -->")[0]
        for page in (ROOT / "README.md", DOCS / "weights.md")
    ]
    assert tables[0] == tables[1]
    tool = runpy.run_path(str(ROOT / "tools" / "results_table.py"))
    assert tables[0].lstrip("\n") == tool["table"](ROOT / "benchmarks" / "results")


def test_fidelity_against_speed_is_what_was_measured():
    page = (DOCS / "groupwise.md").read_text().split("<!-- pareto -->")[1].split("<!-- /pareto -->")[0]
    shown = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.strip().splitlines()[2:]]
    rows = json.loads((ROOT / "benchmarks/results/pareto.json").read_text())["rows"]
    assert shown == [
        [
            name,
            f"{row['ms_per_shower']:.4f}",
            f"{row['parameters']:,}",
            f"{row['auc']:.3f} ± {row['auc_spread']:.3f}",
        ]
        for name, row in rows.items()
    ]


def test_precision_and_compiling_are_what_was_measured():
    rows = json.loads((ROOT / "benchmarks/results/precision-and-compiling.json").read_text())["rows"]
    page = (DOCS / "generating.md").read_text()
    for name, row in rows.items():
        assert f"| {name} | {row['1']:.2f} | {row['4096']:.3f} |" in page


def test_timing_is_what_was_measured():
    """Pages with a table of times have that of the stored benchmark, which is complete."""
    pages = [page for page in PAGES if MARKERS[0] + "\n" in page.read_text()]
    stored = ROOT / "benchmarks" / "results" / "timing"
    if not pages:
        pytest.skip("no page has a table of times")
    report = load_benchmark(stored)
    assert report["complete"]
    for page in pages:
        table = page.read_text().split(MARKERS[0] + "\n")[1].split("\n" + MARKERS[1])[0]
        assert table == markdown_table(report), page.name


def test_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {caloforge.__version__}\n" in citation
    assert "\ncff-version: 1.2.0\n" in f"\n{citation}"
    assert caloforge.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_adding_a_model(tmp_path, monkeypatch, capsys):
    """The family of the page, registered, trained and used through the commands."""
    page = DOCS / "adding-a-model.md"
    (code,), (recipe,) = blocks(page, "python"), blocks(page, "toml")
    assert len(code.splitlines()) < 80
    (tmp_path / "voxelwise.py").write_text(code)
    (tmp_path / "voxelwise-small.toml").write_text(recipe)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FAMILIES, "voxelwise", "voxelwise:VoxelWise")
    showers = tiny_showers(120)
    write(showers, tmp_path / "geant4.h5")
    run, out = tmp_path / "run", tmp_path / "out.h5"
    preset = ["--preset", tmp_path / "voxelwise-small.toml", "--set", "training.voxels.epochs=2"]
    call = ["train", "voxelwise", *preset, "--set", "training.voxels.batch_size=20"]
    try:
        code, _, err = command_line([*call, "--data", tmp_path / "geant4.h5", "-o", run], capsys, monkeypatch)
        assert code == 0, err
        code, _, err = command_line(
            ["generate", run, "-n", 1500, "--energies", "10:50", "-o", out], capsys, monkeypatch
        )
        assert code == 0, err
        generated, model = read(out), caloforge.load_model(run)
    finally:
        sys.modules.pop("voxelwise", None)
    assert generated.voxels.shape == (1500, GEOMETRY.n_voxels)
    assert 0 < (generated.voxels > 0).mean() < 1
    again = model.sample(generated.e_inc[1000:1100], seed=1, start=1000)
    assert (again.voxels == generated.voxels[1000:1100]).all()
    losses = [float(line.split(",")[4]) for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert losses[1] < losses[0]


def test_caloman_side_by_side_is_what_was_measured():
    page = (DOCS / "caloman.md").read_text()
    table = page.split("<!-- side by side -->")[1].split("<!-- /side by side -->")[0]
    shown = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    assert [row[0] for row in shown] == [
        "caloman-eplus",
        "groupwise-eplus",
        "blockwise-eplus",
    ]
    cells = runpy.run_path(str(ROOT / "tools" / "results_table.py"))["cells"]
    for name, *numbers in shown:
        report = json.loads((ROOT / f"benchmarks/results/evaluation-{name}.json").read_text())
        assert numbers == cells(report, "result")
