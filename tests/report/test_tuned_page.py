"""The tables of the shipped page of tuned methods are those of the shipped frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from behemoth.edit.registry import get_method
from behemoth.edit.settings import read_settings
from behemoth.report.tables import number

PAGE = Path(__file__).parents[2] / "docs/results/tuned"
LOCALITY = ", with locality"


def page_text():
    """The text of the page, in one line."""
    return " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("world", "suite", "study"),
    [("tokens", "editing", "tokens"), ("text", "editing", "text"),
     ("tokens", "unlearning", "tokens"), ("text", "unlearning", "text-unlearning")],
)  # fmt: skip
def test_rows_are_those_of_the_frame(world, suite, study, page_rows):
    page = page_rows(PAGE / "index.md", f"{world}: {suite}")
    frame = pl.read_parquet(PAGE / study / "frames" / f"{suite}_table.parquet")
    frame = frame.filter(~pl.col("label").str.ends_with(LOCALITY))
    assert {label.removesuffix(", tuned") for label in frame["label"]} == set(page)
    others = ("damage",) if suite == "editing" else ("forgetting", "utility", "privacy")
    seen = 0
    for row in frame.iter_rows(named=True):
        name = row["label"].removesuffix(", tuned")
        tuned = name != row["label"]
        score, place = page[name][2:4] if tuned else page[name][:2]
        interval = "" if row["score_low"] is None else (
            f" ({row['score_low']:.2f} to {row['score_high']:.2f})"
        )  # fmt: skip
        assert score == f"{row['score']:.2f}{interval}", row["label"]
        assert place == ("oracle" if row["first"] is None else f"{row['first']}-{row['last']}")
        assert page[name][5 if tuned else 4] == " / ".join(f"{row[each]:.2f}" for each in others)
        if suite == "editing":
            assert page[name][7 if tuned else 6] == f"{row['exact_efficacy']:.2f}", row["label"]
        seen += tuned
    assert seen == sum(cells[2] not in ("", "the same", "not run") for cells in page.values())


def test_rows_with_locality_are_those_of_the_frame(page_rows):
    page = page_rows(PAGE / "index.md", "text: with locality")
    frame = pl.read_parquet(PAGE / "text/frames/editing_table.parquet")
    found = {row["label"]: row for row in frame.iter_rows(named=True)}
    assert set(page) == {label.partition(",")[0] for label in found} - {"ike"}
    for name, cells in page.items():
        for place, ending in enumerate(("", ", tuned", LOCALITY)):
            row = found.get(name + ending)
            if row is None:
                assert cells[place] == ("" if name == "retrain" else "the same")
                continue
            ends = (row[f"score_locality{end}"] for end in ("", "_low", "_high"))
            assert cells[place] == "{:.2f} ({:.2f} to {:.2f})".format(*ends), name
            assert cells[3 + place] == f"{row['damage']:.2f}"
        if row := found.get(name + LOCALITY):
            assert cells[6:] == [f"{row['score']:.2f}", f"{row['first']}-{row['last']}"]


def test_what_locality_is_paid_with_is_what_the_trials_say():
    trials = pl.read_parquet(PAGE / "text/frames/editing_trials.parquet")
    page = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())

    def less(method, measure, other=", tuned"):
        own, by = (
            trials.filter(label=method + ending, measure=measure).sort("world_seed")["value"]
            for ending in (LOCALITY, other)
        )
        apart = own - by
        assert len(apart) == 5
        error = 2.776 * apart.std() / 5**0.5
        return apart.mean(), apart.mean() - error, apart.mean() + error

    mean, low, high = less("ft", "damage")
    assert f"`ft` loses {-mean:.2f} fewer of the bystanders ({-high:.2f} to {-low:.2f})" in page
    mean, low, high = less("ft", "score_locality")
    assert f"rises by {mean:.2f} ({low:.2f} to {high:.2f})" in page
    mean, low, high = less("alphaedit", "damage")
    assert f"`alphaedit` loses {-mean:.2f} fewer ({-high:.2f} to {-low:.2f})" in page
    for method in ("rome", "memit", "emmet"):
        assert less(method, "damage")[2] < 0
        assert less(method, "score_locality")[1] < 0 < less(method, "score_locality")[2]
    assert less("rome", "score")[2] < 0 and less("memit", "score")[2] < 0
    assert less("ultraedit", "damage", "")[2] < 0 and less("ultraedit", "score", "")[2] < 0
    for measure in ("damage", "score", "score_locality"):
        assert less("lora", measure)[1] < 0 < less("lora", measure)[2]


def test_what_tuning_changes_in_unlearning_on_text_is_what_the_trials_say():
    trials = pl.read_parquet(PAGE / "text-unlearning/frames/unlearning_trials.parquet")
    page = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())

    def more(method, measure):
        own, by = (
            trials.filter(label=label, measure=measure).sort("world_seed")["value"]
            for label in (f"{method}, tuned", method)
        )
        apart = own - by
        assert len(apart) == 3
        error = 4.303 * apart.std() / 3**0.5
        return apart.mean(), apart.mean() - error, apart.mean() + error

    rising = (
        "dpo_refusal", "kl_min", "pdu", "satimp", "simnpo", "ceu", "undial", "grad_ascent",
        "task_vector",
    )  # fmt: skip
    for method in rising:
        mean, low, high = more(method, "score")
        begin = "the score of" if method == "dpo_refusal" else "of"
        rises = "rises by" if method == "dpo_refusal" else "by"
        assert f"{begin} `{method}` {rises} {mean:.2f} ({low:.2f} to {high:.2f})" in page
    for method in ("npo", "wga", "refusal"):
        assert more(method, "score")[1] < 0 < more(method, "score")[2]
    mean, low, high = more("wga", "utility")
    assert f"{-mean:.2f} less of the utility ({-high:.2f} to {-low:.2f})" in page
    for method in ("grad_ascent", "kl_min", "satimp", "pdu"):
        mean, low, high = more(method, "utility")
        assert f"`{method}` {-mean:.2f} less ({-high:.2f} to {-low:.2f})" in page


def test_lora_is_above_the_others_tuned_with_locality():
    trials = pl.read_parquet(PAGE / "text/frames/editing_trials.parquet")
    scores = trials.filter(measure="score_locality").pivot(
        "label", index="world_seed", values="value"
    )
    others = [name for name in scores.columns if name.endswith(LOCALITY) and "lora" not in name]
    for name in (*others, "ft_svd, tuned", "ft_l, tuned"):  # the same by both objectives
        apart = scores[f"lora{LOCALITY}"] - scores[name]
        error = 2.776 * apart.std() / 5**0.5
        assert apart.mean() - error > 0
        if name.startswith("ft,"):
            mean, low, high = apart.mean(), apart.mean() - error, apart.mean() + error
            assert f"by {mean:.2f} ({low:.2f} to {high:.2f}, `ft`) or more" in page_text()


def test_two_differences_of_unlearning_on_text_survive_holm():
    trials = pl.read_parquet(PAGE / "text-unlearning/frames/unlearning_trials.parquet")
    survive = {}
    for measure in ("score", "utility"):
        table = trials.filter(measure=measure).pivot("label", index="world_seed", values="value")
        tuned = [name for name in table.columns if name.endswith(", tuned")]
        found = {
            name.removesuffix(", tuned"): stats.ttest_rel(
                table[name], table[name.removesuffix(", tuned")]
            ).pvalue
            for name in tuned
        }
        assert len(found) == 12
        survive[measure] = []
        for rank, name in enumerate(sorted(found, key=found.get)):
            if found[name] * (12 - rank) > 0.05:
                break
            survive[measure].append(name)
    assert survive == {"score": ["kl_min", "undial"], "utility": ["grad_ascent"]}
    assert "two are left, `kl_min` (p 0.02) and `undial` (0.03), and of the prices" in page_text()
    assert "below one, `grad_ascent` (0.008)" in page_text()


def test_one_fact_of_the_same_object_makes_the_difference_that_the_page_states():
    trials = pl.read_parquet(PAGE / "text/frames/editing_trials.parquet")
    own = trials.filter(measure="damage_same_object").drop_nulls("value")
    assert own["world_seed"].n_unique() == 1 and set(own["count"]) == {1}
    rest = trials.filter(
        pl.col("measure").is_in(["damage_same_subject", "damage_same_relation", "damage_unrelated"])
    )
    means = rest.drop_nulls("value").group_by("label", "world_seed").agg(pl.col("value").mean())
    without = dict(means.group_by("label").agg(pl.col("value").mean()).iter_rows())
    stated = trials.filter(measure="damage").group_by("label").agg(pl.col("value").mean())
    apart = {label: without[label] - value for label, value in stated.iter_rows()}
    told = dict(stated.iter_rows())
    for method in ("ft", "ft_svd"):
        label = f"{method}, tuned"
        now = f"{without[label]:.2f} instead of {told[label]:.2f}"
        assert now in page_text(), method
    assert all(abs(by) <= 0.0301 for label, by in apart.items() if label != "ft, tuned")


def test_better_means_of_unlearning_are_tied_with_the_best_default():
    frame = pl.read_parquet(PAGE / "tokens/frames/unlearning_table.parquet").filter(
        pl.col("label") != "retrain, without"
    )
    tuned = pl.col("label").str.ends_with(", tuned")
    defaults = frame.filter(~tuned).sort("score", descending=True)
    assert defaults["label"][0] == "grad_diff"
    better = frame.filter(tuned, pl.col("score") > defaults["score"][0])
    assert better.height == 7
    assert (better["score_low"] <= defaults["score_high"][0]).all()


def test_groups_of_bystanders_that_count_are_those_of_the_frame():
    for world, trials in (("tokens", 5), ("text", 1)):
        frame = pl.read_parquet(PAGE / world / "frames/editing_measures.parquet")
        rows = frame.filter(measure="damage_same_object")["rows"]
        assert rows.unique().to_list() == [trials]


@pytest.mark.parametrize(
    ("suite", "others"),
    [("editing", ("score_locality", "damage", "exact_efficacy")),
     ("unlearning", ("forgetting", "utility", "privacy", "forget_recall"))],
)  # fmt: skip
def test_rows_of_the_board_are_those_of_its_frames(suite, others, page_rows):
    page = page_rows(PAGE / "index.md", f"board: {suite}")
    frame = pl.read_parquet(PAGE / f"board/frames/{suite}_table.parquet")
    cells = pl.read_parquet(PAGE / f"board/frames/{suite}_cells.parquet").filter(measure="score")
    scores = {(row["label"], row["grammar"]): row["mean"] for row in cells.to_dicts()}
    assert list(page) == frame["label"].to_list()
    for row in frame.to_dicts():
        cells_of = page[row["label"]]
        place = "oracle" if row["first"] is None else f"{row['first']}-{row['last']}"
        interval = "" if row["score_low"] is None else (
            f" ({row['score_low']:.2f} to {row['score_high']:.2f})"
        )  # fmt: skip
        assert cells_of[:2] == [place, f"{row['score']:.2f}{interval}"]
        kinds = [f"{scores[row['label'], kind]:.2f}" for kind in (None, "bios-en")]
        assert cells_of[2:4] == kinds
        assert cells_of[4:-2] == [f"{row[name]:.2f}" for name in others]
        memory = "" if row["memory"] is None else number(row["memory"] / 1e6, 2)
        assert float(cells_of[-2]) == round(row["seconds"], 0 if row["seconds"] >= 10 else 1)
        assert cells_of[-1] == memory
    first = frame.filter(pl.col("first") == 1).height
    assert first == {"editing": 1, "unlearning": 5}[suite]


def test_the_first_of_the_board_pays_with_bystanders():
    frame = pl.read_parquet(PAGE / "board/frames/editing_table.parquet")
    leading = frame.filter(pl.col("family") != "oracle").head(7)
    assert leading["label"][0] == "ft_svd" and leading["damage"].arg_max() == 0
    assert leading["score_locality"].arg_min() == 0
    assert f"{leading['damage'][0]:.2f} of the known bystanders" in page_text()
    trials = pl.read_parquet(PAGE / "board/frames/editing_trials.parquet")
    means = trials.filter(measure="score_locality").group_by("label", "world_seed").agg(
        pl.col("value").mean()
    )  # fmt: skip
    wide = means.pivot("label", index="world_seed", values="value")
    ends = []
    for other in ("ft", "lora", "emmet"):
        apart = wide[other] - wide["ft_svd"]
        error = 2.365 * apart.std() / 8**0.5  # Student's t of seven degrees of freedom
        assert f"{apart.mean():.2f}" == "0.03"
        ends += [apart.mean() - error, apart.mean() + error]
    assert f"(in pairs on eight clusters {min(ends):.2f} to {max(ends):.2f})" in page_text()


def test_memory_methods_are_those_of_the_frames(page_rows):
    page = page_rows(PAGE / "index.md", "memory: editing")
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    both = [(method, world) for method in ("grace", "wise") for world in ("tokens", "text")]
    assert set(page) == {f"{method}`, {world}" for method, world in both}
    for name, cells in page.items():
        method, world = name.split("`, ")
        frames = PAGE / f"memory-{world}/frames"
        table = pl.read_parquet(frames / "editing_table.parquet")
        for at, label in enumerate((method, f"{method}, tuned")):
            [row] = table.filter(label=label).to_dicts()
            score, low, high = (row[f"score{end}"] for end in ("", "_low", "_high"))
            assert cells[at] == f"{score:.2f} ({low:.2f} to {high:.2f})"
            others = ("damage", "exact_efficacy", "score_locality")
            assert cells[2 + at :: 2] == [f"{row[each]:.2f}" for each in others]
        trials = pl.read_parquet(frames / "editing_trials.parquet").sort("world_seed")
        for measure in ("score", "damage", "efficacy"):
            own, by = (
                trials.filter(label=label, measure=measure)["value"]
                for label in (f"{method}, tuned", method)
            )
            apart = own - by
            mean, error = apart.mean(), 4.303 * apart.std() / 3**0.5
            if measure == "efficacy" or world == "tokens":
                assert mean - error <= 0 <= mean + error
            else:
                said = f"{mean:.2f} ({mean - error:.2f} to {mean + error:.2f})"
                assert said in text or said.replace(" (-", ", \u2212").replace(")", "") in text


def test_tokens_tuned_with_locality_are_those_of_the_frames(page_rows):
    page = page_rows(PAGE / "index.md", "tokens: with locality")
    text = page_text()
    frames = PAGE / "locality-tokens/frames"
    table = pl.read_parquet(frames / "editing_table.parquet")
    trials = pl.read_parquet(frames / "editing_trials.parquet").sort("world_seed")
    assert {f"{name}{end}" for name in page for end in (", tuned", LOCALITY)} == set(table["label"])
    rises, falls = [], []
    for name, cells in page.items():
        for at, ending in enumerate((", tuned", LOCALITY)):
            [row] = table.filter(label=f"{name}{ending}").to_dicts()
            ends = [row[f"score_locality{end}"] for end in ("", "_low", "_high")]
            assert cells[at] == "{:.2f} ({:.2f} to {:.2f})".format(*ends), name
            assert cells[2 + at :: 2] == [f"{row[each]:.2f}" for each in ("damage", "score")]
        found = {}
        for measure in ("damage", "score_locality", "score"):
            own, by = (
                trials.filter(label=f"{name}{end}", measure=measure)["value"]
                for end in (LOCALITY, ", tuned")
            )
            apart = own - by
            assert len(apart) == 5
            error = 2.776 * apart.std() / 5**0.5
            found[measure] = apart.mean(), apart.mean() - error, apart.mean() + error
        mean, low, high = found["damage"]
        if high < 0:
            falls.append(name)
            assert f"{-mean:.2f} fewer" in text and f"({-high:.2f} to {-low:.2f})" in text
        mean, low, high = found["score_locality"]
        if low > 0:
            rises.append(name)
            assert f"{mean:.2f} ({low:.2f} to {high:.2f})" in text
        assert found["score"][1] <= 0 <= found["score"][2]
    assert set(falls) == set(rises) == {"lora", "ft_svd", "wise"}
    same = {"ft", "ft_l", "memit", "emmet", "grace"}
    assert same | set(page) | {"mend"} == {
        each.name for each in (PAGE / "tokens-locality").iterdir()
    }
    for name in same:
        first, second = (
            get_method(name, read_settings(str(PAGE / f"tokens-{kind}/{name}/best.toml"), name))
            for kind in ("tuned", "locality")
        )
        assert first == second


def test_mend_is_that_of_its_frames(page_rows):
    page = page_rows(PAGE / "index.md", "mend: editing")
    text = page_text().replace("\u2212", "-")
    endings = ("", ", tuned", ", tuned with locality")
    assert set(page) == {"tokens", "text"}
    better, worse = set(), set()
    for world, cells in page.items():
        frames = PAGE / f"mend-{world}/frames"
        table = pl.read_parquet(frames / "editing_table.parquet")
        for at, ending in enumerate(endings):
            [row] = table.filter(label=f"mend{ending}").to_dicts()
            ends = [row[f"score{end}"] for end in ("", "_low", "_high")]
            others = [row["damage"], row["exact_efficacy"]]
            assert cells[at] == "{:.2f} ({:.2f} to {:.2f})".format(*ends)
            assert cells[3 + at :: 3] == [f"{each:.2f}" for each in others]
        trials = pl.read_parquet(frames / "editing_trials.parquet").sort("world_seed")
        for ending in endings[1:]:
            for measure in ("score", "damage"):
                own, by = (
                    trials.filter(label=label, measure=measure)["value"]
                    for label in (f"mend{ending}", "mend")
                )
                apart = own - by
                assert len(apart) == 5
                mean, error = apart.mean(), 2.776 * apart.std() / 5**0.5
                low, high = mean - error, mean + error
                if measure == "score" or low > 0:
                    assert f"{mean:.2f} ({low:.2f} to {high:.2f})" in text
                if low > 0 or high < 0:
                    (worse if (low > 0) == (measure == "damage") else better).add(
                        (world, ending, measure)
                    )
    assert worse == {("tokens", ", tuned", "score"), ("tokens", ", tuned", "damage")}
    assert better == {("tokens", ", tuned with locality", "score")}


@pytest.mark.parametrize(
    "world",
    ["tokens", "text", "text-unlearning", "memory-tokens", "memory-text", "mend-tokens",
     "mend-text", "locality-tokens"],
)  # fmt: skip
def test_the_study_reads_the_settings_beside_it(world):
    from behemoth.study.file.spec import read_study

    study = read_study(PAGE / f"{world}.toml")
    tuned = [choice for choice in study.methods if choice.tuning is not None]
    assert tuned and all(choice.tuning.trials == 16 for choice in tuned)
