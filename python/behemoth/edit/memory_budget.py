"""Check before any work whether an edit fits into memory, and which settings would fit if not.

This estimates peak memory on a CPU in addition to what the process already uses: the model, what
the method keeps for the plans it edits at a time, and what autograd keeps for the rows of a step.
docs/reliability.md compares it with measured peaks (tests/edit/test_memory_budget.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from behemoth.model.memory import (
    LOADED,
    activation_bytes,
    dimensions,
    is_estimated,
    weight_bytes,
)
from behemoth.plan.request import REFUSALS
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import limit_of, limit_text
from behemoth.support.text import bytes_text

from .protocol import Answers, EditContext, EditMethod, answers

if TYPE_CHECKING:
    import polars as pl
    from torch import nn

    from behemoth.model.sizes import Size
    from behemoth.plan.edit_plan import EditPlan

__all__ = [
    "ACTIVATIONS",
    "MOST_WORDINGS",
    "SENTENCE",
    "WORDINGS",
    "EditedRows",
    "answer_bytes",
    "counts",
    "edit_bytes",
    "fitting",
    "longest_answers",
    "smaller",
    "tail_bytes",
]

SENTENCE = 8
"""Tokens of a sentence, as estimates of methods count them."""
WORDINGS = 3
"""Usual number of wordings of an edited fact."""
MOST_WORDINGS = 4
"""Usual maximum of them."""
ACTIVATIONS = 68
"""Bytes that a block keeps per token and unit of width for gradients: 17 numbers of 4 bytes
(Korthikanti et al. 2022, arXiv 2205.05198, table 2)."""

# Libraries that the first edit loads, buffers of kernels, the plan and its deltas.
_FIXED = 96 << 20
# Numbers for each answer token and each entry of the vocabulary: logits, log-probabilities,
# gradients, and the logits of a reference model.
_LOGITS = 4
# Numbers for each entry of the vocabulary in a pass that only evaluates: logits, log-probabilities
# and the terms of a divergence.
_WATCHED = 5
# Settings that are suggested if a method does not fit, as far as it has these settings.
_SMALLER: tuple[Mapping[str, Any], ...] = (
    {"rank": 1},
    {"rank": 1, "part": "mlp"},
    {"edit_rows": 1, "retain_rows": 1},
    {"rank": 1, "part": "mlp", "edit_rows": 1, "retain_rows": 1},
    {"prefixes": 0},
    {"prefixes": 0, "kept": 0},
)


@dataclass(frozen=True)
class EditedRows:
    """The edit rows of a plan, as estimates of methods that use all of them at a time count them.

    Attributes
    ----------
    rows, tokens, answers : int
        Rows, their tokens with padding, and the tokens of their answers.
    """

    rows: int
    tokens: int
    answers: int

    @classmethod
    def of(cls, plan: EditPlan, most: int | None = None) -> EditedRows:
        """Count the edit rows of a plan, or of at most `most` of its edits.

        Parameters
        ----------
        plan : EditPlan
        most : int, optional
        """
        own, lengths = _edit_answers(plan)
        rows, answers = own.height, int(lengths.sum())
        longest = int((own["prompt"].list.len() + lengths).max() or 0)  # type: ignore[arg-type]
        if most is not None and len(plan) > most:
            rows, answers = (-(-count * most // len(plan)) for count in (rows, answers))
        return cls(rows, rows * longest, answers)


def longest_answers(plan: EditPlan) -> int:
    """Return the tokens of the longest answer of each edit of a plan, summed over the edits."""
    # Not among the counts of `EditedRows`: grouping takes three times as long as all of those.
    own, lengths = _edit_answers(plan)
    return int(own.select("edit", answer=lengths).group_by("edit").max()["answer"].sum())


def _edit_answers(plan: EditPlan) -> tuple[pl.DataFrame, pl.Series]:
    """Return the edit rows of a plan, and the number of tokens of their answers: uint32[rows]."""
    training = plan.training
    own = training.filter(training["role"] == "edit")
    # A refusal ends with a period.
    ends = any(kind in REFUSALS for kind in plan.edits["kind"].to_list())
    return own, own["answer"].list.len() + int(ends)


def answer_bytes(model: nn.Module, answers: int) -> int:
    """Return the bytes of the logits of answer tokens, with what a loss makes of them."""
    return 4 * _LOGITS * answers * dimensions(model)[1]


def tail_bytes(model: nn.Module, layer: int, edited: EditedRows) -> int:
    """Return the bytes of rows in a search for outputs of an MLP output matrix (`memory.tail`).

    Parameters
    ----------
    model : nn.Module
    layer : int
        Layer of the matrix.
    edited : EditedRows
    """
    size, _ = dimensions(model)
    # Inputs and outputs of the blocks in the pass before the search, with all keys and values.
    token = 3 * size.hidden + (2 * size.layers + 4) * size.width
    # Of an answer token: what later blocks keep, input and output of the matrix, Adam's state.
    place = (size.layers - layer) * ACTIVATIONS * size.width + 16 * (size.hidden + size.width)
    return 4 * edited.tokens * token + edited.answers * place + answer_bytes(model, edited.answers)


def edit_bytes(
    method: EditMethod,
    model: nn.Module,
    plans: Sequence[EditPlan],
    context: EditContext,
    sequence: EditPlan | None = None,
) -> int:
    """Return the peak memory in bytes of a method that applies plans in one pass on a CPU.

    Parameters
    ----------
    method : EditMethod
    model : nn.Module
        Its memory is included, with that of loading it.
    plans : sequence of EditPlan
    context : EditContext
        For a method that trains again: how the model was trained.
    sequence : EditPlan, optional
        The plan whose edits are made one after another, if they are, of which `plans` are some.
    """
    said = answers(answers(method).for_model(context))
    size, vocabulary = dimensions(model)
    weights = weight_bytes(model)
    if said.effort().trainings:
        from behemoth.train.memory_budget import step_bytes  # loads torch

        training = context.training()
        return weights + step_bytes(training, vocabulary, training.held_tokens)
    step = sum(_step_bytes(said, size, vocabulary, plan) for plan in plans)
    kept = said.plans_bytes(model, plans) + said.shared_bytes(model)
    if sequence is not None:
        kept += said.sequence_bytes(model, sequence)
    if context.watch is not None and method.info.doses:
        # Evaluated between the steps. The distributions of the unedited model are kept.
        single = sum(len(plan) == 1 for plan in plans)
        logits = 4 * vocabulary * single
        kept += logits * context.watch.bystanders
        step = max(step, _WATCHED * logits * (context.watch.held_out + context.watch.bystanders))
    return _FIXED + LOADED * weights + kept + step


def _step_bytes(said: Answers, size: Size, vocabulary: int, plan: EditPlan) -> int:
    """Return the bytes that autograd keeps for the rows of a plan in a step."""
    prompt = int(plan.training["prompt"].list.len().max() or 0)  # type: ignore[arg-type]
    answer = int(plan.training["answer"].list.len().max() or 1)  # type: ignore[arg-type]
    rows = said.step_rows(plan)
    token = rows * (prompt + answer) * activation_bytes(size)
    return token + 4 * _LOGITS * rows * answer * vocabulary


def fitting(
    method: EditMethod,
    model: nn.Module,
    plans: Sequence[EditPlan],
    context: EditContext,
    most: int,
    memory: int | None = None,
    sequence: EditPlan | None = None,
) -> int:
    """Return how many of the plans fit into memory at a time, whichever of them these are.

    Parameters
    ----------
    method, model, plans, context, sequence
        See `edit_bytes`.
    most : int
        Maximum number of plans.
    memory : int, optional
        Bytes that may be used; by default the free memory of the machine or the container. On a
        GPU nothing is estimated.

    Returns
    -------
    int
        From 1 to `most`.

    Raises
    ------
    ArgumentError
        If one plan does not fit; the message names settings that would, if there are any, and
        whether one edit of it would.
    """
    if not is_estimated(model) or not plans:
        return most
    free = limit_of(memory)
    if free is None:
        return most
    loaded = 0
    if memory is None:  # the model is loaded already, so free memory does not include it
        loaded = LOADED * weight_bytes(model)

    def takes(own: EditMethod, some: Sequence[EditPlan]) -> int:
        return edit_bytes(own, model, some, context, sequence) - loaded

    said, (size, vocabulary) = answers(answers(method).for_model(context)), dimensions(model)

    def size_of(plan: EditPlan) -> int:
        return _step_bytes(said, size, vocabulary, plan) + said.plans_bytes(model, [plan])

    largest = sorted(plans, key=size_of, reverse=True)
    for count in counts(min(most, len(plans))):
        if takes(method, largest[:count]) <= free:
            return count
    first = largest[0]
    fits = smaller(method, lambda own: takes(own, [first]) <= free)
    ways = [] if fits is None else [f"with {fits}"]
    if len(first) > 1 and takes(method, [first.single(first.edits["edit"][0])]) <= free:
        ways.append("one edit at a time (single, or sequential)")
    raise ArgumentError(
        "method",
        f"{method.info.name}, which needs about {bytes_text(takes(method, [first]))} of memory "
        f"while {limit_text(free, memory)}",
        f"{' or '.join(ways)}, which fits" if ways else "what fits: a smaller model",
    )


def smaller(method: EditMethod, fits: Callable[[EditMethod], bool]) -> str | None:
    """Return settings of a method that need less memory and fit, as text; None if there are none.

    Parameters
    ----------
    method : EditMethod
    fits : callable
        Returns whether the method fits with other settings.
    """
    for changes, own in _smaller(method):
        if fits(own):
            return " and ".join(f"{name} = {value}" for name, value in changes.items())
    return None


def counts(most: int) -> Iterator[int]:
    """Yield counts from `most` down to 1, each at most three quarters of the one before."""
    while most > 1:
        yield most
        most = most * 3 // 4
    yield 1


def _smaller(method: EditMethod) -> Iterator[tuple[Mapping[str, Any], EditMethod]]:
    """Yield settings that need less memory, each with the method that has them."""
    assert dataclasses.is_dataclass(method) and not isinstance(method, type)
    names = {each.name for each in dataclasses.fields(method)}
    for changes in _SMALLER:
        if changes.keys() <= names:
            try:
                yield changes, dataclasses.replace(method, **changes)
            except ArgumentError:
                continue
