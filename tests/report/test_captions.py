"""Captions say what was measured of the methods that are drawn, and what was left out."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest

from behemoth.report.charts.capacity import capacity
from behemoth.report.charts.common import against_exposures, counted
from behemoth.report.charts.consequences import _finding as consequences
from behemoth.report.charts.damage import _finding as damaged, damage
from behemoth.report.charts.dose import _finding as doses, dose
from behemoth.report.charts.flip import _finding as flipped, flip
from behemoth.report.charts.geometry import _finding as changed, geometry
from behemoth.report.charts.heat import heat
from behemoth.report.charts.matched import _chart as matched_chart
from behemoth.report.charts.mediation import _chart as mediation_chart, mediation
from behemoth.report.charts.placement import placement
from behemoth.report.charts.recall import recall
from behemoth.report.charts.retention import _finding as retained, retention
from behemoth.report.charts.slopes import slopes
from behemoth.report.charts.tradeoff import _bottom, tradeoff
from behemoth.report.render import exported
from behemoth.report.style import PAPER, SCREEN, Absent, Figure
from behemoth.report.tables import dose_table
from behemoth.study.analysis.summary import summarise


@pytest.fixture(scope="module")
def flips(draw):
    frames = draw(labels=("one", "two"), worlds=2, edits=10, levels=(1, 4, 16), probes=1,
                  durability=True)  # fmt: skip
    frames.edits = frames.edits.with_columns(success=(pl.col("edit") % 2).cast(pl.Float64))
    return frames


def summary_of(flips, forgets=(), **changed):
    """The summary of a study in which some methods unlearn."""
    kind = pl.when(pl.col("label").is_in(forgets)).then(pl.lit("forget")).otherwise("dose_kind")
    edits = changed.get("edits", flips.edits).with_columns(dose_kind=kind)
    return summarise(type(flips)(**{**vars(flips), **changed, "edits": edits}), resamples=2)


@pytest.fixture(scope="module")
def summary(flips):
    return summary_of(flips)


@pytest.mark.parametrize(
    ("forgets", "held", "success"),
    [
        ((), "with p(new) > p(old), among", "Success: exact match of free generation after"),
        (("one", "two"), "with another token more likely than that of the old object, among",
         "Success: the old object no longer generated after"),
        (("two",), "with p(new) > p(old) (unlearning: another token more likely",
         "Success: exact match of free generation (unlearning: the old object no"),
    ],
)  # fmt: skip
def test_what_counts_is_said_by_what_the_methods_are_for(flips, forgets, held, success):
    summary = summary_of(flips, forgets)
    assert held in retention(summary).caption
    assert success in tradeoff(summary).caption
    assert "Not drawn" not in tradeoff(summary).caption


def test_what_the_tradeoff_does_not_draw_is_counted(flips):
    """At 1 exposure every edit of method one breaks down; at 4 method two changes no bystander."""
    gone = (pl.col("label") == "one") & (pl.col("exposures") == 1)
    edits = flips.edits.with_columns(
        failure=pl.when(gone).then(pl.lit("the loss is not finite")).otherwise("failure"),
        success=pl.when(gone).then(0.0).otherwise("success"),  # as in `Results.edits`
    )
    broken = edits.filter(pl.col("failure").is_not_null()).select("trial", "edit").collect()
    assert broken.height == 2 * 10
    there = flips.probes.collect().join(broken.with_columns(gone=True), on=["trial", "edit"],
                                        how="left", maintain_order="left")  # fmt: skip
    still = (pl.col("label") == "two") & (pl.col("edit_exposures") == 4)
    probes = there.with_columns(
        failure=pl.when("gone").then(pl.lit("the loss is not finite")).otherwise("failure"),
        kl=pl.when(still).then(0.0).otherwise("kl"),
    ).drop("gone")
    summary = summary_of(flips, edits=edits, probes=probes.lazy())
    figure = tradeoff(summary)
    assert figure.frame.height == 2 * 3 - 2
    assert figure.caption.endswith(
        "Not drawn: 1 point with a KL of 0, which has no logarithm; 1 point in which every edit "
        "failed."
    )
    # Half of the others had success, and of these ten edits none.
    one = summary.methods.filter(label="one")["success"].item()
    assert one == pytest.approx(0.5 * 2 / 3)


def test_a_method_without_success_is_no_success_because_it_cannot_be_drawn():
    points = pl.DataFrame(
        {"label": ["a", "a", "b"], "exposures": [1, 4, 1], "success": [0.99, 0.98, 0.0],
         "success_low": None, "success_high": None, "edits": 10, "clusters": 3,
         "kl": [0.1, 0.2, None], "kl_low": None, "kl_high": None, "lost": [0.0, 0.0, None],
         "broken": [0, 0, 10]},
        schema_overrides=dict.fromkeys(
            ("success_low", "success_high", "kl_low", "kl_high"), pl.Float64
        ),
    )  # fmt: skip
    labels = pl.DataFrame({"label": ["a", "b"], "size": "nano", "forgets": False})
    figure = tradeoff(SimpleNamespace(edits=labels, methods=labels, tradeoff=points))
    assert figure.caption.endswith("Not drawn: 1 point in which every edit failed.")
    drawn = points.filter(label="a")
    found = tradeoff(SimpleNamespace(edits=labels, methods=labels, tradeoff=drawn))
    assert found.why == "More than 97% of the edits succeed with every method at every level."


def test_damage_of_a_batch_is_said_to_be_that_of_all_its_edits(summary):
    said = "In a batch all edits act on all bystanders; each counts at the exposures of the edit"
    batch = pl.lit(30, pl.UInt32).alias("batch")
    batches = replace(summary, edits=summary.edits.with_columns(batch))
    for draw in (heat, tradeoff, slopes):
        assert said not in draw(summary).caption
        assert said in draw(batches).caption


def test_batches_that_broke_down_are_counted_beside_those_that_last(flips, summary):
    assert "broke down" not in retention(summary).caption
    lost = summary_of(flips, without_retention=["a", "b"])
    assert retention(lost).caption.endswith("Not drawn: 2 trials whose batch of edits broke down.")
    nothing = summary_of(flips, without_retention=["a"], retention=flips.retention.head(0))
    assert retention(nothing).why.startswith("The batch of edits broke down in 1 trial")


def test_what_is_infinite_has_no_place_on_an_axis():
    """One edit whose KL or norm overflows must not end the report of a whole study."""
    levels = [(1, 0.1), (4, float("inf")), (16, 0.9)]
    means = pl.DataFrame(
        [{"label": "one", "exposures": level, "edit_exposures": edited, "measure": "kl",
          "mean": mean, "low": None, "high": None, "rows": 9, "clusters": 1}
         for level, mean in levels for edited in (1, 4)],
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )  # fmt: skip
    [panel] = against_exposures(means, {"kl": ("Damage", "nats")}, {"one": "#000000"}, ".3g")
    labels = pl.DataFrame({"label": ["one"], "size": ["nano"], "forgets": [False]})
    points = pl.DataFrame(
        [{"label": "one", "exposures": level, "success": 0.5, "success_low": None,
          "success_high": None, "kl": kl, "kl_low": None, "kl_high": None, "lost": 0.0, "edits": 9,
          "clusters": 1, "broken": 0} for level, kl in levels],
        schema_overrides=dict.fromkeys(
            ("success_low", "success_high", "kl_low", "kl_high"), pl.Float64
        ),
    )  # fmt: skip
    summary = SimpleNamespace(
        edits=labels, methods=labels, damage_by_exposures=means, tradeoff=points
    )
    cloud = tradeoff(summary)
    assert cloud.caption.endswith("Not drawn: 1 point with an infinite KL.")
    for chart in (panel.chart, heat(summary).panels[0].chart, cloud.panels[0].chart):
        assert json.dumps(chart.to_dict(), allow_nan=False)


def holding(label, exposures, mean, rows, step=32):
    return {"label": label, "size": "nano", "cell": label, "exposures": exposures, "step": step,
            "mean": mean, "rows": rows}  # fmt: skip


def test_sizes_have_curves_of_their_own():
    """One line through both sizes of a level would go up and down at every step."""
    rows = [
        {**holding(label, level, mean, 40, step), "size": size, "low": None, "high": None,
         "clusters": 2}
        for label in ("one", "two") for size, mean in (("micro", 0.2), ("nano", 0.8))
        for level in (1, 4) for step in (0, 8)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64})
    labels = pl.DataFrame({"label": ["one", "two"], "forgets": [False, False]})
    primary = pl.DataFrame({"label": ["two"], "role": ["primary"]})
    figure = retention(
        SimpleNamespace(retention=frame.drop("cell"), edits=labels, methods=labels,
                        contrasts=primary, without_retention=0)
    )  # fmt: skip
    assert [panel.title for panel in figure.panels] == [
        "one, nano", "one, micro", "two, nano", "two, micro"
    ]  # fmt: skip
    for panel in figure.panels:
        drawn = panel.chart.to_dict()["data"]["values"]
        assert len({(row["level"], row["step"]) for row in drawn}) == len(drawn) == 4
    assert figure.finding.startswith("With two, nano, after 8 steps of training, 80% of the edits")


@pytest.mark.parametrize(("stated", "label"), [(["two"], "two"), ([], "one"), (["gone"], "one")])
def test_what_lasts_is_said_of_one_method_and_never_of_a_pool(stated, label):
    frame = pl.DataFrame(
        [holding("one", 2, 0.9, 140), holding("one", 256, 0.0, 33),
         holding("two", 2, 0.8, 180), holding("two", 256, 0.4, 179)]
    )  # fmt: skip
    roles = pl.DataFrame({"label": stated, "role": ["primary"] * len(stated)},
                         schema={"label": pl.String, "role": pl.String})  # fmt: skip
    summary = SimpleNamespace(edits=pl.DataFrame({"label": ["one", "two"]}), contrasts=roles)
    few, many = {"one": ("90%", "0%"), "two": ("80%", "40%")}[label]
    counts = {"one": (140, 33), "two": (180, 179)}[label]
    assert retained(summary, frame) == (
        f"With {label}, after 32 steps of training, {few} of the edits still hold at 2 exposures "
        f"of the fact (of {counts[0]} that held directly after the batch) and {many} at 256 (of "
        f"{counts[1]})."
    )


def setting(label, rank, success, *, kept, part="mlp"):
    return {"label": label, "rank": rank, "part": part, "retain_rows": kept, "ed50": 9.0,
            "censored": False, "beyond": 40.0, "kl": 0.1, "lost": 0.1, "success": success,
            "edits": 64}  # fmt: skip


def placed(*rows, forgets=(), sizes=("nano",)):
    methods = pl.DataFrame(
        [{"label": row["label"], "forgets": row["label"] in forgets} for row in rows]
    )
    schema = {"rank": pl.Int64, "retain_rows": pl.Int64}
    settings = pl.DataFrame(rows, schema_overrides=schema)
    edits = pl.DataFrame({"size": sizes})
    return placement(SimpleNamespace(settings=settings, methods=methods, edits=edits))


def test_a_grid_of_several_sizes_says_so():
    rows = [setting("one", 1, 0.5, kept=8), setting("two", 4, 0.6, kept=8)]
    assert "pools" not in placed(*rows).caption
    assert (
        "Each point pools models of pico and nano." in placed(*rows, sizes=("pico", "nano")).caption
    )


def test_ranks_are_of_edits_with_as_many_retained_rows():
    """What unlearns, or retains nothing, is in no cell however much success it has."""
    rows = (
        setting("lora", 1, 0.9, kept=8), setting("bare", 1, 1.0, kept=0),
        setting("ft", None, 0.8, kept=8), setting("ascent", None, 1.0, kept=0),
        setting("lora 16", 16, 0.9, kept=8),
    )  # fmt: skip
    figure = placed(*rows, forgets=("ascent",))
    assert sorted(figure.frame["label"]) == ["ft", "lora", "lora 16"]
    assert "All edits have 8 retained rows." in figure.caption
    assert isinstance(placed(rows[0], rows[3], forgets=("ascent",)), Absent), "one cell is left"


def test_without_such_a_setting_nothing_is_said_of_retained_rows():
    figure = placed(setting("one", 1, 0.9, kept=None), setting("two", 4, 0.9, kept=None))
    assert figure.frame.height == 2 and "retained" not in figure.caption


def test_two_loads_of_one_world_are_one_cluster(draw):
    frames = draw(worlds=3, loads=(1.0, 2.0), edits=30, levels=(1, 16), probes=1)
    figure = mediation(summarise(frames, resamples=2))
    assert figure.frame["clusters"].max() == 3
    assert ", 3 clusters" in figure.caption or "to 3 clusters" in figure.caption


def test_captions_say_how_many_clusters_the_smallest_point_has():
    frame = pl.DataFrame({"rows": [10, 20], "clusters": [2, 8]})
    assert counted(frame, "facts") == "n = 10 to 20 facts per point, 2 to 8 clusters"
    assert counted(frame[1:], "facts") == "n = 20 facts per point, 8 clusters"


@pytest.fixture(scope="module")
def two_sizes(flips):
    """The summary of a study with models of two sizes."""
    pico = pl.lit("pico").alias("size")
    models = flips.models.with_columns(
        pico, pl.col("parameters") // 6, pl.format("{}-pico", "model").alias("model")
    )
    odd = pl.int_range(pl.len()) % 2 == 1
    edits = flips.edits.with_columns(pl.when(odd).then("size").otherwise(pico).alias("size"))
    return summary_of(flips, edits=edits, models=pl.concat([flips.models, models]))


@pytest.mark.parametrize("chart", [flip, geometry, mediation, tradeoff])
def test_what_pools_sizes_of_models_says_so(summary, two_sizes, chart):
    said = "Each point pools models of pico and nano."
    for found, there in ((summary, False), (two_sizes, True)):
        figure = chart(found)
        assert isinstance(figure, Figure)
        assert (said in figure.caption) == there


def test_smaller_models_come_first(two_sizes):
    """In alphabetical order nano would come before pico, and micro before both."""
    titles = [panel.title for panel in dose(two_sizes).panels]
    assert [title.rpartition(", ")[2] for title in titles] == ["pico", "pico", "nano", "nano"]
    assert [row[1] for row in dose_table(two_sizes).rows] == 2 * (3 * ["pico"] + 3 * ["nano"])


def test_capacity_says_which_bits_it_counts(summary):
    assert "including facts that follow from others" in capacity(summary).caption


def test_estimates_of_one_cluster_are_not_drawn_beside_those_of_several(summary):
    rare = (pl.col("contrast") == "success") & (pl.col("label") == "one")
    table = summary.contrasts.with_columns(
        pl.when(rare).then(1).otherwise("clusters").cast(pl.UInt32).alias("clusters"),
        *(pl.when(~rare).then(name).alias(name) for name in ("low", "high")),
    )
    kept = {**vars(summary), "contrasts": table}
    figure = slopes(SimpleNamespace(**kept))
    drawn = figure.frame.filter(contrast="success")
    assert set(drawn["label"]) == {"two"}
    assert "Not drawn: 2 estimates from one cluster, shown in the table." in figure.caption
    assert "from one cluster" not in slopes(summary).caption


def test_an_axis_of_shares_begins_where_they_are():
    assert [_bottom(least) for least in (0.2, 0.69, 0.95, 1.0)] == pytest.approx([0, 0, 0.9, 0.9])


@pytest.mark.parametrize(("count", "axes"), [(3, {None}), (20, {None, "top"})])
def test_a_tall_chart_has_its_axis_at_both_ends(count, axes):
    groups = [f"pair {place}" for place in range(count)]
    part = pl.DataFrame({"group": groups, "cell": "flipped", "mean": 1.0, "low": 0.5, "high": 1.5,
                         "rows": 9})  # fmt: skip
    spec = matched_chart(part, {"flipped": "#000"}, groups).to_dict()

    def orients(layer):
        own = layer.get("encoding", {}).get("x", {})
        found = {(own.get("axis") or {}).get("orient")} if "field" in own else set()
        return found.union(*(orients(each) for each in layer.get("layer", [])))

    assert orients(spec) == axes


def test_bars_stay_within_the_axes():
    """Intervals of two clusters are longer than an axis, and were drawn over its title."""
    frame = pl.DataFrame(
        {"label": "one", "exposures": [1, 16], "measure": "kl_at_flip", "mean": [0.01, 0.1],
         "low": [0.0, 0.0], "high": [0.5, 9.0], "rows": 9, "clusters": 2}
    )  # fmt: skip
    [panel] = against_exposures(frame, {"kl_at_flip": ("Damage", "nats")}, {"one": "#000"}, ".3g")
    spec = panel.chart.to_dict()
    [rule] = [layer for layer in spec["layer"] if layer["mark"]["type"] == "rule"]
    assert rule["mark"]["clip"] is True
    [y] = {str(layer["encoding"]["y"]["scale"]["domain"]) for layer in spec["layer"]
           if "scale" in layer["encoding"]["y"]}  # fmt: skip
    low, high = json.loads(y)
    assert 0 < low < 0.01 and 0.1 < high < 0.3


def test_a_bar_that_ends_within_the_axis_is_drawn_to_its_end():
    frame = pl.DataFrame(
        {"label": "one", "exposures": [1, 16], "measure": "kl_at_flip", "mean": [1.9, 20.0],
         "low": [0.55, 15.0], "high": [3.2, 25.0], "rows": 9, "clusters": 8}
    )  # fmt: skip
    [panel] = against_exposures(frame, {"kl_at_flip": ("Damage", "nats")}, {"one": "#000"}, ".3g")
    spec = panel.chart.to_dict()
    [y] = {str(layer["encoding"]["y"]["scale"]["domain"]) for layer in spec["layer"]
           if "scale" in layer["encoding"]["y"]}  # fmt: skip
    assert json.loads(y)[0] <= 0.55
    assert [(row["low"], row["from"]) for row in spec["data"]["values"]] == [(0.55, 0.55), (15, 15)]


def test_without_intervals_no_empty_layer_is_drawn(summary):
    """Vega warns of a field without values."""
    figure = mediation(summary)
    part = figure.frame.filter(label="one").with_columns(
        low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64)
    )
    colours = dict(figure.legend)
    marks = [layer["mark"]["type"] for layer in
             mediation_chart(part, colours, [1, 30]).to_dict()["layer"]]  # fmt: skip
    assert "rule" not in marks and "point" in marks


@pytest.mark.parametrize("every", [False, True])
def test_a_group_whose_kl_is_nan_has_a_row_for_what_it_loses(flips, every):
    rows = flips.probes.with_columns(
        pl.when(pl.lit(every) | (pl.col("group") == "unrelated"))
        .then(float("nan"))
        .otherwise("kl")
        .alias("kl")
    )
    figure = damage(summary_of(flips, probes=rows))
    assert isinstance(figure, Figure)
    assert [panel.title for panel in figure.panels][-1] == "Known bystanders lost"
    assert len(figure.panels) == (1 if every else 2)
    names = json.dumps(figure.panels[-1].chart.to_dict())
    for group in set(flips.probes.filter(~pl.col("must_change")).collect()["group"]):
        assert group.replace("_", " ") in names
    assert "is NaN on some bystanders" in figure.caption


def test_recall_says_in_which_wording_it_was_asked(summary):
    """Relations of a grammar have wordings of their own, and some no default template."""
    said = "each in the first written wording of its relation (of the template default where it has"
    assert said in recall(summary).caption


def test_lost_facts_are_told_with_the_number_of_edits(summary):
    figure = damage(summary)
    assert re.search(r"\(\d+ edits\), the .* and .*\(\d+\), the smallest\.$", figure.finding)


@pytest.mark.parametrize("chart", [dose, flip, geometry, damage])
def test_the_extreme_of_many_is_named_by_point_estimates(summary, chart):
    assert "by point estimates" in chart(summary).finding.lower()


@pytest.mark.parametrize(
    ("own", "measure", "said"),
    [(consequences, "follows", "With every method, 50% of the dependent facts follow the edit."),
     (damaged, "lost", "Over all methods, edits lose 50.0% of the known facts of every group."),
     (flipped, "kl_at_flip", "At the dose, by point estimates, the KL on bystanders is 0.50 nats "
      "with every method."),
     (changed, "norm", "By point estimates, the norm of the change is 0.50 with every method.")],
)  # fmt: skip
def test_among_equals_none_is_the_largest(own, measure, said):
    names = {name: ["one", "two"] for name in ("label", "cell", "group")}
    equal = pl.DataFrame({**names, "measure": measure, "mean": 0.5, "rows": [4, 6]})
    assert own(equal) == said
    assert " with every " not in own(equal.with_columns(mean=pl.Series([0.5, 0.6])))
    less = equal.head(1).with_columns(pl.lit("less").alias(name) for name in names)
    said = own(pl.concat([less.with_columns(mean=0.4), equal]))
    assert re.search(r"\bone\b.* and .?two\b", said) and "less" in said


def test_doses_are_compared_over_one_range_and_among_equals_none_changes_most():
    def said(**arms):
        return doses(pl.DataFrame(
            [{"label": label, "size": "pico", "filter": "all", "exposures": level, "ed50": ed50}
             for label, levels in arms.items() for level, ed50 in levels.items()],
            schema_overrides={"ed50": pl.Float64},
        ))  # fmt: skip

    one, two, less = {2: 2, 64: 20}, {2: 3, 64: 30}, {2: 2, 64: 4}
    assert said(one=one) == (
        "From 2 to 64 exposures, ED50 changes from 2 to 20 steps with one (a factor of 10)."
    )
    assert said(one=one, two=two) == (
        "From 2 to 64 exposures, by point estimates, ED50 changes by a factor of 10 with every "
        "method."
    )
    assert said(one=one, less=less, two=two) == (
        "From 2 to 64 exposures, ED50 changes by a factor of 10 with one and two, the largest "
        "change of all methods by point estimates; the smallest with less (a factor of 2.0)."
    )
    # Over more exposures doses change more; a median of 0 or a censored one has no factor.
    others = {"wide": {2: 2, 256: 90}, "gone": {2: 2, 64: 0}, "open": {2: 2, 64: None}}
    assert said(one=one, less=less, **others) == (
        "From 2 to 64 exposures, ED50 changes from 2 to 20 steps with one (a factor of 10), the "
        "largest change of the methods with a factor over this range by point estimates; the "
        "smallest with less (a factor of 2.0)."
    )
    assert " with less (a factor of 2.0 or 0.50)." in said(
        one=one, less=less, fewer={2: 4, 64: 2}
    ).replace("less and fewer", "less")


def test_panels_with_other_units_have_colours_of_their_own_in_files():
    """Drawn on one scale with steps, every share was the colour of 0 steps."""
    rows = (setting("one", 1, 0.9, kept=None), setting("two", 4, 0.1, kept=None))
    spec = exported(placed(*rows), PAPER)
    assert spec["resolve"] == {"scale": {"color": "independent"}}


def test_texts_in_charts_are_as_small_as_the_axes_on_paper():
    rows = (setting("one", 1, 0.9, kept=None), setting("two", 4, 0.1, kept=None))

    def size(style):
        panels = exported(placed(*rows), style)["concat"]
        marks = [layer["mark"] for panel in panels for layer in panel["layer"]]
        [found] = {mark["fontSize"] for mark in marks if "fontSize" in mark}
        return found

    assert (size(SCREEN), size(PAPER)) == (12, pytest.approx(12 * 9 / 11))


def test_no_step_is_at_0_on_a_linear_axis(flips):
    """With few steps the axis is linear, and ED50 of 0 was drawn at a half."""
    few = flips.edits.with_columns(
        dose=pl.lit(0, pl.UInt32), dose_low=pl.lit(None, pl.UInt32), reached=pl.lit(True)
    )
    some = (pl.col("exposures") == 16).cast(pl.UInt32)
    figure = dose(summary_of(flips, edits=few.with_columns(dose=2 * some, dose_low=some)))
    spec = figure.panels[0].chart.to_dict()
    values = [
        row for part in (spec, *spec["layer"]) for row in part.get("data", {}).get("values", ())
    ]
    drawn = {row["exposures"]: row["steps"] for row in values if "steps" in row}
    assert drawn == {1: 0, 4: 0, 16: 2}
    assert "dashed line" not in figure.caption


def test_the_axis_of_doses_by_margin_has_room_for_the_intervals(summary):
    figure = mediation(summary)
    [top] = {
        layer["encoding"]["y"]["scale"]["domain"][1]
        for panel in figure.panels
        for layer in panel.chart.to_dict()["layer"]
        if "scale" in layer.get("encoding", {}).get("y", {})
    }
    assert figure.frame["high"].max() > figure.frame["steps"].max()
    assert top >= figure.frame["high"].max()
