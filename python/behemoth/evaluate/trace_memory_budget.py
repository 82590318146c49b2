"""Memory budget of causal tracing: how many tokens go through a pass, and whether it fits.

This estimates peak memory on a CPU, in addition to what the process uses before: the model, the
rows of a pass, and the bootstrap over facts. Measured peaks are in docs/reliability.md, beside the
estimates (tests/evaluate/test_trace_memory.py).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import polars as pl

from behemoth.model.memory import LOADED, dimensions, is_estimated, weight_bytes
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import halves, limit_of, limit_text
from behemoth.support.text import bytes_text

from .memory_budget import token_bytes

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DRAWS", "RESAMPLES", "TOKENS", "fitting_tokens", "trace_bytes"]

DRAWS = 10
"""Usual number of draws of noise per fact."""

TOKENS = 1 << 15
"""Usual number of tokens per pass."""

RESAMPLES = 1000
"""Number of resamples of the bootstrap over facts."""

# Libraries that the first pass loads, buffers of kernels, the plan and the frames. With 96 MiB, as
# for an evaluation, 152 MiB were estimated for `nano`, and a peak with another plan was 162.
_FIXED = 160 << 20
# Bytes per answer token and word of the vocabulary: logits, log-probabilities and a temporary.
_OF_A_WORD = 4 * 3
# Bytes per fact and resample: its weight, and copies of it in the order of the rows.
_OF_A_WEIGHT = 8 * 3
# Bytes per draw and number of the noise: what is drawn, and its product with the deviation.
_OF_A_NUMBER = 4 * 2
# Bytes per row of all passes of a fact: the sample and the state to restore in it, and its result.
_OF_A_JOB = 128
_KINDS = 3  # of restored states, at each layer and token


def trace_bytes(model: nn.Module, rows: pl.DataFrame, samples: int, tokens: int) -> int:
    """Estimate the peak memory of tracing, in bytes.

    Parameters
    ----------
    model : nn.Module
        The model, which is included in the estimate with the memory that loading it needs.
    rows : polars.DataFrame
        The rows of the plan's mixture that are traced, one per fact.
    samples : int
        Number of draws of noise per fact.
    tokens : int
        Maximum number of tokens per pass; at least one row is passed.
    """
    size, vocabulary = dimensions(model)
    token, largest = token_bytes(size), 0
    lengths = rows.select(
        pl.col("prompt").list.len().cast(pl.Int64),
        pl.col("old_answer").list.len().cast(pl.Int64),
    ).unique()
    for prompt, answer in lengths.iter_rows():
        length = prompt + answer - 1
        jobs = samples * (1 + _KINDS * size.layers * prompt)
        count = min(jobs, max(1, tokens // length))
        rows_of_a_pass = count * (token * length + _OF_A_WORD * answer * vocabulary)
        # The subject has at most the tokens of the prompt.
        drawn = samples * prompt * size.width * _OF_A_NUMBER + jobs * _OF_A_JOB
        largest = max(largest, rows_of_a_pass + drawn)
    summary = _OF_A_WEIGHT * RESAMPLES * rows.height
    return _FIXED + LOADED * weight_bytes(model) + max(largest, summary)


def fitting_tokens(
    model: nn.Module, rows: pl.DataFrame, samples: int, memory: int | None = None
) -> int:
    """Return the number of tokens per pass that fit into memory; on a GPU the usual one.

    Parameters
    ----------
    model, rows, samples
        See `trace_bytes`.
    memory : int, optional
        Bytes that may be used; by default the free memory of the machine or the container.

    Raises
    ------
    ArgumentError
        If tracing does not fit even with one row per pass: with fewer samples, if that is enough.
    """
    free = limit_of(memory)
    if free is None or not is_estimated(model):
        return TOKENS
    # Free memory already excludes the model, which is loaded.
    loaded = LOADED * weight_bytes(model) if memory is None else 0
    for tokens in halves(TOKENS):
        if trace_bytes(model, rows, samples, tokens) - loaded <= free:
            return tokens

    def needed(draws: int) -> int:
        return trace_bytes(model, rows, draws, 1) - loaded

    least, there = bytes_text(needed(samples)), limit_text(free, memory)
    if samples > DRAWS and needed(DRAWS) <= free:
        fitting = bisect_right(range(samples), free, key=needed) - 1
        got = f"{samples:,}, with which tracing needs about {least} of memory while {there}"
        raise ArgumentError("samples", got, f"up to {fitting:,}")
    raise ArgumentError(
        "run",
        f"a model whose tracing needs about {least} of memory while {there}",
        "what fits: a smaller model, or a plan of fewer edits",
    )
