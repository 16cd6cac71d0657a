import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import GeometryMismatchError, ShapeError, ValueRangeError
from caloforge.geometry import get_geometry
from caloforge.showers import Showers

CALOGAN = get_geometry("calogan")


def make(n=4, seed=0, dtype=np.float64, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        "e_inc": np.linspace(1e3, 1e5, n).astype(dtype),
        "voxels": rng.exponential(size=(n, 504)).astype(dtype),
        "geometry": CALOGAN,
        "provenance": {"particle": "e+", "seed": seed},
    }
    return Showers(**(fields | changes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_above(dtype):
    showers = make(dtype=dtype)
    threshold = float(showers.voxels[1, 7])  # this very voxel is kept
    kept = showers.above(threshold)
    np.testing.assert_array_equal(kept.voxels, np.where(showers.voxels >= threshold, showers.voxels, 0))
    assert kept.voxels[1, 7] == threshold
    assert kept.voxels.dtype == dtype
    assert (kept.e_inc is showers.e_inc, kept.provenance) == (True, showers.provenance)
    np.testing.assert_array_equal(showers.above(0).voxels, showers.voxels)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueRangeError, match="threshold must be a finite energy in MeV"):
            showers.above(wrong)


@given(st.integers(0, 5), st.integers(0, 1000), st.sampled_from([np.float32, np.float64]))
def test_layers_add_up(n, seed, dtype):
    showers = make(n, seed, dtype)
    assert len(showers) == n
    assert showers.e_layer.shape == (n, 3)
    assert showers.e_layer.dtype == showers.e_dep.dtype == np.float64
    np.testing.assert_allclose(showers.e_layer.sum(axis=1), showers.e_dep, rtol=1e-12)
    np.testing.assert_allclose(showers.e_ratio * showers.e_inc, showers.e_dep)
    assert showers.voxels.dtype == dtype


def test_arrays_are_not_copied():
    voxels = np.ones((2, 504), dtype=np.float32)
    assert make(2, voxels=voxels).voxels is voxels


@pytest.mark.parametrize("shape", [(4, 503), (3, 504), (4,), (4, 1, 504), ()])
def test_wrong_voxel_shape(shape):
    with pytest.raises(ShapeError, match=r"voxels has shape .*expected \(n, V\) = \(4, 504\) for 'calogan'"):
        make(voxels=np.ones(shape))


@pytest.mark.parametrize("shape", [(4, 1), ()])
def test_wrong_energy_shape(shape):
    with pytest.raises(ShapeError, match=r"e_inc has shape .*expected \(n,\)"):
        make(e_inc=np.ones(shape))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0])
def test_bad_voxels_are_counted_and_located(bad):
    voxels = np.ones((4, 504))
    voxels[1, 7] = voxels[3, 0] = bad
    with pytest.raises(
        ValueRangeError, match=r"not negative \(MeV\); 2 of 2016 values are not, first at \(1, 7\), \(3, 0\)"
    ):
        make(voxels=voxels)


def test_infinities_that_cancel():
    voxels = np.ones((4, 504))
    voxels[0, :2] = math.inf, -math.inf
    with pytest.raises(ValueRangeError, match="2 of 2016"):  # and no warning, which would be an error here
        make(voxels=voxels)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -5.0, 0.0])
def test_bad_energies(bad):
    with pytest.raises(
        ValueRangeError, match=r"e_inc must be finite and positive \(MeV\); 1 of 4 .*first at \(2,\)"
    ):
        make(e_inc=np.array([1, 2, bad, 4.0]))


def test_whole_numbers_and_lists_become_floats():
    showers = make(2, e_inc=[1000, 2000], voxels=np.ones((2, 504), dtype=int))
    assert showers.e_inc.dtype == showers.voxels.dtype == np.float64


@pytest.mark.parametrize(
    "values", [np.array(["1", "2"]), np.array([1j, 2]), np.array([None, 1]), np.array([True, False])]
)
def test_other_types(values):
    with pytest.raises(ValueRangeError, match="e_inc must be an array of real numbers"):
        make(2, e_inc=values)


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        (np.array([True, False, False, True]), [0, 3]),
        (np.array([2, 2]), [2, 2]),
        (slice(0, 0), []),
    ],
)
def test_selection(select, expected):
    showers = make()
    chosen = showers[select]
    np.testing.assert_array_equal(chosen.e_inc, showers.e_inc[expected])
    np.testing.assert_array_equal(chosen.voxels, showers.voxels[expected])
    assert chosen.provenance == showers.provenance


def test_a_single_number_is_no_selection():
    with pytest.raises(ShapeError, match="e_inc"):
        make()[0]


@given(st.integers(0, 4))
def test_parts_make_the_whole(cut):
    showers = make()
    whole = Showers.concatenate([showers[:cut], showers[cut:]])
    np.testing.assert_array_equal(whole.voxels, showers.voxels)
    np.testing.assert_array_equal(whole.e_inc, showers.e_inc)
    assert whole.provenance == showers.provenance


def test_concatenate_refuses():
    with pytest.raises(ValueRangeError, match="at least one part"):
        Showers.concatenate([])
    pions = get_geometry("calochallenge_1_pions")
    other = Showers(e_inc=np.ones(1), voxels=np.ones((1, 533)), geometry=pions)
    with pytest.raises(
        GeometryMismatchError, match=r"Part 0 has geometry 'calogan'.* part 1 has 'calochallenge_1_pions'"
    ):
        Showers.concatenate([make(), other])


def test_no_showers():
    empty = make(0)
    assert (len(empty), empty.e_layer.shape, empty.e_dep.shape, empty.e_ratio.shape) == (
        0,
        (0, 3),
        (0,),
        (0,),
    )
    assert len(Showers.concatenate([empty, empty])) == 0


def test_repr_is_short():
    assert repr(make()) == "Showers(n=4, geometry='calogan' (3 layers, 504 voxels))"
