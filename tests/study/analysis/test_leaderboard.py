"""Leaderboards of drawn suites: scores, ranks that say ties, and what could not be taken."""

import polars as pl
import pytest

from behemoth.study.analysis.leaderboard import boards, taken
from behemoth.study.results import INDEX
from behemoth.study.schemas import SUITES

BASE = {"suite": "editing", "grammar": None, "edits": 4, "count": 4, "over": "subjects",
        "version": 1, "low": None, "high": None, "twin": None, "before": None,
        "missing": None}  # fmt: skip


def drawn(values, measures, suite="editing", family="fine-tuning", twins=None):
    """Suites of methods: {label: [value by cluster]} for each measure."""
    rows = []
    for label, by_cluster in values.items():
        for seed, value in enumerate(by_cluster):
            trial = f"{suite}-{label}-{seed}"
            own = {
                **dict.fromkeys(INDEX),
                "trial": trial, "label": label, "method": label, "world_seed": seed,
                "seed": seed, "family": "oracle" if label == "retrain" else family,
            }  # fmt: skip
            for measure in measures:
                twin = None if twins is None else twins.get(measure)
                rows.append(
                    {**BASE, **own, "suite": suite, "measure": measure, "value": value,
                     "twin": twin}
                )  # fmt: skip
            rows.append(
                {**BASE, **own, "suite": suite, "measure": "kl_filler", "missing": "a filler"}
            )
    return pl.DataFrame(rows, schema={**INDEX, **SUITES}, orient="row")


LEGS = ("efficacy", "paraphrase", "neighbourhood")


def test_the_score_with_locality_stands_beside_the_score():
    values = {"wide": [0.9, 0.91, 0.9], "narrow": [0.8, 0.81, 0.8]}
    legs = drawn(values, LEGS)
    lost = drawn({"wide": [0.9, 0.8, 0.85], "narrow": [0.1, 0.1, 0.2]}, ("damage_unrelated",))
    [board] = boards(pl.concat([legs, lost]))
    assert board.table["label"].to_list() == ["wide", "narrow"], "places are those of the score"
    mean = board.trials.filter(measure="score_locality").group_by("label").agg(pl.mean("value"))
    assert dict(mean.iter_rows()) == pytest.approx(
        dict(board.table.select("label", "score_locality").iter_rows())
    )
    local = dict(board.table.select("label", "score_locality").iter_rows())
    wanted = [4 / (3 / high + 1 / (1 - gone)) for high, gone in
              zip(values["wide"], (0.9, 0.8, 0.85), strict=True)]  # fmt: skip
    assert local["wide"] == pytest.approx(sum(wanted) / 3)
    assert local["narrow"] > local["wide"]


def test_locality_is_a_leg_where_a_bystander_was_known():
    """Missing where another leg is 0, the score with locality would be the better for that 0."""
    legs = drawn({"a": [0.9, 0.0, 0.5], "b": [0.9, 0.6, 0.5]}, LEGS)
    # The model of the first cluster alone knew bystanders.
    lost = drawn({"a": [0.2], "b": [0.3]}, ("damage_unrelated",))
    [board] = boards(pl.concat([legs, lost]))
    local = {
        label: board.trials.filter(label=label, measure="score_locality").sort("seed")["value"]
        for label in ("a", "b")
    }
    first = [4 / (3 / 0.9 + 1 / (1 - gone)) for gone in (0.2, 0.3)]
    assert local["a"].to_list() == pytest.approx([first[0], 0.0, 0.5])
    assert local["b"].to_list() == pytest.approx([first[1], 0.6, 0.5])
    # No leg is above 0.9, so neither mean is above that of the score.
    assert (board.table["score_locality"] < board.table["score"]).all()
    for label in "ab":
        counts = board.counts(label)
        assert (counts["score_locality"], counts["damage"]) == (3, 1)
    [without] = boards(legs)
    assert without.table["score_locality"].is_null().all(), "it would be the score again"


def test_the_score_of_equal_legs_is_theirs_and_the_best_comes_first():
    [board] = boards(drawn({"low": [0.2, 0.2, 0.21], "high": [0.9, 0.91, 0.9]}, LEGS))
    assert board.table["label"].to_list() == ["high", "low"]
    assert board.table["score"].to_list() == pytest.approx([0.9033, 0.2033], abs=1e-3)
    assert board.table.select("first", "last").rows() == [(1, 1), (2, 2)]
    assert board.missing.rows() == [("kl_filler", "a filler")]


def test_methods_whose_intervals_overlap_are_tied():
    values = {"a": [0.8, 0.82, 0.84], "b": [0.79, 0.84, 0.81], "c": [0.1, 0.1, 0.11]}
    [board] = boards(drawn(values, LEGS))
    ranks = {row["label"]: (row["first"], row["last"]) for row in board.table.to_dicts()}
    assert ranks == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


def test_a_trial_that_gives_no_number_has_the_worst_score_there_is():
    """Left out, a method that diverges half of the time would be before one that never does."""
    nan = float("nan")
    values = {"half": [0.9, 0.88, nan, nan], "sound": [0.7, 0.72, 0.71, 0.73]}
    [board] = boards(drawn(values, LEGS))
    assert board.table["label"].to_list() == ["sound", "half"]
    assert board.table["score"].to_list() == pytest.approx([0.715, 0.445])


def broken_in_the_first(measures):
    """Two methods that unlearn; in its first trial "broken" gives no numbers for some measures."""
    values = {
        "forget_probability": (0.0, [0.1, 0.11, 0.12], [0.0, 0.01, 0.02]),
        "model_utility": (1.0, [0.9, 0.9, 0.9], [0.95, 0.95, 0.95]),
        "privacy_loss": (None, [0.1, 0.1, 0.1], [0.05, 0.05, 0.05]),
        "kl_twin_retain": (None, [0.2, 0.21, 0.22], [0.1, 0.11, 0.12]),
        "relearning_steps": (None, [5.0, 5.0, 5.0], [5.0, 5.0, float("inf")]),
    }
    frames = []
    for name, (twin, good, broken) in values.items():
        first = float("nan") if name in measures else broken[0]
        own = {"good": good, "broken": [first, *broken[1:]]}
        frames.append(drawn(own, (name,), "unlearning", "unlearning", {name: twin}))
    return pl.concat(frames)


def test_a_trial_that_gives_no_number_has_0_in_legs_and_is_not_counted_elsewhere():
    """Left out of the legs, what breaks down would be the better for it."""
    frame = broken_in_the_first(
        {"forget_probability", "model_utility", "kl_twin_retain", "relearning_steps"}
    )
    [board] = boards(frame)
    row = board.table.filter(label="broken").row(0, named=True)
    assert row["forgetting"] == pytest.approx((0 + 0.99 + 0.98) / 3)
    assert row["utility"] == pytest.approx(0.95 * 2 / 3)
    assert row["privacy"] == pytest.approx(0.95)
    assert row["kl_twin_retain"] == pytest.approx(0.115)
    assert row["relearned"] == pytest.approx(0.5)
    counts = board.counts("broken")
    assert [counts[name] for name in ("score", "forgetting", "utility", "privacy")] == [3] * 4
    assert (counts["kl_twin_retain"], counts["relearned"]) == (2, 2)
    assert board.counts("good")["kl_twin_retain"] == 3


def test_a_leg_that_is_a_measure_itself_is_0_where_it_is_no_number():
    nan = float("nan")
    [board] = boards(drawn({"half": [0.9, nan], "sound": [0.7, 0.72]}, LEGS))
    assert board.table["label"].to_list() == ["sound", "half"]
    for name in LEGS:
        assert board.table[name].to_list() == pytest.approx([0.71, 0.45])
        assert board.counts("half")[name] == 2


def test_what_failed_and_what_agrees_to_the_last_digit_have_no_rank():
    values = {"a": [0.8, 0.8, 0.8], "b": [0.79, 0.78, 0.78], "c": [0.1, 0.2, 0.1]}
    [board] = boards(drawn(values, LEGS), failed={"editing": {"c": 1}})
    ranks = {row["label"]: (row["first"], row["last"]) for row in board.table.to_dicts()}
    assert ranks == {"a": (None, None), "b": (1, 1), "c": (None, None)}


def test_a_method_that_never_scores_shares_the_last_places():
    values = {"a": [0.8, 0.82, 0.84], "never": [0.0] * 3, "b": [0.3, 0.34, 0.31], "no": [0.0] * 3}
    [board] = boards(drawn(values, LEGS))
    ranks = {row["label"]: (row["first"], row["last"]) for row in board.table.to_dicts()}
    assert ranks == {"a": (1, 1), "b": (2, 2), "never": (3, 4), "no": (3, 4)}
    # An interval that reaches 0 is no better.
    [wide] = boards(drawn({**values, "b": [0.0, 0.2, 0.0]}, LEGS))
    ranks = {row["label"]: (row["first"], row["last"]) for row in wide.table.to_dicts()}
    assert ranks == {"a": (1, 1), "b": (2, 4), "never": (2, 4), "no": (2, 4)}


def test_two_ends_have_places_without_any_interval():
    values = {"always": [1.0] * 3, "never": [0.0] * 3, "same": [0.5] * 3}
    [board] = boards(drawn(values, LEGS))
    ranks = {row["label"]: (row["first"], row["last"]) for row in board.table.to_dicts()}
    assert ranks == {"always": (1, 1), "never": (2, 2), "same": (None, None)}


def test_a_suite_of_which_nothing_was_taken_has_no_board():
    suites = drawn({"a": [0.8, 0.82, 0.84]}, LEGS)
    nothing = drawn({"a": [0.8]}, (), suite="unlearning")
    assert [board.suite for board in boards(pl.concat([suites, nothing]))] == ["editing"]
    assert boards(nothing) == []


def test_a_score_of_0_is_no_place_after_failures_with_few_clusters_or_beside_nothing():
    some = {"a": [0.8, 0.82, 0.84], "b": [0.1, 0.12, 0.11]}
    for values, failed in (
        ({**some, "never": [0.0] * 3}, {"editing": {"never": 1}}),
        ({**some, "never": [0.0] * 2}, None),
        ({**some, "retrain": [0.0] * 3}, None),
        ({"a": [0.8] * 3, "never": [0.0] * 3}, None),
    ):
        [board] = boards(drawn(values, LEGS), failed=failed)
        last = board.table.row(-1, named=True)
        assert (last["score"], last["first"], last["last"]) == (0, None, None)
    [partly] = boards(
        drawn({**some, "never": [0.0] * 3}, LEGS).filter(
            ~((pl.col("trial") == "editing-never-0") & (pl.col("measure") == "efficacy"))
        )
    )
    row = partly.table.filter(label="never").row(0, named=True)
    assert (row["trials"], row["first"]) == (3, None), "one trial has no score"


def test_a_method_whose_trials_all_failed_is_on_the_board_of_their_suite():
    """Omitted, a method would rank higher the more often it fails."""
    values = {"a": [0.8, 0.82, 0.84], "b": [0.1, 0.12, 0.11]}
    both = pl.concat([drawn(values, LEGS), drawn(values, ("model_utility",), "unlearning")])
    said = [{"label": "gone", "name": "ft", "family": "fine-tuning", "whence": "default"}]
    editing, unlearning = boards(both, failed={"editing": {"gone": 3}}, methods=said)
    row = editing.table.filter(label="gone").row(0, named=True)
    assert editing.table["label"].to_list() == ["a", "b", "gone"]
    assert (row["trials"], row["failed"], row["clusters"]) == (0, 3, 0)
    assert (row["method"], row["family"], row["settings"]) == ("ft", "fine-tuning", "default")
    assert row["first"] is None and row["score"] is None and row["seconds"] is None
    assert unlearning.table["label"].to_list() == ["a", "b"]
    # What fails in one suite keeps its rank in the other.
    editing, unlearning = boards(both, failed={"unlearning": {"a": 1}})
    assert editing.table.filter(label="a")["first"].item() == 1
    assert unlearning.table.filter(label="a")["failed"].item() == 1


def test_derived_measures_have_no_columns_of_a_single_measure():
    frame = drawn({"a": [0.8, 0.82]}, LEGS).with_columns(
        low=pl.lit(0.7), high=pl.lit(0.9), over=pl.lit("subjects")
    )
    score = taken(frame).filter(measure="score")
    own = taken(frame).filter(measure="efficacy")
    for name in ("low", "high", "count", "over", "version", "missing", "twin", "before"):
        assert score[name].null_count() == 2, name
    assert own["low"].to_list() == [0.7, 0.7] and score["edits"].to_list() == [4, 4]


def test_operations_are_means_over_edits():
    """As in the table of methods: a batch of 8 counts as eight edits, and one of 2 as two."""
    frame = drawn({"a": [0.8, 0.82]}, LEGS).with_columns(
        edits=pl.when(pl.col("seed") == 0).then(8).otherwise(2).cast(pl.UInt32)
    )
    [board] = boards(frame, costs={"editing-a-0": (10.0, 5), "editing-a-1": (20.0, 7)})
    row = board.table.row(0, named=True)
    assert (row["flops"], row["memory"]) == (12.0, 7)


def test_unedited_models_stand_beside_the_methods_and_have_no_place():
    """What each method that forgets nothing would have: 0.2 less forgotten than the twin."""
    names = ("forget_probability", "model_utility", "membership_loss", "privacy_loss")
    twins = {"forget_probability": 0.1, "model_utility": 0.5, "membership_loss": 0.5}
    before = {"forget_probability": 0.3, "model_utility": 0.5, "membership_loss": 0.9}
    frame = drawn({"a": [0.2, 0.3, 0.1], "b": [0.9, 0.8, 0.9]}, names, "unlearning", twins=twins)
    own = frame.with_columns(
        pl.col("measure").replace_strict(before, default=None).alias("before"),
        pl.format("m-{}", "seed").alias("model"),
    )
    [board], [without] = boards(own), boards(frame)
    found = {row["measure"]: row for row in board.unedited.to_dicts()}
    assert {name: found[name]["mean"] for name in ("forgetting", "utility", "privacy")} == (
        pytest.approx({"forgetting": 0.8, "utility": 1.0, "privacy": 0.6})
    )
    assert found["score"]["mean"] == pytest.approx(3 / (1 / 0.8 + 1 + 1 / 0.6))
    assert (found["score"]["rows"], found["score"]["clusters"]) == (3, 3), "not one for each method"
    assert board.table.equals(without.table) and without.unedited.is_empty()


def test_an_unedited_model_has_lost_nothing():
    frame = drawn({"a": [0.8, 0.7]}, (*LEGS, "kl", "damage_unrelated", "norm")).with_columns(
        pl.when(pl.col("measure").is_in(LEGS)).then(0.5).alias("before")
    )
    [board] = boards(frame)
    found = dict(board.unedited.select("measure", "mean").iter_rows())
    assert (found["kl"], found["damage"], found["score"]) == (0.0, 0.0, pytest.approx(0.5))
    assert found["score_locality"] == pytest.approx(4 / 7) and "norm" not in found


def test_one_cluster_ranks_nothing_and_oracles_have_no_place():
    [board] = boards(drawn({"a": [0.8], "b": [0.1]}, LEGS))
    assert board.table["first"].to_list() == [None, None]
    values = {"a": [0.8, 0.81, 0.8], "b": [0.1, 0.1001, 0.1], "retrain": [1.0, 0.99, 1.0]}
    [board] = boards(drawn(values, LEGS))
    ranks = {row["label"]: (row["first"], row["last"]) for row in board.table.to_dicts()}
    assert ranks == {"a": (1, 1), "b": (2, 2), "retrain": (None, None)}


def test_two_clusters_have_no_interval_and_rank_nothing():
    """Of two, that of "a" would be 0.0 wide or so, and that of "b" from 0 to 1, by chance."""
    values = {"a": [0.8, 0.8001], "b": [0.1, 0.4]}
    [board] = boards(drawn(values, LEGS))
    assert board.table["clusters"].to_list() == [2, 2]
    frames = (board.measures, board.cells)
    assert {v for frame in frames for end in ("low", "high") for v in frame[end]} == {None}
    for name in ("first", "last", "score_low", "efficacy_high"):
        assert board.table[name].to_list() == [None, None]


def test_one_rule_for_all_intervals_of_a_board():
    """The table cut them to what a score can be, and "All measures" did not: -4.7 to 5.9."""
    wide = {"a": [0.05, 0.9, 0.1]}
    measures = (*LEGS, "kl", "norm", "efficacy_magnitude", "damage_unrelated")
    [board] = boards(drawn(wide, measures))
    ends = {row["measure"]: (row["low"], row["high"]) for row in board.measures.to_dicts()}
    assert ends["efficacy"] == ends["damage_unrelated"] == ends["score"] == (0.0, 1.0)
    assert ends["kl"] == ends["norm"] and ends["kl"][0] == 0 and ends["kl"][1] > 1
    assert ends["efficacy_magnitude"][0] < 0 and ends["efficacy_magnitude"][1] == 1
    row = board.table.row(0, named=True)
    for name in ("score", "efficacy", "kl"):
        assert (row[f"{name}_low"], row[f"{name}_high"]) == ends[name]
        [cell] = board.cells.filter(measure=name).to_dicts()
        assert (cell["low"], cell["high"]) == ends[name]


def test_a_twin_of_an_older_trial_is_held_to_the_text_of_its_run():
    """It was asked for its own corpus, without the facts, and what was retrained for the run's."""
    name = "perplexity_corpus"
    values = {"npo": [2.5, 2.6], "retrain": [2.0, 2.1]}
    frame = drawn(values, (name,), "unlearning", "unlearning", {name: 1.9}).with_columns(
        pl.format("m-{}", "world_seed").alias("model")
    )
    [board] = boards(frame)
    found = dict(board.measures.filter(measure=name).select("label", "twin").iter_rows())
    assert found == {"npo": pytest.approx(2.05), "retrain": pytest.approx(2.05)}
    [alone] = boards(frame.filter(label="npo"))
    assert alone.measures.filter(measure=name)["twin"].to_list() == [None]
    [new] = boards(frame.with_columns(pl.lit(2, pl.UInt32).alias("version")))
    assert set(new.measures.filter(measure=name)["twin"]) == {1.9}


def test_unlearning_is_scored_against_the_twin():
    twins = {"forget_probability": 0.1, "model_utility": 0.5}
    frame = drawn({"npo": [0.3, 0.3]}, tuple(twins), "unlearning", "unlearning", twins)
    rows = taken(frame).group_by("measure").agg(pl.col("value").mean())
    found = dict(rows.iter_rows())
    assert found["forgetting"] == pytest.approx(0.8)
    assert found["utility"] == pytest.approx(0.6)
    assert found["score"] == pytest.approx(2 / (1 / 0.8 + 1 / 0.6))
    costs = {"unlearning-npo-0": (10.0, 5), "unlearning-npo-1": (20.0, 3)}
    [board] = boards(
        frame, failed={"unlearning": {"npo": 3}}, seconds={"unlearning-npo-0": 2.0}, costs=costs
    )
    row = board.table.row(0, named=True)
    assert (row["failed"], row["trials"], row["seconds"]) == (3, 2, 2.0)
    assert (row["flops"], row["memory"]) == (15.0, 5)


def test_without_a_twin_there_is_no_score():
    frame = drawn({"npo": [0.3, 0.3]}, ("forget_probability", "model_utility"), "unlearning")
    assert boards(frame)[0].table["score"].to_list() == [None]


def test_relearning_counts_those_that_come_back():
    frame = drawn({"a": [float("inf")], "b": [8.0]}, ("relearning_steps",), "unlearning")
    rows = taken(frame).filter(measure="relearned")
    assert dict(rows.select("label", "value").iter_rows()) == {"a": 0.0, "b": 1.0}
