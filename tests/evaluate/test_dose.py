import math

import numpy as np
import polars as pl
import pytest

import behemoth as bh
from behemoth import ArgumentError
from behemoth.delta.delta import EditDelta
from behemoth.evaluate import dose
from behemoth.evaluate.dose import doses, doses_of, ed50, first_dose, shortfall


def trace_of(differences):
    return [
        {"step": step, "loss": 1.0, "log_probability_new": d, "log_probability_old": 0.0}
        for step, d in enumerate(differences)
    ]


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([-2, -1, 0, 1, 2, 2, 2], (3, True, 2, 3)),
        ([1, 1, 1, 1], (0, True, None, 0)),
        ([-1, 1, 1, -1, 1, 1, 1, 1, 1], (4, True, 3, 5)),  # undone once
        ([-1, -1, -1, -1, 1, 1, 1], (3, False, 3, 3)),  # cannot be seen to hold
        ([-1, -1, -1, -1, -1, 1, -1], (3, False, 3, 3)),
        ([-1, math.nan, 1, 1, 1, math.nan], (2, False, 2, 2)),
        ([1, 1], (0, True, None, 0)),
        ([-1, 1, 1], (0, False, 0, 0)),
        ([], None),
    ],
)
def test_the_first_dose_that_holds(differences, expected):
    assert first_dose(trace_of(differences)) == expected


def test_every_trace_of_a_length_is_censored_at_the_same_step():
    random = np.random.default_rng(0)
    for _ in range(200):
        found = first_dose(trace_of(random.normal(size=12)))
        assert found.limit == 8 and found.dose <= 8
        assert (found.dose == found.low == 8) if not found.reached else found.low != found.dose


def test_what_a_method_ended_goes_on_as_it_ended():
    trace = trace_of([-1, -1, -1, 1])
    assert first_dose(trace) == (0, False, 0, 0)
    trace[-1]["stopped"] = True
    assert first_dose(trace) == (3, True, 2, 3)


def test_a_dose_lies_between_the_steps_that_were_looked_at():
    looked = [row for row in trace_of([-1] * 5 + [1] * 20) if row["step"] % 4 == 0]
    assert first_dose(looked) == (8, True, 4, 12)
    assert first_dose(trace_of([-1, 1, -1, 1]), hold=0) == (1, True, 0, 3)


def test_a_trace_without_probabilities_has_no_dose():
    assert first_dose([{"step": 0, "loss": 1.0}]) is None


def test_doses_of_deltas():
    class Plan:
        edits = pl.DataFrame(
            {"edit": [0, 1, 2], "fact": [10, 11, 12], "exposures": [1, 4, 4], "new_object": [5] * 3}
        )

    deltas = {
        0: EditDelta({}, "m", {}, "", 0, trace=trace_of([-1, 1, 1, 1, 1])),
        1: EditDelta({}, "m", {}, "", 0, trace=trace_of([-1] * 5)),
        2: EditDelta({}, "m", {}, "", 0, failure="loss nan at step 0"),
    }
    # A trace may have flipped before its edit broke down, which is empty then.
    lost = EditDelta({}, "m", {}, "", 0, failure="nan", trace=trace_of([-1, 1, 1, 1, 1]))
    assert doses_of({0: lost}, Plan()).row(0)[-2:] == (False, "nan")
    # It is censored where the others are, not at its flip.
    early = EditDelta({}, "m", {}, "", 0, failure="nan", trace=trace_of([-1, 1, 1, 1, 1, 1, 1, 1]))
    none = EditDelta({}, "m", {}, "", 0, trace=trace_of([-1] * 8))
    at = [doses_of({0: one}, Plan()).row(0)[4:7] for one in (early, none)]
    assert at[0] == at[1] and at[0][0] > 1 and at[0][2] is False
    assert doses_of(deltas, Plan()).rows() == [
        (0, 10, 1, "flip", 1, 0, True, None),
        (1, 11, 4, "flip", 1, 1, False, None),
        (2, 12, 4, "flip", None, None, None, "loss nan at step 0"),
    ]
    batch = doses_of({None: deltas[0]}, Plan()).row(0)
    assert batch == (None, None, None, "flip", 1, 0, True, None)


@pytest.mark.parametrize("single", [True, False])
def test_doses_are_of_the_plan_of_the_deltas(edited_run, tmp_path, single):
    run, _, plan, _ = edited_run
    settings = {"steps": 2}
    made = bh.edit(run, plan, "ft", tmp_path / "edit", settings=settings, single=single)
    deltas = bh.load(tmp_path / "edit").deltas(changes=False)
    frame = doses(deltas, plan.save(tmp_path / "plan"))
    assert frame.equals(doses_of(deltas, plan)) and len(frame) == (6 if single else 1)
    others = [bh.plan(run, edits=6, repeats=2, probes=3, seed=1), plan.take([0, 1])]
    for other in others:
        with pytest.raises(ArgumentError, match=r"'plan': got plan .*, allowed: that of the d"):
            doses(deltas, other)
        with pytest.raises(ArgumentError, match=r"argument 'plan': got plan .*, allowed: the edit"):
            shortfall(made.record, other)
    first = next(iter(deltas.values()))
    for wrong in (made.record, made, {0: None}, [deltas], first):
        with pytest.raises(ArgumentError, match=r"argument 'deltas': got an object of .*, allowed"):
            doses(wrong, plan)
    whole = bh.edit(run, plan, "ft", tmp_path / "whole", settings=settings)
    with pytest.raises(ArgumentError, match=r"argument 'deltas': got edit 6, allowed: the 6 edits"):
        doses({6: whole.record.deltas()[None]}, plan)


def test_the_dose_of_unlearning_is_where_the_old_answer_is_lost():
    class Plan:
        edits = pl.DataFrame({"edit": [0], "fact": [10], "exposures": [1], "new_object": [5]})

    # The new answer never becomes likelier than the old one; another token does, after two steps.
    trace = [
        {**row, "log_probability_other": other}
        for row, other in zip(trace_of([-1] * 8), [-9.0] * 2 + [9.0] * 6, strict=True)
    ]
    found = {
        method: doses_of({0: EditDelta({}, method, {}, "", 0, trace=trace)}, Plan()).row(0)[3:7]
        for method in ("npo", "ft", "rome")
    }
    assert found["npo"] == ("forget", 2, 1, True)
    assert found["ft"] == ("flip", 4, 4, False)
    assert found["rome"] == ("flip", None, None, None)


@pytest.mark.parametrize("empty", [False, True])
def test_without_columns_all_edits_are_one_group(empty):
    frame = pl.DataFrame({"exposures": [1, 4, 4], "dose": [1, 2, 5], "reached": [True] * 3})
    frame = frame.head(0) if empty else frame
    assert ed50(frame, by=[])["ed50"].to_list() == ([] if empty else [2.0])
    assert ed50(frame, by="exposures").equals(ed50(frame, by=["exposures"]))


# Remission of leukaemia with 6-MP, in weeks (Freireich et al., 1963), the textbooks' example.
WEEKS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35])
ENDED = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], bool)


def test_kaplan_and_meier_of_the_textbook():
    times, events, risk = dose._counts(WEEKS, ENDED, np.zeros(len(WEEKS), np.int64), 1)
    survival = dose._survival(events, risk)[0]
    assert times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    np.testing.assert_allclose(
        survival, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4
    )


def frame_of(dose, reached, **columns):
    frame = pl.DataFrame({"dose": dose, "reached": reached, "exposures": [4] * len(dose)})
    return frame.with_columns(**{name: pl.Series(value) for name, value in columns.items()})


def test_the_median_of_the_textbook():
    row = ed50(frame_of(WEEKS, ENDED)).row(0, named=True)
    assert row["ed50"] == 23
    assert not row["censored"]
    assert (row["edits"], row["reached"], row["beyond"]) == (21, 9, 35)
    assert (row["low"], row["high"], row["clusters"]) == (None, None, 1)
    # A quarter of the patients: the first week with 0.753 or fewer left is 13.
    assert ed50(frame_of(WEEKS, ENDED), quantile=0.25)["ed50"].item() == 13


def test_without_censoring_it_is_the_median():
    for count in (1, 5, 101):
        dose = np.random.default_rng(0).permutation(count)
        assert ed50(frame_of(dose, [True] * count))["ed50"].item() == (count - 1) // 2


def test_half_is_reached_by_exactly_half():
    assert ed50(frame_of([1, 2, 9, 9], [True, True, False, False]))["ed50"].item() == 2


def test_what_is_not_reached_is_reported_as_censored():
    for reached in ([False] * 4, [True, False, False, False]):
        row = ed50(frame_of([3, 20, 20, 20], reached)).row(0, named=True)
        assert row["ed50"] is None
        assert row["censored"]
        assert row["beyond"] == 20


def test_leaving_the_censored_out_would_make_it_look_easy():
    dose, reached = [1, 2, 3, 40, 40, 40], [True, True, True, False, False, True]
    assert ed50(frame_of(dose, reached))["ed50"].item() == 3
    assert np.median([1, 2, 3, 40]) == 2.5


def test_intervals_draw_whole_models():
    dose = np.repeat([5, 5, 5, 15, 15, 15], 20)
    frame = frame_of(dose, [True] * 120, world=np.repeat(list("aabbcc"), 20),
                     seed=np.repeat([0, 1, 0, 1, 0, 1], 20))  # fmt: skip
    row = ed50(frame).row(0, named=True)
    assert (row["clusters"], row["ed50"], row["low"], row["high"]) == (6, 5, 5, 15)
    # Where models in half of the draws never get there, the interval has no end.
    frame = frame.with_columns(reached=pl.col("dose") < 10)
    row = ed50(frame).row(0, named=True)
    assert row["ed50"] == 5
    assert row["high"] == math.inf


@pytest.mark.parametrize("reached", [True, False])
def test_models_that_all_agree_have_no_interval(reached):
    """A dose of 5 in each of six models would otherwise be 5 (5 to 5), as if it were certain."""
    frame = frame_of([5] * 120, [reached] * 120, world=np.repeat(list("aabbcc"), 20),
                     seed=np.repeat([0, 1, 0, 1, 0, 1], 20))  # fmt: skip
    row = ed50(frame).row(0, named=True)
    assert (row["clusters"], row["censored"]) == (6, not reached)
    assert (row["low"], row["high"]) == (None, None)


def test_levels_are_kept_apart_and_sorted():
    frame = pl.DataFrame(
        {"dose": [1, 9, None], "reached": [True, True, None], "exposures": [64, 4, 4]}
    )
    assert ed50(frame).select("exposures", "ed50", "edits").rows() == [(4, 9.0, 1), (64, 1.0, 1)]


def test_errors():
    with pytest.raises(ArgumentError, match="argument 'by': got nothing, allowed: dose, reached"):
        ed50(frame_of([1], [True]), by=["nothing"])
    with pytest.raises(ArgumentError, match="argument 'quantile': got 0, allowed: between 0 and 1"):
        ed50(frame_of([1], [True]), quantile=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"level": 95}, "argument 'level': got 95, allowed: between 0 and 1"),
        ({"resamples": 0}, "argument 'resamples': got 0, allowed: a whole number from 1"),
        ({"seed": -1}, "argument 'seed': got -1, allowed: a whole number from 0"),
    ],
)
def test_a_bootstrap_that_cannot_be_drawn_is_refused(wrong, message):
    frame = pl.DataFrame({"dose": [1, 2], "reached": True, "world": ["a", "b"], "seed": 0})
    with pytest.raises(ArgumentError, match=message):
        ed50(frame, by=(), **wrong)
    with pytest.raises(ArgumentError, match="argument 'frame': got one without dose, allowed"):
        ed50(frame.drop("dose"), by=())
