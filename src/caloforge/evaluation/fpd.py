"""Frechet physics distance (FPD) of two samples in a set of features.

Our own implementation of the published definition. The random numbers are drawn in jetnet's order, so that the
same arrays, settings and seed give jetnet's values up to rounding; the tests derive them a second time.

References:
    R. Kansal et al., Evaluating generative models in high energy physics, arXiv:2211.10295.
    C. Krause et al., CaloChallenge 2022: A community challenge for fast calorimeter simulation,
    arXiv:2410.21611.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import optimize

from caloforge.evaluation.feature_arrays import checked_arrays
from caloforge.evaluation.physics_distance import (
    PhysicsDistance,
    PhysicsDistanceSettings,
    checked_settings,
    normalised,
    physics_distance,
)

__all__ = ["frechet_distance", "frechet_physics_distance"]


def frechet_physics_distance(
    generated: Float[np.ndarray, "n F"],
    reference: Float[np.ndarray, "m F"],
    *,
    settings: str | PhysicsDistanceSettings = "jetnet",
    draws: int = 100,
) -> PhysicsDistance:
    r"""FPD: Frechet distance of Gaussians fitted to both samples, extrapolated to batches without end.

    Every feature is divided by its largest absolute value in the reference. For each batch size N, batches are
    drawn *with replacement* from both samples and the mean :func:`frechet_distance` taken; a straight line in
    1/N with an intercept and a slope that are not negative gives the value at 1/N = 0.

    A batch may thus be larger than the sample. What the extrapolation removes is the bias from the batches; that
    from the samples stays and is the ``floor``, so only values of equally large samples compare.

    Args:
        generated: One row per generated shower, ``(n, F)``.
        reference: One row per reference shower, ``(m, F)``.
        settings: A name in :data:`PHYSICS_DISTANCE_SETTINGS`, or your own.
        draws: Bootstrap samples behind ``sample_error`` and permutations behind the floor.

    Raises:
        ShapeError: The arrays do not fit together.
        ValueRangeError: A sample has no more showers than features, or a value is not finite.
        ConfigError: There are fewer than two draws.
        UnknownNameError: No settings have this name.
    """
    generated, reference = checked_arrays(
        generated,
        reference,
        at_least=np.shape(reference)[-1] + 2 if np.ndim(reference) == 2 else 1,
        purpose=f"the FPD in {np.shape(reference)[-1] if np.ndim(reference) else 0} features",
    )
    chosen = checked_settings(settings, draws=draws)
    x, y = normalised(reference, generated)
    sizes = (1 / np.linspace(1 / chosen.min_samples, 1 / chosen.max_samples, chosen.n_points)).astype(
        np.int32
    )
    rng = np.random.default_rng(chosen.seed)
    means = [
        np.mean([_batch_distance(x, y, int(size), rng) for _ in range(chosen.n_batches)]) for size in sizes
    ]
    value, error = _extrapolated(sizes, np.array(means))
    boot, null = _resampled(x, y, draws=draws, seed=chosen.seed)
    return physics_distance(
        generated, reference, value, error, boot, null, chosen, largest=chosen.max_samples
    )


def frechet_distance(
    mean: Float[np.ndarray, " F"],
    covariance: Float[np.ndarray, "F F"],
    other_mean: Float[np.ndarray, " F"],
    other_covariance: Float[np.ndarray, "F F"],
) -> float:
    r"""Squared Frechet (Wasserstein-2) distance of two Gaussians.

    .. math:: d^2 = |\mu - \mu'|^2 + \mathrm{Tr}\,(\Sigma + \Sigma' - 2 (\Sigma \Sigma')^{1/2})

    With :math:`\Sigma = A A^T` and :math:`\Sigma' = B B^T`, the trace of the root is the sum of the singular
    values of :math:`A^T B`, which is real and well defined for singular covariances, too.

    Args:
        mean: ``(F,)``.
        covariance: ``(F, F)``.
        other_mean: ``(F,)``.
        other_covariance: ``(F, F)``.
    """
    shift = mean - other_mean
    overlap = np.linalg.svd(_factor(covariance).T @ _factor(other_covariance), compute_uv=False).sum()
    return float(shift @ shift + np.trace(covariance) + np.trace(other_covariance) - 2 * overlap)


def _moments(
    values: Float[np.ndarray, "n F"], rows: np.ndarray
) -> tuple[Float[np.ndarray, " F"], Float[np.ndarray, "F F"]]:
    """Mean and covariance of the rows drawn, each taken once, with how often it was drawn as its weight."""
    counts = np.bincount(rows, minlength=len(values))
    taken = np.flatnonzero(counts)
    weights, chosen = counts[taken].astype(np.float64), values[taken]
    mean = weights @ chosen / len(rows)
    chosen -= mean
    chosen *= np.sqrt(weights)[:, None]
    return mean, chosen.T @ chosen / (len(rows) - 1)


def _batch_distance(
    x: Float[np.ndarray, "m F"], y: Float[np.ndarray, "n F"], size: int, rng: np.random.Generator
) -> float:
    return frechet_distance(
        *_moments(x, rng.choice(len(x), size=size)), *_moments(y, rng.choice(len(y), size=size))
    )


def _extrapolated(sizes: np.ndarray, means: Float[np.ndarray, " p"]) -> tuple[float, float]:
    """Intercept of a line in 1/N, neither it nor the slope negative, and its standard error from the scatter."""
    design = np.stack([np.ones(len(sizes)), 1 / sizes], axis=1)
    scale = np.abs(design).max(axis=0)  # of order 1 both, for the solver
    (intercept, slope), _ = optimize.nnls(design / scale, means)
    residual = means - design / scale @ np.array([intercept, slope])
    covariance = (
        np.linalg.inv((design / scale).T @ (design / scale)) * (residual @ residual) / (len(sizes) - 2)
    )
    return float(intercept), math.sqrt(covariance[0, 0])


def _resampled(
    x: Float[np.ndarray, "m F"], y: Float[np.ndarray, "n F"], *, draws: int, seed: int
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Frechet distances of bootstrapped samples, and of samples with their showers shuffled.

    Batches of growing size from a sample have moments that tend to the sample's own, so that the extrapolated
    value is that of the whole samples and no batches are needed here.
    """
    m, n = len(x), len(y)
    both = np.concatenate([x, y])
    rng = np.random.default_rng([seed, 1])
    boot, null = np.empty((2, draws))
    for draw in range(draws):
        boot[draw] = frechet_distance(
            *_moments(x, rng.integers(m, size=m)), *_moments(y, rng.integers(n, size=n))
        )
        order = rng.permutation(m + n)
        null[draw] = frechet_distance(*_moments(both, order[:m]), *_moments(both, order[m:]))
    return boot, null


def _factor(covariance: Float[np.ndarray, "F F"]) -> Float[np.ndarray, "F F"]:
    """A with ``A @ A.T`` the covariance: Cholesky's, or that of the eigenvalues where one is 0."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0.0))
