import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ConfigError, GeometryMismatchError, ShapeError, UnknownNameError
from caloforge.geometry import CartesianGrid, Geometry, Layer, PolarGrid, Section, Slab, Stack, get_geometry
from caloforge.geometry.stack import Box

CARTESIAN = CartesianGrid(x_edges=(0, 1, 2), y_edges=(0, 1, 2, 3))
POLAR = PolarGrid(r_edges=(0, 1, 3), n_alpha=2)


def toy(**changes):
    layers = (
        Layer(name="a", grid=CARTESIAN, z_min=0, z_max=1),
        Layer(name="b", grid=POLAR, z_min=1, z_max=3),
        Layer(name="c", grid=PolarGrid(r_edges=(0, 1), n_alpha=1)),
    )
    return Geometry(**({"name": "toy", "layers": layers} | changes))


def plain(layer=None, **changes):
    layer = {"grid": "polar", "r_edges": [0, 1, 3], "n_alpha": 2} | (layer or {})
    return {"name": "toy", "layers": [{k: v for k, v in layer.items() if v is not None}]} | changes


def test_counts_and_slices():
    built = toy()
    assert (built.n_layers, built.n_voxels) == (3, 11)
    assert built.layer_slices == (slice(0, 6), slice(6, 10), slice(10, 11))
    assert built.describe() == "'toy' (3 layers, 11 voxels)"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_e_layer_by_hand(dtype):
    voxels = np.arange(22, dtype=dtype).reshape(2, 11)
    e_layer = toy().e_layer(voxels)
    assert e_layer.dtype == np.float64
    assert e_layer.tolist() == [[15, 30, 10], [81, 74, 21]]


def test_e_layer_of_no_showers():
    assert toy().e_layer(np.zeros((0, 11))).shape == (0, 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_layers_add_up_to_all(seed, n):
    voxels = np.random.default_rng(seed).exponential(size=(n, 504))
    calogan = get_geometry("calogan")
    np.testing.assert_allclose(calogan.e_layer(voxels).sum(axis=1), voxels.sum(axis=1))
    parts = [calogan.layer_voxels(voxels, k) for k in range(3)]
    assert [part.shape[1:] for part in parts] == [(3, 96), (12, 12), (12, 6)]
    np.testing.assert_array_equal(np.concatenate([part.reshape(n, -1) for part in parts], axis=1), voxels)


@pytest.mark.parametrize("shape", [(2, 10), (2, 12), (11,), (1, 1, 11)])
def test_wrong_shapes(shape):
    for call in (toy().e_layer, lambda voxels: toy().layer_voxels(voxels, 0)):
        with pytest.raises(ShapeError, match=r"expected \(n, V\) = \(n, 11\) for 'toy'"):
            call(np.zeros(shape))


def test_same_voxels():
    built = toy()
    assert built.same_voxels(toy(name="other", e_ratio_range=(0.1, 1)))
    nudged = PolarGrid(r_edges=(0, 1 + 1e-8, 3), n_alpha=2)
    assert built.same_voxels(
        replace(built, layers=(built.layers[0], replace(built.layers[1], grid=nudged), built.layers[2]))
    )
    others = [
        replace(built, layers=built.layers[:2]),
        replace(built, layers=built.layers[::-1][:1] + built.layers[:2]),
        replace(built, layers=(replace(built.layers[0], grid=POLAR), *built.layers[1:])),
        replace(
            built,
            layers=(
                built.layers[0],
                replace(built.layers[1], grid=PolarGrid(r_edges=(0, 2, 3), n_alpha=2)),
                built.layers[2],
            ),
        ),
        replace(
            built,
            layers=(
                built.layers[0],
                replace(built.layers[1], grid=PolarGrid(r_edges=(0, 1, 3), n_alpha=4)),
                built.layers[2],
            ),
        ),
    ]
    assert not any(built.same_voxels(other) for other in others)
    with pytest.raises(
        GeometryMismatchError, match=r"The model has geometry 'toy'.*the file has 'toy'.*same voxels"
    ):
        built.require_same_voxels(others[0], mine="The model", theirs="the file")
    built.require_same_voxels(built, mine="a", theirs="b")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Layer(name="a", grid=POLAR, z_min=1), "both z_min and z_max, or neither"),
        (lambda: Layer(name="a", grid=POLAR, z_min=1, z_max=1), "is not below"),
        (lambda: Layer(name="a", grid=POLAR, z_min=0, z_max=math.inf), "z_max must be a finite number"),
        (lambda: Layer(name="a", grid=POLAR, z_min="0", z_max=1), "z_min must be a finite number"),
        (lambda: Layer(name="", grid=POLAR), "name must be a text"),
        (lambda: toy(name=""), "name must be a text"),
        (lambda: toy(layers=()), "has no layers"),
        (lambda: toy(layers=(Layer(name="a", grid=POLAR),) * 2), "must be unique"),
        (lambda: toy(layers=toy().layers[1::-1]), "'b' and 'a' overlap in z"),
        (lambda: toy(e_ratio_range=(1, 1)), "0 <= low < high"),
        (lambda: toy(e_ratio_range=(-1, 1)), "0 <= low < high"),
        (lambda: toy(e_ratio_range=(0, math.nan)), "finite number"),
        (lambda: toy(e_ratio_range=1.0), "a list of 2"),
        (
            lambda: toy(
                stack=Stack(
                    outline=Box(width_x=1, width_y=1),
                    sections=(Section(slabs=(Slab(material="G4_W", thickness=2),)),),
                    deposits="all",
                )
            ),
            "layer 'b' ends at 3.0 mm, behind the stack of 2 mm",
        ),
    ],
)
def test_nonsense(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


edges = st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True).map(
    lambda e: tuple(x / 8 for x in sorted(e))
)
grids = st.one_of(
    st.builds(CartesianGrid, x_edges=edges, y_edges=edges),
    st.builds(PolarGrid, r_edges=edges, n_alpha=st.integers(1, 8)),
)


@given(st.lists(grids, min_size=1, max_size=4), st.booleans())
def test_round_trip(found, placed):
    built = Geometry(
        name="any",
        layers=tuple(
            Layer(name=f"l{k}", grid=grid, z_min=k if placed else None, z_max=k + 0.5 if placed else None)
            for k, grid in enumerate(found)
        ),
    )
    assert Geometry.from_dict(built.to_dict()) == built


def test_repeated_layers():
    data = {"name": "toy", "layers": [
        {"repeat": 2, "grid": "polar", "r": {"low": 0, "high": 1, "n": 2},
         "z": {"start": 5, "thickness": 0.1}},
        {"name": "tail", "grid": "polar", "r_edges": [0, 1], "z": {"thickness": 1}},
        {"grid": "polar", "r_edges": [0, 1], "z": {"thickness": 1}},
    ]}  # fmt: skip
    built = Geometry.from_dict(data)
    assert [layer.name for layer in built.layers] == ["0", "1", "tail", "3"]
    assert [(layer.z_min, layer.z_max) for layer in built.layers] == [
        (5, 5.1),
        (5.1, 5.2),
        (5.2, 6.2),
        (6.2, 7.2),
    ]
    assert built.layers[0].grid == PolarGrid(r_edges=(0, 0.5, 1), n_alpha=1)
    assert Geometry.from_dict(built.to_dict()) == built
    assert all("repeat" not in layer for layer in built.to_dict()["layers"])


def test_first_start_is_the_front_and_z_may_be_left_out():
    front = Geometry.from_dict(plain({"repeat": 3, "z": {"thickness": 2}}))
    assert front.layers[2].z_max == 6
    bare = Geometry.from_dict(plain({"repeat": 3}))
    assert [(layer.name, layer.z_min) for layer in bare.layers] == [("0", None), ("1", None), ("2", None)]


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        ({"grid": None}, ConfigError, "layer 0 misses the key grid"),
        ({"grid": "hexagons"}, UnknownNameError, "grid of layer 0 'hexagons'"),
        ({"grid": ["polar"]}, UnknownNameError, "grid of layer 0"),
        ({"depth": 3}, UnknownNameError, "key in layer 0 'depth'"),
        ({"x_edges": [0, 1]}, UnknownNameError, "key in layer 0 'x_edges'"),
        ({"grid": "cartesian"}, UnknownNameError, "key in layer 0 'r_edges'"),
        ({"grid": "cartesian", "r_edges": None}, UnknownNameError, "key in layer 0 'n_alpha'"),
        ({"r_edges": None}, ConfigError, "give the r edges once"),
        ({"r": {"low": 0, "high": 1, "n": 2}}, ConfigError, "give the r edges once"),
        ({"r_edges": "0,1"}, ConfigError, "layer 0: r_edges must be a list"),
        ({"r_edges": [0, "1"]}, ConfigError, "layer 0: each of r_edges must be a finite number, got '1'"),
        ({"r_edges": None, "r": 3}, ConfigError, "layer 0: r must be a table"),
        ({"r_edges": None, "r": {"low": 0, "high": 1}}, ConfigError, "layer 0: r misses the key n"),
        ({"r_edges": None, "r": {"low": 0, "hi": 1, "n": 2}}, UnknownNameError, "key in layer 0: r 'hi'"),
        ({"r_edges": None, "r": {"low": "0", "high": 1, "n": 2}}, ConfigError, "layer 0: low of r"),
        ({"r_edges": None, "r": {"low": 0, "high": 1, "n": 2.5}}, ConfigError, "layer 0: n of r"),
        ({"r_edges": None, "r": {"low": 0, "high": 1, "n": 10**9}}, ConfigError, "layer 0: n of r"),
        ({"n_alpha": "2"}, ConfigError, "layer 0: n_alpha must be a whole number"),
        ({"name": 3}, ConfigError, "layer 0: name must be a text"),
        ({"z": 3}, ConfigError, "layer 0: z must be a list of 2"),
        ({"z": [0, 1, 2]}, ConfigError, "layer 0: z must be a list of 2"),
        ({"z": ["0", 1]}, ConfigError, "layer 0: each of z must be a finite number"),
        ({"z": {"start": 0}}, ConfigError, "layer 0: z misses the key thickness"),
        ({"z": {"thickness": "3"}}, ConfigError, "layer 0: thickness of z must be a finite number"),
        ({"z": {"thickness": -3}}, ConfigError, "is not below"),
        ({"z": {"thickness": 3, "stop": 2}}, UnknownNameError, "key in layer 0: z 'stop'"),
        ({"repeat": 2, "z": [0, 1]}, ConfigError, "repeated layers need z = "),
        ({"repeat": 2, "name": "a"}, ConfigError, "leave out name"),
        ({"repeat": 0}, ConfigError, "layer 0: repeat must be a whole number"),
        ({"repeat": 10**12}, ConfigError, "layer 0: repeat must be a whole number"),
    ],
)
def test_bad_layers(layer, error, message):
    with pytest.raises(error, match=message):
        Geometry.from_dict(plain(layer))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layerz": []}, UnknownNameError, "key in the geometry 'layerz'. Did you mean 'layers'"),
        ({"name": 3}, ConfigError, "name must be a text"),
        ({"source": 3}, ConfigError, "source must be a text"),
        ({"layers": {}}, ConfigError, "layers must be a list"),
        ({"layers": [3]}, ConfigError, "layer 0 must be a table"),
        ({"layers": []}, ConfigError, "has no layers"),
        ({"e_ratio_range": "wide"}, ConfigError, "e_ratio_range must be a list of 2"),
        ({"e_ratio_range": ["0", 1]}, ConfigError, "e_ratio_range must be a finite number"),
        ({"stack": []}, ConfigError, "stack must be a table"),
    ],
)
def test_bad_plain_data(changes, error, message):
    with pytest.raises(error, match=message):
        Geometry.from_dict(plain(**changes))


def test_missing_keys_and_no_table():
    with pytest.raises(ConfigError, match="the geometry misses the keys layers, name"):
        Geometry.from_dict({})
    with pytest.raises(ConfigError, match="the geometry must be a table"):
        Geometry.from_dict("calogan")


def test_start_is_needed_behind_a_layer_without_z():
    bare = {"grid": "polar", "r_edges": [0, 1]}
    with pytest.raises(ConfigError, match="layer 1: the layer before has no z"):
        Geometry.from_dict({"name": "toy", "layers": [bare, bare | {"z": {"thickness": 1}}]})
