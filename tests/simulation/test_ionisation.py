"""The least energy loss, with the parameters that the Review of Particle Physics tabulates."""

import numpy as np
import pytest

from caloforge.simulation.ionisation import DensityEffect, min_energy_loss

# Groom, Mokhov, Striganov, Atomic Data and Nuclear Data Tables 78 (2001) 183: Z/A, I [eV], density effect, result.
TABLE = {
    "lead": (82 / 207.2, 823.0, (0.3776, 3.8073, 0.0936, 3.1608, 6.2018, 0.14), 1.122),
    "silicon": (14 / 28.0855, 173.0, (0.2015, 2.8716, 0.1492, 3.2546, 4.4355, 0.14), 1.664),
    "liquid argon": (18 / 39.948, 188.0, (0.2000, 3.0000, 0.1956, 3.0000, 5.2146, 0.0), 1.508),
}


def effect(x0, x1, a, k, c_bar, delta0):
    return DensityEffect(x0=x0, x1=x1, a=a, k=k, c_bar=c_bar, delta0=delta0)


@pytest.mark.parametrize(("z_over_a", "energy", "parameters", "expected"), TABLE.values(), ids=TABLE.keys())
def test_published_values(z_over_a, energy, parameters, expected):
    loss = min_energy_loss(
        z_over_a=z_over_a, mean_excitation_energy=energy, density_effect=effect(*parameters)
    )
    assert loss == pytest.approx(expected, rel=2e-3)


def test_density_effect_joins_up():
    found = effect(*TABLE["lead"][2])
    for x in (found.x0, found.x1):
        below, above = found.delta(10 ** np.array([x - 1e-6, x + 1e-6]))
        assert below == pytest.approx(above, abs=2e-3)  # the parameters have four digits
    assert found.delta(np.array([1e6])) == pytest.approx(2 * np.log(1e6) - found.c_bar)
