import math

import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.evaluate.aggregate import aggregate
from behemoth.evaluate.metrics import METRICS, get_metric
from behemoth.evaluate.schema import SCHEMA
from behemoth.plan.groups import GROUPS

DEFAULTS = {
    "run": "r", "plan": "p", "edit": 0, "method": "lora", "world": "w", "seed": 0,
    "stage": "after", "probe": 0, "group": "edited", "must_change": False, "fact": 0,
    "log_probability_old": math.log(0.25), "log_probability_true": math.log(0.25),
    "log_probability_new": math.log(0.25), "exact_match": False, "old_match": False,
    "valid_object": True, "leaked": False, "extraction_strength": 0.0, "kl": 0.0, "known": True,
}  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore:.*no rows")


def frame_of(*rows):
    full = [dict.fromkeys(SCHEMA) | DEFAULTS | row for row in rows]
    return pl.DataFrame(full, schema=SCHEMA)


def test_a_failed_edit_is_no_success_and_not_harmless():
    """Its rows are of the unedited model, which may find the new object likelier by chance."""
    made = {"edit": 0, "must_change": True, "exact_match": True, "log_probability_true": -0.1}
    failed = made | {"edit": 1, "failure": "loss nan at step 3"}
    for name, group in (("efficacy", "edited"), ("exact_efficacy", "edited"),
                        ("paraphrase", "edited_held_out"), ("exact_portability", "subject_nested"),
                        ("exact_generalization", "edited_question")):  # fmt: skip
        frame = frame_of(made | {"group": group}, failed | {"group": group})
        assert value(frame, name) == 0.5, name
        assert value(frame.with_columns(stage=pl.lit("before")), name) == 1.0, name
    lost = {"edit": 0, "group": "same_relation", "log_probability_old": -9.0, "kl": 3.0,
            "leaked": True, "valid_object": False}  # fmt: skip
    kept = {"edit": 1, "group": "same_relation", "log_probability_old": -0.1, "exact_match": True,
            "failure": "loss nan at step 3"}  # fmt: skip
    for name, wanted in (("neighbourhood", 0.0), ("exact_specificity", 0.0), ("leakage", 1.0),
                         ("validity", 0.0), ("kl", 3.0)):  # fmt: skip
        frame = frame_of(lost, kept)
        assert value(frame, name) == wanted, name
        # The numbers before are over the same facts.
        assert value(frame.with_columns(stage=pl.lit("before")), name) == wanted, name
        assert value(frame_of(kept), name) is None, name


def test_a_score_is_0_where_all_edits_failed_and_missing_where_nothing_was_asked():
    failed = {"edit": 0, "must_change": True, "exact_match": True, "log_probability_true": -0.1,
              "failure": "loss nan at step 3"}  # fmt: skip
    asked = [failed | {"group": group}
             for group in ("edited", "edited_held_out", "edited_question")]  # fmt: skip
    near = {"edit": 0, "group": "same_relation", "exact_match": True, "log_probability_old": -0.1}
    there = frame_of(*asked, near | {"failure": failed["failure"]})
    for name in ("score", "exact_score"):
        assert value(there, name) == 0.0, name
        assert value(frame_of(*asked), name) is None, name
        assert value(there.filter(group="same_relation"), name) is None, name
        # Edits of which some were made, and had success, but not those with neighbours.
        made = frame_of(*({**row, "edit": 1, "failure": None} for row in asked))
        assert value(pl.concat([there, made]), name) is None, name


def value(frame, name, **options):
    rows = aggregate(frame, [name], filters=("all",), resamples=1, **options)
    return rows["value"].item() if len(rows) else None


def test_names_and_versions():
    assert all(metric.name == name for name, metric in METRICS.items())
    assert all(metric.version >= 1 and metric.meaning for metric in METRICS.values())
    with pytest.raises(ArgumentError, match="argument 'metrics': got rouge, allowed: efficacy, "):
        get_metric("rouge")


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (0.6, 0.1, 1.0),
        (0.1, 0.6, 0.0),
        (0.3, 0.3, 0.0),
        (math.nan, 0.1, 0.0),
        (0.1, math.nan, 0.0),
        (0.0, 0.0, 0.0),
    ],
    ids=["more likely", "less likely", "tie", "new no number", "old no number", "both impossible"],
)
def test_efficacy_gives_no_credit_to_what_is_not_more_likely(new, old, expected):
    logs = [math.log(p) if p > 0 else (p if math.isnan(p) else -math.inf) for p in (new, old)]
    row = {"must_change": True, "log_probability_true": logs[0], "log_probability_old": logs[1]}
    assert value(frame_of(row), "efficacy") == expected
    paraphrase = frame_of({**row, "group": "edited_held_out"})
    assert value(paraphrase, "paraphrase") == expected
    neighbour = {
        "group": "same_object", "log_probability_old": logs[0], "log_probability_new": logs[1],
    }  # fmt: skip
    assert value(frame_of(neighbour), "neighbourhood") == expected


def test_magnitudes_and_the_score():
    frame = frame_of(
        {"must_change": True, "log_probability_true": math.log(0.75)},
        {"must_change": True, "group": "edited_paraphrase", "log_probability_true": math.log(0.5)},
        {"must_change": True, "group": "edited_held_out", "log_probability_true": math.log(0.1)},
        {"group": "same_object", "log_probability_new": math.log(0.05)},
    )
    assert value(frame, "efficacy_magnitude") == pytest.approx(0.5)
    assert value(frame, "paraphrase_magnitude") == pytest.approx(((0.5 - 0.25) + (0.1 - 0.25)) / 2)
    assert value(frame, "neighbourhood_magnitude") == pytest.approx(0.2)
    assert value(frame, "paraphrase") == 0.5
    # Of 1, 0.5 and 1.
    assert value(frame, "score") == pytest.approx(3 / (1 + 2 + 1))
    # One part at 0 makes it 0; a part without rows makes it nothing.
    assert value(frame_of({"must_change": True}, *rows_of(frame)[1:]), "score") == 0.0
    assert value(frame_of(*rows_of(frame)[:3]), "score") is None


def rows_of(frame):
    return list(frame.iter_rows(named=True))


def test_neighbours_that_the_edit_moves_do_not_count():
    frame = frame_of(
        {"group": "same_object", "must_change": True},
        {"group": "unrelated", "log_probability_old": 0.0},
    )
    assert value(frame, "neighbourhood") is None
    assert value(frame, "exact_specificity") == 0.0


def test_leakage_counts_where_there_is_an_object_to_leak():
    frame = frame_of(
        {"group": "unrelated", "leaked": True},
        {"group": "unrelated", "leaked": False},
        {"group": "retain", "leaked": None},
        {"group": "edited", "leaked": True, "must_change": True},
    )
    assert value(frame, "leakage") == 0.5
    assert value(frame, "leakage_unrelated") == 0.5


def test_truth_ratio():
    frame = frame_of(
        {"group": "edited_paraphrase", "log_probability_wrong": math.log(0.05)},
        {"group": "edited_paraphrase", "log_probability_wrong": None},
    )
    assert value(frame, "truth_ratio") == pytest.approx(0.2)


def test_model_utility_is_harmonic_over_groups_that_are_there():
    frame = frame_of(
        {"group": "retain", "log_probability_true": math.log(0.5), "exact_match": True},
        {"group": "unrelated", "log_probability_true": math.log(0.25), "exact_match": True},
    )
    assert value(frame, "model_utility") == pytest.approx(4 / (2 + 1 + 4 + 1))
    frame = frame_of(
        {"group": "retain", "exact_match": True}, {"group": "unrelated", "exact_match": False}
    )
    assert value(frame, "model_utility") == 0.0


KEPT = {"same_object", "same_relation", "same_subject", "unrelated", "correlated_kept",
        "object_nested", "new_object_nested", "subject_nested", "retain"}  # fmt: skip
FOLLOWING = {"subject_nested", "correlated_followed", "implicit_remap"}
REWORDED = {"edited_paraphrase", "edited_held_out", "edited_question"}


def test_metrics_are_over_their_groups():
    """Facts that keep their answers, those that follow, and other wordings of the edited one."""
    rows = [{"group": group, "must_change": changes} for group in GROUPS
            for changes in (False, True)]  # fmt: skip
    wanted = {
        "exact_efficacy": ({"edited"}, {"edited"}),
        "exact_generalization": (REWORDED, REWORDED),
        **dict.fromkeys(("exact_specificity", "leakage", "validity", "kl"), (KEPT, set())),
        "leakage_unrelated": ({"unrelated", "retain"}, set()),
        "exact_portability": (set(), FOLLOWING),
        "forget_recall": ({"forget"}, {"forget"}),
    }
    frame = frame_of(*rows)
    for name, (stay, change) in wanted.items():
        [part] = METRICS[name].parts
        counted = frame.filter(part.condition)
        for changes, groups in ((False, stay), (True, change)):
            assert set(counted.filter(must_change=changes)["group"]) == groups, (name, changes)
