"""Linear probes of suite unlearning: the layer, the control, and what is resampled."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import behemoth as bh
from behemoth import Corpus, World
from behemoth.evaluate import SUITES
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.suite import MissingError
from behemoth.plan.compile import compile_plan


def linear_probe(measured, forgotten):
    name = "linear_probe" if forgotten else "linear_probe_control"
    [measure] = [each for each in SUITES["unlearning"].measures(measured) if each.name == name]
    return measure.find(measured)


def test_the_layer_of_linear_probes_is_not_chosen_by_what_is_reported():
    """With layers that are all as good, forgotten facts and those that stay come out alike."""

    class MeasuredModel:
        def __init__(self, seed):
            random = np.random.default_rng(seed)
            self.linear_probes = pl.DataFrame(
                [
                    {"fact": fact, "forgotten": fact >= 40, "layer": layer,
                     "match": float(random.random() < 0.3)}
                    for fact in range(80) for layer in range(12)
                ]
            )  # fmt: skip

        def mean(self, rows, value, missing):
            return rows.select(value.mean()).item()

    found = [
        [linear_probe(MeasuredModel(seed), forgotten) for forgotten in (True, False)]
        for seed in range(60)
    ]
    gone, stay = np.mean(found, axis=0)
    # Standard errors are 0.3 ** 0.5 * 0.7 ** 0.5 / (20 * 60) ** 0.5 = 0.013 at most.
    assert abs(gone - 0.3) < 0.04 and abs(stay - 0.3) < 0.04


@pytest.mark.parametrize(
    ("facts", "missing"), [(4, "5 facts that stay"), (9, "10 facts that stay"), (10, None)]
)
def test_linear_probes_of_few_facts_that_stay_say_what_is_missing(random_model, facts, missing):
    from behemoth.evaluate.linear_probes import probe_objects

    corpus = Corpus(World(facts + 4, 2, 10), exposures=2)
    request = bh.EditRequest(edits=4, distinct=False, relation=1, repeats=1, probes=1)
    plan = compile_plan(corpus, request)
    model = random_model(corpus.vocabulary_size)
    measured = MeasuredModel(Path("run"), None, plan, {}, lambda: model)
    measured.linear_probes = probe_objects(model, corpus, plan)
    if missing is None:
        assert linear_probe(measured, forgotten=False).count == 1
    else:
        with pytest.raises(MissingError, match=f"^{missing} of one of the relations"):
            linear_probe(measured, forgotten=False)
    if facts < 5:
        with pytest.raises(MissingError, match=r"^5 facts that stay"):
            linear_probe(measured, forgotten=True)
    else:
        assert linear_probe(measured, forgotten=True).count == 4


def test_facts_of_one_subject_are_resampled_together():
    """Two relations of the same subjects: half as many subjects as facts."""
    rows = [
        {"fact": fact, "link": False, "subject": fact // 2, "forgotten": forgotten, "layer": 1,
         "match": fact % 3 == 0}
        for forgotten, facts in ((True, range(8)), (False, range(8, 32)))
        for fact in facts
    ]  # fmt: skip
    measured = MeasuredModel(Path("run"), None, None, {}, lambda: None)
    measured.linear_probes = pl.DataFrame(rows)
    found = linear_probe(measured, forgotten=True)
    assert (found.value, found.count, found.over) == (3 / 8, 4, "subjects")
    assert found.low < found.value < found.high


def test_the_frame_of_linear_probes_states_subjects_and_exposures(random_model):
    from behemoth.evaluate.linear_probes import probe_objects

    corpus = Corpus(World(20, 2, 10), exposures=bh.Groups([2, 8]))
    plan = compile_plan(corpus, bh.EditRequest(edits=4, repeats=1, probes=1))
    frame = probe_objects(random_model(corpus.vocabulary_size), corpus, plan)
    world = corpus.world.facts_of(frame["fact"].to_numpy())
    assert frame["subject"].equals(world["subject"]) and not frame["link"].any()
    assert frame["exposures"].to_list() == corpus.exposures(frame["fact"].to_numpy()).tolist()
