"""FT-L: fine-tuning of MLP output matrices with each entry of the change bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.parametrise import Part, chosen_layers, largest_entry
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.support.errors import ArgumentError

from .ft import FineTuning

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.stack import StackedDeltas


@dataclass(frozen=True)
class ConstrainedFineTuning(FineTuning):
    """Fine-tuning with every entry of the change clamped (Zhu et al., 2020).

    Attributes
    ----------
    epsilon : float
        Largest absolute change of a weight.
    """

    part: Part = "mlp"
    layers: tuple[int, ...] | None = (-2,)
    steps: int = 25
    learning_rate: float = 1e-3
    stop_loss: float | None = 1e-2
    epsilon: float = 5e-2

    searched: ClassVar[Searched] = {
        **FineTuning.searched,
        "epsilon": Range(0.005, 0.5, log=True),
    }
    bounds: ClassVar[Bounds] = {**FineTuning.bounds, "epsilon": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="ft_l",
        family="fine-tuning",
        source="Zhu et al. 2020, arXiv 2012.00363",
        changes="the MLP output matrix of chosen layers, each entry within a bound",
        kinds=FineTuning.info.kinds,
        stacks=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part != "mlp" or self.rank is not None or self.alpha is not None:
            raise ArgumentError(
                "part, rank, alpha",
                f"{self.part}, {self.rank}, {self.alpha}",
                "mlp, none, none (ft_l changes MLP output matrices, at full rank)",
            )

    def changed_names(self, model: nn.Module) -> list[str]:
        """Return the names of the MLP output matrices."""
        architecture = Architecture.of(model)
        layers = chosen_layers(model, self.layers)
        return [f"{architecture.mlp_out(layer)}.weight" for layer in layers]

    def project(self, stacked: StackedDeltas) -> None:
        """Clamp every entry of the changes."""
        largest_entry(self.epsilon, stacked)
