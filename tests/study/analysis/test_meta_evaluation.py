"""Metrics of made-up models whose truth is known: what is told, ranked, fooled, and led astray."""

import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from behemoth.study.analysis.judged import JUDGED, Judged
from behemoth.study.analysis.meta_evaluation import QUESTIONS, READINGS, judge, readings
from behemoth.study.results import INDEX
from behemoth.study.schemas import SUITES

CLUSTERS = 5
# kl_twin_forget of four methods, each at two settings, from the trained model's 4 down to the twin.
FAR = {"a": (3.0, 2.5), "b": (2.0, 1.5), "c": (1.2, 0.8), "d": (0.4, 0.2)}


def drawn(measures, *, far=FAR, refusing=(), levels=(8,), clusters=CLUSTERS):
    """Readings: {measure: f(role, distance, cluster, level, label)}."""
    rows = []
    for cluster in range(clusters):
        for level in levels:
            arms = [("twin", "retrain", "retrain", 0.0), ("trained", "nothing", "nothing", 4.0)]
            arms += [
                ("method", method, f"{method}, {place}", distance)
                for method, distances in far.items()
                for place, distance in enumerate(distances)
            ]
            for role, method, label, distance in arms:
                values = {
                    "kl_twin_forget": distance,
                    "kl_twin_retain": distance / 10,
                    **{name: of(role, distance, cluster, level, label)
                       for name, of in measures.items()},
                }  # fmt: skip
                rows += [
                    {
                        "trial": f"{cluster}/{level}/{label}", "block": f"{cluster}/{level}",
                        "world_seed": cluster, "seed": cluster, "label": label, "method": method,
                        "role": role, "refuses": label in refusing, "exposures": level,
                        "measure": name, "value": value,
                    }
                    for name, value in values.items()
                ]  # fmt: skip
    return pl.DataFrame(rows, schema=READINGS)


def row(found, measure):
    return found.table.filter(measure=measure).row(0, named=True)


def test_a_measure_that_is_the_distance_is_right_and_its_opposite_is_wrong():
    found = judge(
        drawn({
            "forget_probability": lambda role, far, *_: far / 4,
            "truth_ratio": lambda role, far, *_: far,  # read as better the larger it is
        })
    )  # fmt: skip
    right, wrong = row(found, "forget_probability"), row(found, "truth_ratio")
    assert (right["area"], right["ranks"], right["doses"]) == (1, 1, 1)
    assert (wrong["area"], wrong["ranks"], wrong["doses"]) == (0, -1, -1)
    assert wrong["ranks_twin"] == 1  # held to the twin it is the distance again
    assert right["area_low"] > 0.6 and wrong["area_high"] < 0.4
    assert right["ranks_low"] is None and right["ranks_count"] == CLUSTERS
    levels = found.levels.filter(measure="forget_probability")
    assert levels.rows() == [("forget_probability", 8, 1.0, 1.0, 0.0, CLUSTERS)]


def test_what_forgets_too_much_is_seen_by_the_twin_alone():
    """Beyond the twin the value goes on to fall, and the distance grows again."""
    says = {"a": (0.5, 0.4), "b": (0.3, 0.05), "c": (0.0, 0.0), "d": (0.0, 0.0)}
    far = {name: tuple(abs(value - 0.3) for value in values) for name, values in says.items()}
    value = {f"{name}, {place}": own for name, pair in says.items()
             for place, own in enumerate(pair)}  # fmt: skip
    of = {"retrain": 0.3, "nothing": 0.9, **value}
    found = row(judge(drawn({"forget_recall": lambda *about: of[about[-1]]}, far=far)),
                "forget_recall")  # fmt: skip
    assert found["ranks_twin"] == pytest.approx(1) and found["ranks"] < 0.2


def test_doses_and_methods_are_different_questions():
    """Right between methods, and backwards within each."""
    order = {f"{name}, {place}": far[1 - place] for name, far in FAR.items() for place in (0, 1)}
    of = {"retrain": 0.0, "nothing": 4.0, **order}
    found = row(judge(drawn({"leak_at_8": lambda *about: of[about[-1]]})), "leak_at_8")
    assert found["ranks"] == 1 and found["doses"] == -1


def test_a_refusal_fools_what_asks_the_model_and_not_what_looks_inside():
    refusing = ("a, 0", "a, 1")
    found = judge(
        drawn(
            {
                "forget_recall": lambda role, far, cluster, level, label: (
                    0.0 if label in refusing else float(far > 1)
                ),
                "linear_probe": lambda role, far, *_: far / 4,
            },
            refusing=refusing,
        )
    )
    asked, inside = row(found, "forget_recall"), row(found, "linear_probe")
    assert asked["suppression"] == 1 and inside["suppression"] == 0
    assert asked["suppression_count"] == 2 * CLUSTERS
    assert row(found, "linear_probe")["relearning_count"] is None  # it was not measured


def test_what_comes_back():
    """Methods a and b are silent; a relearns at once, b is said again once rounded."""
    found = judge(
        drawn({
            "forget_recall": lambda role, far, *_: float(role == "trained"),
            "relearning_steps": lambda role, far, cluster, level, label: (
                0.0 if role == "trained" else 3.0 if label[0] == "a" else math.inf
            ),
            "recall_8_bit": lambda role, far, *_: float(role == "trained"),
            "recall_4_bit": lambda role, far, cluster, level, label: float(
                role == "trained" or label[0] == "b"
            ),
        })
    )  # fmt: skip
    recall, steps = row(found, "forget_recall"), row(found, "relearning_steps")
    assert (recall["relearning"], recall["relearning_count"]) == (1, 2 * CLUSTERS)
    assert (recall["rounding"], recall["rounding_count"]) == (1, 2 * CLUSTERS)
    assert steps["relearning"] == 0 and steps["rounding"] == 1
    assert steps["area"] == 1  # never is later than at once
    # Held to a twin to which it never comes, later is nearer: b, c and d before a, the farthest.
    assert steps["ranks_twin"] == steps["ranks"] > 0


def test_a_model_that_still_says_facts_is_not_silent_and_faster_is_fewer_steps():
    """Of 12 facts the twin says one by chance, method a four and method b one."""
    steps = {"trained": 0.0, "twin": 40.0}
    found = row(
        judge(drawn({
            "forget_recall": lambda role, far, cluster, level, label: (
                1.0 if role == "trained" else 4 / 12 if label[0] == "a" else 1 / 12
            ),
            "relearning_steps": lambda role, far, cluster, level, label: (
                steps.get(role, {"a": 2.0, "b": 30.0}.get(label[0], 40.0))
            ),
            "recall_8_bit": lambda role, *_: 1.0 if role == "trained" else 0.9
            if role == "method" else 0.0,
        })),
        "forget_recall",
    )  # fmt: skip
    # Method b alone; its 30 steps are nearer the twin's 40 than the trained model's 0.
    assert (found["relearning"], found["relearning_count"]) == (1, 2 * CLUSTERS)
    assert found["rounding_count"] == 6 * CLUSTERS  # all but a


def test_frequency_is_a_slope_of_the_twin_in_gaps():
    """The twin's probability grows by 0.05 a doubling, and the trained model's is 1 above 0."""
    judged = judge(drawn(
        {"forget_probability": lambda role, far, cluster, level, label: (
            0.05 * math.log2(level) + (1.0 if role == "trained" else 0.0) + 1e-6 * cluster
        )},
        levels=(4, 16, 64),
    ))  # fmt: skip
    found = row(judged, "forget_probability")
    # A value is of all plans of a cluster, and so of no block.
    own = judged.parts.filter(question="frequency")
    assert own.height == CLUSTERS and own["block"].null_count() == CLUSTERS
    assert judged.parts.filter(pl.col("question") != "frequency")["block"].null_count() == 0
    assert found["frequency"] == pytest.approx(0.05) and found["frequency_count"] == CLUSTERS


@pytest.mark.parametrize("measure", ["truth_ratio", "membership_loss", "forget_probability"])
def test_frequency_has_the_sign_of_the_value_whichever_way_is_better(measure):
    """The twin's value falls by 0.05 a doubling, from 0.4; the trained model's is 1 above."""
    found = row(judge(drawn(
        {measure: lambda role, far, cluster, level, label: (
            0.4 - 0.05 * math.log2(level) + (1.0 if role == "trained" else 0.0)
        )},
        levels=(4, 16, 64),
    )), measure)  # fmt: skip
    assert found["frequency"] == pytest.approx(-0.05)


def test_a_slope_of_rounding_errors_is_0():
    found = row(judge(drawn(
        {"parameters_twin": lambda role, far, cluster, level, label: (
            (1e-9 + cluster * 1e-10) * math.log2(level) + (1.0 if role == "trained" else 0.0)
        )},
        levels=(4, 64),
    )), "parameters_twin")  # fmt: skip
    assert found["frequency"] == 0 and found["frequency_low"] is None


def test_a_measure_of_nothing_raises_no_more_false_alarms_than_it_may():
    """Values without any relation to the distance: intervals of tau leave 0 out 1 time in 20."""
    generator = np.random.default_rng(3)
    names = [name for name, judged in JUDGED.items() if judged.about == "forgetting"]
    false, tried = 0, 0
    for _ in range(12):
        noise = {name: lambda *_: generator.random() for name in names}
        # Distances are drawn anew, too: measures of one draw share them.
        far = {name: tuple(generator.uniform(0, 4, 2)) for name in FAR}
        table = judge(drawn(noise, far=far)).table
        for question in ("ranks", "ranks_twin"):
            clear = (table[f"{question}_low"] > 0) | (table[f"{question}_high"] < 0)
            false, tried = false + int(clear.sum()), tried + table.height
    assert 0 < false / tried < 0.1  # of 240, which share distances ten by ten


def test_one_cluster_and_no_reading():
    single = row(judge(drawn({"forget_recall": lambda role, far, *_: far}, clusters=1)),
                 "forget_recall")  # fmt: skip
    assert single["ranks"] == 1 and single["ranks_low"] is None and single["area_low"] is None
    nothing = judge(pl.DataFrame(schema=READINGS))
    assert nothing.table.is_empty()
    assert {f"{name}_count" for name in QUESTIONS} <= set(nothing.table.columns)


@pytest.mark.parametrize(
    ("judged", "value", "said"),
    [
        (Judged("forgetting"), 0.3, True),  # of 1 trained and 0 twin
        (Judged("forgetting"), 0.7, False),
        (Judged("forgetting"), -5.0, True),
        (Judged("forgetting", "more"), 0.3, True),
        (Judged("privacy", "half"), 0.4, None),  # 0 and 1 are as far from a half
        (Judged("twin", "less", passes=0.05), 0.06, False),
        (Judged("forgetting"), math.nan, None),
    ],
)
def test_what_is_called_forgotten(judged, value, said):
    assert judged.forgotten(value, 1.0, 0.0) is said


def test_what_never_comes_back_is_called_forgotten():
    steps = Judged("undoing", "more")
    assert steps.forgotten(math.inf, 0.0, math.inf) is True
    assert steps.forgotten(30.0, 0.0, math.inf) is False
    assert steps.forgotten(math.inf, 0.0, 4.0) is True
    assert steps.forgotten(1.0, 2.0, 2.0) is None


def results_of(trials):
    """Frames of trials: {label: (family, norm, share of refusals, exposures of its facts)}."""
    index = [{**dict.fromkeys(INDEX), "trial": label, "label": label, "method": label,
              "family": family, "world_seed": 7, "seed": 8}
             for label, (family, *_) in trials.items()]  # fmt: skip
    suites = [
        {**row, **dict.fromkeys(SUITES), "suite": suite, "measure": measure, "value": value}
        for row in index
        for suite, measure, value in (
            ("unlearning", "forget_recall", 0.5), ("unlearning", "linear_probe", None),
            ("editing", "efficacy", 1.0),
        )
    ]  # fmt: skip
    edits = [
        {"trial": label, "norm": norm, "exposures": level,
         "new_object": 3 if label == "remapped" else None}
        for label, (_, norm, _, levels) in trials.items()
        for level in levels
    ]  # fmt: skip
    probes = [
        {"trial": label, "group": group, "stage": stage,
         "log_probability_true": math.log(refusals * said / 4 + 1e-9),
         "log_probability_old": math.log(0.3)}
        for label, (_, _, refusals, _) in trials.items()
        for group, stage, said in (
            ("edited", "after", 4), ("edited", "before", 0), ("retain", "after", 4),
        )
    ]  # fmt: skip
    return SimpleNamespace(
        suites=pl.LazyFrame(suites, schema={**INDEX, **SUITES}, orient="row"),
        edits=pl.LazyFrame(edits),
        probes=pl.LazyFrame(probes),
        about=SimpleNamespace(
            trials=[SimpleNamespace(id=label, model="m", plan="p") for label in trials]
        ),
    )


def test_parts_are_read_from_what_was_done():
    found = readings(
        results_of({
            "retrain": ("oracle", 5.0, 0.0, (16, 16)),
            "nothing": ("unlearning", 1e-28, 0.0, (16, 16)),
            "polite": ("foreign", 2.0, 0.5, (16, 64)),
            "rude": ("unlearning", 2.0, 0.25, (16, 16)),
            # Its right answer is a new object, which is no refusal.
            "remapped": ("fine-tuning", 2.0, 0.5, (16, 16)),
        })
    )  # fmt: skip
    assert found.columns == list(READINGS)
    recall = found.filter(measure="forget_recall")
    parts = {row["label"]: (row["role"], row["refuses"], row["exposures"], row["block"])
             for row in recall.iter_rows(named=True)}  # fmt: skip
    assert parts == {
        "retrain": ("twin", False, 16, "m/p"), "nothing": ("trained", False, 16, "m/p"),
        "polite": ("method", True, None, "m/p"), "rude": ("method", False, 16, "m/p"),
        "remapped": ("method", False, 16, "m/p"),
    }  # fmt: skip
    # One trial without a change is that of a method still.
    some = results_of({"npo": ("unlearning", 2.0, 0.0, (16,)), "again": ("unlearning", 0.0, 0.0,
                       (16,)), "still": ("unlearning", 0.0, 0.0, (16,))})  # fmt: skip
    some.suites = some.suites.with_columns(pl.col("label").replace("again", "npo"))
    roles = readings(some).filter(measure="forget_recall").select("trial", "role")
    assert dict(roles.iter_rows()) == {"npo": "method", "again": "method", "still": "trained"}
    # What could not be taken is no reading, nor what another suite says.
    assert not {"linear_probe", "efficacy"} & set(found["measure"])
