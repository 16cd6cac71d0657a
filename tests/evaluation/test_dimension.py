"""The dimension of showers: spaces, slices, layers, and what cannot be estimated."""

import json

import numpy as np
import pytest

from caloforge.errors import UnknownNameError, ValueRangeError
from caloforge.evaluation import dimension_study, drawn_showers, points_of_showers, reference_sample
from caloforge.showers import Showers
from support.toys import cartesian, geometry_of, toy_showers

TOY = geometry_of(cartesian(8, 8), cartesian(4, 4))


def family(n=900, *, d=3, seed=1):
    """Showers on a manifold of d dimensions: smooth functions of d numbers, in all layers."""
    rng = np.random.default_rng(seed)
    directions = 0.3 * rng.normal(size=(d, TOY.n_voxels))
    voxels = np.exp(rng.normal(size=(n, d)) @ directions)
    return Showers(e_inc=1e3 * rng.uniform(1, 100, n), voxels=voxels, geometry=TOY)


@pytest.mark.parametrize("space", ["normalised", "log"])
def test_a_family_of_known_dimension(space):
    study = dimension_study(family(), ks=(5, 10), space=space, n_slices=3)
    for region in (study.whole, *study.slices, *study.layers):
        assert [e.k for e in region.estimates] == [5, 10]
        for estimate in region.estimates:
            assert abs(estimate.dimension - 3) < 0.15 + 10 * estimate.error
    assert [layer.layer for layer in study.layers] == ["l0", "l1"]
    assert sum(region.n_showers for region in study.slices) == study.n_showers == 900


def test_scattering_voxels_have_more_dimensions():
    rng = np.random.default_rng(2)
    calm = family()
    wild = Showers(
        e_inc=calm.e_inc, voxels=calm.voxels * np.exp(0.5 * rng.normal(size=calm.voxels.shape)), geometry=TOY
    )
    assert dimension_study(wild).whole.estimates[0].dimension > 10


def test_spaces():
    showers = toy_showers(TOY, 50)
    shares = points_of_showers(showers, "normalised")
    filled = showers.above(1e-3).e_layer > 0
    assert not filled.all()
    np.testing.assert_allclose(TOY.e_layer(shares)[filled], 1, rtol=1e-6)
    assert not TOY.e_layer(shares)[~filled].any()
    logs = points_of_showers(showers, "log", threshold=10.0)
    assert ((logs == 0) == (showers.voxels < 10)).all()
    assert logs[logs > 0].min() >= 1
    energies = points_of_showers(showers, "energy")
    np.testing.assert_allclose(energies.sum(1), showers.e_ratio, rtol=1e-5)


def test_real_showers_lie_on_a_manifold_of_few_dimensions():
    study = dimension_study(reference_sample("gamma"), n_slices=0)
    assert 5 < study.whole.estimates[0].dimension < 20
    assert study.slices == ()


def test_what_is_said_about_a_sample():
    showers = family(300)
    voxels = showers.voxels.copy()
    voxels[:50, 64:] = 0  # layer 1 is empty
    voxels[200:220] = voxels[:20]
    voxels[:, 5] = 0
    study = dimension_study(
        Showers(e_inc=showers.e_inc, voxels=voxels, geometry=TOY), ks=(10, 60), space="log", n_slices=6
    )
    assert (study.whole.n_constant, study.whole.estimates[0].n_twins) == (1, 20)
    assert [layer.n_empty for layer in study.layers] == [0, 70]
    # Slices of 50 showers are too few for 60 neighbours, and that is said and no error.
    assert all(not region.estimates and "too few for k = 60" in region.note for region in study.slices)
    plain = json.loads(json.dumps(study.to_dict(), allow_nan=False))
    assert plain["layers"][1]["n_empty"] == 70
    assert plain["whole"]["estimates"][0]["k"] == 10


def test_a_layer_without_energy_at_all():
    showers = family(100)
    voxels = showers.voxels.copy()
    voxels[:, 64:] = 0
    study = dimension_study(Showers(e_inc=showers.e_inc, voxels=voxels, geometry=TOY))
    empty = study.layers[1]
    assert (empty.n_showers, empty.n_empty, empty.estimates) == (0, 100, ())
    assert "too few" in empty.note
    json.dumps(study.to_dict(), allow_nan=False)


def test_equal_showers_have_no_dimension():
    one = toy_showers(TOY, 1)
    same = Showers.concatenate([one] * 30)
    with pytest.raises(ValueRangeError, match="All showers are equal here: 0 dimensions"):
        dimension_study(same)


def test_few_energies_make_few_slices():
    showers = family(400)
    fixed = Showers(e_inc=np.repeat([1e3, 2e3], 200), voxels=showers.voxels, geometry=TOY)
    assert dimension_study(fixed, n_slices=5).slices == ()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"space": "lgo"}, UnknownNameError, "space 'lgo'. Did you mean 'log'"),
        ({"space": "log", "threshold": 0.0}, ValueRangeError, "threshold above 0"),
        ({"threshold": -1.0}, ValueRangeError, "threshold must be"),
        ({"n_slices": -1}, ValueRangeError, "slices must be 0 or more"),
        ({"ks": (1,)}, ValueRangeError, "2 or more neighbours"),
        ({"ks": (50,)}, ValueRangeError, "40 different points are too few for k = 50"),
    ],
)
def test_settings_that_make_no_sense(options, error, match):
    with pytest.raises(error, match=match):
        dimension_study(family(40), **options)


def test_drawn_showers():
    showers = toy_showers(TOY, 100)
    chunks = [showers[:33], showers[33:34], showers[34:]]
    drawn = drawn_showers(chunks, 100, max_showers=20)
    assert len(drawn) == 20
    place = {e: k for k, e in enumerate(showers.e_inc)}
    places = [place[e] for e in drawn.e_inc]
    assert places == sorted(places)
    assert max(places) > 50 > min(places)
    np.testing.assert_array_equal(drawn.voxels, showers.voxels[places])
    again = drawn_showers([showers], 100, max_showers=20)
    np.testing.assert_array_equal(again.e_inc, drawn.e_inc)
    assert len(drawn_showers(chunks, 100)) == 100
    with pytest.raises(ValueRangeError, match="no showers"):
        drawn_showers([], 0)
    with pytest.raises(ValueRangeError, match="at least 1"):
        drawn_showers(chunks, 100, max_showers=0)
