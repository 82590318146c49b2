"""Which methods are drawn."""

import polars as pl

from behemoth.report.selection import MOST, drawn_methods
from behemoth.study.analysis.summary import summarise


def test_arms_of_some_clusters_are_left_to_the_tables(draw):
    labels = tuple(f"arm {place}" for place in range(MOST + 2))
    frames = draw(worlds=2, edits=4, probes=1, labels=labels, levels=(1, 16))
    whole = summarise(frames, resamples=2)
    assert drawn_methods(whole) == (whole, ""), "all clusters have all of them"

    partly = pl.col("label").is_in(labels[:3]) | (pl.col("world_seed") == 0)
    frames.edits = frames.edits.filter(partly)
    frames.probes = frames.probes.filter(partly)
    summary, said = drawn_methods(summarise(frames, resamples=2))
    assert summary.methods["label"].to_list() == list(labels[:3])
    assert set(summary.doses["label"]) == set(labels[:3])
    assert {label for label, _ in summary.mediations} <= set(labels[:3])
    assert said.startswith("The figures show the 3 methods that were run in all 2 clusters; the")


def test_few_methods_are_all_drawn(draw):
    summary = summarise(draw(worlds=2, edits=4, probes=1, levels=(1, 16)), resamples=2)
    assert drawn_methods(summary) == (summary, "")
