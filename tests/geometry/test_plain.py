import math

import numpy as np
import pytest

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import plain


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (plain.number, "3", "a finite number"),
        (plain.number, True, "a finite number"),
        (plain.number, None, "a finite number"),
        (plain.number, math.nan, "a finite number"),
        (plain.number, math.inf, "a finite number"),
        (plain.text, 3, "a text"),
        (plain.text, "", "a text"),
        (plain.flag, 1, "true or false"),
        (plain.table, [1], "a table"),
        (plain.sequence, "abc", "a list"),
        (plain.sequence, 1.0, "a list"),
    ],
)
def test_wrong_types_say_where_and_what(read, value, expected):
    with pytest.raises(ConfigError, match=f"^here must be {expected}.*got"):
        read(value, "here")


@pytest.mark.parametrize("value", [0, 11, 2.0, "2", True, None])
def test_integer_refuses(value):
    with pytest.raises(ConfigError, match="a whole number from 1 to 10"):
        plain.integer(value, "here", low=1, high=10)


def test_numpy_scalars_become_plain():
    assert type(plain.number(np.float32(0.5), "x")) is float
    assert type(plain.integer(np.int64(3), "x", low=1, high=5)) is int


def test_long_values_are_shortened():
    with pytest.raises(ConfigError, match=r"\.\.\.\.$") as caught:
        plain.number("x" * 1000, "here")
    assert len(str(caught.value)) < 120


def test_length_of_a_sequence():
    with pytest.raises(ConfigError, match="a list of 2"):
        plain.sequence([1], "here", length=2)


def test_keys():
    plain.check_keys({"a": 1}, "here", allowed={"a", "b"}, required={"a"})
    with pytest.raises(UnknownNameError, match=r"key in here 'thicknes_'. Did you mean 'thickness'"):
        plain.check_keys({"thicknes_": 1}, "here", allowed={"thickness"}, required=())
    with pytest.raises(ConfigError, match="misses the keys a, b"):
        plain.check_keys({}, "here", allowed={"a", "b"}, required={"a", "b"})
