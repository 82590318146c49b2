"""Whether an evaluation will fit into memory, and what would: told before anything is asked.

Reckoned is the peak on a CPU beside what the process has: the model, the changes of all edits and
those of a stack once more, and what one pass makes of its prompts. docs/reliability.md has peaks
that were measured beside it (tests/evaluate/test_memory_budget.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from behemoth.model.memory import LOADED, weight_bytes
from behemoth.model.sizes import Size
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import available
from behemoth.support.text import bytes_text

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.delta import EditDelta

__all__ = ["fitting", "pass_bytes"]

# Libraries that the first pass loads, buffers of kernels, the plan and the frame.
_FIXED = 96 << 20
# Bytes for a prompt and a word of the vocabulary: log-probabilities in double precision, of the
# model with and without the edit, and what their divergence is worked out by.
_OF_A_WORD = 8 * 6
# Numbers of a token that a layer hands on: by the width and by the hidden units.
_BY_WIDTH, _BY_HIDDEN = 8, 2


def pass_bytes(
    model: nn.Module, probes: pl.DataFrame, changes: int, kept: int, batch_size: int
) -> int:
    """Bytes that an evaluation takes at its peak.

    Parameters
    ----------
    model : nn.Module
        It counts as well: as much as loading it took.
    probes : polars.DataFrame
        Of the plan.
    changes : int
        Bytes of the changes of a stack.
    kept : int
        Bytes of the changes of all edits.
    batch_size : int
        Rows of a pass.
    """
    config: Any = model.config
    size = Size.of(config.to_dict(), "model")
    vocabulary = int(config.vocab_size)
    answers = [_longest(probes, name) for name in ("answer", "old_answer", "new_answer")]
    answer, width = max(answers), _longest(probes, "prompt") + 2 * max(answers)
    cache = 2 * size.layers * size.width
    token = cache + _BY_WIDTH * size.width + _BY_HIDDEN * size.hidden
    row = (_OF_A_WORD + 4 * 2 * (answer + 1)) * vocabulary + 4 * token * width
    return _FIXED + LOADED * weight_bytes(model) + kept + changes + batch_size * row


def fitting(
    model: nn.Module,
    probes: pl.DataFrame,
    deltas: Mapping[int | None, EditDelta],
    stack: int,
    batch_size: int | None,
    memory: int | None = None,
) -> tuple[int, int | None]:
    """How many edits and how many rows of a pass fit.

    Parameters
    ----------
    model : nn.Module
    probes : polars.DataFrame
        Of the plan.
    deltas : mapping of int or None to EditDelta
    stack : int
        No more edits than so many.
    batch_size : int, optional
        Rows of a pass; 512 or, where so many do not fit, fewer by default.
    memory : int, optional
        Bytes that may be taken; what the machine or the container has free by default. On a GPU
        nothing is reckoned.

    Returns
    -------
    stack : int
    batch_size : int or None

    Raises
    ------
    ArgumentError
        When one edit with one row does not fit, or not the `batch_size` that was asked for.
    """
    free = available() if memory is None else memory
    if next(model.parameters()).device.type != "cpu" or free is None or not probes.height:
        return stack, batch_size
    sizes = [_bytes_of(delta) for delta in deltas.values()]
    kept, largest = sum(sizes), max(sizes, default=0)
    # What is free now is so beside the model and the changes, which are there.
    loaded = LOADED * weight_bytes(model) + kept if memory is None else 0
    most = min(stack, max(len(sizes), 1))

    def takes(edits: int, rows: int) -> int:
        return pass_bytes(model, probes, edits * largest, kept, rows) - loaded

    for rows in _halves(512) if batch_size is None else [batch_size]:
        for edits in _halves(most):
            if takes(edits, rows) <= free:
                return (stack if edits == most else edits), rows
    there = f"{bytes_text(free)} is {'free' if memory is None else 'allowed'}"
    if batch_size is not None:
        fits = next((rows for rows in _halves(batch_size) if takes(1, rows) <= free), 0)
        if fits:
            got = f"{batch_size:,}, which needs about {bytes_text(takes(1, batch_size))} of memory"
            raise ArgumentError("batch_size", f"{got} while {there}", f"up to {fits:,}")
    raise ArgumentError(
        "source",
        f"a model and its edits that need about {bytes_text(takes(1, 1))} of memory while {there}",
        "what fits: a smaller model, or a plan of fewer edits",
    )


def _halves(most: int) -> Iterator[int]:
    """The number, its half, and so on to 1."""
    while most > 1:
        yield most
        most //= 2
    yield 1


def _bytes_of(delta: EditDelta) -> int:
    tensors = [each for change in delta.changes.values() for each in vars(change).values()]
    return sum(each.numel() * each.element_size() for each in tensors if hasattr(each, "numel"))


def _longest(probes: pl.DataFrame, column: str) -> int:
    lengths = probes[column].list.len().max()
    return int(lengths) if isinstance(lengths, int) else 1
