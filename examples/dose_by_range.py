"""Time ratios of a study's doses from several exposures on, recomputed from the published edits.

    python examples/dose_by_range.py docs/results/frequency/frames "LoRA, rank 1" 2 32 64 128

It needs the extra `report` (in a clone, pip install '.[report]'). For each number it takes the
edits of facts that were written at least so often and that need a step, over all facts and over
those known before, and prints how many there are and the time ratio of one doubling of exposures,
with 95% intervals over clusters, if doses have a Weibull distribution and if they have a log-normal
one; the last column holds margins fixed. The lowest number is also compared below the second: the
range in which little is learnt. `--size nano` takes the edits of models of one size.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from behemoth.study.analysis.estimate import Estimate
from behemoth.study.analysis.time_ratio import direct_ratio, time_ratio

FIRST = ("exposures", "known", "dose 0")
HEADS = ("exposures", "facts", "edits", "Weibull", "log-normal", "log-normal, equal margins")


def levels(edits: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """Yield the share of facts known before, and of edits without a step, at each level."""
    shares = edits.group_by("exposures").agg(
        pl.col("known").mean(), ((pl.col("dose") == 0) & pl.col("reached")).mean().alias("none")
    )
    for exposures, known, none in shares.sort("exposures").iter_rows():
        yield str(exposures), f"{known:.2f}", f"{none:.2f}"


def ratios(edits: pl.DataFrame, starts: list[int]) -> Iterator[tuple[str, ...]]:
    """Yield the time ratios of each range of exposures, over all and over known facts."""
    most = int(edits["exposures"].max())  # type: ignore[arg-type]
    below = [level for level in edits["exposures"].unique().to_list() if level < starts[1]]
    ranges = [(starts[0], most), (starts[0], max(below)), *((each, most) for each in starts[1:])]
    for low, high in ranges:
        within = edits.filter(pl.col("exposures").is_between(low, high))
        for facts, rows in (("all", within), ("known", within.filter("known"))):
            weibull = time_ratio(rows, distribution="weibull")
            found = (weibull, time_ratio(rows), direct_ratio(rows))
            yield f"{low} to {high}", facts, f"{weibull.rows:,}", *map(said, found)


def said(estimate: Estimate) -> str:
    """Return a ratio with its interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "none"
    value, low, high = map(math.exp, (estimate.value, estimate.low, estimate.high))
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Read the arguments, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path, help="the frames of a report (edits.parquet)")
    parser.add_argument("label", help="an arm of the study")
    parser.add_argument("starts", type=int, nargs="+", help="lowest exposures, two or more")
    parser.add_argument("--size", help="edits of models of this size; by default of all")
    given = parser.parse_args()
    if len(given.starts) < 2 or given.starts != sorted(set(given.starts)):
        parser.error("starts: give two or more numbers of exposures, the lowest first")
    file = given.frames / "edits.parquet"
    if not file.is_file():
        parser.error(f"frames: no edits.parquet in {given.frames}")
    every = pl.read_parquet(file)
    for name in ("label", "size"):
        value, allowed = getattr(given, name), sorted(set(every[name]))
        if value is not None and value not in allowed:
            parser.error(f"{name}: {value}, allowed: {', '.join(allowed)}")
    edits = every.filter(pl.col("label") == given.label, pl.col("exposures") > 0)
    if given.size is not None:
        edits = edits.filter(pl.col("size") == given.size)
    if edits.is_empty() and given.size is not None:
        parser.error(f"size: {given.size}, of which {given.label} edited no written fact")
    if edits.is_empty():
        parser.error(f"label: {given.label}, which edited no written fact")
    first, second, last = *given.starts[:2], given.starts[-1]
    written = sorted(set(edits["exposures"]))
    found = ", ".join(map(str, written))
    if not any(first <= level < second for level in written):
        parser.error(f"starts: no fact has {first} to {second - 1} exposures; there are {found}")
    if last > written[-1]:
        parser.error(f"starts: no fact has {last} exposures or more; there are {found}")
    sys.stdout.write(table(FIRST, list(levels(edits))))
    sys.stdout.write("\n" + table(HEADS, list(ratios(edits, given.starts))))


if __name__ == "__main__":
    main()
