"""Progress reports of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from behemoth.support.text import clock_text, count_text

from .result import recall_text


@dataclass(frozen=True)
class Report:
    """Progress of a run; `str` formats it as one line.

    Parameters
    ----------
    step, steps : int
        Number of updates done, and of the complete run.
    tokens : int
        Number of tokens trained on so far.
    loss : float, optional
        Mean per token, over the steps since the last report; None if no token of them has a label.
        Steps without a label have no loss and do not count.
    learning_rate : float
        Learning rate of the last update.
    gradient_norm : float
        Norm before clipping, mean over the same steps.
    tokens_per_second : float
        Throughput over the same steps, without evaluations and checkpoints.
    wait_share : float
        Share of that time the loop spent waiting for data.
    mfu : float, optional
        Model FLOPs utilisation: share of the device's peak rate; None if that is unknown or, as
        it was measured while the machine was busy, exceeded.
    seconds_left : float
        Estimated remaining time at this throughput.
    recall : dict of int to float
        Last measured recall, by exposures.
    """

    step: int
    steps: int
    tokens: int
    loss: float | None
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
            "no loss" if self.loss is None else f"loss {self.loss:.3f}",
            f"{count_text(self.tokens_per_second)} tokens/s",
            f"data wait {self.wait_share:.1%}",
        ]
        if self.mfu is not None:
            parts.append(f"MFU {self.mfu:.0%}")
        if self.recall:
            parts.append(recall_text(self.recall))
        if self.step < self.steps:
            parts.append(f"{clock_text(self.seconds_left)} left")
        return ", ".join(parts)
