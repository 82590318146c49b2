"""What a finished run says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

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
