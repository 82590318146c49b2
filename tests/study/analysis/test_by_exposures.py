"""Measures of a board by exposures of the edited facts: those of the suite, over fewer edits."""

import numpy as np
import polars as pl
import pytest

from behemoth.evaluate.aggregate import aggregate
from behemoth.evaluate.damage import BYSTANDERS, damage
from behemoth.study.analysis import by_exposures as module
from behemoth.study.analysis.by_exposures import LEVELS, by_exposures
from behemoth.study.analysis.leaderboard import boards
from behemoth.study.results import INDEX
from behemoth.study.schemas import PROBES, SUITES

GROUPS = ("edited", "edited_paraphrase", "edited_held_out", "same_object", "same_relation",
          "same_subject", "unrelated", "forget")  # fmt: skip
BASE = {"suite": "editing", "edits": 4, "count": 4, "over": "subjects", "version": 1}


def suites_of(trials, suite="editing", measure="efficacy", **columns):
    """Suites with one measure: {trial: (label, family, world seed)}."""
    rows = [
        {**dict.fromkeys(INDEX), **dict.fromkeys(SUITES), **BASE, "suite": suite,
         "measure": measure, "value": 0.5, "trial": trial, "label": label, "family": family,
         "model": f"m{seed}", "world_seed": seed, "seed": 0, **columns}
        for trial, (label, family, seed) in trials.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema={**INDEX, **SUITES})


def probes_of(trial, levels, *, seed=0, plan="p", per_group=3, **columns):
    """Drawn probes of a trial whose edits are of facts with these exposures, in order."""
    random = np.random.default_rng(seed)
    rows = []
    for edit, exposures in enumerate(levels):
        for group in GROUPS:
            # Some edits have fewer probes: a mean over edits is no mean over rows.
            for probe in range(per_group - edit % 2):
                drawn = dict(
                    zip(("old", "true", "new"), random.normal(-2, 1, 3).tolist(), strict=True)
                )
                rows.append(
                    {
                        **dict.fromkeys(PROBES),
                        "trial": trial, "plan": plan, "edit": edit, "stage": "after",
                        "group": group, "subject": edit * 10 + probe, "fact": edit * 10 + probe,
                        "link": False, "must_change": group.startswith("edited"),
                        "exposures": 7, "edit_exposures": exposures,
                        **{f"log_probability_{name}": value for name, value in drawn.items()},
                        "exact_match": bool(random.random() < 0.5),
                        "old_match": bool(random.random() < 0.5),
                        "known": bool(random.random() < 0.8), **columns,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows, schema={"trial": pl.String, **PROBES})


def value_of(frame, label, least, measure, column="mean", minus=None):
    found = frame.filter(
        pl.col("minus").eq_missing(pl.lit(minus, pl.UInt64)), label=label, least=least,
        measure=measure,
    )  # fmt: skip
    return found[column].item()


def test_a_level_has_the_measures_of_a_suite_over_its_edits_alone():
    probes = probes_of("t", [16, 16, 64, 64, 64])
    found = by_exposures("editing", suites_of({"t": ("ft", "tuning", 0)}), probes.lazy())
    for least, edits in ((16, 2), (64, 3)):
        own = probes.filter(edit_exposures=least).with_columns(
            world=pl.lit("w"), seed=pl.lit(0), run=pl.lit("r"), method=pl.lit("ft")
        )
        names = ["efficacy", "exact_efficacy", "score"]
        table = aggregate(own, names, by=("stage",), filters=("all",))
        for name, value in table.select("metric", "value").iter_rows():
            assert value_of(found, "ft", least, name) == pytest.approx(value), name
        lost = damage(own).filter(pl.col("group").is_in(BYSTANDERS))["share"].mean()
        assert value_of(found, "ft", least, "damage") == pytest.approx(lost)
        legs = [aggregate(own, leg, by=("stage",), filters=("all",))["value"].item() for leg in
                ("efficacy", "paraphrase", "neighbourhood")]  # fmt: skip
        local = 4 / sum(1 / leg for leg in (*legs, 1 - lost))
        assert value_of(found, "ft", least, "score_locality") == pytest.approx(local)
        assert value_of(found, "ft", least, "score", "edits") == edits
    moved = value_of(found, "ft", 64, "damage", minus=16)
    levels = [value_of(found, "ft", least, "damage") for least in (64, 16)]
    assert moved == pytest.approx(levels[0] - levels[1])
    assert value_of(found, "ft", 64, "damage", "edits", minus=16) == 5


def test_locality_that_one_level_alone_knows_is_no_difference_between_levels():
    # The model of trial u knew no bystander of the facts written 64 times.
    probes = pl.concat(probes_of(trial, [16, 64], seed=place) for place, trial in enumerate("tu"))
    unknown = (pl.col("trial") == "u") & (pl.col("edit_exposures") == 64)
    probes = probes.with_columns(known=pl.col("known") & ~unknown)
    suites = suites_of({"t": ("ft", "tuning", 0), "u": ("ft", "tuning", 1)})
    found = by_exposures("editing", suites, probes.lazy())
    for measure, rows in (
        ("score", [2, 2, 2]),
        ("score_locality", [2, 2, 1]),
        ("damage", [2, 1, 1]),
    ):
        own = found.filter(measure=measure).sort("minus", "least", nulls_last=False)
        assert own["rows"].to_list() == rows, measure
    alone = by_exposures("editing", suites_of({"u": ("ft", "tuning", 1)}), probes.lazy())
    score, local = (value_of(alone, "ft", 64, name) for name in ("score", "score_locality"))
    assert score == local
    nothing = probes.with_columns(known=pl.lit(False))
    without = by_exposures("editing", suites, nothing.lazy())
    assert not {"score_locality", "damage"} & set(without["measure"])


def test_intervals_are_over_clusters_and_none_are_of_two():
    labels = {f"{label}{seed}": (label, "tuning", seed) for label in "ab" for seed in range(3)}
    del labels["b2"]
    probes = pl.concat(probes_of(trial, [16, 64], seed=place) for place, trial in enumerate(labels))
    found = by_exposures("editing", suites_of(labels), probes.lazy())
    rows = found.filter(measure="damage").select("label", "minus", "rows", "clusters", "low")
    said = rows.select("label", "rows", "clusters", pl.col("low").is_null()).unique().sort("label")
    assert said.rows() == [("a", 3, 3, False), ("b", 2, 2, True)]
    change = found.filter(pl.col("minus") == 16, label="a", measure="damage").row(0, named=True)
    assert -1 <= change["low"] < change["mean"] < change["high"] <= 1


def test_shares_that_differ_in_rounding_alone_do_not_differ_between_levels(monkeypatch):
    """0.8 as a mean of fifths, and as one of tenths that were added up one by one."""
    high = sum([0.1] * 8)
    assert 0 < abs(high - 0.8) < 1e-15
    values = {16: 0.8, 64: high}

    def valued(_, readings):
        return readings.select("trial", "level").unique(maintain_order=True).with_columns(
            pl.lit("efficacy").alias("measure"),
            pl.col("level").replace_strict(list(range(2)), list(values.values())).alias("value"),
        )  # fmt: skip

    monkeypatch.setattr(module, "_values", valued)
    suites = suites_of({"t": ("ft", "tuning", 0)})
    found = by_exposures("editing", suites, probes_of("t", [16, 64]).lazy())
    assert value_of(found, "ft", 64, "efficacy") == high
    assert value_of(found, "ft", 64, "efficacy", minus=16) == 0


def test_many_numbers_of_exposures_are_ranges():
    probes = probes_of("t", list(range(1, 20)), per_group=2)
    found = by_exposures("editing", suites_of({"t": ("ft", "tuning", 0)}), probes.lazy())
    ends = found.filter(pl.col("minus").is_null()).select("least", "most").unique().sort("least")
    assert ends.rows() == [(1, 1), (2, 3), (4, 7), (8, 15), (16, 31)]


def test_models_that_share_a_plan_have_twins_of_their_own():
    """Two initialisations of one corpus: each with its own retrained model."""
    trials = {"t": ("npo", "unlearning", 0), "o": ("retrain", "oracle", 0),
              "u": ("npo", "unlearning", 1), "v": ("retrain", "oracle", 1)}  # fmt: skip
    twins = {"t": 0.05, "o": 0.05, "u": 0.4, "v": 0.4}
    suites = suites_of(trials, "unlearning", "forget_probability").with_columns(
        twin=pl.col("trial").replace_strict(twins), value=pl.col("trial").replace_strict(twins)
    )
    probes = pl.concat(
        [
            probes_of(trial, [16]).with_columns(log_probability_old=pl.lit(value).log())
            for trial, value in twins.items()
        ]
    )
    found = by_exposures("unlearning", suites, probes.lazy())
    assert value_of(found, "npo", 16, "forgetting") == pytest.approx(1.0)
    assert value_of(found, "retrain", 16, "forgetting") == pytest.approx(1.0)


def test_forgetting_of_a_level_is_compared_with_the_twin_at_that_level():
    trials = {"t": ("npo", "unlearning", 0), "o": ("retrain", "oracle", 0)}
    suites = suites_of(trials, "unlearning", "forget_probability", twin=0.5)
    frames = []
    for trial, by_level in {"t": {16: 0.3, 64: 0.9}, "o": {16: 0.1, 64: 0.2}}.items():
        drawn = probes_of(trial, [16, 64])
        chance = pl.col("edit_exposures").replace_strict(by_level, return_dtype=pl.Float64)
        frames.append(drawn.with_columns(chance.log().alias("log_probability_old")))
    probes = pl.concat(frames)
    found = by_exposures("unlearning", suites, probes.lazy())
    assert value_of(found, "npo", 16, "forgetting") == pytest.approx(0.8)
    assert value_of(found, "npo", 64, "forgetting") == pytest.approx(0.3)
    assert value_of(found, "npo", 64, "forget_probability") == pytest.approx(0.9)
    assert value_of(found, "retrain", 64, "forgetting") == 1.0
    # Another plan, or an oracle that is not the twin, says nothing about it.
    for other in (
        (suites, probes.with_columns(plan=pl.col("trial"))),
        (suites.with_columns(twin=pl.lit(0.4)), probes),
    ):
        kept = by_exposures("unlearning", other[0], other[1].lazy()).filter(measure="forgetting")
        assert "npo" not in kept["label"]


def test_a_model_without_numbers_has_forgotten_nothing():
    trials = {"t": ("npo", "unlearning", 0), "o": ("retrain", "oracle", 0)}
    suites = suites_of(trials, "unlearning", "forget_probability", twin=0.5)
    broken = probes_of("t", [16], log_probability_old=float("nan"))
    probes = pl.concat([broken, probes_of("o", [16])])
    found = by_exposures("unlearning", suites, probes.lazy())
    assert value_of(found, "npo", 16, "forgetting") == 0.0
    assert found.filter(label="npo", measure="forget_probability").is_empty()


def test_other_suites_stages_and_probes_of_the_whole_plan_do_not_count():
    probes = probes_of("t", [16, 64])
    others = pl.concat(
        [
            probes_of("other", [4]),
            probes_of("t", [4], stage="before"),
            probes.with_columns(edit=pl.lit(None, pl.UInt32),
                                edit_exposures=pl.lit(None, pl.UInt64)),
        ]
    )  # fmt: skip
    suites = pl.concat(
        [suites_of({"t": ("ft", "tuning", 0)}),
         suites_of({"other": ("npo", "unlearning", 0)}, "unlearning", "forget_probability")]
    )  # fmt: skip
    own = by_exposures("editing", suites, probes.lazy())
    assert by_exposures("editing", suites, pl.concat([probes, others]).lazy()).equals(own)


def test_boards_have_it_if_they_are_given_probes():
    suites = pl.concat(
        suites_of({"t": ("ft", "tuning", 0)}, measure=name) for name in
        ("efficacy", "paraphrase", "neighbourhood")
    )  # fmt: skip
    [board] = boards(suites, probes=probes_of("t", [16, 64]).lazy())
    assert dict(board.exposures.schema) == LEVELS and board.exposures["least"].max() == 64
    [without] = boards(suites)
    assert without.exposures.is_empty() and dict(without.exposures.schema) == LEVELS
    empty = by_exposures("editing", suites, probes_of("t", []).lazy())
    assert empty.is_empty() and dict(empty.schema) == LEVELS


def test_plans_of_several_sizes_have_rows_of_their_own_beside_those_of_all():
    trials = {edits: f"t{edits}" for edits in (2, 20)}
    suites = pl.concat(
        suites_of({trial: ("ft", "tuning", 0)}, edits=edits) for edits, trial in trials.items()
    )
    probes = pl.concat(probes_of(trial, [16, 64], seed=n) for n, trial in trials.items())
    found = by_exposures("editing", suites, probes.lazy())
    assert found["batch"].unique().sort().to_list() == [None, 2, 20]
    for edits, trial in trials.items():
        alone = by_exposures(
            "editing", suites.filter(edits=edits), probes.filter(trial=trial).lazy()
        )
        assert alone["batch"].null_count() == alone.height
        assert found.filter(batch=edits).drop("batch").equals(alone.drop("batch"))
    rows = found.filter(pl.col("batch").is_null(), least=16, measure="score")
    assert rows.filter(pl.col("minus").is_null())["rows"].to_list() == [2]


def test_edits_that_failed_are_no_success_and_not_harmless():
    probes = probes_of("t", [16, 16, 64, 64])
    failed = pl.when(pl.col("edit") == 1).then(pl.lit("loss nan at step 3"))
    suites = suites_of({"t": ("ft", "tuning", 0)})
    found = by_exposures("editing", suites, probes.with_columns(failure=failed).lazy())
    alone = by_exposures("editing", suites, probes.filter(pl.col("edit") != 1).lazy())
    whole = by_exposures("editing", suites, probes.lazy())
    for name in ("efficacy", "exact_efficacy"):
        wanted = value_of(alone, "ft", 16, name) / 2
        assert value_of(found, "ft", 16, name) == pytest.approx(wanted), name
    lost = value_of(found, "ft", 16, "damage")
    assert lost == pytest.approx(value_of(alone, "ft", 16, "damage"))
    assert lost != pytest.approx(value_of(whole, "ft", 16, "damage"))
    for name in ("score", "damage", "efficacy"):
        assert value_of(found, "ft", 64, name) == value_of(whole, "ft", 64, name), name


def test_a_level_whose_edits_all_failed_scores_0_and_is_not_left_out():
    """A method that fails more must not score higher: that level has no neighbours to measure."""
    suites = suites_of({trial: ("ft", "tuning", place) for place, trial in enumerate("tu")})
    probes = pl.concat(
        probes_of(trial, [16, 16, 64], seed=place) for place, trial in enumerate("tu")
    )
    scores, locals_ = [], []
    for broken in (0, 1, 2):
        failed = (pl.col("trial") == "u") & (pl.col("edit") < broken)
        failure = pl.when(failed).then(pl.lit("loss nan at step 3")).alias("failure")
        found = by_exposures("editing", suites, probes.with_columns(failure).lazy())
        for measure, kept in (("score", scores), ("score_locality", locals_)):
            assert value_of(found, "ft", 16, measure, "rows") == 2
            kept.append(value_of(found, "ft", 16, measure))
            assert value_of(found, "ft", 64, measure, "rows", minus=16) == 2, measure
    own = by_exposures("editing", suites.filter(trial="t"), probes.lazy())
    for measure, kept in (("score", scores), ("score_locality", locals_)):
        assert kept[0] > kept[2] == pytest.approx(value_of(own, "ft", 16, measure) / 2), measure
    alone = probes.filter(~pl.col("group").is_in(["same_object", "same_relation"]) | ~failed)
    found = by_exposures("editing", suites, alone.with_columns(failure).lazy())
    assert value_of(found, "ft", 16, "score", "rows") == 1  # it had no neighbours anyway


def test_the_same_trials_have_the_same_board_to_the_bit():
    trials = {f"t{seed}": ("a", "f", seed) for seed in range(8)}
    probes = pl.concat([probes_of(trial, [16, 64] * 5, seed=at) for at, trial in enumerate(trials)])
    suites = pl.concat(
        [suites_of(trials), suites_of(trials, measure="damage_unrelated", value=0.1)]
    )
    first, *others = (boards(suites, probes=probes.lazy())[0] for _ in range(4))
    assert first.exposures.height > 10
    for name in ("table", "cells", "measures", "trials", "exposures"):
        assert all(getattr(first, name).equals(getattr(other, name)) for other in others), name
