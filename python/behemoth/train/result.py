"""What a finished run says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainResult:
    """A finished run; a path, of its directory, wherever one is asked for.

    Parameters
    ----------
    run : str
        Its directory.
    steps, tokens : int
        Updates, and tokens trained on.
    seconds : float
        Of training, over all of its starts, without evaluations and checkpoints.
    tokens_per_second : float
    loss : float
        Mean per token over the last steps.
    recall : dict of int to float
        Share of facts recalled at the end, by exposures. Where a corpus has more than 16
        numbers of them, by the power of two that is not above.
    """

    run: str
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    loss: float
    recall: dict[int, float]

    def __fspath__(self) -> str:
        return self.run

    def __repr__(self) -> str:
        parts = [repr(self.run), f"{self.steps:,} steps", f"loss {self.loss:.4g}"]
        if self.recall:
            parts.append(recall_text(self.recall))
        return f"TrainResult({', '.join(parts)})"


def recall_text(recall: Mapping[int, float]) -> str:
    """Say recall of the facts that are written least often, and most often."""
    ends = sorted({min(recall), max(recall)})
    return "recall " + ", ".join(f"{recall[count]:.2f} at {count:,}" for count in ends)
