"""The page of a study whose trials run suites: boards, trade-offs, and a section per method."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import Any

import polars as pl

from behemoth.evaluate.damage import BOUND
from behemoth.evaluate.suites.score import OBJECTIVES
from behemoth.study.analysis.board_measures import FEWEST
from behemoth.study.analysis.leaderboard import SHOWN, Board, boards
from behemoth.study.analysis.learnt import learnt, recalled
from behemoth.study.analysis.outcomes import outcomes
from behemoth.study.results import Results
from behemoth.support.text import plural_text

from .board_cells import (
    clusters_text,
    cost_cell,
    fewer_text,
    mean_cell,
    measure_cell,
    place_cell,
    trials_cell,
)
from .by_exposures import exposure_parts
from .charts.by_edits import by_edits
from .charts.by_exposures import by_exposures
from .charts.pareto import pareto
from .contents import Heading
from .leader import leader, provisos
from .learnt import learnt_parts, unlearnt, world_name
from .method_settings import of_worlds, origin, settings_text
from .page import (
    About,
    Table,
    absent_part,
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
from .sequence import SequencePart, sequence_part, sequence_parts
from .style import NOTHING, Absent, Figure, number
from .tables import duration

__all__ = ["Leaderboard", "anchor", "by_world", "leaderboard_of", "render_leaderboard"]

_NEWLINE = "\n"
_FIELDS = {"editing": "Editing", "unlearning": "Unlearning"}
_HEADS = {
    "exact_efficacy": "exact efficacy",
    "kl": "KL on bystanders, nats",
    "forget_recall": "old answer generated",
    "leak_at_64": "leak in 64 samples",
    "relearned": "relearned in 40 steps",
    "linear_probe": "linear probe",
    "kl_twin_retain": "KL to twin, nats",
    "damage": "known bystanders lost",
    "score_locality": "score with locality",
}
_SCORE = (
    "The score is the harmonic mean of {legs}. The place is the range of ranks that the intervals "
    "allow: a method ranks before another only if its interval lies completely above, so "
    "1\u20133 is a tie."
)
_HOW = (
    "Numbers are means over trials; a trial is a "
    "method's edits of one plan on one model. Ranges below a number are 95% intervals of the "
    "cluster jackknife over (world, initialisation), clipped to the range of the measure; there is "
    f"none with fewer than {FEWEST} clusters, or if leaving out a cluster changes nothing. "
    "{oracle}{unvaried}Seconds are the time to "
    "make all edits of a plan, without evaluation; MB is the peak memory of tensors besides the "
    "model. {bound}{settings}{trials}{fewer}{unedited}"
)
_BOUND = (
    "Known bystanders lost is the mean over groups of bystanders; a method is marked if it is "
    f"above {BOUND:g}, which does not change its score. The score with locality has 1 less that "
    "share as one more leg; places do not depend on it. "
)
_UNKNOWN = (
    "In trials whose model knew no bystander it is the score without that leg; the number of the "
    "others is below it. "
)
_SETTINGS = (
    "Settings are the defaults, set by hand, or tuned; for tuned settings the table has the number "
    "of tuning trials and the time of their edits.{whence}"
)
_WHENCE = (
    " Those that are behemoth's come with the package: they were tuned once, on another world of "
    "each kind that is named, and not for this study. For several kinds (tuned:world) each trial "
    "has those for the kind of its world, and the numbers are sums over these kinds."
)
_DEFAULT = "All methods have the settings that were their defaults when the trials were run."
_FEWER = (
    " If a model has no finite value, the score and its legs are 0 for that trial; other numbers "
    "state from how many trials they are if not from all."
)
_UNVARIED = {
    0.0: "A method whose score is 0 in every trial has no interval and shares the last places. ",
    1.0: "A method whose score is 1 in every trial has no interval and shares the first places. ",
}
_UNEDITED = (
    " The last row, unedited, is {models} without any edit (one counts for each number of edits): "
    "what a method has that changes nothing. It has no place, and no number where a measure needs "
    "an edit or training."
)
_ORACLE = "Oracles are retrained on the twin corpus and have no place. "


@dataclass(frozen=True)
class Leaderboard:
    """Contents of the page.

    Attributes
    ----------
    about : About
    counts : sequence of (str, str)
    boards : sequence of Board
    figures, exposures, edits : sequence of Figure or Absent
        One per board: costs, measures by exposures of the edited facts, and by the number of edits
        of a plan.
    settings : mapping of str to str
        Settings of each label, as JSON.
    worlds : mapping of str to mapping, optional
        By label: settings by kind of world, where they depend on it (`MethodChoice.to_dict`).
    places : mapping of str to str, optional
        Where methods edit, by label; see `behemoth.report.places.places_of`.
    learnt : polars.DataFrame, optional
        Facts known before the edits, as returned by `behemoth.study.analysis.learnt.learnt`.
    sequence : SequencePart, optional
        Edits one after another, if trials have the suite for them.
    failures : sequence of (str, str, str)
        Label, model and reason of trials that failed, or failed in part.
    """

    about: About
    counts: Sequence[tuple[str, str]]
    boards: Sequence[Board]
    figures: Sequence[Figure | Absent]
    settings: Mapping[str, str]
    failures: Sequence[tuple[str, str, str]]
    exposures: Sequence[Figure | Absent]
    edits: Sequence[Figure | Absent]
    places: Mapping[str, str]
    worlds: Mapping[str, Mapping[str, Any]]
    learnt: pl.DataFrame
    sequence: SequencePart | None = None


def leaderboard_of(results: Results, about: About) -> Leaderboard:
    """Return the contents of the page of a study whose trials run suites."""
    failed: dict[str, Counter[str]] = {}
    suite_of = {trial.id: trial.measure.get("suite") for trial in results.about.trials}
    for each in results.failures:
        failed.setdefault(str(suite_of[each.trial]), Counter())[each.label] += 1
    # Edits one after another are on no board.
    suites = results.suites.filter(pl.col("suite").is_in(list(SHOWN))).collect()
    recall = results.recall.collect()
    found = boards(
        suites,
        failed=failed,
        seconds=results.edit_seconds,
        costs=results.edit_costs,
        methods=results.about.methods,
        probes=results.probes,
        outcomes=outcomes(results, suites),
    )
    index = results.index.select("label", "method", "settings").unique().sort("settings").collect()
    # One method may have several labels, such as retraining for each kind of edit, and one label
    # several settings, by kind of world.
    by_label = index.group_by("label", "method", maintain_order=True).agg("settings").iter_rows()
    apart = {(method, *settings) for _, method, settings in by_label}
    # Of finished trials: models whose trials are not done yet contribute nothing.
    clusters = suites.select("world_seed", "seed").unique()
    counts = [
        ("models edited", f"{suites['model'].n_unique():,}"),
        ("clusters (world, init)", f"{clusters.height:,}"),
        ("written facts recalled before, by model", _spread(recalled(recall)["recall"])),
        ("trials", f"{len(results.done):,}"),
        ("methods", f"{len(apart):,}"),
        ("working time", duration(sum(results.seconds.values()))),
    ]
    return Leaderboard(
        about=about,
        counts=counts,
        boards=found,
        figures=[pareto(board) for board in found],
        exposures=[by_exposures(board) for board in found],
        edits=[by_edits(board) for board in found],
        settings=dict(index.select("label", "settings").iter_rows()),
        worlds={
            each["label"]: each["worlds"] for each in results.about.methods if each.get("worlds")
        },
        failures=results.reasons,
        places=places_of(results.index.collect()),
        learnt=learnt(results.edits.collect(), suites, recall),
        sequence=sequence_part(results),
    )


def _spread(values: pl.Series) -> str:
    if values.is_empty():
        return NOTHING
    low, high = (f"{value:.0%}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def anchor(suite: str, place: int) -> str:
    """Return the HTML id of a method's section, by its row in the board of a suite."""
    return f"method-{suite}-{place + 1}"


def render_leaderboard(page: Leaderboard) -> str:
    """Return the complete HTML file."""
    in_order = chain.from_iterable(zip(page.figures, page.edits, page.exposures, strict=True))
    drawn = [figure for figure in in_order if isinstance(figure, Figure)]
    parts: list[str | Heading] = [
        *opening(page.about, "leaderboard"),
        *(
            f'<div class="headline"><strong>{escape(_FIELDS[board.suite])}: '
            f"{escape(' '.join([leader(board), *provisos(board)]))}</strong></div>"
            for board in page.boards
        ),
        *(
            f'<p class="state" role="status">{escape(_FIELDS[board.suite])}, {escape(said)}</p>'
            for board in page.boards
            for said in unlearnt(page.learnt.filter(suite=board.suite))
        ),
        counts_part(page.counts),
    ]
    number_of = {figure.name: place + 1 for place, figure in enumerate(drawn)}
    for board, figure, sizes, exposures in zip(
        page.boards, page.figures, page.edits, page.exposures, strict=True
    ):
        field = _FIELDS[board.suite]
        parts.append(Heading(field, board.suite))
        parts.append(explained_part(_score(board), _how(board)))
        parts.append(
            table_part(_board_table(board), f"{field}: the methods", _links(board), whole=True)
        )
        own = set(board.table["label"])
        parts += places_part({name: at for name, at in page.places.items() if name in own})
        parts += learnt_parts(page.learnt.filter(suite=board.suite), field)
        parts += by_world(board)
        parts += [figure_part(each, number_of.get(each.name)) for each in (figure, sizes)]
        number = number_of.get(exposures.name)
        parts += exposure_parts(board, exposures, number, field, _HEADS, _links(board))
        parts += absent_part(board.missing)
    if page.sequence is not None:
        parts += sequence_parts(page.sequence, len(drawn) + 1)
        drawn += [each for each in page.sequence.figures if isinstance(each, Figure)]
    parts.append(Heading("Each method", "methods"))
    for board in page.boards:
        for place in range(board.table.height):
            parts += _method(page, board, place)
    parts += failures_part(page.failures)
    parts += closing(page.about)
    return document(f"{page.about.name}: a Behemoth leaderboard", parts, drawn)


def _score(board: Board) -> str:
    there = set(board.measures.drop_nulls("mean")["measure"])
    own = [leg for leg in OBJECTIVES[board.suite].legs if leg.needed or leg.name in there]
    legs = "; ".join(f"{leg.name} ({leg.meaning})" for leg in own)
    return _SCORE.format(legs=legs)


def _how(board: Board) -> str:
    oracle = _ORACLE if "oracle" in set(board.table["family"]) else ""
    whence = "" if board.table["tuned_on"].is_null().all() else _WHENCE
    settings = {True: _SETTINGS.format(whence=whence), False: _DEFAULT, None: ""}[_varied(board)]
    known = [board.knowing(label) for label in board.table["label"]]
    unknown = _UNKNOWN if any(known) and known != board.table["trials"].to_list() else ""
    placed = board.table.filter(pl.col("last").is_not_null())["score"]
    unvaried = "".join(text for score, text in _UNVARIED.items() if (placed == score).any())
    row = board.table.row(0, named=True)
    counts = f"{plural_text(row['trials'], 'trial')} in {clusters_text(row)}"
    trials = "" if _uneven(board) else f" Each has {counts}."
    fewer = _FEWER if _partial(board) else ""
    return _HOW.format(
        oracle=oracle, unvaried=unvaried,
        bound=_BOUND + unknown if "damage" in _shown(board) else "",
        settings=settings, trials=trials, fewer=fewer, unedited=_unedited(board),
    )  # fmt: skip


def _unedited(board: Board) -> str:
    """Return what the row of the unedited model is, or nothing if there is none."""
    if board.unedited.is_empty():
        return ""
    count = int(board.unedited["rows"].max() or 0)  # type: ignore[arg-type]
    return _UNEDITED.format(models=plural_text(count, "model"))


def _varied(board: Board) -> bool | None:
    """Return whether any method has settings other than the defaults; None if unknown."""
    known = board.table["settings"].drop_nulls()
    return None if known.is_empty() else bool((known != "default").any())


def _uneven(board: Board) -> bool:
    """Return whether methods differ in their numbers of trials, or some trials failed."""
    counts = board.table.select("trials", "clusters").unique().height
    return counts > 1 or bool(board.table["failed"].sum())


def _partial(board: Board) -> bool:
    """Return whether some shown number comes from fewer trials than its method has."""
    shown = board.measures.filter(pl.col("measure").is_in(SHOWN[board.suite]))
    trials = board.table.select("label", "trials")
    return not shown.join(trials, on="label").filter(pl.col("rows") < pl.col("trials")).is_empty()


def by_world(board: Board) -> Iterator[str]:
    """Yield the scores by world and number of edits, one row per method, if there are several."""
    cells = board.cells.filter(measure="score")
    places = _worlds(cells)
    if len(places) < 2:
        return
    said = {
        (row["label"], row["grammar"], row["edits"]): mean_cell(
            row["mean"], row["low"], row["high"]
        )
        for row in cells.iter_rows(named=True)
    }
    named = [f"#{world_name(grammar)}, {plural_text(edits, 'edit')}" for grammar, edits in places]
    heads = ("method", *named)
    rows = [
        [label, *(said.get((label, *place), NOTHING) for place in places)]
        for label in board.table["label"]
    ]
    field = _FIELDS[board.suite]
    yield f"<h3>{escape(field)}: score by world and number of edits</h3>"
    yield table_part(Table(heads, rows), f"{field}, by world", _links(board), whole=True)


def _worlds(cells: pl.DataFrame) -> list[tuple[str | None, int]]:
    """Return the distinct pairs of grammar and number of edits, worlds without grammar first."""
    found = cells.select("grammar", "edits").unique().sort("grammar", "edits", nulls_last=False)
    return list(found.iter_rows())


def _links(board: Board) -> list[str]:
    return [f"#{anchor(board.suite, place)}" for place in range(board.table.height)]


def _shown(board: Board) -> list[str]:
    """Return the shown measures that some method has."""
    return [name for name in SHOWN[board.suite] if board.table[name].is_not_null().any()]


def _board_table(board: Board) -> Table:
    """Return the table, with what a score is paid with beside it and what methods cost last."""
    shown = _shown(board)
    said, uneven = _varied(board), _uneven(board)
    heads = (
        "method",
        "#place",
        *(f"#{_HEADS.get(name, name)}" for name in shown),
        "#seconds",
        *(("#settings",) if said else ()),
        *(("#trials",) if uneven else ()),
    )
    rows = [
        [
            row["label"],
            place_cell(row),
            *(measure_cell(row, name, of, known) for name in shown),
            cost_cell(row),
            *((origin(row),) if said else ()),
            *((trials_cell(row),) if uneven else ()),
        ]
        for row in board.table.iter_rows(named=True)
        for of, known in ((board.counts(row["label"]), board.knowing(row["label"])),)
    ]
    marked = {place for place, row in enumerate(board.table.iter_rows(named=True))
              if row["first"] == 1}  # fmt: skip
    if not board.unedited.is_empty():
        by = {row["measure"]: row for row in board.unedited.iter_rows(named=True)}
        ends = ("mean", "low", "high")
        numbers = [
            mean_cell(*(by[name][end] for end in ends)) if name in by else NOTHING for name in shown
        ]
        rows.append(["unedited", NOTHING, *numbers, *[NOTHING] * (len(heads) - 2 - len(shown))])
    # If all ranked methods are tied, or there is only one, none is marked.
    return Table(
        heads, rows, frozenset(marked if len(marked) < board.table["first"].count() else ())
    )


def _method(page: Leaderboard, board: Board, place: int) -> Iterator[str]:
    """Yield the section of a method: numbers by world and number of edits, and all measures."""
    row = board.table.row(place, named=True)
    label = row["label"]
    yield f'<section id="{anchor(board.suite, place)}"><h3>{escape(label)}</h3>'
    if not row["trials"]:
        yield f"<p>All trials failed ({row['failed']:,}).</p></section>"
        return
    said = settings_text(json.loads(page.settings.get(label, "{}")))
    if label in page.worlds:
        said = of_worlds(page.worlds[label])
    elif row["settings"] is not None:
        said = f"settings ({origin(row).replace(_NEWLINE, ', ')}): {said or 'none'}"
    ranks = place_cell(row)
    ranked = "" if ranks in (NOTHING, "oracle") else f"Place {ranks} in {board.suite}. "
    family = escape(f"{row['family'][:1].upper()}{row['family'][1:]}")
    yield f"<p>{escape(ranked)}{family}; {escape(said or 'no settings')}.</p>"
    shown = _shown(board)
    cells = board.cells.filter(label=label)
    rows = []
    for grammar, edits in _worlds(cells):
        own = cells.filter(pl.col("grammar").eq_missing(grammar) & (pl.col("edits") == edits))
        by = {each["measure"]: each for each in own.iter_rows(named=True)}
        trials = max(each["rows"] for each in by.values())
        known = board.knowing(label, grammar, edits)
        rows.append(
            [
                world_name(grammar),
                f"{edits:,}",
                *(
                    mean_cell(*(by[name][end] for end in ("mean", "low", "high")))
                    + fewer_text(name, by[name]["rows"], known, trials)
                    if name in by
                    else NOTHING
                    for name in shown
                ),
                f"{trials:,}",
                str(max(each["clusters"] for each in by.values())),
            ]
        )
    heads = ("world", "#edits", *(f"#{_HEADS.get(name, name)}" for name in shown), "#trials",
             "#clusters")  # fmt: skip
    yield '<details class="own"><summary>By world, and all measures</summary>'
    yield table_part(Table(heads, rows), f"{label}, by world")
    every = board.measures.filter(label=label).sort("measure")
    twins = every["twin"].is_not_null().any()
    heads = ("measure", "#mean", *(("#twin",) if twins else ()), "#trials", "#clusters")
    listed = [
        [
            each["measure"],
            mean_cell(each["mean"], each["low"], each["high"]),
            *((number(each["twin"], 3),) if twins else ()),
            f"{each['rows']:,}",
            str(each["clusters"]),
        ]
        for each in every.iter_rows(named=True)
    ]
    yield '<details class="every"><summary>All measures</summary>'
    yield table_part(Table(heads, listed), f"{label}, all measures")
    yield "</details></details></section>"
