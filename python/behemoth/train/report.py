"""What is told of a run while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from behemoth.support.text import clock_text, count_text

from .result import recall_text


@dataclass(frozen=True)
class Report:
    """Where a run is; `str` says it in a line.

    Parameters
    ----------
    step, steps : int
        Updates done, and of the whole run.
    tokens : int
        Trained on so far.
    loss : float
        Mean per token, over the steps since the last line of the metrics.
    learning_rate : float
        Of the last update.
    gradient_norm : float
        Before clipping; mean over the same steps.
    tokens_per_second : float
        Over the same steps, without evaluations and checkpoints.
    wait_share : float
        Share of that time in which the loop waited for data.
    mfu : float, optional
        Model FLOPs utilisation: the share of what the device could do, where that is known.
    seconds_left : float
        At this rate.
    recall : dict of int to float
        By exposures, as last measured.
    """

    step: int
    steps: int
    tokens: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    wait_share: float
    mfu: float | None
    seconds_left: float
    recall: dict[int, float] = field(default_factory=dict[int, float])

    def __str__(self) -> str:
        parts = [
            f"step {self.step:,} of {self.steps:,}",
            f"loss {self.loss:.3f}",
            f"{count_text(self.tokens_per_second)} tokens/s",
            f"data wait {self.wait_share:.1%}",
        ]
        if self.mfu is not None:
            parts.append(f"MFU {self.mfu:.0%}")
        if self.recall:
            parts.append(recall_text(self.recall))
        return ", ".join([*parts, f"{clock_text(self.seconds_left)} left"])
