"""The rows of each step of an optimisation, of one shape for all plans of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from behemoth.edit.batch import Order, Rows, edit_rows_of, retain_rows_of
from behemoth.model.labels import IGNORED
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError

from .objectives import Positions

__all__ = ["Fed", "Feeder"]


class Fed(NamedTuple):
    """One step's rows, grouped by plan: the edit's rows column by column, then the retained rows.

    Attributes
    ----------
    tokens : int64 [K, b, T]
    labels : int64 [K, b, A]
        The tokens of the answers, `IGNORED` beyond their ends.
    places : int64 [K, b, A]
        Positions at which these tokens are predicted; 0 beyond the ends.
    text : bool [K, b, T]
        True for tokens of prompts and answers, false for padding.
    """

    tokens: Tensor
    labels: Tensor
    places: Tensor
    text: Tensor


class Feeder:
    """Rows of K plans, for one step after another.

    Parameters
    ----------
    plans : sequence of EditPlan
    columns : sequence of str
        Columns of answers, for each of which the edit's rows are repeated: ``answer``,
        ``old_answer``.
    edit_rows, retain_rows : int
        Maximum number of rows of each kind per step.
    seed : int
    device : torch.device
    positions : {'answers', 'all'}
        Tokens that the rows must have: all from which answers are predicted, or every token.

    Raises
    ------
    ArgumentError
        For a plan without edit rows.
    """

    def __init__(
        self,
        plans: Sequence[EditPlan],
        columns: Sequence[str],
        edit_rows: int,
        retain_rows: int,
        seed: int,
        device: torch.device,
        positions: Positions = "answers",
    ) -> None:
        edit = [[edit_rows_of(plan, column) for column in columns] for plan in plans]
        retain = [retain_rows_of(plan) for plan in plans]
        for plan, rows in zip(plans, edit, strict=True):
            if not len(rows[0]):
                raise ArgumentError(
                    "plan", f"{plan.plan_hash[:12]} without edit rows", "one or more rows of edits"
                )
        self.columns = len(columns)
        self.edit_rows = min(edit_rows, max(len(rows[0]) for rows in edit))
        self.retain_rows = min(retain_rows, min(map(len, retain)))
        self.all_edit_rows = [len(rows[0]) for rows in edit]
        """Number of edit rows of each plan, of which a step has `edit_rows`."""
        self.taken: list[Tensor] = []
        """Numbers of the edit rows of the last step, by plan: int64 [edit_rows] each."""
        self._edit_order = [
            Order(rows[0].weight, plan, seed, 0, shared=True)
            for rows, plan in zip(edit, plans, strict=True)
        ]
        self._retain_order = [
            Order(rows.weight, plan, seed, 1) for rows, plan in zip(retain, plans, strict=True)
        ]
        # All rows of all plans in one table: a step is then a single lookup.
        each = [rows for k in range(len(plans)) for rows in (*edit[k], retain[k])]
        self._first: list[list[int]] = []
        first = 0
        for k in range(len(plans)):
            own = [*edit[k], retain[k]]
            starts = [first + sum(map(len, own[:part])) for part in range(len(own))]
            self._first.append(starts)
            first += sum(map(len, own))
        self._table = Fed(*(part.to(device) for part in _table(each, positions)))

    def next(self) -> Fed:
        """Return the next step's rows."""
        self.taken = [order.take(self.edit_rows) for order in self._edit_order]
        chosen: list[Tensor] = []
        for starts, at, retain in zip(self._first, self.taken, self._retain_order, strict=True):
            parts = [at + start for start in starts[: self.columns]]
            if self.retain_rows:
                parts.append(retain.take(self.retain_rows) + starts[-1])
            chosen.append(torch.cat(parts))
        index = torch.stack(chosen).to(self._table.tokens.device)
        return Fed(*(part[index] for part in self._table))


def _table(each: Sequence[Rows], positions: Positions) -> Fed:
    """Return all rows as one table, with N rows in place of the axes K, b."""
    length = max(rows.tokens.shape[1] for rows in each)
    padded = [rows.padded(length) for rows in each]
    tokens = torch.cat([rows.tokens for rows in padded])
    full = torch.cat([rows.labels for rows in padded])
    row, column = torch.nonzero(full != IGNORED, as_tuple=True)
    counts = torch.bincount(row, minlength=len(full))
    # Answers are contiguous: a token's number in its answer is its distance to the first token.
    first = torch.zeros(len(full), dtype=torch.int64).scatter_reduce(
        0, row, column, "amin", include_self=False
    )
    labels = torch.full((len(full), int(counts.max())), IGNORED)
    places = torch.zeros_like(labels)
    labels[row, column - first[row]] = full[row, column]
    places[row, column - first[row]] = column - 1
    # A sentence ends with its answer.
    text = torch.arange(tokens.shape[1]) < (first + counts)[:, None]
    # No loss on answers uses what the last token of the longest sentence predicts.
    shown = length if positions == "all" else int(places.max()) + 1
    return Fed(tokens[:, :shown], labels, places, text[:, :shown])
