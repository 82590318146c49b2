import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.evaluate.aggregate import aggregate
from behemoth.evaluate.clusters import interval, resampled_weights
from behemoth.evaluate.schema import SCHEMA


def frame_of(rows):
    fixed = {"run": "r", "plan": "p", "method": "lora", "stage": "after", "group": "edited",
             "must_change": True, "known": True}  # fmt: skip
    full = [dict.fromkeys(SCHEMA) | fixed | row for row in rows]
    return pl.DataFrame(full, schema=SCHEMA)


def models(shares, edits=50):
    """Models in which a share of the edits succeeds."""
    return frame_of(
        {"world": f"w{number // 2}", "seed": number % 2, "edit": edit,
         "exact_match": edit < share * edits}
        for number, share in enumerate(shares)
        for edit in range(edits)
    )  # fmt: skip


def test_intervals_are_as_wide_as_models_differ_not_as_facts_do():
    alike = aggregate(models([0.5] * 10), ["exact_efficacy"], filters=("all",))
    assert alike.select("value", "low", "high", "clusters", "edits", "rows").row(0) == (
        0.5, None, None, 10, 500, 500,
    )  # fmt: skip
    nearly = aggregate(models([0.5] * 8 + [0.48, 0.52]), ["exact_efficacy"], filters=("all",))
    assert 0.48 < nearly["low"].item() < 0.5 < nearly["high"].item() < 0.52
    apart = aggregate(models([0.0] * 5 + [1.0] * 5), ["exact_efficacy"], filters=("all",))
    assert apart["value"].item() == 0.5
    # The mean of 10 coins: 0.2 and 0.8 are the binomial's 2.5% and 97.5% points.
    assert apart["low"].item() == pytest.approx(0.2, abs=0.05)
    assert apart["high"].item() == pytest.approx(0.8, abs=0.05)


@pytest.mark.exact
def test_the_last_digits_are_the_same_in_every_call():
    generator = np.random.default_rng(0)
    frame = frame_of(
        {"world": "w", "seed": 0, "edit": edit, "subject": edit % 7, "link": False, "kl": kl,
         "group": "unrelated", "must_change": False}
        for edit, kl in enumerate(generator.random(300))
    )  # fmt: skip
    tables = [aggregate(frame, ["kl"], filters=("all",), resampled="subjects") for _ in range(20)]
    assert len({table.select("value", "low", "high").row(0) for table in tables}) == 1


def test_of_a_single_model_nothing_is_known_about_others():
    row = aggregate(models([0.3]), ["exact_efficacy"], filters=("all",))
    assert row.select("value", "low", "high", "clusters").row(0) == (0.3, None, None, 1)


def test_of_a_single_model_the_subjects_can_be_resampled():
    frame = models([0.3], edits=200).with_columns(
        subject=pl.col("edit").cast(pl.UInt64), link=pl.lit(False)
    )
    row = aggregate(frame, ["exact_efficacy"], filters=("all",), resampled="subjects")
    assert row.select("value", "clusters", "edits").row(0) == (0.3, 200, 200)
    # The binomial's 2.5% and 97.5% points for 200 facts.
    assert row["low"].item() == pytest.approx(0.235, abs=0.02)
    assert row["high"].item() == pytest.approx(0.365, abs=0.02)
    # Facts of one subject stand and fall together: with 10 subjects the interval is wider.
    few = frame.with_columns(subject=(pl.col("edit") // 20).cast(pl.UInt64))
    wide = aggregate(few, ["exact_efficacy"], filters=("all",), resampled="subjects")
    assert wide["clusters"].item() == 10
    assert wide["high"].item() - wide["low"].item() > 0.4
    with pytest.raises(ArgumentError, match="argument 'resampled': got facts, allowed: models"):
        aggregate(frame, resampled="facts")


def test_rows_of_an_edit_share_it_among_their_subjects():
    rows = [
        {"world": "w", "seed": 0, "edit": edit, "subject": subject, "link": False,
         "exact_match": right, "group": "unrelated", "must_change": False}
        for edit, subject, right in [(0, 1, True), (0, 2, False), (0, 2, False), (1, 3, True)]
    ]  # fmt: skip
    found = [
        aggregate(frame_of(rows), ["exact_specificity"], filters=("all",), resampled=over)
        for over in ("models", "subjects")
    ]
    columns = ("value", "rows", "edits")
    assert found[0].select(columns).equals(found[1].select(columns))
    assert found[0].select(columns).row(0) == (pytest.approx(2 / 3), 4, 2)


def test_many_clusters_are_drawn_as_few_are(monkeypatch):
    from behemoth.evaluate import clusters

    whole = resampled_weights(7, 50, 3)
    monkeypatch.setattr(clusters, "_MOST", 20)
    drawn = list(clusters.weight_parts(7, 50, 3))
    assert len(drawn) == 25
    parts = np.concatenate(drawn)
    assert (whole == parts).all() and (whole.sum(1) == 7).all()


def test_probes_are_averaged_within_their_edit_first():
    rows = [
        {"world": "w", "seed": 0, "edit": 0, "exact_match": True, "group": "edited_paraphrase"},
        *(
            {"world": "w", "seed": 0, "edit": 1, "exact_match": right, "group": "edited_paraphrase"}
            for right in [True] * 3 + [False] * 6
        ),
    ]
    row = aggregate(frame_of(rows), ["exact_generalization"], filters=("all",))
    # Of 1 and a third; over rows it would be 0.4.
    assert row.select("value", "rows", "edits").row(0) == (pytest.approx(2 / 3), 10, 2)


@pytest.mark.parametrize("resampled", ["models", "subjects"])
def test_a_row_without_an_edit_weighs_as_much_as_one_of_an_edit(resampled):
    def value(*parts, run="r"):
        rows = [
            {"world": "w", "seed": 0, "run": run, "edit": edit, "subject": 10 * number + place,
             "link": False, "group": "unrelated", "must_change": False, "exact_match": bool(right)}
            for number, (edit, said) in enumerate(parts)
            for place, right in enumerate(said)
        ]  # fmt: skip
        frame = pl.concat([frame_of(rows), frame_of(rows).with_columns(run=pl.lit("s"))])
        chosen = {"filters": ("all",), "resampled": resampled, "by": ("run",)}
        alone = aggregate(frame, ["exact_specificity"], **chosen)["value"]
        both = aggregate(frame, ["exact_specificity"], **chosen | {"by": ()})["value"]
        assert alone[0] == alone[1] == pytest.approx(both.item())
        return alone[0]

    rest = (None, [1, 1, 1, 0, 1, 1])
    assert value((0, [1, 0]), (1, [1, 1]), rest) == pytest.approx(8 / 10)  # the mean of the rows
    # Two edits of two rows on average: six rows are as much as three edits.
    assert value((0, [0]), (1, [1, 1, 0]), rest) == pytest.approx((0 + 2 / 3 + 3 * 5 / 6) / 5)
    assert value(rest) == pytest.approx(5 / 6)


def test_edits_of_models_of_unequal_size_count_alike():
    frame = pl.concat([models([1.0], edits=30), models([0.0, 0.0], edits=10).filter(seed=1)])
    row = aggregate(frame, ["exact_efficacy"], filters=("all",))
    assert row.select("value", "clusters").row(0) == (0.75, 2)
    assert row["low"].item() == 0.0
    assert row["high"].item() == 1.0


def test_with_and_without_the_filter():
    rows = [
        {"world": "w", "seed": 0, "edit": edit, "exact_match": edit == 0, "known": edit < 2}
        for edit in range(4)
    ]
    found = aggregate(frame_of(rows), ["exact_efficacy"])
    assert found.select("filter", "value", "edits").rows() == [("all", 0.25, 4), ("known", 0.5, 2)]
    assert found["version"].unique().to_list() == [1]


def test_columns_to_keep_apart():
    rows = [
        {"world": "w", "seed": 0, "edit": edit, "exact_match": edit > 1, "edit_exposures": edit % 2}
        for edit in range(4)
    ]
    found = aggregate(frame_of(rows), ["exact_efficacy"], by=["edit_exposures"], filters=("all",))
    assert found.select("edit_exposures", "value").sort("edit_exposures").rows() == [
        (0, 0.5),
        (1, 0.5),
    ]
    assert found.schema["edit_exposures"] == pl.UInt64


def test_the_same_seed_gives_the_same_interval():
    frame = models([0.1, 0.3, 0.5, 0.9])
    one, other, third = (aggregate(frame, ["exact_efficacy"], seed=s) for s in (0, 0, 1))
    assert one.equals(other)
    assert one["value"].equals(third["value"])
    few = [aggregate(frame, ["exact_efficacy"], resamples=9, seed=s) for s in range(5)]
    ends = {each.select("low", "high").row(0) for each in few}
    assert len(ends) > 1, "each seed has draws of its own"


def test_no_rows_give_no_metrics():
    assert aggregate(frame_of([])).is_empty()
    with pytest.warns(UserWarning, match="kl: no rows"):
        assert aggregate(models([1.0]), ["kl"]).is_empty()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["rouge"]}, "argument 'metrics': got rouge"),
        ({"by": ["nothing"]}, "argument 'by': got nothing"),
        ({"filters": ["some"]}, "argument 'filters': got some, allowed: all, known"),
        ({"level": 1.0}, "argument 'level': got 1.0, allowed: between 0 and 1"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ArgumentError, match=message):
        aggregate(models([1.0]), **options)


def test_resampling_draws_whole_clusters():
    weights = resampled_weights(5, 2000, 0)
    assert (weights.sum(1) == 5).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.1)


def test_interval_keeps_infinities_and_leaves_out_what_is_no_number():
    values = np.array([np.nan, *range(100), *[np.inf] * 20])
    low, high = interval(values, 0.9)
    assert low == 5
    assert high == np.inf
    assert all(np.isnan(interval(np.array([np.nan]), 0.9)))


def test_without_columns_all_rows_are_one_group():
    row = aggregate(models([0.2, 0.8]), ["exact_efficacy"], by=[], filters=("all",))
    assert row.select("value", "clusters").row(0) == (0.5, 2)
    assert "method" not in row.columns
    assert aggregate(models([0.5]).head(0), ["exact_efficacy"], by=[]).is_empty()


def test_a_name_is_not_read_letter_by_letter():
    frame = models([0.25, 0.75])
    one = aggregate(frame, "exact_efficacy", by="method", filters="all")
    assert one.equals(aggregate(frame, ["exact_efficacy"], by=["method"], filters=["all"]))


def test_a_metric_that_was_asked_for_and_has_no_rows_is_named():
    frame = models([0.2, 0.8])
    with pytest.warns(UserWarning, match=r"paraphrase: no rows.*edited_paraphrase, edited_held_ou"):
        found = aggregate(frame, ["exact_efficacy", "paraphrase"], filters=("all",))
    assert found["metric"].to_list() == ["exact_efficacy"]
    assert found.equals(aggregate(frame, ["exact_efficacy"], filters=("all",)))
    aggregate(frame)  # all metrics, of which most frames lack some: no warning


def test_a_frame_without_what_is_resampled_is_refused():
    with pytest.raises(ArgumentError, match="argument 'frame': got one without link, allowed"):
        aggregate(models([0.5, 1.0]).drop("link"), resampled="subjects")
