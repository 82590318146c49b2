"""Columns of the evaluation frame, in a module without torch, as any module may read frames."""

from __future__ import annotations

from typing import Any

import polars as pl

__all__ = ["SCHEMA"]

SCHEMA: dict[str, Any] = {
    "run": pl.String,
    "plan": pl.String,
    "edit": pl.UInt32,
    "method": pl.String,
    "world": pl.String,
    "seed": pl.Int64,
    "method_seed": pl.Int64,
    "stage": pl.String,
    "probe": pl.UInt32,
    "group": pl.String,
    "template": pl.String,
    "wording": pl.UInt32,
    "held_out": pl.Boolean,
    "seen": pl.Boolean,
    "fact": pl.UInt64,
    "link": pl.Boolean,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "must_change": pl.Boolean,
    "exposures": pl.UInt64,
    "edit_exposures": pl.UInt64,
    "prompt_tokens": pl.UInt32,
    "log_probability_old": pl.Float64,
    "log_probability_true": pl.Float64,
    "log_probability_new": pl.Float64,
    "log_probability_wrong": pl.Float64,
    "rank": pl.UInt32,
    "generated": pl.String,
    "exact_match": pl.Boolean,
    "old_match": pl.Boolean,
    "new_match": pl.Boolean,
    "valid_object": pl.Boolean,
    "leaked": pl.Boolean,
    "extraction_strength": pl.Float64,
    "kl": pl.Float64,
    "known": pl.Boolean,
    "edit_known": pl.Boolean,
    "failure": pl.String,
}
"""Columns of the frame, described in `behemoth.evaluate.evaluate`."""
