"""Metrics of the evaluation frame as measures of suites."""

from __future__ import annotations

from behemoth.evaluate.metrics import METRICS

from .measured_model import MeasuredModel
from .suite import Found, Measure

__all__ = ["of_frame"]


def of_frame(name: str, kept: str = "all", *, beside: bool = False) -> Measure:
    """Return a metric of the evaluation frame as a measure.

    The unedited model has its own number, except for the divergence from it, which only an edit
    has: that of a model from itself is 0, whatever was edited in it elsewhere.
    """
    divergence = name == "kl"

    def find(measured: MeasuredModel) -> Found:
        if divergence and not measured.deltas:
            raise measured.unedited()
        return measured.metric(name, kept)

    metric = METRICS[name]
    label = name if kept == "all" else f"{name}_if_{kept}"
    meaning = metric.meaning if kept == "all" else f"{metric.meaning}; facts {kept} before"
    return Measure(
        label,
        meaning,
        find,
        metric.version,
        beside,
        before=not divergence,
    )
