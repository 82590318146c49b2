"""The input of an objective at each step: outputs of the edited models and of the unedited one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.delta.stack import StackedDeltas
from behemoth.model.architecture import Architecture
from behemoth.model.labels import IGNORED
from behemoth.model.observe import outputs_of
from behemoth.model.precision import widened
from behemoth.support.errors import ArgumentError

from .feeder import Fed, Feeder
from .objectives import Positions

__all__ = ["Objective", "Step", "edited_logits", "forward"]


@dataclass
class Step:
    """Outputs of the model on one step's rows, where answers are predicted: shapes [K, b, A, ...].

    A is the maximum number of tokens of an answer; K edits have b rows each. The edit's rows are
    first, once for each of the objective's columns, then the retained rows. Most positions of a
    sentence are in the prompt and few losses use them, so their logits are computed only if an
    objective has positions "all" and calls `predicted`. P is then T, the maximum number of tokens
    of a row, and otherwise A.

    Attributes
    ----------
    labels : int64 [K, b, A]
        The tokens of the answers, `IGNORED` beyond their ends.
    edit_rows, columns : int
        Number of edit rows for each column, and number of columns.
    logits : float [K, b, A, V]
        Logits of the edited models where these tokens are predicted.
    observed : dict of str to float [K, b, P, d]
        Outputs of the modules that the objective observes, at its positions.
    reference_logits, reference_observed
        The same for the unedited model, if the objective needs it.
    text : bool [K, b, T], optional
        True for tokens of prompts and answers, for an objective with positions "all".
    everywhere, reference_everywhere : callable, optional
        For such an objective: returns logits [K, r, T, V] of some rows.
    """

    labels: Tensor
    edit_rows: int
    columns: int
    logits: Tensor
    observed: dict[str, Tensor] = field(default_factory=dict)
    reference_logits: Tensor | None = None
    reference_observed: dict[str, Tensor] = field(default_factory=dict)
    text: Tensor | None = None
    everywhere: Callable[[slice], Tensor] | None = None
    reference_everywhere: Callable[[slice], Tensor] | None = None

    def edit(self, column: int = 0) -> slice:
        """Return the slice along b of the edit's rows with the answers of a column.

        Raises
        ------
        ArgumentError
            For a column that the objective does not have, where the retained rows would be.
        """
        if not 0 <= column < self.columns:
            allowed = f"0 to {self.columns - 1}" if self.columns > 1 else "0"
            allowed += ", a column of the objective's `columns` (`trains_on` of a LossMethod)"
            raise ArgumentError("column", column, allowed)
        return slice(column * self.edit_rows, (column + 1) * self.edit_rows)

    @property
    def retain(self) -> slice:
        """The slice along b of the retained rows."""
        return slice(self.columns * self.edit_rows, None)

    @property
    def has_retained(self) -> bool:
        """Whether there are retained rows."""
        return self.labels.shape[1] > self.columns * self.edit_rows

    @property
    def answers(self) -> Tensor:
        """True for tokens of answers: bool [K, b, A]."""
        return self.labels != IGNORED

    @property
    def positions(self) -> Tensor:
        """True for the objective's positions: bool [K, b, P]."""
        return self.answers if self.text is None else self.text

    def predicted(self, rows: slice) -> Tensor:
        """Return the logits of the edited models at the positions of rows: [K, r, P, V]."""
        return self.logits[:, rows] if self.everywhere is None else self.everywhere(rows)

    def reference_predicted(self, rows: slice) -> Tensor:
        """Return those of the unedited model: [K, r, P, V].

        Raises
        ------
        ArgumentError
            If the objective does not need it, as it states.
        """
        if self.reference_everywhere is not None:
            return self.reference_everywhere(rows)
        if self.reference_logits is None:
            allowed = "true of an objective that uses outputs of the unedited model"
            raise ArgumentError("needs_reference", False, allowed)
        return self.reference_logits[:, rows]

    def token_log_probabilities(self, logits: Tensor | None = None) -> Tensor:
        """Return the log-probability of each answer token, 0 beyond the ends: [K, b, A]."""
        logits = self.logits if logits is None else logits
        losses = F.cross_entropy(
            widened(logits).flatten(0, -2),
            self.labels.flatten(),
            ignore_index=IGNORED,
            reduction="none",
        )
        return -losses.reshape(self.labels.shape)

    def nll(self, logits: Tensor | None = None) -> Tensor:
        """Return the summed negative log-likelihood of each row's answer: [K, b]."""
        return -self.token_log_probabilities(logits).sum(-1)

    def mean_nll(self) -> Tensor:
        """Return the negative log-likelihood averaged over the answer's tokens: [K, b]."""
        return self.nll() / self.answer_tokens()

    def answer_tokens(self) -> Tensor:
        """Return the number of tokens of each row's answer: [K, b]."""
        return self.answers.sum(-1)


class Objective(Protocol):
    """A loss that a method minimises."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the edit rows' answers: ``answer``, ``old_answer``, or both."""
        ...

    @property
    def needs_reference(self) -> bool:
        """Whether steps need the unedited model's logits."""
        ...

    @property
    def observe(self) -> tuple[str, ...]:
        """Names of the modules whose outputs steps need."""
        ...

    @property
    def positions(self) -> Positions:
        """Positions of these outputs and of `Step.predicted`."""
        ...

    def __call__(self, step: Step) -> Tensor:
        """Return the loss of each plan: [K]."""
        ...


def forward(
    model: nn.Module, stacked: StackedDeltas, fed: Fed, feeder: Feeder, objective: Objective
) -> Step:
    """Run rows through the edited models and, if needed, the unedited one; return the step."""
    whole = objective.positions == "all"
    ours = _Pass(model, stacked, fed, objective.observe)
    step = Step(
        fed.labels,
        feeder.edit_rows,
        feeder.columns,
        ours.logits,
        ours.outputs(whole),
        text=fed.text if whole else None,
        everywhere=ours.everywhere if whole else None,
    )
    if objective.needs_reference:
        with torch.no_grad():
            before = _Pass(model, None, fed, objective.observe)
            step.reference_logits = before.logits
            step.reference_observed = before.outputs(whole)
        step.reference_everywhere = before.everywhere if whole else None
    return step


def edited_logits(model: nn.Module, stacked: StackedDeltas | None, fed: Fed, rows: int) -> Tensor:
    """Return the logits of the first `rows` rows of each edit: [K, rows, A, V].

    With `stacked` None they are those of the unedited model.
    """
    with torch.no_grad():
        return _Pass(model, stacked, Fed(*(part[:, :rows] for part in fed)), ()).logits


class _Pass:
    """A forward pass of rows through a model.

    Parameters
    ----------
    model : nn.Module
    stacked : StackedDeltas, optional
        Changes of K edits; None for the unedited model.
    fed : Fed
    observe : sequence of str
        Modules whose outputs are kept.

    Attributes
    ----------
    logits : float [K, b, A, V]
        Logits where answers are predicted.
    """

    def __init__(
        self, model: nn.Module, stacked: StackedDeltas | None, fed: Fed, observe: Sequence[str]
    ) -> None:
        architecture = Architecture.of(model)
        self._stacked = stacked
        self._head = model.get_submodule(architecture.head)
        self._logits = architecture.logits
        self._places = fed.places
        self._shape = fed.tokens.shape[:2]
        stream = model.get_submodule(architecture.stream)
        with self._attached():
            with outputs_of({name: model.get_submodule(name) for name in observe}) as seen:
                hidden: Tensor = stream(input_ids=fed.tokens.flatten(0, 1))[0]
            self._hidden, self._seen = hidden, seen
            # Rows stay grouped by edit, as stacked changes of the head require.
            at_answers = self._at_answers(hidden).flatten(0, 1)
            logits = self._logits(self._head, at_answers)
            self.logits: Tensor = logits.unflatten(0, self._shape)

    def everywhere(self, rows: slice) -> Tensor:
        """Return the logits at all positions of rows: [K, r, T, V]."""
        chosen = self._hidden.unflatten(0, self._shape)[:, rows]
        wanted = torch.is_grad_enabled() and self._stacked is not None
        with self._attached(), torch.set_grad_enabled(wanted):
            logits = self._logits(self._head, chosen.flatten(0, 1))
            return logits.unflatten(0, chosen.shape[:2])

    def outputs(self, whole: bool) -> dict[str, Tensor]:
        """Return the kept outputs: [K, b, T, d] if `whole`, else [K, b, A, d] at the answers."""
        if whole:
            return {name: value.unflatten(0, self._shape) for name, value in self._seen.items()}
        return {name: self._at_answers(value) for name, value in self._seen.items()}

    def _at_answers(self, hidden: Tensor) -> Tensor:
        places = self._places
        starts = torch.arange(hidden.shape[0], device=hidden.device) * hidden.shape[1]
        chosen = (places.flatten(0, 1) + starts[:, None]).flatten()
        return hidden.flatten(0, 1).index_select(0, chosen).unflatten(0, places.shape)

    def _attached(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stacked is None else self._stacked.attached()
