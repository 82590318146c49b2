"""How many bits of a fact a model has stored."""

from __future__ import annotations

import math

import polars as pl

__all__ = ["saved_bits"]


def saved_bits() -> pl.Expr:
    """Return the bits saved over not knowing each fact, which may be negative.

    Uses the columns ``objects`` and ``log_probability`` (nats); 0 if the result is not finite.
    """
    saved = pl.col("objects").cast(pl.Float64).log(2) + pl.col("log_probability") / math.log(2)
    return pl.when(saved.is_finite()).then(saved).otherwise(0.0)
