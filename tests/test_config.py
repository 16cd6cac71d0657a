import contextlib
import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.config import apply_settings, from_mapping, read_toml, to_mapping
from caloforge.errors import CaloForgeError, ConfigError, FileFormatError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Inner:
    epochs: int = 3
    rate: float = 1e-3
    milestones: tuple[int, ...] = ()
    schedule: Literal["step", "cosine"] = "step"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs must be positive, got {self.epochs}.")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    flag: bool = False
    ratio: float | None = None
    limit: int | str | None = None
    inner: Inner = field(default_factory=Inner)
    table: dict[str, Inner] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)


INNERS = st.builds(
    Inner,
    epochs=st.integers(1, 10**9),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    milestones=st.lists(st.integers(), max_size=3).map(tuple),
    schedule=st.sampled_from(["step", "cosine"]),
)
OUTERS = st.builds(
    Outer,
    name=st.text(),
    flag=st.booleans(),
    ratio=st.none() | st.floats(allow_nan=False),
    limit=st.none() | st.integers() | st.text(),
    inner=INNERS,
    table=st.dictionaries(st.text(max_size=3), INNERS, max_size=2),
    free=st.dictionaries(st.text(max_size=3), st.integers() | st.lists(st.text()), max_size=2),
)


@given(OUTERS)
def test_plain_data_and_back(config):
    data = to_mapping(config)
    assert from_mapping(Outer, data) == config
    assert not any(value is None for value in data.values())
    assert isinstance(data["inner"]["milestones"], list)


def test_missing_keys_take_defaults():
    assert from_mapping(Outer, {"name": "a"}) == Outer(name="a")
    assert from_mapping(Outer, {"name": "a", "inner": {"epochs": 7}}).inner == Inner(epochs=7)


def test_whole_numbers_are_floats_where_floats_are_wanted():
    rate = from_mapping(Inner, {"rate": 2}).rate
    assert rate == 2.0
    assert isinstance(rate, float)
    assert isinstance(from_mapping(Outer, {"name": "", "ratio": 2}).ratio, float)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"name": 3}, "name"),
        ({"name": None}, "name"),
        ({"flag": 1}, "flag"),
        ({"flag": "true"}, "flag"),
        ({"ratio": "0.5"}, "ratio"),
        ({"ratio": True}, "ratio"),
        ({"limit": 2.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"inner": 3}, "inner"),
        ({"inner": [1]}, "inner"),
        ({"inner": {"epochs": True}}, "inner.epochs"),
        ({"inner": {"epochs": 2.0}}, "inner.epochs"),
        ({"inner": {"epochs": "2"}}, "inner.epochs"),
        ({"inner": {"rate": False}}, "inner.rate"),
        ({"inner": {"rate": [1.0]}}, "inner.rate"),
        ({"inner": {"milestones": 3}}, "inner.milestones"),
        ({"inner": {"milestones": "12"}}, "inner.milestones"),
        ({"inner": {"milestones": [1, 2.5]}}, "inner.milestones[1]"),
        ({"table": {"a": {"rate": "x"}}}, "table.a.rate"),
        ({"table": [1]}, "table"),
    ],
)
def test_wrong_types_are_named_with_their_place(data, where):
    with pytest.raises(ConfigError) as caught:
        from_mapping(Outer, {"name": "a"} | data)
    assert str(caught.value).startswith(f"{where} = ")
    assert "must be" in str(caught.value)


@pytest.mark.parametrize("value", ["cosin", 1, True, ["step"], {}])
def test_choices_are_listed(value):
    with pytest.raises(UnknownNameError, match=r"inner\.schedule.*cosine, step"):
        from_mapping(Outer, {"name": "a", "inner": {"schedule": value}})


def test_unknown_settings_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown setting in 'inner' 'epoch'\. Did you mean 'epochs'"):
        from_mapping(Outer, {"name": "a", "inner": {"epoch": 3}})
    with pytest.raises(UnknownNameError, match=r"Unknown setting 'nam'\. Did you mean 'name'"):
        from_mapping(Outer, {"nam": "a"})
    with pytest.raises(UnknownNameError, match=r"'run\.inner'"):
        from_mapping(Outer, {"name": "a", "inner": {"x": 3}}, where="run")


def test_settings_without_default_must_be_there():
    with pytest.raises(ConfigError, match="Missing setting 'name'"):
        from_mapping(Outer, {})
    with pytest.raises(ConfigError, match=r"Missing setting 'run\.name'"):
        from_mapping(Outer, {}, where="run")


def test_checks_of_the_dataclass_are_kept():
    with pytest.raises(ConfigError, match="epochs must be positive"):
        from_mapping(Outer, {"name": "a", "inner": {"epochs": 0}})


def test_a_whole_number_too_large_for_a_float_is_our_error():
    with pytest.raises(ConfigError, match="rate"):
        from_mapping(Inner, {"rate": 10**400})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("1e-3", 1e-3),
        ("true", True),
        ("True", "True"),
        ("[5, 15]", [5, 15]),
        ("cosine", "cosine"),
        ('"20"', "20"),
        ("", ""),
        ("a=b", "a=b"),
        (" 7 ", 7),
        ("inf", math.inf),
        ("{epochs = 2}", {"epochs": 2}),
    ],
)
def test_settings_are_toml_or_text(text, value):
    result = apply_settings({}, [f"inner.key={text}"])
    assert result == {"inner": {"key": value}}
    assert type(result["inner"]["key"]) is type(value)


def test_settings_replace_and_leave_the_rest():
    data = {"name": "a", "inner": {"epochs": 3, "rate": 0.1}}
    result = apply_settings(data, ["inner.epochs=5", "inner.epochs = 6", "flag=true", "table.x.rate=1.0"])
    assert result == {
        "name": "a", "flag": True, "inner": {"epochs": 6, "rate": 0.1}, "table": {"x": {"rate": 1.0}}
    }  # fmt: skip
    assert data == {"name": "a", "inner": {"epochs": 3, "rate": 0.1}}
    assert from_mapping(Outer, result).inner.epochs == 6


@pytest.mark.parametrize("setting", ["epochs", "=3", "inner.=3", ".x=3", "a..b=3", "", " =1"])
def test_malformed_settings(setting):
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        apply_settings({}, [setting])


def test_settings_below_a_value():
    with pytest.raises(ConfigError, match="'name' is a value, not a section"):
        apply_settings({"name": "a"}, ["name.x=3"])


@given(st.lists(st.text(), max_size=3))
def test_any_setting_works_or_is_our_error(settings):
    with contextlib.suppress(CaloForgeError):
        apply_settings({"a": {"b": 1}}, settings)


def test_read_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "a"\n[inner]\nepochs = 4\n')
    assert from_mapping(Outer, read_toml(path)) == Outer(name="a", inner=Inner(epochs=4))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name = \n", "line 1"), (b"a = 1\na = 2\n", "not valid TOML"), (b"name = '\xff'", "not valid TOML")],
)
def test_read_toml_says_where(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_toml(path)
    assert caught.value.path == path


def test_read_toml_of_nothing_and_of_a_folder(tmp_path):
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_toml(tmp_path)


def test_every_recipe_is_its_own_plain_data():
    from caloforge.recipes import load_recipe, recipe_names
    from caloforge.training import RunConfig

    for name in recipe_names():
        config = RunConfig.from_dict(load_recipe(name))
        assert RunConfig.from_dict(to_mapping(config)) == config
        assert dataclasses.is_dataclass(config)
