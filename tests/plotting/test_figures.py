"""Figures are whole PNG files with something on them, change nothing global, and never compute a metric."""

import ast
import base64
import re
import struct
import zlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

import caloforge.plotting
from caloforge import Showers
from caloforge.errors import GeometryMismatchError, OutputError, UnknownNameError, ValueRangeError
from caloforge.evaluation import average_shower, compare, reference_sample
from caloforge.geometry import get_geometry
from caloforge.plotting.average_showers import plot_average_showers
from caloforge.plotting.comparison import default_features, draw_comparison, plot_comparison
from caloforge.plotting.neighbours import draw_neighbours
from caloforge.plotting.style import adaptive_svg, label_log_axis
from support.toys import cartesian, geometry_of, polar, toy_showers

GEOMETRIES = {
    "calogan": get_geometry("calogan"),
    "polar": geometry_of(polar(1, 8), polar(10, 4)),
    "mixed": geometry_of(cartesian(2, 3), polar(3, 4)),
    "many layers": geometry_of(*[cartesian(3, 3)] * 20),
    "one voxel": geometry_of(cartesian(1, 1)),
}


@pytest.fixture(autouse=True)
def _rc_params():
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES.keys())
def pair(request):
    return toy_showers(request.param, 60, seed=1), toy_showers(request.param, 40, seed=2)


def check_png(path: Path, *, least: tuple[int, int], most: tuple[int, int] = (3000, 3000)) -> None:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data[-8:-4] == b"IEND"
    assert struct.unpack(">I", data[-4:])[0] == zlib.crc32(b"IEND")
    image = imread(path)
    height, width = image.shape[:2]
    assert least[0] <= width <= most[0]
    assert least[1] <= height <= most[1]
    assert image[..., :3].std() > 0.05, "blank"


def test_comparison(pair, tmp_path):
    rows = compare(*pair)
    path = tmp_path / "comparison.png"
    names = None if pair[0].geometry.name == "calogan" else ["e_layer_0", "e_ratio"]  # pictures take seconds
    plot_comparison(rows, path, names=names)
    check_png(path, least=(700, 400))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_average_showers(pair, tmp_path):
    path = tmp_path / "average.png"
    plot_average_showers(average_shower(pair[0]), average_shower(pair[1]), path)
    check_png(path, least=(500, 900))


def test_chosen_features_and_layers(tmp_path):
    sample = reference_sample("piplus")
    rows = compare(sample[:100], sample[100:])
    assert default_features(rows)[:4] == ["e_layer_0", "e_layer_1", "e_layer_2", "e_ratio"]
    plot_comparison(rows, tmp_path / "one.png", names=["width_x_2"])
    check_png(tmp_path / "one.png", least=(400, 400), most=(700, 700))
    first, second = average_shower(sample[:100]), average_shower(sample[100:])
    plot_average_showers(first, second, tmp_path / "layer.png", layers=[1])
    check_png(tmp_path / "layer.png", least=(400, 900), most=(700, 1100))
    with pytest.raises(UnknownNameError, match="Did you mean 'width_x_2'"):
        plot_comparison(rows, tmp_path / "no.png", names=["width_x2"])
    for layers in ([3], [-1], []):
        with pytest.raises(ValueRangeError, match="from 0 to 2"):
            plot_average_showers(first, second, tmp_path / "no.png", layers=layers)
    assert not (tmp_path / "no.png").exists()


def test_empty_and_constant_showers(tmp_path):
    geometry = geometry_of(cartesian(2, 2), polar(2, 2))
    empty = Showers(e_inc=np.ones(5), voxels=np.zeros((5, 8)), geometry=geometry)
    full = Showers(e_inc=np.ones(5), voxels=np.ones((5, 8)), geometry=geometry)
    for number, (first, second) in enumerate([(empty, full), (full, empty), (full, full), (full[:1], full)]):
        names = ["e_layer_1", "shower_depth_width"]
        plot_comparison(compare(first, second), tmp_path / f"{number}.png", names=names)
        check_png(tmp_path / f"{number}.png", least=(700, 400))
    plot_average_showers(average_shower(empty), average_shower(full), tmp_path / "a.png")
    plot_average_showers(average_shower(full[:1]), average_shower(full[:1]), tmp_path / "b.png")
    with pytest.raises(ValueRangeError, match="no energy"):
        plot_average_showers(average_shower(full), average_shower(empty), tmp_path / "c.png")


def test_refusals(tmp_path):
    one, other = (average_shower(toy_showers(geometry_of(cartesian(n, 2)), 5)) for n in (2, 3))
    with pytest.raises(GeometryMismatchError):
        plot_average_showers(one, other, tmp_path / "a.png")
    with pytest.raises(OutputError):
        plot_average_showers(one, one, tmp_path / "missing" / "a.png")
    with pytest.raises(ValueRangeError, match="No features"):
        plot_comparison((), tmp_path / "a.png")


def test_axes_have_numbers_and_the_reference_its_name():
    figure = Figure()
    for low, high, least in ((650.0, 850.0, 2), (100.0, 3e3, 3), (1.0, 1e4, 4)):
        axes = figure.add_subplot()
        axes.set(xscale="log", xlim=(low, high))
        label_log_axis(axes.xaxis, low, high)
        figure.canvas.draw()
        numbers = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
        assert sum(bool(label.get_text()) for label in numbers) >= least
    geometry = GEOMETRIES["many layers"]
    showers = toy_showers(geometry, 4).voxels
    pairs = [("5 GeV", showers[0], showers[1]), ("9 GeV", showers[2], showers[3])]
    figure = draw_neighbours(pairs, geometry, reference_name="reference")
    titles = [axes.get_title() for axes in figure.findobj(Axes)]
    assert sum(title.startswith("layer ") for title in titles) == 6
    assert [side.get_suptitle() for side in figure.subfigs[:2]] == ["generated", "nearest reference shower"]


def test_no_pyplot_and_no_metrics():
    """Pictures import results, not the functions that compute features."""
    for path in Path(caloforge.plotting.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            module = getattr(node, "module", None) or ""
            assert "pyplot" not in (module, *names), path
            assert not {"features", "compare", "separation_power", "high_level_features"} & {*names}, path
            assert module != "caloforge.evaluation.features", path


def test_adaptive_svg():
    """On a dark page text and lines change colour; nothing is loaded, nothing has a background."""
    sample = reference_sample("eplus")
    rows = compare(sample[:100], sample[100:])
    address, again = (adaptive_svg(draw_comparison(rows, names=["e_ratio"])) for _ in range(2))
    assert address == again
    kind, data = address.split(",")
    assert kind == "data:image/svg+xml;base64"
    text = base64.b64decode(data).decode()
    assert "prefers-color-scheme:dark" in text
    body = text[text.index("</style>") :]
    for colour in ("#1f77b4", "#595959", "#000000", "#ffffff"):
        assert colour not in body
    assert "var(--c" in body
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
