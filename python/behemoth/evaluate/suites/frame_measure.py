"""Metrics of the evaluation frame as measures of suites."""

from __future__ import annotations

from behemoth.evaluate.metrics import METRICS

from .suite import Measure

__all__ = ["of_frame"]


def of_frame(name: str, kept: str = "all", *, beside: bool = False) -> Measure:
    """Return a metric of the evaluation frame as a measure.

    The unedited model has its own number, except for the divergence from it.
    """
    metric = METRICS[name]
    label = name if kept == "all" else f"{name}_if_{kept}"
    meaning = metric.meaning if kept == "all" else f"{metric.meaning}; facts {kept} before"
    return Measure(
        label,
        meaning,
        lambda measured: measured.metric(name, kept),
        metric.version,
        beside,
        before=name != "kl",
    )
