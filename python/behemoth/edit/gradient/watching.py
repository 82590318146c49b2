"""Evaluation of prompts besides an edit's rows: wordings it is not trained on, and bystanders.

Wordings are evaluated after each step until their flip has held; bystanders only when a flip begins
and after the last step. None of it contributes to a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import polars as pl
import torch
from torch import Tensor, nn

from behemoth.delta.stack import StackedDeltas
from behemoth.edit.batch import first_difference
from behemoth.edit.protocol import HOLD, Watch
from behemoth.model.precision import widened
from behemoth.plan.edit_plan import EditPlan

from .lines import Line, Lines, line_of
from .step_log import SCORES, answer_scores

__all__ = ["Watching"]

_WORDINGS = ("edited_paraphrase", "edited_held_out")
_NO_BYSTANDERS = ("edited", "forget", *_WORDINGS)


class Watching:
    """Evaluates K plans after each step, and adds the results to the last rows of their traces.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    plans : sequence of EditPlan
        Plans of several edits are not evaluated: their steps are not doses.
    watch : Watch
        Numbers of prompts.
    forgets : bool
        Whether all tokens of old answers decide, as in the traces of methods that train on them.
    """

    def __init__(
        self, model: nn.Module, plans: Sequence[EditPlan], watch: Watch, *, forgets: bool
    ) -> None:
        device = next(model.parameters()).device
        self._model = model
        self._forgets = forgets
        wordings: list[list[Line]] = []
        bystanders: list[list[Line]] = []
        for plan in plans:
            single = len(plan) == 1
            wordings.append(_wordings(plan, watch.held_out, forgets) if single else [])
            bystanders.append(_bystanders(plan, watch.bystanders) if single else [])
        self._wordings = Lines(wordings, device)
        self._bystanders = Lines(bystanders, device)
        # Computed once and kept: a pass of a few rows is expensive, and most plans need three.
        before = self._bystanders.logits(model, None, None) if self._bystanders.there else None
        self._reference = torch.empty(0) if before is None else _distributions(before)
        self._watched = [bool(watch.bystanders) and len(plan) == 1 for plan in plans]
        self._above = [(False, False)] * len(plans)
        self._held = [0] * len(plans)

    def look(
        self,
        stacked: StackedDeltas,
        traces: Sequence[list[dict[str, Any]]],
        live: Sequence[bool],
        *,
        last: Sequence[bool],
    ) -> None:
        """Add measurements to the last trace rows of the running plans.

        Parameters
        ----------
        stacked : StackedDeltas
            The changes in the form of the returned delta.
        traces : sequence of list of dict
        live : sequence of bool
        last : sequence of bool
            Whether a plan has no further step.
        """
        begun = []
        for k, rows in enumerate(traces):
            if live[k] and self._watched[k]:
                above = _above(rows[-1])
                turned = any(now > was for now, was in zip(above, self._above[k], strict=True))
                if last[k] or turned:
                    begun.append(k)
                self._above[k] = above
        if begun:
            some = stacked.some(begun)
            shifts = self._divergence(some, begun)
            for k, norm, shift in zip(begun, some.norms().tolist(), shifts, strict=True):
                traces[k][-1].update({"norm": norm} | ({} if shift is None else {"kl": shift}))
        waiting = [k for k in self._wordings.there if live[k] and self._held[k] <= HOLD]
        if waiting:
            found = self._answers(stacked, waiting)
            for k, scores in zip(waiting, found, strict=True):
                row = {f"{name}_held_out": each for name, each in zip(SCORES, scores, strict=True)}
                if not self._forgets:
                    del row["log_probability_old_weakest_held_out"]
                traces[k][-1].update(row)
                self._held[k] = self._held[k] + 1 if scores[0] > scores[1] else 0

    def _answers(self, stacked: StackedDeltas, waiting: list[int]) -> list[list[float]]:
        """Return the means over wordings of `answer_scores`: n x 4."""
        if 2 * len(waiting) > stacked.count:  # copying most of the changes would save nothing
            logits = self._wordings.logits(self._model, stacked, None)[waiting]
        else:
            logits = self._wordings.logits(self._model, stacked.some(waiting), waiting)
        lines = self._wordings
        each = answer_scores(logits, lines.place[waiting], lines.new[waiting], lines.old[waiting])
        return (each * lines.weight[waiting]).sum(-1).T.tolist()

    def _divergence(self, some: StackedDeltas, which: list[int]) -> list[float | None]:
        """Return the mean KL(unedited || edited) in nats where bystanders' answers begin."""
        if not any(k in self._bystanders.there for k in which):
            return [None] * len(which)
        ours = _distributions(self._bystanders.logits(self._model, some, which))
        theirs = self._reference[which]
        each = (theirs.exp() * (theirs - ours)).sum(-1)
        values = (each * self._bystanders.weight[which]).sum(-1).tolist()
        there = self._bystanders.there
        return [value if k in there else None for k, value in zip(which, values, strict=True)]


def _distributions(logits: Tensor) -> Tensor:
    """Return the log-probabilities of the first token that is predicted: [n, b, V]."""
    return widened(logits[:, :, 0]).log_softmax(-1)


def _above(row: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the new answer, and whether any other, is likelier than the old one."""
    new, old, weakest, other = map(row.get, SCORES)
    weakest = old if weakest is None else weakest
    return (
        new is not None and old is not None and new > old,
        other is not None and weakest is not None and other > weakest,
    )


def _wordings(plan: EditPlan, count: int, forgets: bool) -> list[Line]:
    """Return other wordings of the edited fact, with the old answer's tokens that decide."""
    lines: list[Line] = []
    for row in _by_turns(plan.probes, pl.col("group").is_in(_WORDINGS), count):
        if first_difference(row["answer"], row["old_answer"]) is not None:
            answers = row["answer"], row["old_answer"]
            lines.append(line_of(row["prompt"], *answers, forgets=forgets))
    return lines


def _bystanders(plan: EditPlan, count: int) -> list[Line]:
    """Return prompts of bystanders, of which only what follows is compared."""
    stays = ~pl.col("must_change") & ~pl.col("group").is_in(_NO_BYSTANDERS)
    return [Line(row["prompt"], [0]) for row in _by_turns(plan.probes, stays, count)]


def _by_turns(probes: pl.DataFrame, wanted: pl.Expr, count: int) -> list[dict[str, Any]]:
    """Return at most `count` probes of the edit, from each group in turn."""
    frame = probes.filter(wanted & pl.col("edit").is_not_null())
    groups = frame.partition_by("group", maintain_order=True)
    turns = zip_longest(*(group.head(count).iter_rows(named=True) for group in groups))
    return [row for turn in turns for row in turn if row is not None][:count]
