"""Monotone rational-quadratic spline with linear tails, evaluated pointwise.

Legend of shapes: ``*`` any leading axes, ``P`` = 3K - 1 raw parameters of K bins, ``M`` points.
The parameters lie on the second-last axis, so that every operation runs along contiguous points: the
textbook layout (parameters last) spends most of its time in strided gathers.

References:
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, Neural Spline Flows, arXiv:1906.04032
    J. A. Gregory, R. Delbourgo, IMA J. Numer. Anal. 2 (1982) 123
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from caloforge.errors import ConfigError

__all__ = ["InverseSpline", "RationalQuadratic"]


class _Bin(NamedTuple):
    """The bin that each point falls in: its corner, size, and slopes at both ends."""

    x0: Tensor
    y0: Tensor
    width: Tensor
    height: Tensor
    d0: Tensor
    d1: Tensor


@final
@dataclass(frozen=True, kw_only=True)
class RationalQuadratic:
    r"""Elementwise spline on ``[-bound, bound]``, identity outside, slope 1 at both ends.

    Raw parameters are K widths and K heights (through a softmax) and K - 1 inner slopes (through a
    softplus); zeros give the identity up to ``min_slope``. Within bin k, with
    :math:`\xi = (x - x_k) / w_k` and :math:`s = h_k / w_k`,

    .. math:: y = y_k + h_k \frac{s \xi^2 + d_k \xi (1 - \xi)}{s + (d_{k+1} + d_k - 2 s) \xi (1 - \xi)}
    """

    n_bins: int = 8
    """Number of bins, K."""
    bound: float = 14.0
    """Half-width of the interval."""
    min_bin: float = 1e-6
    """Least width and height of a bin, as a share of the interval."""
    min_slope: float = 1e-6
    """Least slope at an inner knot."""

    def __post_init__(self) -> None:
        if self.n_bins < 2:
            raise ConfigError(f"A spline needs at least 2 bins, got n_bins = {self.n_bins}.")
        if not 0 < self.bound < math.inf:
            raise ConfigError(f"The spline's bound must be positive and finite, got {self.bound}.")
        if not 0 < self.min_bin * self.n_bins < 1:
            raise ConfigError(
                f"min_bin = {self.min_bin} leaves no room for {self.n_bins} bins; choose a smaller one."
            )
        if not 0 < self.min_slope < 1:
            raise ConfigError(f"min_slope must lie between 0 and 1, got {self.min_slope}.")

    @property
    def n_params(self) -> int:
        """Raw parameters per point, P = 3K - 1."""
        return 3 * self.n_bins - 1

    def forward(
        self, x: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch M"]]:
        """Spline of ``x`` and the logarithm of its slope, both pointwise."""
        inside, y, b, s, xi, cross, denominator = self._evaluate(x, params)
        log_slope = self._log_slope(b, s, xi, cross, denominator)
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def encode(
        self, x: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> Float[Tensor, "*batch M"]:
        """The point of :meth:`forward` alone."""
        inside, y, *_ = self._evaluate(x, params)
        return torch.where(inside, y, x)

    def inverse(
        self, y: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch M"]]:
        """The ``x`` whose spline is ``y`` and the logarithm of dx/dy, both pointwise."""
        inside, x, b, s, xi = self._solve(y, params)
        cross = xi * (1 - xi)
        denominator = s + (b.d0 + b.d1 - 2 * s) * cross
        log_slope = self._log_slope(b, s, xi, cross, denominator)
        return torch.where(inside, x, y), torch.where(inside, -log_slope, 0.0)

    def decode(
        self, y: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> Float[Tensor, "*batch M"]:
        """The point of :meth:`inverse` alone; sampling needs no density."""
        inside, x, *_ = self._solve(y, params)
        return torch.where(inside, x, y)

    def _evaluate(
        self, x: Tensor, params: Tensor
    ) -> tuple[Tensor, Tensor, _Bin, Tensor, Tensor, Tensor, Tensor]:
        """Inside, y, and of each point's bin: itself, its mean slope, the position in it, terms of the slope."""
        inside = x.abs() < self.bound
        x_safe = torch.where(inside, x, 0.0)
        b = self._locate(x_safe, params, by_height=False)
        s = b.height / b.width
        # Knots are rounded, so next to the end of a narrow bin xi can leave [0, 1], where no slope is real.
        xi = ((x_safe - b.x0) / b.width).clamp(0.0, 1.0)
        cross = xi * (1 - xi)
        denominator = s + (b.d0 + b.d1 - 2 * s) * cross
        y = b.y0 + b.height * (s * xi.square() + b.d0 * cross) / denominator
        return inside, y, b, s, xi, cross, denominator

    def _solve(self, y: Tensor, params: Tensor) -> tuple[Tensor, Tensor, _Bin, Tensor, Tensor]:
        """Solve the quadratic of each point's bin: inside, x, bin, its mean slope, position in the bin."""
        inside = y.abs() < self.bound
        y_safe = torch.where(inside, y, 0.0)
        b = self._locate(y_safe, params, by_height=True)
        s = b.height / b.width
        rise = y_safe - b.y0
        bend = rise * (b.d0 + b.d1 - 2 * s)
        a_coef = b.height * (s - b.d0) + bend
        b_coef = b.height * b.d0 - bend
        c_coef = -s * rise
        # Rounding can push the discriminant of a steep bin just below zero, never by more than noise; the
        # bound is not zero itself because the root's gradient there would be infinite.
        discriminant = b_coef.square() - 4 * a_coef * c_coef
        root = discriminant.clamp_min(torch.finfo(y.dtype).tiny).sqrt()
        # Of the two forms of the solution, the one that adds what has the same sign: no digits are lost.
        convex = b_coef < 0
        numerator = torch.where(convex, root - b_coef, -2 * c_coef)
        divisor = torch.where(convex, 2 * a_coef, b_coef + root)
        xi = (numerator / divisor).clamp(0.0, 1.0)
        return inside, b.x0 + xi * b.width, b, s, xi

    @staticmethod
    def _log_slope(b: _Bin, s: Tensor, xi: Tensor, cross: Tensor, denominator: Tensor) -> Tensor:
        numerator = s.square() * (b.d1 * xi.square() + 2 * s * cross + b.d0 * (1 - xi).square())
        return (numerator / denominator.square()).log()

    def _locate(self, point: Tensor, params: Tensor, *, by_height: bool) -> _Bin:
        """Find each point's bin by comparing with all inner knots: K - 1 cheap passes, no search."""
        if not torch.is_grad_enabled():
            return self._locate_in_place(point, params, by_height=by_height)
        k = self.n_bins
        # Widths and heights side by side, (*, 2, K, M): every operation serves both.
        raw = torch.unflatten(params[..., : 2 * k, :], -2, (2, k))
        sizes = 2 * self.bound * (self.min_bin + (1 - self.min_bin * k) * raw.softmax(-2))
        knots = functional.pad(sizes[..., :-1, :].cumsum(-2), (0, 0, 1, 0)) - self.bound
        inner = knots[..., int(by_height), 1:, :]
        index = (point.unsqueeze(-2) >= inner).sum(-2, keepdim=True)

        both = index.unsqueeze(-3).expand(*index.shape[:-2], 2, 1, index.shape[-1])
        x0, y0 = knots.gather(-2, both).squeeze(-2).unbind(-2)
        width, height = sizes.gather(-2, both).squeeze(-2).unbind(-2)
        # Slopes: pick the two raw values first, so that the softplus runs over 2 values and not K - 1.
        slopes = params[..., 2 * k :, :]
        ends = torch.cat([(index - 1).clamp_min(0), index.clamp_max(k - 2)], dim=-2)
        d0, d1 = self._slope(slopes.gather(-2, ends)).unbind(-2)
        index = index.squeeze(-2)
        return _Bin(
            x0=x0,
            y0=y0,
            width=width,
            height=height,
            d0=torch.where(index == 0, 1.0, d0),
            d1=torch.where(index == k - 1, 1.0, d1),
        )

    def _locate_in_place(self, point: Tensor, params: Tensor, *, by_height: bool) -> _Bin:
        """As :meth:`_locate`, knot after knot in place, for sampling: several times faster, and has no gradient."""
        k = self.n_bins
        params = params.to(point.dtype)  # a network may run in bfloat16, a spline never does
        raw = torch.unflatten(params[..., : 2 * k, :], -2, (2, k))
        sizes = (raw - raw.amax(-2, keepdim=True)).exp_()
        sizes.mul_(2 * self.bound * (1 - self.min_bin * k) / sizes.sum(-2, keepdim=True))
        sizes.add_(2 * self.bound * self.min_bin)
        edge = torch.full_like(sizes[..., 0, :], -self.bound)
        corner, size = edge.clone(), sizes[..., 0, :].clone()
        slopes = params[..., 2 * k :, :]
        raw0, raw1 = torch.zeros_like(point), slopes[..., 0, :].clone()  # zero is slope 1, as at both ends
        beyond = torch.empty_like(point)
        for j in range(1, k):
            edge.add_(sizes[..., j - 1, :])
            torch.ge(point, edge[..., int(by_height), :], out=beyond)  # 0 or 1
            corner.lerp_(edge, beyond.unsqueeze(-2))
            size.lerp_(sizes[..., j, :], beyond.unsqueeze(-2))
            raw0.lerp_(slopes[..., j - 1, :], beyond)
            raw1.mul_(1 - beyond) if j == k - 1 else raw1.lerp_(slopes[..., j, :], beyond)
        (x0, y0), (width, height) = corner.unbind(-2), size.unbind(-2)
        return _Bin(x0=x0, y0=y0, width=width, height=height, d0=self._slope(raw0), d1=self._slope(raw1))

    def _slope(self, raw: Tensor) -> Tensor:
        # Shifted so that a raw value of zero is slope 1: an untrained spline is the identity.
        shift = math.log(math.expm1(1 - self.min_slope))
        return self.min_slope + functional.softplus(raw + shift)


@final
@dataclass(frozen=True)
class InverseSpline:
    """A spline of the same parameters the other way round: from ``y`` to ``x``."""

    spline: RationalQuadratic

    @property
    def n_params(self) -> int:
        """Raw parameters per point."""
        return self.spline.n_params

    def forward(
        self, x: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch M"]]:
        """The spline's inverse and the logarithm of its slope."""
        return self.spline.inverse(x, params)

    def inverse(
        self, y: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> tuple[Float[Tensor, "*batch M"], Float[Tensor, "*batch M"]]:
        """The spline and the logarithm of its slope."""
        return self.spline.forward(y, params)

    def encode(
        self, x: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> Float[Tensor, "*batch M"]:
        """The point of :meth:`forward` alone."""
        return self.spline.decode(x, params)

    def decode(
        self, y: Float[Tensor, "*batch M"], params: Float[Tensor, "*batch P M"]
    ) -> Float[Tensor, "*batch M"]:
        """The point of :meth:`inverse` alone."""
        return self.spline.encode(y, params)
