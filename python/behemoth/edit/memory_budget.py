"""Whether an edit will fit into memory, and what would: told before anything is made.

Reckoned is the peak on a CPU beside what the process has: the model, what the method keeps of so
many plans at once, and what autograd keeps of the rows of a step. docs/reliability.md has peaks
that were measured beside it (tests/edit/test_memory_budget.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from behemoth.model.memory import LOADED, activation_bytes, training_bytes, weight_bytes
from behemoth.model.sizes import Size
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import available
from behemoth.support.text import bytes_text

from .protocol import EditContext, EditMethod, answers

if TYPE_CHECKING:
    from torch import nn

    from behemoth.plan.edit_plan import EditPlan

__all__ = ["edit_bytes", "fitting"]

# Libraries that the first edit loads, buffers of kernels, the plan and its deltas.
_FIXED = 96 << 20
# Numbers for each token of an answer and word of the vocabulary: logits, their logarithms, their
# gradients, and the logits of a model that is held on to.
_LOGITS = 4
# What may be asked of a method in place of what does not fit, where it has such settings.
_SMALLER: tuple[Mapping[str, Any], ...] = (
    {"rank": 1},
    {"rank": 1, "part": "mlp"},
    {"edit_rows": 1, "retain_rows": 1},
    {"rank": 1, "part": "mlp", "edit_rows": 1, "retain_rows": 1},
    {"prefixes": 0},
    {"prefixes": 0, "kept": 0},
)


def edit_bytes(
    method: EditMethod, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
) -> int:
    """Bytes that plans take at their peak when a method takes them at once, on a CPU.

    Parameters
    ----------
    method : EditMethod
    model : nn.Module
        It counts as well: as much as loading it took.
    plans : sequence of EditPlan
    context : EditContext
        Of a method that trains again: how.
    """
    said = answers(method)
    config: Any = model.config
    vocabulary = int(config.vocab_size)
    size = Size.of(config.to_dict(), "model")
    weights = weight_bytes(model)
    if said.effort().trainings:
        training = context.training()
        blocks = -(-training.batch_size // training.accumulate)
        return weights + training_bytes(size, vocabulary, blocks * training.block_length)
    tokens = words = 0
    for plan in plans:
        prompt = int(plan.training["prompt"].list.len().max() or 0)  # type: ignore[arg-type]
        answer = int(plan.training["answer"].list.len().max() or 1)  # type: ignore[arg-type]
        rows = said.step_rows(plan)
        tokens, words = tokens + rows * (prompt + answer), words + rows * answer
    kept = said.plans_bytes(model, plans) + said.shared_bytes(model)
    step = tokens * activation_bytes(size, vocabulary) + 4 * _LOGITS * words * vocabulary
    return _FIXED + LOADED * weights + kept + step


def fitting(
    method: EditMethod,
    model: nn.Module,
    plans: Sequence[EditPlan],
    context: EditContext,
    most: int,
    memory: int | None = None,
) -> int:
    """How many of some plans fit at once.

    Parameters
    ----------
    method, model, plans, context
        As of `edit_bytes`.
    most : int
        No more than so many.
    memory : int, optional
        Bytes that may be taken; what the machine or the container has free by default. On a GPU
        nothing is reckoned.

    Returns
    -------
    int
        From 1 to `most`.

    Raises
    ------
    ArgumentError
        When one does not fit: with settings that would.
    """
    if next(model.parameters()).device.type != "cpu" or not plans:
        return most
    free = available() if memory is None else memory
    if free is None:
        return most
    loaded = 0
    if memory is None:  # what is free now is so beside the model, which is there
        loaded = LOADED * weight_bytes(model)

    def takes(own: EditMethod, count: int) -> int:
        return edit_bytes(own, model, plans[:count], context) - loaded

    for count in _counts(min(most, len(plans))):
        if takes(method, count) <= free:
            return count
    fits = [
        " and ".join(f"{name} = {value}" for name, value in changes.items())
        for changes, own in _smaller(method)
        if takes(own, 1) <= free
    ]
    there = f"{bytes_text(free)} is {'free' if memory is None else 'allowed'}"
    raise ArgumentError(
        "method",
        f"{method.info.name}, which needs about {bytes_text(takes(method, 1))} of memory "
        f"while {there}",
        f"with {fits[0]}, which fits" if fits else "what fits: a smaller model",
    )


def _counts(most: int) -> Iterator[int]:
    """Counts from the most to 1, each at most three quarters of the one before."""
    while most > 1:
        yield most
        most = most * 3 // 4
    yield 1


def _smaller(method: EditMethod) -> Iterator[tuple[Mapping[str, Any], EditMethod]]:
    """The method with settings that take less, and these settings."""
    assert dataclasses.is_dataclass(method) and not isinstance(method, type)
    names = {each.name for each in dataclasses.fields(method)}
    for changes in _SMALLER:
        if changes.keys() <= names:
            try:
                yield changes, dataclasses.replace(method, **changes)
            except ArgumentError:
                continue
