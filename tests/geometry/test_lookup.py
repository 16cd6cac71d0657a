import subprocess
import sys

import pytest

from caloforge.errors import FileFormatError, UnknownNameError
from caloforge.geometry import Box, catalogue, get_geometry, write_geometry

#            layers, voxels, depth of the voxels in mm, a median e_dep / e_inc seen in such showers
FACTS = {
    "calochallenge_1_photons": (5, 368, None, 0.95),
    "calochallenge_1_pions": (7, 533, None, 0.8),
    "calochallenge_2": (45, 6480, 153.0, 1.0),
    "calochallenge_3": (45, 40500, 153.0, 1.0),
    "calogan": (3, 504, 480.0, 0.26),
    "ild_ecal": (30, 27000, 200.55, 0.025),
}


def test_names():
    assert catalogue() == tuple(sorted(FACTS))


@pytest.mark.parametrize("name", FACTS)
def test_facts(name):
    built = get_geometry(name)
    n_layers, n_voxels, depth, _ = FACTS[name]
    assert built.name == name
    assert (built.n_layers, built.n_voxels, built.layers[-1].z_max) == (n_layers, n_voxels, depth)
    assert "arXiv:" in built.source
    assert (built.stack is None) == (depth is None)
    if built.stack is not None:
        assert built.stack.depth == pytest.approx(depth)
    assert get_geometry(name) is built


@pytest.mark.parametrize("name", FACTS)
def test_a_wrong_unit_is_seen(name):
    low, high = get_geometry(name).e_ratio_range
    seen = FACTS[name][3]
    assert low < seen < high
    assert seen / 1000 < low
    assert seen * 1000 > high
    assert high / low < 1000  # then no factor 1000 stays inside, wherever the median lies


def test_calogan():
    built = get_geometry("calogan")
    assert [layer.grid.shape for layer in built.layers] == [(3, 96), (12, 12), (12, 6)]
    assert [(layer.z_min, layer.z_max) for layer in built.layers] == [(0, 90), (90, 437), (437, 480)]
    assert {(layer.grid.x_edges[0], layer.grid.y_edges[-1]) for layer in built.layers} == {(-240, 240)}
    stack = built.stack
    assert (len(stack.slabs), stack.deposits, stack.outline) == (160, "all", Box(width_x=480, width_y=480))
    assert stack.mixtures[0].density == 1.39


def test_each_ild_layer_holds_one_silicon_slab():
    built = get_geometry("ild_ecal")
    edges = built.stack.z_edges
    active = [
        (front, back)
        for slab, front, back in zip(built.stack.slabs, edges[:-1], edges[1:], strict=True)
        if slab.active
    ]
    assert len(active) == 30
    for layer, (front, back) in zip(built.layers, active, strict=True):
        assert layer.z_min < front < back < layer.z_max
        assert back - front == pytest.approx(0.525)
    assert sum(slab.thickness for slab in built.stack.slabs if slab.material == "G4_W") == pytest.approx(84)


@pytest.mark.parametrize(("name", "shape"), [("calochallenge_2", (16, 9)), ("calochallenge_3", (50, 18))])
def test_par04(name, shape):
    built = get_geometry(name)
    assert {layer.grid.shape for layer in built.layers} == {shape}
    assert len({layer.grid for layer in built.layers}) == 1
    assert built.layers[44].name == "44"
    assert len(built.stack.slabs) == 180
    for layer in built.layers:  # two physical layers in each
        assert {layer.z_min, layer.z_max} <= set(built.stack.z_edges)


def test_unknown_name_suggests():
    with pytest.raises(
        UnknownNameError, match=r"Unknown geometry 'calogam'. Did you mean 'calogan'"
    ) as caught:
        get_geometry("calogam")
    assert caught.value.known == list(catalogue())


@pytest.mark.parametrize("name", ["", "CALOGAN", "..", "catalogue"])
def test_other_strange_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError):
        get_geometry(name)


def test_a_users_file(tmp_path):
    path = tmp_path / "mine.TOML"
    write_geometry(get_geometry("calogan"), path)
    assert get_geometry(path) == get_geometry(str(path)) == get_geometry("calogan")


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileFormatError, match=r"mine.toml: no such file"):
        get_geometry("mine.toml")
    with pytest.raises(FileFormatError, match=r"no such file; a geometry is a .toml or .xml"):
        get_geometry(tmp_path / "mine")
    (tmp_path / "showers.h5").touch()
    with pytest.raises(FileFormatError, match=r"showers.h5: not a geometry; expected a .toml"):
        get_geometry(str(tmp_path / "showers.h5"))


def test_import_is_light():
    code = (
        "import sys, caloforge.geometry as g; g.get_geometry('calogan');"
        "print([m for m in ('torch', 'h5py', 'matplotlib', 'rich', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
