"""Weights files: what goes in comes out, and whatever a stranger sends is refused by name, never executed."""

import json
import pickle
import re
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import caloforge
import caloforge.geometry
from caloforge.errors import CheckpointError, OutputError
from caloforge.models.caloflow import CaloFlow
from caloforge.models.checkpoint import load_checkpoint, read_header, save_model, weights_id
from caloforge.training import initial_model
from support.tiny_runs import GEOMETRY, file_size_limit, tiny_config, tiny_showers


@pytest.fixture(scope="module")
def model():
    """With the preprocessing of a trained model; its weights need no training here."""
    model = initial_model(tiny_config(), GEOMETRY)
    model.fit_range(tiny_showers())
    for stage in model.stages.values():
        stage.fit(tiny_showers(), seed=1)
    return model


@pytest.fixture
def path(tmp_path, model):
    path = tmp_path / "weights.safetensors"
    save_model(model, path, family="caloflow", provenance={"recipe": "tiny", "seed": 3})
    return path


def rewrite(path, *, tensors=None, raw=None, **header):
    """The same file with other tensors or another header."""
    with safe_open(path, framework="pt") as file:
        known = json.loads(file.metadata()["caloforge"])
    text = json.dumps(known | header) if raw is None else raw
    save_file(load_file(path) if tensors is None else tensors, path, metadata={"caloforge": text})


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_round_trip(path, model):
    loaded, header = load_checkpoint(path)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert header.geometry == GEOMETRY
    assert (header.family, header.version) == ("caloflow", caloforge.__version__)
    assert header.provenance == {"recipe": "tiny", "seed": 3, "weights_id": weights_id(model.state_dict())}
    assert header == read_header(path)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_header_is_json_that_anybody_can_read(path, model):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["caloforge"])
    assert header.keys() == {"format", "version", "family", "settings", "geometry", "provenance"}
    assert header["format"] == 1
    assert header["settings"] == model.settings
    assert header["geometry"] == GEOMETRY.to_dict()


@pytest.mark.parametrize(("half", "eps"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_half_precision_rounds_weights_only(path, model, half, eps):
    small = path.with_name("half.safetensors")
    save_model(model, small, family="caloflow", provenance={}, half=half)
    stored = load_file(small)
    loaded, _ = load_checkpoint(small)
    trained = {name for name, _ in model.named_parameters()}
    for name, tensor in model.state_dict().items():
        is_weight = name in trained or name.endswith("weight_packed")
        assert (stored[name].dtype == getattr(torch, half)) == is_weight
        found = loaded.state_dict()[name]
        assert found.dtype == tensor.dtype
        if is_weight:
            assert not torch.equal(found, tensor)
            torch.testing.assert_close(found, tensor, rtol=eps, atol=2**-24)
        else:
            assert torch.equal(found, tensor)


def test_saving_over_a_file_and_onto_a_full_disk(path, model):
    before = path.read_bytes()
    with file_size_limit(2000), pytest.raises(OutputError, match=re.escape(str(path))):
        save_model(model, path, family="caloflow", provenance={})
    assert path.read_bytes() == before
    save_model(model, path, family="caloflow", provenance={"again": True})
    assert read_header(path).provenance == {"again": True, "weights_id": weights_id(model.state_dict())}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_not_there(tmp_path):
    refused(tmp_path / "no.safetensors", "there is no such weights file")
    refused(tmp_path, "there is no such weights file")


class _Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pickle.dumps(_Bomb()),
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2**27) + b"{" * 100,
        struct.pack("<Q", 2) + b"{}" + b"trailing",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xfe\x00{",
    ],
    ids=["empty", "text", "pickle", "huge length", "large length", "trailing", "list", "no text"],
)
def test_no_safetensors(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    refused(path, "is no safetensors file or is damaged|not one of caloforge")
    assert not (tmp_path / "executed").exists()


def test_a_torch_file(tmp_path, model):
    path = tmp_path / "weights.safetensors"
    torch.save(model.state_dict(), path)
    refused(path, "is no safetensors file or is damaged")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_truncated(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused(path, "is no safetensors file or is damaged")


def test_every_flipped_byte_of_the_header_is_read_or_refused(path):
    """Whatever is damaged, nothing but our error comes out."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    for where in range(0, 8 + length, 97):
        broken = bytearray(data)
        broken[where] ^= 0x15
        path.write_bytes(broken)
        try:
            load_checkpoint(path)
        except CheckpointError as err:
            assert str(err).startswith(f"{path}: ")  # noqa: PT017 - some flips do no harm


def test_foreign(path):
    save_file({"lm_head.weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    refused(path, "not one of caloforge")


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        ("", "damaged header"),
        ("{", "damaged header"),
        ("[]", "damaged header"),
        ("null", "damaged header"),
        ("{}", "damaged header"),
        ("[" * 100_000, "damaged header"),
        ('{"format": "x"}', "damaged header"),
    ],
)
def test_a_header_that_is_none(path, raw, match):
    rewrite(path, raw=raw)
    refused(path, match)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"format": 2}, "has format 2, this version reads up to 1; upgrade"),
        ({"family": "caloflop"}, "Unknown model family 'caloflop'. Did you mean 'caloflow'"),
        ({"family": ["caloflow"]}, "family must be str"),
        ({"settings": []}, "settings must be dict"),
        ({"settings": {"energies": {"blocs": 1}}}, "Unknown setting in 'model.energies' 'blocs'"),
        ({"settings": {"energies": {"blocks": "many"}}}, r"model.energies.blocks = 'many'"),
        ({"settings": {"energies": {"hidden": -1}}}, "cannot be built"),
        ({"settings": {"shape": {"hidden": 10**12}}}, "cannot be built"),
        ({"settings": {"shape": {"hidden": 10**30}}}, "cannot be built"),
        ({"settings": {"energies": {"blocks": 1}}}, "weights do not fit|cannot be built"),
        ({"geometry": {}}, "damaged header"),
        ({"geometry": None}, "damaged header"),
        ({"provenance": "me"}, "provenance must be dict"),
        ({"version": 3}, "version must be str"),
    ],
)
def test_a_header_that_says_something_else(path, header, match):
    rewrite(path, **header)
    refused(path, match)


def test_another_geometry(path):
    rewrite(path, geometry=caloforge.geometry.get_geometry("calogan").to_dict())
    refused(path, "weights do not fit its settings")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_every_tensor_must_be_finite(path, value):
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            broken = tensor.clone()
            broken.view(-1)[-1] = value
            rewrite(path, tensors=tensors | {name: broken})
            refused(path, "not finite|trained on no energies")


def test_tensors_that_do_not_fit(path):
    tensors = load_file(path)
    names = [name for name in tensors if name.endswith(("weight_packed", "bias", "mean"))]
    for name in names[:6]:
        rewrite(path, tensors={k: v for k, v in tensors.items() if k != name})
        refused(path, "weights do not fit its settings: .*[Mm]issing")
        rewrite(path, tensors=tensors | {name: torch.zeros(len(tensors[name]) + 1)})
        refused(path, "weights do not fit its settings")
    rewrite(path, tensors=tensors | {"extra.weight": torch.zeros(2)})
    refused(path, "weights do not fit its settings: .*Unexpected")
    rewrite(path, tensors={})
    refused(path, "weights do not fit its settings")


@pytest.mark.parametrize(
    "settings",
    [
        {"shape": {"blocks": 10**7}},
        {"shape": {"hidden": 60_000}},
        {"shape": {"depth": 10**8}},
        {"energies": {"bins": 10**8, "min_bin": 1e-12}},
    ],
    ids=str,
)
def test_settings_of_a_model_that_the_file_cannot_hold(path, monkeypatch, settings):
    """Refused before anything of it is built."""
    monkeypatch.setattr(CaloFlow, "build", None)
    rewrite(path, settings=settings)
    refused(path, r"cannot be built: The model would have .* parameters .*at most 1,000,000")


@pytest.mark.parametrize("order", [[0, 0], [0, 2], [-1, 0]])
def test_an_order_that_is_no_permutation(path, order):
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith("energies") and name.endswith(".order"))
    rewrite(path, tensors=tensors | {name: torch.tensor(order)})
    refused(path, r"weights do not fit its settings: .*order is no permutation of 0\.\.1")


@pytest.mark.parametrize("half", [None, "float16", "bfloat16"])
def test_weights_id_is_of_the_weights(path, tmp_path, model, half):
    """The same after loading and saving, whatever else is said; another with one other number."""
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    save_model(model, path, family="caloflow", provenance={}, half=half)
    loaded, header = load_checkpoint(path)
    save_model(loaded, again, family="caloflow", provenance=header.provenance | {"more": 1}, half=half)
    assert read_header(again).provenance["weights_id"] == header.provenance["weights_id"]
    assert header.provenance["weights_id"] == weights_id(load_file(path))
    loaded.shape.context_scale.mean[0] += 1
    save_model(loaded, other, family="caloflow", provenance=header.provenance, half=half)
    assert read_header(other).provenance["weights_id"] != header.provenance["weights_id"]


def test_an_untrained_model(path):
    save_model(initial_model(tiny_config(), GEOMETRY), path, family="caloflow", provenance={})
    refused(path, "was trained on no energies")


def test_nothing_in_the_package_unpickles():
    source = Path(caloforge.__file__).parent
    # What a run and the processes that it has started itself say to each other, by pipes, is no file of anybody's.
    between_processes = {source / "production" / name for name in ("child.py", "supervision.py")}
    files = sorted(set(source.rglob("*.py")) - between_processes)
    assert len(files) > 50
    forbidden = re.compile(
        r"^\s*(import|from)\s+(pickle|dill|joblib|shelve|marshal|cloudpickle)\b|torch\.(load|save)\(|allow_pickle\s*=\s*True"
        r"|\beval\((?!\))|\bexec\(",
        re.MULTILINE,
    )
    found = [f"{path}: {match.group()}" for path in files for match in forbidden.finditer(path.read_text())]
    assert not found
