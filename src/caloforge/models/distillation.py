"""Training of a student flow II against a frozen teacher, by probability density distillation.

References:
    C. Krause, D. Shih, CaloFlow II, arXiv:2110.11377
"""

from collections.abc import Callable
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.flows import x_loop, z_loop
from caloforge.models.base import Batch, DistillationConfig, Stage
from caloforge.models.layer_energies import LayerEnergies
from caloforge.models.shower_shape import ShowerShape
from caloforge.showers import Showers

__all__ = ["ShapeDistillation"]


@final
class ShapeDistillation(Stage):
    r"""Student against teacher on noise and on showers.

    The loss is :math:`\frac{1}{2} L_z + \frac{1}{2} L_x` of :func:`~caloforge.flows.z_loop` and
    :func:`~caloforge.flows.x_loop`, each the sum of those of its terms that are switched on. Showers are drawn as
    in the teacher's training. Noise comes with incident energies uniform in the teacher's range and layer energies
    from flow I. The best epoch is the one of least :math:`KL(\mathrm{student} \| \mathrm{teacher})`, estimated on
    the student's own showers, where both densities are fast.

    Args:
        student: Trained. Has the teacher's preprocessing already.
        teacher: Frozen: saved nowhere, and never in training mode.
        energies: Flow I of both.
        e_inc_range: Lowest and highest incident energy, MeV.
        config: Which terms.
    """

    loss_name: ClassVar[str] = "distillation loss"
    criterion: ClassVar[str] = "kl"

    def __init__(
        self,
        student: ShowerShape,
        teacher: ShowerShape,
        energies: LayerEnergies,
        e_inc_range: tuple[float, float],
        config: DistillationConfig,
    ) -> None:
        super().__init__()
        self.student, self.config, self.e_inc_range = student, config, e_inc_range
        for frozen in (teacher, energies):
            frozen.eval().requires_grad_(requires_grad=False)
        # In a tuple, where torch does not see them: they are neither trained nor part of the state.
        self._frozen = (teacher, energies)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ShapeDistillation":  # noqa: FBT001, FBT002 - torch's signature
        for frozen in self._frozen:
            frozen._apply(fn, recurse)  # type: ignore[no-untyped-call]
        applied: ShapeDistillation = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    @property
    def teacher(self) -> ShowerShape:
        """The frozen flow."""
        return self._frozen[0]

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Nothing: all preprocessing is the teacher's."""

    def rows(self, showers: Showers) -> Batch:
        """As the student's, and so the teacher's."""
        return self.student.rows(showers)

    @torch.no_grad()
    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Features and context of showers, and as many of noise."""
        batch = self.student.draw(rows, generator)
        x, energies = batch["x"], self._frozen[1]
        kind: dict[str, Any] = {"generator": generator, "device": x.device}
        low, high = self.e_inc_range
        e_inc = low + (high - low) * torch.rand(len(x), dtype=torch.float64, **kind)
        e_layer = energies.decode(torch.randn(len(x), energies.n_layers, dtype=x.dtype, **kind), e_inc)
        noise = torch.randn(x.shape, dtype=x.dtype, **kind)
        return batch | {"z": noise, "z_context": self.student.context(e_layer, e_inc)}

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """The loss of each pair of a shower and a noise vector."""
        chains = self.teacher.chain, self.student.chain
        loss = torch.zeros((), dtype=batch["x"].dtype, device=batch["x"].device)
        loops = []
        if self.config.z_loss:
            loops.append(z_loop(*chains, batch["z"], batch["z_context"]))
        if self.config.x_loss:
            loops.append(x_loop(*chains, batch["x"], batch["context"]))
        for terms in loops:
            loss = loss + 0.5 * terms.ends
            if self.config.steps:
                loss = loss + 0.5 * terms.steps
            if self.config.parameters:
                loss = loss + 0.5 * terms.parameters
        return loss

    def judge(self, batch: Batch) -> dict[str, Float[Tensor, " B"]]:
        """Loss, divergence from the teacher, and both likelihoods of showers (the student's if asked)."""
        x, log_student = self.student.flow.decode_with_log_prob(batch["z"], batch["z_context"])
        found = {
            "loss": self(batch),
            "kl": log_student - self.teacher.flow.log_prob(x, batch["z_context"]),
            "teacher_nll": -self.teacher.flow.log_prob(batch["x"], batch["context"]),
        }
        if self.config.nll:
            found["nll"] = -self.student.flow.log_prob(batch["x"], batch["context"])
        return found
