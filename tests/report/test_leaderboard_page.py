"""The tables of the shipped leaderboard page are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from behemoth.report.tables import number

PAGE = Path(__file__).parents[2] / "docs/results/leaderboard"


def places(row: dict[str, int | None]) -> str:
    return "oracle" if row["first"] is None else f"{row['first']}-{row['last']}"


@pytest.mark.parametrize(
    ("suite", "columns"),
    [
        ("editing", {1: "score", 5: "damage"}),
        (
            "unlearning",
            {1: "score", 2: "forgetting", 3: "utility", 4: "privacy", 5: "forget_recall"},
        ),
    ],
)
def test_rows_are_those_of_the_frame(suite, columns, page_rows):
    page = page_rows(PAGE / "index.md", suite)
    frame = pl.read_parquet(PAGE / "frames" / f"{suite}_table.parquet")
    assert list(page) == frame["label"].to_list()
    for row in frame.iter_rows(named=True):
        cells = page[row["label"]]
        assert cells[0] == places(row)
        for place, name in columns.items():
            digits = len(cells[place].partition(".")[2])
            assert cells[place] == f"{row[name]:.{digits}f}", (row["label"], name)
        memory = "" if row["memory"] is None else number(row["memory"] / 1e6, 2)
        assert cells[-2:] == [number(row["seconds"], 2), memory], row["label"]


def test_scores_by_world_are_those_of_the_frame(page_rows):
    page = page_rows(PAGE / "index.md", "editing")
    scores = pl.read_parquet(PAGE / "frames/editing_cells.parquet").filter(measure="score")
    assert len(scores) == 2 * len(page)
    for row in scores.iter_rows(named=True):
        assert page[row["label"]][2 if row["grammar"] is None else 3] == f"{row['mean']:.2f}"


def test_free_generation_by_world_is_that_of_the_frame(page_rows):
    page = page_rows(PAGE / "index.md", "editing")
    cells = pl.read_parquet(PAGE / "frames/editing_cells.parquet").filter(measure="exact_efficacy")
    found = {(row["label"], row["grammar"]): row["mean"] for row in cells.iter_rows(named=True)}
    assert len(found) == 2 * len(page)
    for label, row in page.items():
        assert row[4] == f"{found[label, None]:.2f} / {found[label, 'bios-en']:.2f}", label


def test_single_places_of_rome_are_those_of_the_frame():
    """The page ranks each kind of world by itself, by the rule of the board."""
    scores = pl.read_parquet(PAGE / "frames/editing_cells.parquet").filter(
        pl.col("label") != "retrain", measure="score"
    )
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    for grammar, said in (
        (None, "`alphaedit`, `emmet`, `memit`, `wise`, `rome` (fifth) and `grace`. Ranked there "
         "alone, any of the six may be first"),
        ("bios-en", "(`bios-en`) `rome` alone is"),
    ):  # fmt: skip
        kind = scores.filter(pl.col("grammar").eq_missing(grammar)).sort("mean", descending=True)
        best = kind.filter(pl.col("high") >= kind["low"].max())["label"].to_list()
        assert said in text
        if grammar is None:
            assert kind["label"].to_list()[:6] == best
            assert kind["mean"][:6].min() >= 0.98 > kind["mean"][6]
            assert best == ["alphaedit", "emmet", "memit", "wise", "rome", "grace"]
        else:
            assert best == ["rome"]


def test_new_objects_that_the_corpora_never_write_are_counted():
    import behemoth as bh

    never = count = 0
    for seed in range(8):
        world = bh.World(subjects=60, relations=4, objects=20, seed=seed)
        corpus = bh.Corpus(world, exposures=bh.Groups([0, 16, 64]), order="bios", paraphrases=4)
        plan = bh.plan(
            corpus, edits=8, exposures=(16, 64), distinct=False, repeats=8, same_object=4,
            same_relation=8, regular=16, probes=3,
        )  # fmt: skip
        facts = world.facts(0, 240)
        written = facts.filter(corpus.exposures(facts["fact"]) > 0)
        seen = written.select("relation", new_object="object")
        never += plan.edits.join(seen, on=["relation", "new_object"], how="anti").height
        count += plan.edits.height
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    assert f"{never} of the {count} new objects are written nowhere" in text


def test_measures_that_no_trial_has_are_named():
    text = " ".join((PAGE.parents[1] / "leaderboard.md").read_text(encoding="utf-8").split())
    _, _, said = text.partition("- Background text, correlated relations")
    for suite in ("editing", "unlearning"):
        missing = pl.read_parquet(PAGE / "frames" / f"{suite}_missing.parquet")["measure"]
        assert all(f"`{measure}`" in said.partition("- Places")[0] for measure in missing)


def test_methods_that_forget_less_of_what_was_written_more_are_counted():
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    names = {"unlearning": "forgetting", "editing": "score"}
    found = {}
    for suite, measure in names.items():
        frame = pl.read_parquet(PAGE / "frames" / f"{suite}_exposures.parquet")
        own = frame.filter(pl.col("minus").is_not_null(), pl.col("batch").is_null())
        found[suite] = own.filter(~pl.col("label").str.starts_with("retrain"), measure=measure)
    less = found["unlearning"].filter(pl.col("high") < 0).sort("mean")
    assert (len(less), len(found["unlearning"])) == (12, 14)
    most, least = less.row(0, named=True), less.row(-1, named=True)
    said = (
        f"by {-least['mean']:.2f} (`{least['label']}`) to {-most['mean']:.2f} (`{most['label']}`)"
    )
    assert f"twelve of 14 methods facts written 64 times are forgotten less, {said}" in text
    apart = found["editing"].filter(pl.col("high") < 0).sort("mean")
    assert not len(found["editing"].filter(pl.col("low") > 0))
    one, two, three = (f"`{row['label']}` by {-row['mean']:.2f}" for row in apart.to_dicts())
    assert f"lower for 64: {one}, {two} and {three}" in text


def test_what_an_unedited_model_scores_is_that_of_its_frames():
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    [row] = pl.read_parquet(PAGE / "unedited/unlearning_table.parquet").to_dicts()
    cells = pl.read_parquet(PAGE / "unedited/unlearning_cells.parquet").filter(measure="score")
    kinds = dict(cells.select("grammar", "mean").iter_rows())
    ends = "{score:.2f}** ({score_low:.2f} to {score_high:.2f};".format(**row)
    assert f"scores {ends} {kinds[None]:.2f} in tokens, {kinds['bios-en']:.2f} in text)" in text
    legs = "forgetting {forgetting:.2f}, utility {utility:.2f} and privacy {privacy:.2f}."
    assert (legs + " It still says {forget_recall:.2f} of").format(**row) in text
    table = pl.read_parquet(PAGE / "frames/unlearning_table.parquet")
    above = {name: score - row["score"] for name, score in table.select("label", "score").rows()}
    said = "`ceu` and `grad_ascent` are {ceu:.2f} and {grad_ascent:.2f} above it, `grad_diff` "
    assert (said + "{grad_diff:.2f}.").format(**above) in text
