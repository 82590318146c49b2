"""The result of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus


@dataclass(frozen=True)
class TrainResult:
    """Result of a finished run; accepted as the path of its directory wherever one is expected.

    Parameters
    ----------
    run : str
        Directory of the run.
    steps, tokens : int
        Number of updates, and of tokens trained on.
    seconds : float
        Duration of training, over all starts, without evaluations and checkpoints.
    tokens_per_second : float
    loss : float, optional
        Mean per token over the steps of the last report; None if no token of them has a label.
    recall : dict of int to float
        Share of probes recalled at the end, by exposures of their facts: a fact has a probe in each
        wording of the corpus that is not held out. If a corpus has more than 16 different
        numbers of exposures, each is rounded down to a power of two.
    """

    run: str
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    loss: float | None
    recall: dict[int, float]

    def __fspath__(self) -> str:
        return self.run

    @property
    def corpus(self) -> Corpus:
        """Corpus of the run."""
        from .run import read_run

        return read_run(self).corpus

    def load_model(self, device: torch.device | str | None = None) -> PreTrainedModel:
        """Load the model; see `Run.load_model`."""
        from .run import read_run

        return read_run(self).load_model(device)

    def __repr__(self) -> str:
        loss = "no loss" if self.loss is None else f"loss {self.loss:.4g}"
        parts = [repr(self.run), f"{self.steps:,} steps", loss]
        if self.recall:
            parts.append(recall_text(self.recall))
        return f"TrainResult({', '.join(parts)})"


def recall_text(recall: Mapping[int, float]) -> str:
    """Format the recall of the facts with the fewest and with the most exposures."""
    ends = sorted({min(recall), max(recall)})
    return "recall " + ", ".join(f"{recall[count]:.2f} at {count:,}" for count in ends)
