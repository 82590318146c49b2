"""RMU: steer the representations of forgotten facts to a random direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Forgetting, Positions, by_row
from behemoth.edit.parametrise import OUTSIDE, Part, chosen_layers
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.precision import wide_type, widened
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.gradient.step import Step
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class Misdirection(Forgetting):
    """MSE(h_f, c u) + alpha MSE(h_r, h_r,ref), at the positions of the rows.

    Attributes
    ----------
    direction : float [d]
        c u, u a random unit vector.
    """

    direction: Tensor | None = None
    needs_reference: bool = True
    positions: Positions = "all"

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        assert self.direction is not None
        (name,) = self.observe
        hidden = widened(step.observed[name])
        before = widened(step.reference_observed[name])
        away = (hidden - self.direction).square().mean(-1)
        held = (hidden - before).square().mean(-1)
        forgotten, retained = step.edit(), step.retain
        loss = by_row(away[:, forgotten], step.positions[:, forgotten])
        if step.has_retained:
            loss = loss + self.retain * by_row(held[:, retained], step.positions[:, retained])
        return loss


@dataclass(frozen=True)
class RepresentationMisdirection(GradientMethod):
    """Representation misdirection for unlearning (Li et al., 2024, section 4.2).

    Attributes
    ----------
    layer : int
        Block whose output is steered; negative numbers count from the last. By default `layers` is
        this one and the two before it.
    steering : float
        Length c of the direction.
    retain : float
        Weight alpha of the retained rows' distance from the unedited model.
    positions : {'all', 'answers'}
        Positions at which rows are compared: every token of prompt and answer, as published, or
        only those where answers are predicted.
    """

    steps: int = 40
    learning_rate: float = 1e-3
    part: Part = "mlp"
    layer: int = -2
    steering: float = 20.0
    retain: float = 10.0
    positions: Positions = "all"

    searched: ClassVar[Searched] = {
        **GradientMethod.searched,
        "steering": Range(2.0, 100.0, log=True),
        "retain": Range(0.5, 100.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**GradientMethod.bounds, "steering": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="rmu",
        family="unlearning",
        source="Li et al. 2024 (WMDP), arXiv 2403.03218",
        changes="linear modules up to the steered block",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def changed_layers(self, model: nn.Module) -> tuple[int, ...] | None:
        """Return `layers`, or by default the steered layer and the two before it."""
        (layer,) = chosen_layers(model, (self.layer,))
        if self.part == "head":
            raise ArgumentError("part", "'head'", "a part that affects the steered block")
        if self.part in OUTSIDE:
            return None
        chosen = tuple(range(max(layer - 2, 0), layer + 1)) if self.layers is None else self.layers
        if min(chosen_layers(model, chosen)) > layer:
            allowed = f"some up to {layer}, the steered block"
            raise ArgumentError("layers", ", ".join(map(str, chosen)), allowed)
        return chosen

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Misdirection:
        """See `Misdirection`."""
        import torch

        (layer,) = chosen_layers(model, (self.layer,))
        architecture = Architecture.of(model)
        like = next(model.parameters())
        generator = torch.Generator().manual_seed(context.seed)
        # Uniform and so never negative, as in the paper: the direction is not isotropic.
        direction = torch.rand(architecture.width, generator=generator, dtype=torch.float64)
        direction = self.steering * direction / direction.norm()
        return Misdirection(
            retain=self.retain,
            positions=self.positions,
            observe=(architecture.block(layer),),
            direction=direction.to(like.device, wide_type(like.dtype)),
        )
