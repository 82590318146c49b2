"""Columns of a study's frames, in a module that does not import torch, as reports need."""

from __future__ import annotations

from typing import Any

import polars as pl

from behemoth.evaluate.schema import SCHEMA

__all__ = ["ABOUT", "EDITS", "PROBES", "RECALL", "RETENTION", "SEQUENCE", "SHAPES", "SUITES",
           "TRACES"]  # fmt: skip

ABOUT: dict[str, Any] = {
    "edit": pl.UInt32,
    "fact": pl.UInt64,
    "link": pl.Boolean,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "old_object": pl.UInt32,
    "new_object": pl.UInt32,
    "exposures": pl.UInt64,
    "subject_exposures": pl.UInt64,
    "recency": pl.Float64,
}
"""Columns of `about_edits`: properties of an edit that are known before it is made."""

EDITS: dict[str, Any] = {
    **ABOUT,
    "batch": pl.UInt32,
    "known": pl.Boolean,
    "margin": pl.Float64,
    "dose_kind": pl.String,
    "dose": pl.UInt32,
    "dose_low": pl.UInt32,
    "reached": pl.Boolean,
    "limit": pl.UInt32,
    "dose_held_out": pl.UInt32,
    "dose_held_out_low": pl.UInt32,
    "reached_held_out": pl.Boolean,
    "norm_at_flip": pl.Float64,
    "kl_at_flip": pl.Float64,
    "failure": pl.String,
    "efficacy": pl.Float64,
    "success": pl.Float64,
    "norm": pl.Float64,
    "effective_rank": pl.Float64,
}
"""Columns of `behemoth.study.trial.measure.edit_frame`, which describes them."""

_TRIAL_SAYS = ("run", "method", "world", "seed")

PROBES: dict[str, Any] = {name: dtype for name, dtype in SCHEMA.items() if name not in _TRIAL_SAYS}
"""Columns of a trial's ``probes.parquet``: those of `behemoth.evaluate.evaluate`, except the ones
that are the same for the complete trial."""

SHAPES: dict[str, Any] = {
    "edit": pl.UInt32,
    "parameter": pl.String,
    "norm": pl.Float64,
    "relative_norm": pl.Float64,
    "rank": pl.UInt32,
    "effective_rank": pl.Float64,
}
"""Columns of `behemoth.study.trial.batched_geometry.shapes`."""

RETENTION: dict[str, Any] = {
    "step": pl.UInt32,
    "edit": pl.UInt32,
    "fact": pl.UInt64,
    "exposures": pl.UInt64,
    "kept": pl.Boolean,
    "margin": pl.Float64,
}
"""Columns of `behemoth.study.trial.durability.retention`."""

SEQUENCE: dict[str, Any] = {
    "after": pl.UInt32,
    "place": pl.UInt32,
    "edit": pl.UInt32,
    "fact": pl.UInt64,
    "exposures": pl.UInt64,
    "known": pl.Boolean,
    "holds": pl.Boolean,
    "efficacy": pl.Float64,
    "forgotten": pl.Boolean,
}
"""Columns of a trial's ``sequence.parquet``, the retention matrix: one row per checkpoint of the
suite `sequence` and edit of its sample, also of edits that are not made yet.

after: number of edits made; place: place of the edit in the sequence, from 0; known: whether the
unedited model generates the old object; holds, forgotten: whether the new object is generated in
each wording that the edit is made in, and the old one in none; efficacy: share of those wordings
with p(new) > p(old)."""

TRACES: dict[str, Any] = {
    "edit": pl.UInt32,
    "step": pl.UInt32,
    "loss": pl.Float64,
    "log_probability_new": pl.Float64,
    "log_probability_old": pl.Float64,
    "log_probability_old_weakest": pl.Float64,
    "log_probability_other": pl.Float64,
    "log_probability_new_held_out": pl.Float64,
    "log_probability_old_held_out": pl.Float64,
    "log_probability_old_weakest_held_out": pl.Float64,
    "log_probability_other_held_out": pl.Float64,
    "norm": pl.Float64,
    "kl": pl.Float64,
}
"""Columns of `trace_frame`: natural logarithms after each step.

``_held_out`` columns are means over wordings that the edit is not trained on, null if there are
none or they were not evaluated. norm, the Frobenius norm of the change, and kl, the mean
KL(unedited || edited) in nats over bystanders, are present where a flip begins and in the last
row."""

SUITES: dict[str, Any] = {
    "suite": pl.String,
    "grammar": pl.String,
    "edits": pl.UInt32,
    "measure": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "count": pl.UInt64,
    "over": pl.String,
    "twin": pl.Float64,
    "before": pl.Float64,
    "version": pl.UInt32,
    "missing": pl.String,
}
"""Columns of a trial's ``suites.parquet``: one row per measure, as in `SuiteResult.table`.

grammar: name of the corpus' text grammar, null for a corpus of templates; edits: number of edits
of the plan; before: the unedited model's own value, null in trials of earlier versions."""

RECALL: dict[str, Any] = {
    "fact": pl.UInt64,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "object": pl.UInt32,
    "exposures": pl.UInt64,
    "objects": pl.UInt32,
    "exact_match": pl.Boolean,
    "valid_object": pl.Boolean,
    "rank": pl.UInt32,
    "log_probability": pl.Float64,
}
"""Columns of a model's ``recall.parquet``: one row per fact, in the first wording of its relation
that can be a prompt. A relation without such a wording has no rows."""
