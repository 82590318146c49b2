"""The part of a page about edits one after another, and the page of a study that has only these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from behemoth.study.analysis.board_measures import FEWEST
from behemoth.study.analysis.sequence import Sequences, sequences_of
from behemoth.study.results import Results
from behemoth.support.text import interval_text, listed_text, plural_text

from .board_cells import mean_cell, trials_text
from .charts.common import ends
from .charts.sequence import by_checkpoints, groups_of, retention_matrix
from .contents import Heading
from .page import (
    About,
    Table,
    closing,
    counts_part,
    document,
    explained_part,
    failures_part,
    figure_part,
    opening,
    places_part,
    table_part,
)
from .places import places_of
from .style import NOTHING, Absent, Figure, number
from .tables import above_bound, duration

__all__ = ["SequencePage", "SequencePart", "render_sequences", "sequence_page", "sequence_part",
           "sequence_parts"]  # fmt: skip

_TITLE = "Edits one after another"
_WHAT = (
    "Each method made the edits of a plan one after another, each on the model that the earlier "
    "ones left. Held: the share of the edits made so far whose new answer is generated in each "
    "wording they were made in. Forgotten: of methods that forget, the share of those of known "
    "facts whose old answer is generated in none. Lost: the share of the known bystanders that are "
    "no longer generated."
)
_MORE = (
    "At most 256 edits of a plan are sampled, and at each number of edits the same ones are asked, "
    "with their bystanders. Norm is that of the sum of all changes, relative to the changed "
    "weights; a module beside the weights has none. Numbers are means over trials, a trial being a "
    "method's edits of one plan on one model; if not all trials have a number, those that do are "
    "counted below it. Ranges below a number are 95% intervals of the cluster jackknife over "
    f"(world, initialisation); there is none with fewer than {FEWEST} clusters, or if leaving out "
    "a cluster changes nothing. The half-life is the number of further edits after which half of "
    "those that held at their first checkpoint no longer do, over the edits of all trials that "
    "were seen again at later ones; > means that more than half held as long as any were seen. "
    "Seconds are per edit, without evaluation, and not known of trials that were stopped and "
    "resumed."
)
_HEADS = {
    "hold": "held",
    "forgotten": "forgotten",
    "lost": "known bystanders lost",
    "kl": "KL on bystanders, nats",
    "norm": "norm of the change",
}


@dataclass(frozen=True)
class SequencePart:
    """What a page says of edits one after another.

    Attributes
    ----------
    found : Sequences
    figures : sequence of Figure or Absent
    trials, failed : mapping of str to int
        Finished and failed trials by label.
    seconds : mapping of str to float
        Seconds of an edit by label, mean over the trials of which they are known.
    """

    found: Sequences
    figures: Sequence[Figure | Absent]
    trials: Mapping[str, int]
    failed: Mapping[str, int]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class SequencePage:
    """Contents of the page of a study of edits one after another.

    Attributes
    ----------
    about : About
    counts : sequence of (str, str)
    part : SequencePart
    places : mapping of str to str
        Where methods edit, by label; see `behemoth.report.places.places_of`.
    failures : sequence of (str, str, str)
        Label, model and reason of trials that failed, or failed in part.
    """

    about: About
    counts: Sequence[tuple[str, str]]
    part: SequencePart
    places: Mapping[str, str]
    failures: Sequence[tuple[str, str, str]]


def sequence_part(results: Results) -> SequencePart | None:
    """Return what the trials of suite ``sequence`` say; None if no measure of it was taken."""
    suites = results.suites.filter(pl.col("suite") == "sequence").collect()
    if suites.is_empty():
        return None
    found = sequences_of(suites, results.sequence.collect())
    labels = {row.id: row.label for row in results.about.trials if _in_sequence(row.measure)}
    edits = dict(suites.select("trial", "edits").unique().iter_rows())
    spent: dict[str, list[float]] = {}
    for trial, seconds in results.edit_seconds.items():
        if trial in edits:
            spent.setdefault(labels[trial], []).append(seconds / edits[trial])
    return SequencePart(
        found=found,
        figures=[by_checkpoints(found), retention_matrix(found)],
        trials=Counter(labels[trial] for trial in edits),
        failed=Counter(labels[each.trial] for each in results.failures if each.trial in labels),
        seconds={label: sum(times) / len(times) for label, times in spent.items()},
    )


def _in_sequence(measure: Mapping[str, Any]) -> bool:
    return measure.get("suite") == "sequence"


def sequence_page(results: Results, about: About) -> SequencePage | None:
    """Return the contents of the page; None before the first trial."""
    part = sequence_part(results)
    if part is None:
        return None
    index = results.index.collect()
    edits = results.edits.select("trial", "edit").collect()
    counts = [
        ("models edited", f"{index['model'].n_unique():,}"),
        ("clusters (world, init)", f"{index.select('world_seed', 'seed').n_unique():,}"),
        ("edits made", f"{edits.height:,}"),
        ("trials", f"{len(results.done):,}"),
        ("methods", f"{index['label'].n_unique():,}"),
        ("working time", duration(sum(results.seconds.values()))),
    ]
    return SequencePage(about, counts, part, places_of(index), results.reasons)


def render_sequences(page: SequencePage) -> str:
    """Return the complete HTML file."""
    drawn = [figure for figure in page.part.figures if isinstance(figure, Figure)]
    said = headline(page.part.found)
    parts: list[str | Heading] = [
        *opening(page.about, "study"),
        f'<div class="headline"><strong>{escape(said)}</strong></div>',
        counts_part(page.counts),
        *sequence_parts(page.part, 1),
        *places_part(page.places),
        *failures_part(page.failures),
        *closing(page.about),
    ]
    return document(f"{page.about.name}: a Behemoth study", parts, drawn)


def sequence_parts(part: SequencePart, number_from: int) -> Iterator[str | Heading]:
    """Yield the section of a page, whose figures are numbered from `number_from`."""
    yield Heading(_TITLE, "sequence")
    yield explained_part(_WHAT, _MORE)
    for name, table in checkpoint_tables(part):
        title = ": ".join(filter(None, (_TITLE, name)))
        if name:
            yield f"<h3>{escape(name)}</h3>"
        yield table_part(table, title, whole=True)
    yield "<h3>Half-lives and costs</h3>"
    yield table_part(half_life_table(part), "Half-lives and costs", whole=True)
    for figure in part.figures:
        yield figure_part(figure, number_from)
        number_from += isinstance(figure, Figure)


def headline(found: Sequences) -> str:
    """Return sentences on what holds and what is lost after the last edit of the longest plan."""
    frame = found.checkpoints
    if frame.is_empty():
        return "No trial has a value yet."
    most = frame.filter(pl.col("edits") == pl.col("edits").max())
    name, last = groups_of(most.filter(pl.col("after") == pl.col("after").max()))[0]
    where = f" ({name})" if name else ""
    said = "; ".join(
        [
            *_ends(last, "hold", "edits that hold", descending=True),
            *_ends(last, "forgotten", "old answers forgotten", descending=True),
            *_ends(last, "lost", "known bystanders lost", descending=False),
        ]
    )
    clusters = int(last["clusters"].max() or 0)  # type: ignore[arg-type]
    over = (
        f"Means over up to {clusters} clusters." if clusters > 1 else "One cluster: no intervals."
    )
    made = plural_text(last["after"][0], "edit")
    return f"After {made} made one after another{where}: {said}. {over}"


def _ends(last: pl.DataFrame, measure: str, what: str, *, descending: bool) -> Iterator[str]:
    """Yield what the methods at both ends of a measure have, if there are any."""
    own = last.filter(measure=measure).sort("mean", descending=descending, maintain_order=True)
    if own.is_empty():
        return
    first, final = ends(own.to_dicts(), lambda row: number(row["mean"], 2))
    told = [
        f"{number(rows[0]['mean'], 2)} ({listed_text([row['label'] for row in rows])})"
        for rows in ([first] if first == final else [first, final])
    ]
    yield f"{what} {' to '.join(told)}"


def checkpoint_tables(part: SequencePart) -> Iterator[tuple[str, Table]]:
    """Yield a table of methods and numbers of edits for each kind of world and plan, with its name.

    A method is marked where it lost more of the known bystanders than the bound of damage.
    """
    for name, own in groups_of(part.found.checkpoints):
        shown = [measure for measure in _HEADS if measure in set(own["measure"])]
        cells = own.partition_by("label", "after", maintain_order=True)
        table = []
        for each in cells:
            label, after = each["label"][0], each["after"][0]
            by = {row["measure"]: row for row in each.iter_rows(named=True)}
            trials = max(row["rows"] for row in by.values())
            table.append(
                [
                    label,
                    f"{after:,}",
                    *(_cell(measure, by[measure], trials) if measure in by else NOTHING
                      for measure in shown),
                    f"{trials:,}",
                    str(each["clusters"].max()),
                ]
            )  # fmt: skip
        heads = (f"#{_HEADS[measure]}" for measure in shown)
        yield name, Table(("method", "#edits made", *heads, "#trials", "#clusters"), table)


def _cell(measure: str, row: Mapping[str, Any], trials: int) -> str:
    mark = above_bound(row["mean"]) if measure == "lost" else ""
    return mean_cell(row["mean"], row["low"], row["high"]) + mark + trials_text(row["rows"], trials)


def half_life_table(part: SequencePart) -> Table:
    """Return the half-life of the edits of each method, and what they cost.

    Costs are of all trials of a method, so they are left out where it has several plans.
    """
    found = {
        (name, row["label"]): row
        for name, own in groups_of(part.found.half_lives)
        for row in own.iter_rows(named=True)
    }
    names = list(dict.fromkeys(name for name, _ in found)) or [""]
    labels = dict.fromkeys(part.found.checkpoints["label"])
    several = len(names) > 1
    rows = [
        [
            label,
            *([name] if several else []),
            _half_life(found.get((name, label))),
            f"{found[name, label]['rows']:,}" if (name, label) in found else NOTHING,
            *([] if several else [number(part.seconds.get(label), 2), _trials(part, label)]),
        ]
        for name in names
        for label in [*labels, *(each for each in part.failed if each not in labels)]
    ]
    costs = () if several else ("#seconds an edit", "#trials")
    return Table(("method", *(["plan"] if several else []), "#half-life, edits",
                  "#edits seen again", *costs), rows)  # fmt: skip


def _half_life(row: Mapping[str, Any] | None) -> str:
    if row is None or row["looked"] is None:  # none was seen to hold, or none again
        return NOTHING
    if row["half_life"] is None:
        return f"> {row['looked']:,}"
    if row["low"] is None:
        return number(row["half_life"], 2)
    interval = interval_text(row["low"], row["high"], number, 2)
    return f"{number(row['half_life'], 2)}\n{interval}"


def _trials(part: SequencePart, label: str) -> str:
    failed = part.failed.get(label, 0)
    return f"{part.trials.get(label, 0):,}" + (f"\n{failed:,} failed" if failed else "")
