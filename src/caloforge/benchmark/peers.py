"""The network of a CaloFlow model in nflows and zuko.

Only flow II without pre- and post-processing is built, so a peer does less than the row it stands beside. Weights
are random, as the time does not depend on them. Both libraries invert a masked autoregressive flow (a teacher)
with one pass of the whole network per feature and block; a student, the inverse of such a flow, takes one per block.

References:
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, nflows, https://github.com/bayesiains/nflows
    F. Rozet et al., Zuko, https://github.com/probabilists/zuko
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, final

import torch
from torch import Tensor

from caloforge.errors import MissingExtraError
from caloforge.flows import MADE
from caloforge.noise import ShowerNoise

if TYPE_CHECKING:
    from caloforge.models import ShowerModel

__all__ = ["LIBRARIES", "PeerNetwork", "build_peer", "check_peers", "peer_network"]

LIBRARIES: Final = ("nflows", "zuko")
_BOUND: Final = 5.0
"""Where a block does not say; the time does not depend on it."""
_ONE_PASS: Final = ("student", "iaf")
"""Words in a model's settings that mean: generated in one pass per block."""


@final
@dataclass(frozen=True, kw_only=True)
class PeerNetwork:
    """Sizes of a chain of masked autoregressive splines."""

    direction: Literal["one pass", "feature by feature"]
    """How showers are drawn: a student's way, or a teacher's."""
    blocks: int
    features: int
    context: int
    hidden: int
    depth: int
    residual: bool
    bins: int
    bound: float


def check_peers() -> None:
    """Raise :class:`MissingExtraError` unless all peers are installed."""
    for name in LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name, extra="dev", purpose="timing peers (--peers)")


def peer_network(model: "ShowerModel") -> PeerNetwork | None:
    """Sizes of the model's largest chain of masked networks; ``None`` where it has none that both peers know."""
    chains: dict[tuple[Any, ...], list[MADE]] = {}
    bounds: dict[int, float] = {}
    for module in model.modules():
        if isinstance(made := getattr(module, "made", None), MADE):
            bounds[id(made)] = _bound(module)
            sizes = made.n_features, made.n_params, len(made.degrees), len(made.hidden), made.residual
            chains.setdefault(sizes, []).append(made)
    if not chains:
        return None
    (features, n_params, hidden, n_layers, residual), mades = max(
        chains.items(), key=lambda item: sum(p.numel() for made in item[1] for p in made.parameters())
    )
    if (n_params + 1) % 3:  # other maps than a rational-quadratic spline with linear tails
        return None
    return PeerNetwork(
        direction="one pass" if _generates_in_one_pass(model, mades) else "feature by feature",
        blocks=len(mades),
        features=features,
        context=mades[0].context.in_features,
        hidden=hidden,
        depth=n_layers // 2 if residual else n_layers,
        residual=residual,
        bins=(n_params + 1) // 3,
        bound=bounds[id(mades[0])],
    )


def _bound(module: torch.nn.Module) -> float:
    """Half-width of the interval of a block's spline, which a student wraps once more."""
    spline: Any = getattr(module, "spline", None)
    while hasattr(spline, "spline"):
        spline = spline.spline
    return float(getattr(spline, "bound", _BOUND))


def _generates_in_one_pass(model: "ShowerModel", mades: list[MADE]) -> bool:
    """Whether ``generate`` runs the networks as a whole: seen by watching it, or said by the settings."""
    if any(word in _ONE_PASS for word in _words(model.settings)):
        return True
    ran: list[bool] = []
    handles = [made.register_forward_hook(lambda *_: ran.append(True)) for made in mades]
    device = model.e_inc_range.device
    try:
        with torch.inference_mode():
            e_inc = model.e_inc_range.mean()[None]
            model.generate(e_inc, ShowerNoise(1, 0, 1, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return bool(ran)


def _words(settings: Mapping[str, Any]) -> Iterator[str]:
    for value in settings.values():
        if isinstance(value, Mapping):
            yield from _words(value)
        elif isinstance(value, str):
            yield value


def build_peer(library: str, network: PeerNetwork, *, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A function from latent variables ``(B, F)`` and context ``(B, C)`` to features ``(B, F)``."""
    return {"nflows": _nflows, "zuko": _zuko}[library](network, device)


def _nflows(network: PeerNetwork, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    from nflows.transforms.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressiveTransform

    transforms = [
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            features=network.features,
            hidden_features=network.hidden,
            context_features=network.context,
            num_blocks=network.depth,
            use_residual_blocks=network.residual,
            num_bins=network.bins,
            tails="linear",
            tail_bound=network.bound,
        )
        .to(device)
        .eval()
        for _ in range(network.blocks)
    ]
    one_pass = network.direction == "one pass"

    def draw(z: Tensor, context: Tensor) -> Tensor:
        for transform in transforms:
            z, _ = transform(z, context) if one_pass else transform.inverse(z, context)
        return z

    return draw


def _zuko(network: PeerNetwork, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    from zuko.flows import MaskedAutoregressiveTransform
    from zuko.transforms import MonotonicRQSTransform

    n_layers = 2 * network.depth if network.residual else network.depth
    transforms = [
        MaskedAutoregressiveTransform(
            features=network.features,
            context=network.context,
            univariate=partial(MonotonicRQSTransform, bound=network.bound),
            shapes=[(network.bins,), (network.bins,), (network.bins - 1,)],
            hidden_features=[network.hidden] * (1 + n_layers),
            residual=network.residual,
        )
        .to(device)
        .eval()
        for _ in range(network.blocks)
    ]
    one_pass = network.direction == "one pass"

    def draw(z: Tensor, context: Tensor) -> Tensor:
        for transform in transforms:
            conditioned = transform(context)
            z = conditioned(z) if one_pass else conditioned.inv(z)
        return z

    return draw
