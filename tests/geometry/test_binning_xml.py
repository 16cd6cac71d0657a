from pathlib import Path

import pytest

from caloforge.errors import ConfigError, FileFormatError
from caloforge.geometry import PolarGrid, get_geometry, read_binning_xml

SHARED = Path(__file__).parents[2].parent / "shared" / "calochallenge"

LAYER = '<Layer id="0" r_edges="0,1,2.5" n_bin_alpha="4"/>'
PHOTON = f"""<Bins>
  <Bin pid="22" etaMin="0" etaMax="130" name="photon">
    {LAYER}
    <Layer id="1" r_edges="0" n_bin_alpha="1" />
    <Layer id="12" r_edges=" 0, 5 " n_bin_alpha="1" />
  </Bin>
</Bins>"""
SEVERAL = f"""<Bins>
  <Bin pid="22" name="photon">{LAYER}</Bin>
  <Bin pid="211" name="pion">{LAYER}{LAYER.replace('"0"', '"3"')}</Bin>
</Bins>"""


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "binning.xml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_layers_with_one_edge_do_not_exist(write):
    built = read_binning_xml(write(PHOTON))
    assert built.name == "binning"
    assert "particle photon" in built.source
    assert [layer.name for layer in built.layers] == ["0", "12"]
    assert built.layers[0].grid == PolarGrid(r_edges=(0, 1, 2.5), n_alpha=4)
    assert built.layers[0].z_min is None
    assert get_geometry(str(write(PHOTON))) == built


def test_several_particles_must_be_asked_for(write):
    path = write(SEVERAL)
    with pytest.raises(ConfigError, match="several particles; say which one: photon, pion"):
        read_binning_xml(path)
    assert read_binning_xml(path, particle="photon").n_layers == 1
    assert read_binning_xml(path, particle="pion") == read_binning_xml(path, particle="211")
    with pytest.raises(ConfigError, match=r"binning.xml: Unknown particle 'pionn'. Did you mean 'pion'"):
        read_binning_xml(path, particle="pionn")


def test_the_same_particle_twice(write):
    with pytest.raises(ConfigError, match="has 2 bins for particle pion"):
        read_binning_xml(write(SEVERAL.replace("photon", "pion")), particle="pion")


def test_a_particle_without_name_goes_by_its_number(write):
    assert read_binning_xml(write(PHOTON.replace('name="photon"', "")), particle="22").n_layers == 2


BOMB = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><Bins>&b;</Bins>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid XML: no element found"),
        ("hello", "not valid XML: syntax error"),
        (PHOTON[:150], r"not valid XML: .*line 4"),
        (PHOTON[:-3], "not valid XML: unclosed token"),
        (b"\x89HDF\r\n\x1a\n", "not valid XML"),
        (b"<?xml version='1.0' encoding='klingon'?><Bins/>", "not valid XML: unknown encoding"),
        (BOMB, "line 1: has a DOCTYPE.*refused"),
        ('<!DOCTYPE b SYSTEM "file:///etc/passwd"><Bins/>', "line 1: has a DOCTYPE"),
        ("<Bins/>", "no <Bin>"),
        ("<html><body/></html>", "line 1: unexpected <html> as the outermost element; expected <Bins>"),
        ("<Bins><Layer/></Bins>", "line 1: unexpected <Layer> in <Bins>; expected <Bin>"),
        (
            "<Bins><Bin name='a'><Layer id='0' r_edges='0' n_bin_alpha='1'><x/></Layer></Bin></Bins>",
            "unexpected <x>",
        ),
        ("<Bins><Bin>\n</Bin></Bins>", "line 1: <Bin> has no name"),
        (PHOTON.replace('id="0" ', ""), "line 3: <Layer> has no id"),
        (PHOTON.replace('r_edges="0,1,2.5" ', ""), "line 3: <Layer> has no r_edges"),
        (PHOTON.replace(' n_bin_alpha="4"', ""), "line 3: <Layer> has no n_bin_alpha"),
        (PHOTON.replace("0,1,2.5", "0,1,x"), "line 3: layer 0: could not convert"),
        (PHOTON.replace("0,1,2.5", "0,1,,2"), "line 3: layer 0: could not convert"),
        (PHOTON.replace("0,1,2.5", "0,2,1"), "line 3: layer 0: r_edges must be"),
        (PHOTON.replace("0,1,2.5", "0,1,nan"), "line 3: layer 0: Each of r_edges must be a finite number"),
        (PHOTON.replace('"4"', '"0"'), "line 3: layer 0: n_alpha must be a whole number"),
        (PHOTON.replace('"4"', '"4.5"'), "line 3: layer 0: invalid literal"),
        (PHOTON.replace('"4"', '"4" z="3"'), "line 3: <Layer> has the unknown attribute 'z'"),
    ],
)
def test_bad_files(content, message, write):
    with pytest.raises(FileFormatError, match=f"binning.xml: .*{message}"):
        read_binning_xml(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PHOTON.replace('"12"', '"0"'), "must be unique"),
        ('<Bins><Bin name="a"/></Bins>', "has no layers"),
    ],
)
def test_layers_that_make_no_calorimeter(content, message, write):
    with pytest.raises(ConfigError, match=f"binning.xml: .*{message}"):
        read_binning_xml(write(content))


def test_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        read_binning_xml(tmp_path / "none.xml")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["1_photons", "1_pions", "2", "3"])
def test_catalogue_agrees_with_the_official_file(name):
    path = SHARED / f"binning_dataset_{name}.xml"
    if not path.is_file():
        pytest.skip(f"needs the CaloChallenge's {path.name} in ../shared/calochallenge beside the repository")
    official, ours = read_binning_xml(path), get_geometry(f"calochallenge_{name}")
    assert ours.same_voxels(official)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in official.layers]
