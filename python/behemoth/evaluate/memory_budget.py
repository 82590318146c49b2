"""Memory budget of an evaluation: whether it fits, and what would fit, before it starts.

This estimates peak memory on a CPU, in addition to what the process uses before: the model, the
changes of all edits and those of a stack once more, and the tensors of one pass, in which each row
reads the context of its edit, if it has one. Measured peaks are in docs/reliability.md, beside the
estimates (tests/evaluate/test_memory_budget.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from behemoth.delta.context import longest_context
from behemoth.model.memory import LOADED, dimensions, is_estimated, weight_bytes
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import halves, limit_of, limit_text
from behemoth.support.text import bytes_text

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.delta import EditDelta
    from behemoth.model.sizes import Size

__all__ = ["FIXED", "cached_bytes", "changes_bytes", "fitting", "longest", "pass_bytes",
           "row_bytes", "token_bytes"]  # fmt: skip

FIXED = 96 << 20
"""Bytes for libraries that the first pass loads, buffers of kernels, the plan and the frame."""
# Bytes per prompt and word of the vocabulary: log-probabilities in double precision, of the model
# with and without the edit, and the temporaries of their divergence.
_OF_A_WORD = 8 * 6
# Numbers per token that a layer computes, in multiples of the width and of the hidden units.
_BY_WIDTH, _BY_HIDDEN = 8, 2


def pass_bytes(
    model: nn.Module,
    probes: pl.DataFrame,
    changes: int,
    kept: int,
    batch_size: int,
    context: int = 0,
) -> int:
    """Estimate the peak memory of an evaluation, in bytes.

    Parameters
    ----------
    model : nn.Module
        The model, which is included in the estimate with the memory that loading it needs.
    probes : polars.DataFrame
        The probes of the plan.
    changes : int
        Bytes of the changes of a stack.
    kept : int
        Bytes of the changes of all edits.
    batch_size : int
        Number of rows per pass.
    context : int
        Number of tokens that a row reads before its prompt.
    """
    row = row_bytes(model, probes, context)
    return FIXED + LOADED * weight_bytes(model) + kept + changes + batch_size * row


def row_bytes(model: nn.Module, probes: pl.DataFrame, context: int = 0) -> int:
    """Estimate the bytes that a pass needs for each of its rows, with their context."""
    size, vocabulary = dimensions(model)
    answers = [longest(probes, name) for name in ("answer", "old_answer", "new_answer")]
    answer, width = max(answers), context + longest(probes, "prompt") + 2 * max(answers)
    return (_OF_A_WORD + 4 * 2 * (answer + 1)) * vocabulary + cached_bytes(size) * width


def cached_bytes(size: Size) -> int:
    """Estimate the bytes that a pass without gradients needs for each token, with its cache."""
    return 4 * 2 * size.layers * size.width + token_bytes(size)


def token_bytes(size: Size) -> int:
    """Estimate the bytes that a pass without a cache and without gradients needs for each token."""
    return 4 * (_BY_WIDTH * size.width + _BY_HIDDEN * size.hidden)


def fitting(
    model: nn.Module,
    probes: pl.DataFrame,
    deltas: Mapping[int | None, EditDelta],
    stack: int,
    batch_size: int | None,
    memory: int | None = None,
) -> tuple[int, int | None]:
    """Return the number of edits and of rows per pass that fit in memory.

    Parameters
    ----------
    model : nn.Module
    probes : polars.DataFrame
        The probes of the plan.
    deltas : mapping of int or None to EditDelta
    stack : int
        Maximum number of edits.
    batch_size : int, optional
        Number of rows per pass; by default 512, or fewer if these do not fit.
    memory : int, optional
        Memory that may be used, in bytes; by default the free memory of the machine or container.
        On a GPU nothing is estimated.

    Returns
    -------
    stack : int
    batch_size : int or None

    Raises
    ------
    ArgumentError
        When one edit with one row does not fit, or with `batch_size` rows if these are given.
    """
    free = limit_of(memory)
    if not is_estimated(model) or free is None or not probes.height:
        return stack, batch_size
    context = longest_context(deltas.values())
    sizes = [changes_bytes(delta) for delta in deltas.values()]
    kept, largest = sum(sizes), max(sizes, default=0)
    # Free memory already excludes the model and the changes, which are loaded.
    loaded = LOADED * weight_bytes(model) + kept if memory is None else 0
    most = min(stack, max(len(sizes), 1))

    def takes(edits: int, rows: int) -> int:
        return pass_bytes(model, probes, edits * largest, kept, rows, context) - loaded

    for rows in halves(512) if batch_size is None else [batch_size]:
        for edits in halves(most):
            if takes(edits, rows) <= free:
                return (stack if edits == most else edits), rows
    there = limit_text(free, memory)
    if batch_size is not None:
        fits = next((rows for rows in halves(batch_size) if takes(1, rows) <= free), 0)
        if fits:
            got = f"{batch_size:,}, which needs about {bytes_text(takes(1, batch_size))} of memory"
            raise ArgumentError("batch_size", f"{got} while {there}", f"up to {fits:,}")
    raise ArgumentError(
        "source",
        f"a model and its edits that need about {bytes_text(takes(1, 1))} of memory while {there}",
        "what fits: a smaller model, or a plan of fewer edits",
    )


def changes_bytes(delta: EditDelta) -> int:
    """Return the bytes of the tensors of a delta."""
    tensors = [each for change in delta.changes.values() for each in vars(change).values()]
    return sum(each.numel() * each.element_size() for each in tensors if hasattr(each, "numel"))


def longest(probes: pl.DataFrame, column: str) -> int:
    """Return the number of tokens of the longest list in a column of probes; 1 without any."""
    lengths = probes[column].list.len().max()
    return int(lengths) if isinstance(lengths, int) else 1
