"""Measurements of an edit step by step, from which the edit dose is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from behemoth.edit.batch import first_difference
from behemoth.model.precision import widened
from behemoth.plan.edit_plan import EditPlan

from .feeder import Feeder

__all__ = ["StepLog", "log_probabilities"]


class StepLog:
    """Loss and log-probabilities of K plans by step.

    The row of step n is measured after n steps; that of step 0 is the unedited model.
    ``log_probability_new`` and ``log_probability_old`` are those of the first tokens in which the
    old and new answer differ: there greedy decoding chooses between the two.
    ``log_probability_other`` is that of the most likely token other than the old one: if it is
    above the old one's, the model no longer gives the old answer. All are means over the edit rows
    of the step, in natural logarithms. ``stopped`` is true in the row at which a plan reached its
    ``stop_loss``, and absent in others.

    Parameters
    ----------
    plans : sequence of EditPlan
    feeder : Feeder
        The feeder of the same plans.

    Attributes
    ----------
    rows : list of list of dict
        The rows of each plan.
    """

    def __init__(self, plans: Sequence[EditPlan], feeder: Feeder) -> None:
        self.rows: list[list[dict[str, Any]]] = [[] for _ in plans]
        self._feeder = feeder
        self._parts = [_parting(plan) for plan in plans]

    def record(self, number: int, logits: Tensor, losses: Tensor, live: Sequence[bool]) -> None:
        """Add a row for each plan that is still running.

        Parameters
        ----------
        number : int
            Number of steps so far.
        logits : float [K, b, A, V]
        losses : float [K]
        live : sequence of bool
        """
        found = [row for row, wanted in enumerate(live) if wanted]
        known = [k for k in found if self._parts[k] is not None]
        scores = dict(zip(known, self._scores(logits, known), strict=True)) if known else {}
        for k, loss in zip(found, losses[found].tolist(), strict=True):
            self.rows[k].append({"step": number, "loss": loss, **scores.get(k, {})})

    def _scores(self, logits: Tensor, known: Sequence[int]) -> list[dict[str, float]]:
        each = []
        for k in known:
            part = self._parts[k]
            assert part is not None
            each.append(part[self._feeder.taken[k]])
        place, new, old = torch.stack(each).to(logits.device).unbind(-1)  # [n, b] each
        chosen = logits[:, : self._feeder.edit_rows]
        if len(known) < len(logits):
            chosen = chosen[torch.tensor(known, device=logits.device)]
        at = chosen.gather(2, place[..., None, None].expand(-1, -1, 1, logits.shape[-1]))
        table = log_probabilities(at[:, :, 0], new, old).mean(-1).T.tolist()
        names = ("log_probability_new", "log_probability_old", "log_probability_other")
        return [dict(zip(names, row, strict=True)) for row in table]


def log_probabilities(logits: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return those of the new token, the old, and the likeliest other than the old: [3, K, b].

    Parameters
    ----------
    logits : float [K, b, V]
    new, old : int64 [K, b]
    """
    values = widened(logits).log_softmax(-1)
    other = values.scatter(2, old[..., None], -torch.inf).amax(2)
    return torch.stack([values.gather(2, word[..., None])[..., 0] for word in (new, old)] + [other])


def _parting(plan: EditPlan) -> Tensor | None:
    """Return where old and new answers differ: int64 [n, 3] of index, new token, old token.

    None for plans in which a row has no old answer, or answers of which one begins the other.
    """
    if "old_answer" not in plan.training.columns:
        return None
    frame = plan.training.filter(plan.training["role"] == "edit")
    places: list[tuple[int, int, int]] = []
    columns = (frame["answer"].to_list(), frame["old_answer"].to_list())
    for new, old in zip(*columns, strict=True):
        at = first_difference(new, old)
        if at is None:
            return None
        places.append(at)
    return torch.tensor(places, dtype=torch.int64)
