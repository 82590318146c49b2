"""Suite editing: levels of bystanders' exposures, and portability of facts known before."""

from types import SimpleNamespace

import polars as pl
import pytest
import torch

from behemoth.delta.delta import EditDelta
from behemoth.evaluate import SUITES
from behemoth.evaluate.metrics import failed
from behemoth.evaluate.suites import editing
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.suite import MissingError

AFTER = (pl.lit("after").alias("stage"), pl.lit(None, pl.String).alias("failure"))


def measures(measured):
    return {measure.name: measure for measure in SUITES["editing"].measures(measured)}


def measured_of(exposures, rows=None):
    probes = pl.DataFrame({"group": ["unrelated"] * len(exposures), "exposures": exposures})

    def mean(rows, value, what, *, made=False):
        rows = rows.filter(~failed()) if made else rows
        if rows.is_empty():
            raise MissingError(what)
        return rows.select(value.mean()).item()

    return SimpleNamespace(
        plan=SimpleNamespace(probes=probes), rows=rows, deltas={None: ...}, mean=mean,
        known_before=lambda rows: rows.filter("known"),
    )  # fmt: skip


def test_levels_beyond_sixteen_are_ranges_that_trials_omit():
    few, many = measures(measured_of([0, 1, 4])), measures(measured_of(list(range(20))))
    prefix = "damage_exposures_"
    assert [name for name in few if name.startswith(prefix)] == [f"{prefix}1", f"{prefix}4"]
    names = [name for name in many if name.startswith(prefix)]
    assert names == [
        f"{prefix}{level}" for level in ("1", "2_to_3", "4_to_7", "8_to_15", "16_to_31")
    ]
    assert not any(many[name].in_trials for name in names)
    assert few[f"{prefix}1"].in_trials and few[f"{prefix}4"].in_trials


def test_damage_of_a_range_is_that_of_its_facts():
    exposures = list(range(20))
    rows = pl.DataFrame(
        {
            "group": ["unrelated"] * 20, "exposures": exposures, "known": [True] * 20,
            "must_change": [False] * 20, "exact_match": [each not in (4, 7) for each in exposures],
        }
    ).with_columns(AFTER)  # fmt: skip
    measured = measured_of(exposures, rows)
    found = measures(measured)
    assert found["damage_exposures_4_to_7"].find(measured) == 0.5
    assert found["damage_exposures_2_to_3"].find(measured) == 0.0


def test_portability_of_facts_known_before():
    rows = pl.DataFrame(
        {
            "group": ["subject_nested"] * 4, "must_change": [True, True, True, False],
            "known": [True, True, False, True], "exact_match": [True, False, False, True],
        }
    ).with_columns(AFTER)  # fmt: skip
    measured = measured_of([1], rows)
    found = measures(measured)
    assert found["portability_subject_nested"].find(measured) == pytest.approx(1 / 3)
    assert found["portability_subject_nested_if_known"].find(measured) == 0.5
    with pytest.raises(MissingError):
        found["portability_implicit_remap_if_known"].find(measured)


def test_without_an_edit_no_fact_was_known_before_one():
    """Among facts whose old answer a model still gives, no edit of it has succeeded."""
    rows = pl.DataFrame({"known": [True, False]})

    def model(deltas, together=None):
        return MeasuredModel(None, None, None, deltas, None, frame=rows, together=together)

    for group in ("subject_nested", "inverse"):
        find = measures(measured_of([1]))[f"portability_{group}_if_known"].find
        alone = model({})
        alone.frame = rows.with_columns(stage=pl.lit("before"), group=pl.lit(group),
                                        must_change=pl.lit(value=True))  # fmt: skip
        alone.inverse = alone.frame
        with pytest.raises(MissingError, match="an edit: this is"):
            find(alone)
    # The unedited model has its own number beside an edit.
    for own in (model({0: ...}), model({None: ...}), model({}, together=False)):
        assert own.known_before(rows).height == 1


def test_the_dose_of_the_editing_suite_is_of_new_answers():
    """Unlearning has doses of another kind, not numbers of steps to p(new) > p(old)."""
    held = {"log_probability_new": -1.0, "log_probability_other": -1.0, "log_probability_old": -2.0}
    trace = [{"step": step, **held} for step in range(8)]
    plan = SimpleNamespace(
        edits=pl.DataFrame({"edit": [0], "fact": [1], "exposures": [1], "new_object": [2]})
    )
    benches = {
        name: SimpleNamespace(deltas={0: EditDelta({}, name, {}, "", 0, trace=trace)}, plan=plan)
        for name in ("ft", "npo")
    }
    assert editing._dose(benches["ft"]).value == 0.0
    with pytest.raises(MissingError, match="doses of new answers"):
        editing._dose(benches["npo"])


def test_a_norm_is_that_of_all_changes_relative_to_all_that_was_changed():
    """Changes of norm 3 and 4 of matrices of norm 2 and 4: 5 of the root of 20."""
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2, bias=False) for _ in range(3)))
    with torch.no_grad():
        for number, module in enumerate(model):
            module.weight.fill_(number + 1)
    rows = pl.DataFrame({"edit": [0, 0, 1], "parameter": ["0.weight", "1.weight", "2.weight"],
                         "norm": [3.0, 4.0, 6.0]})  # fmt: skip
    single = editing._norm(SimpleNamespace(model=model, geometry=rows.filter(edit=0)))
    assert single.value == pytest.approx(5 / 20**0.5) and single.count == 1
    both = editing._norm(SimpleNamespace(model=model, geometry=rows))
    assert both.value == pytest.approx((5 / 20**0.5 + 1) / 2) and both.count == 2


def test_the_dose_is_the_median_over_edits():
    def delta(steps):
        trace = [{"step": step, "log_probability_new": float(step >= steps),
                  "log_probability_old": 0.5} for step in range(20)]  # fmt: skip
        return EditDelta({}, "ft", {}, "", 0, trace=trace)

    plan = SimpleNamespace(
        edits=pl.DataFrame({"edit": [0, 1, 2], "fact": [5, 6, 7], "exposures": 1, "new_object": 2})
    )
    deltas = {edit: delta(steps) for edit, steps in enumerate((1, 2, 9))}
    found = editing._dose(SimpleNamespace(deltas=deltas, plan=plan))
    assert (found.value, found.low, found.high, found.count) == (2.0, 1.0, 9.0, 3)
    never = SimpleNamespace(deltas={**deltas, 2: delta(30)}, plan=plan)
    with pytest.raises(MissingError, match="edits that all got there: 1 of 3 did not"):
        editing._dose(never)
