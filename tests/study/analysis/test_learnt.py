"""What models knew before the edits of a board, world by world."""

import polars as pl
import pytest

from behemoth.study.analysis.learnt import LEARNT, learnt


def frames():
    suites = [("t0", "editing", None, 2), ("t1", "editing", None, 2), ("t2", "editing", "bios", 2),
              ("t3", "unlearning", None, 1)]  # fmt: skip
    # Two methods edit the same two facts of m0; a link fact has a number of its own.
    known = [("t0", "m0", 1, False, True), ("t0", "m0", 1, True, False),
             ("t1", "m0", 1, False, True), ("t1", "m0", 1, True, False),
             ("t2", "m1", 4, False, False), ("t2", "m1", 5, False, None),
             ("t3", "m0", 1, False, True)]  # fmt: skip
    recall = [("m0", 0, False), ("m0", 4, True), ("m0", 4, True), ("m1", 4, False), ("m1", 8, True)]
    return (
        pl.DataFrame(known, schema=["trial", "model", "fact", "link", "known"], orient="row"),
        pl.DataFrame(suites, schema=["trial", "suite", "grammar", "edits"], orient="row"),
        pl.DataFrame(recall, schema=["model", "exposures", "exact_match"], orient="row"),
    )


def test_a_fact_of_a_model_counts_once_whatever_edits_it():
    rows = learnt(*frames()).rows()
    assert rows == [
        ("editing", None, 2, 1, 1, 2, 0.5, 1.0),
        ("editing", "bios", 2, 1, 0, 1, 0.0, pytest.approx(0.5)),
        ("unlearning", None, 1, 1, 1, 1, 1.0, 1.0),
    ]


def test_without_trials_there_is_nothing_to_say():
    edits, suites, recall = frames()
    found = learnt(edits.clear(), suites, recall)
    assert found.is_empty() and dict(found.schema) == LEARNT
