"""LoRA: low-rank changes to chosen linear modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from behemoth.edit.parametrise import Part
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched

from .ft import FineTuning


@dataclass(frozen=True)
class Lora(FineTuning):
    """W + (alpha / r) B A, trained on the plan's mixture (Hu et al., 2021, equation 3)."""

    steps: int = 60
    learning_rate: float = 2e-3
    part: Part = "mlp"
    rank: int | None = 4

    searched: ClassVar[Searched] = {
        **FineTuning.searched,
        "rank": Range(1, 32, log=True),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="lora",
        family="fine-tuning",
        source="Hu et al. 2021, arXiv 2106.09685",
        changes="low-rank changes to linear modules, by default of the MLP",
        kinds=FineTuning.info.kinds,
        stacks=True,
    )
