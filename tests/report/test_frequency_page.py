"""The ratios by range on the page of the study of frequency are those of its published edits."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("statsmodels", reason="the report's packages are not installed")

ROOT = Path(__file__).parents[2]
SCRIPT, PAGE = ROOT / "examples/dose_by_range.py", ROOT / "docs/results/frequency/index.md"
FRAMES = PAGE.parent / "frames"


def test_the_page_shows_what_its_command_prints(run_script):
    [line] = [line for line in PAGE.read_text().splitlines() if "dose_by_range.py" in line]
    assert line.endswith(' docs/results/frequency/frames "LoRA, rank 1" 2 32 64 128')
    code, out, err = run_script(SCRIPT, FRAMES, "LoRA, rank 1", 2, 32, 64, 128)
    assert code == 0, err
    shares, table = out.split("\n\n")
    assert table in PAGE.read_text()
    assert "| 16 | 0.18 | 0.36 |" in shares and "| 256 | 1.00 | 0.00 |" in shares


def test_ranks_are_compared_on_the_models_that_both_have():
    """Rank 16 was run on 8 of the 14 models; flips at equal cost need no more than the edits."""
    from behemoth.study.analysis.matched import matched_table

    edits = pl.read_parquet(FRAMES / "edits.parquet").filter(optimiser="adam", retain_rows=8)
    kl = edits.select("trial", "edit", kl=pl.lit(None, pl.Float64))
    follows = edits.select("trial", "edit", follows=pl.lit(None, pl.Float64)).clear()
    same = {"outcome": "flipped", "optimiser": "adam", "retain_rows": 8}
    shipped = pl.read_parquet(FRAMES / "matched.parquet").filter(**same)
    found = matched_table(edits, kl, follows).filter(outcome="flipped")
    for name in ("difference", "low", "high", "cost_low", "cost_high"):
        assert (found[name] - shipped[name]).abs().max() < 1e-9
    assert found["edits"].equals(shipped["edits"]) and found["note"].equals(shipped["note"])
    text = " ".join(PAGE.read_text().split()).replace("\N{MINUS SIGN}", "-")
    [mean] = shipped.filter(comparison="rank_mean", cost="kl").to_dicts()
    said = "{:.3f} ({:.3f} to {:.3f})".format(
        *(mean[name] for name in ("difference", "low", "high"))
    )
    assert f"at equal divergence is {said}" in text
    for first, second in (("mlp, rank 1", "mlp, rank 16"), ("mlp, rank 16", "mlp, full rank")):
        [row] = shipped.filter(first=first, second=second, cost="kl").to_dicts()
        assert row["low"] < 0 < row["high"]
    # Success at equal norm is read from sweeps, of which two rates were run in 4 models alone.
    sweep = {"outcome": "success", "cost": "norm", "first": "mlp, rank 1"}
    of_sweep = pl.read_parquet(FRAMES / "matched.parquet").filter(**same | sweep)
    again = matched_table(edits, kl, follows).filter(**sweep)
    [row] = again.drop_nulls("difference").to_dicts()
    [kept] = of_sweep.drop_nulls("difference").to_dicts()
    assert row["difference"] == pytest.approx(kept["difference"]) and row["note"] == kept["note"]
    ends = "{:.1f} points less often at equal norm ({:.1f} to {:.1f}".format(
        *(-100 * row[name] for name in ("difference", "high", "low"))
    )
    assert ends in text


def test_readme_quotes_the_rows_of_known_facts():
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if "| known |" in line]
    readme = " ".join((ROOT / "README.md").read_text().split())
    [learnt] = [row for row in rows if row[0] == "| 32 to 256"]
    number = r"(\d\.\d\d)"
    for cell, said in zip(
        learnt[3:5],
        (rf"by {number} \(95% interval {number} to {number}\) under the Weibull",
         rf"by {number} \({number} to {number}\) under the log-normal"),
        strict=True,
    ):  # fmt: skip
        exact = [float(part.strip("()")) for part in cell.split() if part != "to"]
        [quoted] = re.findall(said, readme)
        assert [float(each) for each in quoted] == pytest.approx(exact, abs=0.0051)


def test_a_doubling_counts_only_within_the_range():
    """Doses that double from 8 exposures on, and are constant below."""
    ratios = runpy.run_path(str(SCRIPT))["ratios"]
    rows = [
        {"exposures": level, "subject_exposures": 100, "dose": dose, "dose_low": dose - 1,
         "reached": True, "limit": 999, "known": True, "margin": 1.0 * edit, "failure": None,
         "model": f"m{seed}", "world_seed": seed, "seed": seed, "edit": edit, "fact": edit,
         "trial": f"t{seed}", "label": "x", "dose_kind": "flip"}
        for seed in range(4)
        for level in (1, 2, 4, 8, 16, 32)
        for edit in range(8)
        for dose in [round(50 * max(1, level / 4)) + (7 * seed + 3 * level + 5 * edit) % 11]
    ]  # fmt: skip
    found = {row[:2]: float(row[4].split()[0]) for row in ratios(pl.DataFrame(rows), [1, 4])}
    assert found["1 to 2", "all"] == pytest.approx(1, abs=0.05)
    assert found["4 to 32", "known"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("LoRA, rank 1", 2), "starts: give two or more"),
        (("LoRA, rank 1", 32, 2), "the lowest first"),
        (("rome", 2, 32), "label: rome, allowed: LoRA"),
        (("LoRA, rank 1", 1, 2), "starts: no fact has 1 to 1 exposures; there are 2, 4, 8"),
        (("LoRA, rank 1", 10, 12, 32), "starts: no fact has 10 to 11 exposures; there are 2"),
        (("LoRA, rank 1", 2, 1000), "starts: no fact has 1000 exposures or more; there are 2, 4"),
    ],
)
def test_refusals(given, said, run_script):
    code, _, err = run_script(SCRIPT, FRAMES, *given)
    assert code == 2 and said in err


def test_a_folder_without_edits_is_refused(run_script):
    code, _, err = run_script(SCRIPT, PAGE.parent, "x", 2, 32)
    assert code == 2 and "frames: no edits.parquet" in err


def test_an_arm_without_written_facts_is_refused_by_its_name(tmp_path, run_script):
    rows = {"label": ["x", "y"], "size": ["pico", "nano"], "exposures": [0, 2]}
    pl.DataFrame(rows).write_parquet(tmp_path / "edits.parquet")
    for more, said in (
        ((), "error: label: x, which edited no written fact\n"),
        (("--size", "nano"), "error: size: nano, of which x edited no written fact\n"),
    ):
        code, _, err = run_script(SCRIPT, tmp_path, "x", 2, 32, *more)
        assert code == 2 and err.endswith(said)


def test_edits_of_each_level_are_as_many_as_the_limits_say():
    edits = pl.read_parquet(FRAMES / "edits.parquet")
    levels = edits.group_by("label", "exposures").len()
    found = dict(levels.group_by("label").agg(pl.col("len").unique()).iter_rows())
    assert sorted(edits["exposures"].unique()) == [2, 4, 8, 16, 32, 64, 128, 256]
    assert found.pop("LoRA, rank 1") == found.pop("fine-tuning") == [264]
    rates = [found.pop(label) for label in sorted(found) if "learning_rate" in label]
    assert rates == 10 * [[32]] and list(found.values()) == 4 * [[192]]
    said = "have 264, the four other main arms 192, and the ten arms with other rates 32 each"
    assert said in " ".join(PAGE.read_text().split())
