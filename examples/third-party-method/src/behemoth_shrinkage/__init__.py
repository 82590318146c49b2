"""Shrinkage: forget by scaling the last MLP output matrices down; a baseline without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from behemoth.delta.delta import Change, Dense, EditDelta
from behemoth.edit.outcome import Outcome, deltas_of
from behemoth.edit.parametrise import chosen_layers
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, check_kinds
from behemoth.model.architecture import Architecture
from behemoth.plan import EditPlan
from behemoth.support.errors import ArgumentError


@dataclass(frozen=True)
class Shrinkage:
    """W -> (1 - share) W for the MLP output matrices of chosen layers.

    Attributes
    ----------
    share : float
        Share of the matrix that is subtracted, from 0 to 1.
    layers : tuple of int
        Layers to change; negative numbers count from the last.
    """

    share: float = 0.1
    layers: tuple[int, ...] = (-1,)

    info: ClassVar[MethodInfo] = MethodInfo(
        name="shrinkage",
        family="unlearning",
        source="an example; no paper",
        changes="MLP output matrices, scaled down",
        kinds=frozenset({"remap", "censor", "refusal"}),
        stacks=True,
        doses=False,  # it takes no steps
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ArgumentError("share", self.share, "0 to 1")

    def effort(self) -> Effort:
        """Return the minimum: no row goes through the model."""
        return Effort(steps=1, rows=1)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return the same change for every plan; it depends only on the model."""
        check_kinds(self, plans)
        architecture = Architecture.of(model)
        parameters = dict(model.named_parameters())
        changes: dict[str, Change] = {}
        for layer in chosen_layers(model, self.layers):
            name = f"{architecture.mlp_out(layer)}.weight"
            changes[name] = Dense(-self.share * parameters[name].detach().float())
        outcomes = [Outcome(dict(changes), 0, []) for _ in plans]
        return deltas_of(self, plans, outcomes, context)
