"""Measurements of an edit step by step, from which the edit dose is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from behemoth.edit.batch import first_difference
from behemoth.model.labels import IGNORED
from behemoth.model.precision import widened
from behemoth.plan.edit_plan import EditPlan

from .feeder import Feeder

__all__ = ["SCORES", "StepLog", "answer_scores"]

SCORES = ("log_probability_new", "log_probability_old", "log_probability_old_weakest",
          "log_probability_other")  # fmt: skip
"""Columns of a trace that `answer_scores` returns, in this order."""


class StepLog:
    """Loss and log-probabilities of K plans by step.

    The row of step n is measured after n steps; that of step 0 is the unedited model.
    ``log_probability_new`` and ``log_probability_old`` are those of the first tokens in which the
    old and new answer differ: there greedy decoding chooses between the two.
    ``log_probability_other`` is that of the most likely token other than the old one: if it is
    above the old one's, the model no longer gives the old answer. Methods that train on old answers
    have all of their tokens evaluated: there ``log_probability_old_weakest`` is that of the token
    which leads by least, wherever new answers differ, and ``log_probability_other`` is that of its
    rival. All are means over the edit rows of the step, in natural logarithms. ``stopped`` is true
    in the row at which a plan reached its ``stop_loss``, and absent in others.

    Parameters
    ----------
    plans : sequence of EditPlan
    feeder : Feeder
        The feeder of the same plans.
    columns : sequence of str
        The objective's columns of answers: ``answer``, ``old_answer``, or both.

    Attributes
    ----------
    rows : list of list of dict
        The rows of each plan.
    """

    def __init__(self, plans: Sequence[EditPlan], feeder: Feeder, columns: Sequence[str]) -> None:
        self.rows: list[list[dict[str, Any]]] = [[] for _ in plans]
        self._feeder = feeder
        self._parts = [_parting(plan) for plan in plans]
        self._old = list(columns).index("old_answer") if "old_answer" in columns else None

    @property
    def rows_shown(self) -> int:
        """Number of first rows of a step that `record` reads."""
        return (1 + (self._old or 0)) * self._feeder.edit_rows

    def record(
        self, number: int, logits: Tensor, labels: Tensor, losses: Tensor, live: Sequence[bool]
    ) -> None:
        """Add a row for each plan that is still running.

        Parameters
        ----------
        number : int
            Number of steps so far.
        logits : float [K, b, A, V]
        labels : int64 [K, b, A]
        losses : float [K]
        live : sequence of bool
        """
        found = [row for row, wanted in enumerate(live) if wanted]
        known = [k for k in found if self._old is not None or self._parts[k] is not None]
        scores = dict(zip(known, self._scores(logits, labels, known), strict=True)) if known else {}
        for k, loss in zip(found, losses[found].tolist(), strict=True):
            self.rows[k].append({"step": number, "loss": loss, **scores.get(k, {})})

    def _scores(self, logits: Tensor, labels: Tensor, known: list[int]) -> list[dict[str, float]]:
        rows = self._feeder.edit_rows
        each = []
        for k in known:
            part = self._parts[k]
            none = torch.zeros(rows, 3, dtype=torch.int64)
            each.append(none if part is None else part[self._feeder.taken[k]])
        place, new, old = torch.stack(each).to(logits.device).unbind(-1)  # [n, b] each
        first = (self._old or 0) * rows
        chosen, answers = (part[:, first : first + rows] for part in (logits, labels))
        if len(known) < len(logits):
            some = torch.tensor(known, device=logits.device)
            chosen, answers = chosen[some], answers[some]
        if self._old is None:  # beyond the first difference these rows have the new answer
            chosen = chosen.gather(2, place[..., None, None].expand(-1, -1, 1, logits.shape[-1]))
            answers, place = old[..., None], torch.zeros_like(place)
        table = answer_scores(chosen, place, new, answers).mean(-1).T.tolist()
        found: list[dict[str, float]] = [dict(zip(SCORES, row, strict=True)) for row in table]
        for k, row in zip(known, found, strict=True):
            if self._parts[k] is None:
                del row["log_probability_new"], row["log_probability_old"]
            if self._old is None:
                del row["log_probability_old_weakest"]
        return found


def answer_scores(logits: Tensor, place: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return the log-probabilities that decide between old answers and others: [4, K, b].

    They are, as in `SCORES`, those of the new and the old token where the answers first differ, and
    those of the old answer's weakest token (which leads by least, or is behind by most) and of the
    likeliest other token there.

    Parameters
    ----------
    logits : float [K, b, A, V]
    place, new : int64 [K, b]
        Where the answers first differ, and the new answer's token there.
    old : int64 [K, b, A]
        Tokens of the old answers, `IGNORED` beyond their ends.
    """
    asked = old != IGNORED
    tokens = old.masked_fill(~asked, 0)
    weakest = torch.zeros_like(place)
    if old.shape[-1] > 1:
        # The two largest logits decide who leads, without a copy of all.
        top, which = logits.topk(2, dim=-1)
        rival = torch.where(which[..., 0] == tokens, top[..., 1], top[..., 0])
        lead = widened(logits.gather(3, tokens[..., None])[..., 0]) - widened(rival)
        weakest = lead.masked_fill(~asked, torch.inf).argmin(-1)

    def at(places: Tensor) -> tuple[Tensor, Tensor]:
        wide = places[..., None, None].expand(-1, -1, 1, logits.shape[-1])
        values = widened(logits.gather(2, wide)[:, :, 0]).log_softmax(-1)
        return values, tokens.gather(2, places[..., None])

    values, own = at(place)
    pair = [values.gather(2, word)[..., 0] for word in (new[..., None], own)]
    values, own = at(weakest) if old.shape[-1] > 1 else (values, own)
    other = values.scatter(2, own, -torch.inf).amax(2)
    return torch.stack([*pair, values.gather(2, own)[..., 0], other])


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
