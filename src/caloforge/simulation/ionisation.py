"""Mean energy loss of a minimum-ionising particle."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

__all__ = ["DensityEffect", "min_energy_loss"]

# Particle Data Group, Review of Particle Physics 2024: physical constants; passage of particles through matter.
_K = 0.307075
"""4 pi N_A r_e^2 m_e c^2, MeV cm2/mol."""
_ELECTRON_MASS = 0.51099895
"""MeV."""
_MUON_MASS = 105.6583755
"""MeV."""


@final
@dataclass(frozen=True, kw_only=True)
class DensityEffect:
    """Sternheimer's parameters of the density effect, by the names of the Review of Particle Physics."""

    x0: float
    x1: float
    a: float
    k: float
    c_bar: float
    delta0: float

    def delta(self, beta_gamma: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Correction to the Bethe formula; 0 for slow particles in insulators."""
        x = np.log10(beta_gamma)
        line = 2 * math.log(10) * x - self.c_bar
        bend = line + self.a * np.maximum(self.x1 - x, 0.0) ** self.k
        return np.where(x < self.x0, self.delta0 * 10 ** (2 * (x - self.x0)), bend)


def min_energy_loss(
    *, z_over_a: float, mean_excitation_energy: float, density_effect: DensityEffect
) -> float:
    r"""Energy loss by ionisation where it is least, of a muon, MeV cm2/g.

    .. math::
        -\frac{dE}{dx} = K \frac{Z}{A} \frac{1}{\beta^2} \left[\frac{1}{2}
        \ln\frac{2 m_e c^2 \beta^2 \gamma^2 W_{max}}{I^2} - \beta^2 - \frac{\delta(\beta\gamma)}{2}\right]

    Args:
        z_over_a: Electrons per nuclear mass, mol/g.
        mean_excitation_energy: I, eV.
        density_effect: Parameters of delta.

    References:
        Particle Data Group, Review of Particle Physics, "Passage of particles through matter", the Bethe
        equation.
    """
    beta_gamma = np.geomspace(1.0, 10.0, 2001)  # the minimum lies near 3.5
    gamma = np.sqrt(1 + beta_gamma**2)
    beta2 = (beta_gamma / gamma) ** 2
    ratio = _ELECTRON_MASS / _MUON_MASS
    w_max = 2 * _ELECTRON_MASS * beta_gamma**2 / (1 + 2 * gamma * ratio + ratio**2)
    argument = 2 * _ELECTRON_MASS * beta_gamma**2 * w_max / (mean_excitation_energy * 1e-6) ** 2
    bracket = 0.5 * np.log(argument) - beta2 - 0.5 * density_effect.delta(beta_gamma)
    return float((_K * z_over_a / beta2 * bracket).min())
