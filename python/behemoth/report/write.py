"""Writing the report of a study: an HTML file, charts as image files, and frames as Parquet."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import polars as pl

from behemoth.store.source import in_copy
from behemoth.study.analysis.estimate import cluster_of
from behemoth.study.analysis.headline import headline
from behemoth.study.analysis.summary import Summary, summarise
from behemoth.study.file.axes import pooled_text
from behemoth.study.results import Results
from behemoth.support.checks import (
    check_directory,
    check_permission,
    check_unclaimed,
    flag,
    path_of,
    whole_number,
)
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.files import replacing, write_bytes
from behemoth.support.progress import ProgressLike, task
from behemoth.support.provenance import cores, listed, processor, versions
from behemoth.support.text import listed_text

from .charts import CHARTS
from .leaderboard import Leaderboard, leaderboard_of, render_leaderboard
from .meta_evaluation import MetaEvaluationPage, meta_evaluation_of, render_meta_evaluation
from .method_settings import settings_rows
from .page import About, Page, Table, render
from .places import places_of
from .render import exported, pdf, png, svg
from .selection import drawn_methods
from .sequence import SequencePage, render_sequences, sequence_page
from .style import STYLES, Absent, Figure
from .tables import (
    contrast_table,
    dose_table,
    duration,
    failure_table,
    mediation_table,
    method_table,
    model_table,
    run_table,
)

__all__ = ["write_report"]

_PACKAGES = ("behemoth", "torch", "transformers", "polars", "statsmodels", "altair")
_MEASURES = {
    "ed50": "the time ratio of the dose of edits that need a step,",
    "efficacy": "the odds ratio of efficacy",
    "success": "the odds ratio of success",
}
"""Descriptions of the primary contrasts that a study may state, by measure."""


def write_report(
    study: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    style: Literal["screen", "paper"] = "screen",
    figures: bool = False,
    resamples: int = 1000,
    progress: ProgressLike = None,
) -> Path:
    """Write the report of a study, finished or not.

    Parameters
    ----------
    study : path
        Directory of the study.
    out : path, optional
        Folder of the report; STUDY/report by default, except of a study in a store. Files of the
        same names are replaced, but a directory of a study, a run and the like is refused.
    style : {'screen', 'paper'}
        Style of the chart files: as on the page, as PNG and SVG; or for print, with a serif font,
        black axes and the width of a column or a page, as PDF and SVG.
    figures : bool
        Write only the charts and their frames.
    resamples : int
        Number of bootstrap resamples for ED50.
    progress : callable or Progress, optional
        Called with the progress of the analysis; raising in it stops the work.

    Returns
    -------
    Path
        ``report.html``, or with `figures` the folder. Beside the page are charts/NAME.png (or .pdf)
        and .svg, and frames/NAME.parquet with the data of each chart and the tables of the
        analysis.

    Raises
    ------
    ArgumentError
        If `study` is not a study, or another argument is invalid.
    CorpusError
        If its record is damaged.
    """
    with renamed(path="study"):
        results = Results.open(study)
    figures = flag("figures", figures)
    resamples = whole_number("resamples", resamples, 1)
    if style not in STYLES:
        raise ArgumentError.unknown("style", style, STYLES)
    if out is None and in_copy(results.path):
        raise ArgumentError("out", None, "a folder for the report of a study in a store")
    place = results.path / "report" if out is None else path_of("out", out)
    _check_place(place)
    primary = results.about.primary
    suites = {suite for trial in results.about.trials if (suite := trial.measure.get("suite"))}
    text = _toml(results)  # refused before the work if it is damaged
    if suites:
        made_with = _made_with(results)
        on_boards = {
            trial.label
            for trial in results.about.trials
            if trial.measure.get("suite") not in (None, "sequence")
        }
        if "sequence" in suites:  # boards have the settings in a part of each method
            made_with += settings_rows(results, without=on_boards)
        about = _about(results, text, run_table(made_with))
        # An unedited model on a board of several suites must not replace that board.
        if suites == {"sequence"} and (sequences := sequence_page(results, about)):
            return _write_sequences(sequences, place, style, figures)
        if suites == {"unlearning"} and (metrics := meta_evaluation_of(results, about)):
            return _write_meta_evaluation(metrics, place, style, figures)
        return _write_leaderboard(leaderboard_of(results, about), place, style, figures)
    with task(progress, "analysing", "methods") as step:
        summary = summarise(results, primary, resamples=resamples, step=step)
    main, left_out = drawn_methods(summary)
    drawn = [draw(main) for draw in CHARTS]
    _write_figures(drawn, place, style)
    if figures:
        return place
    page = Page(
        about=_about(results, text, run_table(_run(results, summary))),
        headline=headline(summary, primary),
        stated=_stated(primary),
        counts=_counts(results, summary),
        methods=method_table(summary) if summary.methods.height else None,
        places=places_of(results.index.collect()),
        left_out=left_out,
        figures=drawn,
        cases=summary.cases,
        sections=_sections(results, summary),
        models=model_table(summary),
    )
    return _write_page(place, summary.tables(), render(page))


def _check_place(place: Path) -> None:
    """Refuse a place where the report could not be written, before the work for it."""
    allowed = "a folder for the report"
    for folder in (place, place / "charts", place / "frames", *place.parents):
        check_directory("out", folder, allowed)
    if (place / "report.html").is_dir():
        raise ArgumentError("out", f"{place / 'report.html'}, a directory", allowed)
    check_unclaimed("out", place, allowed)
    check_permission(place)


def _write_leaderboard(page: Leaderboard, place: Path, style: str, figures: bool) -> Path:
    """Write the report of a study whose trials run suites."""
    sequence = () if page.sequence is None else page.sequence.figures
    _write_figures((*page.figures, *page.edits, *page.exposures, *sequence), place, style)
    if figures:
        return place
    frames = {
        f"{board.suite}_{name}": getattr(board, name)
        for board in page.boards
        for name in ("table", "cells", "measures", "missing", "trials", "exposures", "unedited")
    }
    frames["known_before"] = page.learnt
    if page.sequence is not None:
        frames |= page.sequence.found.tables()
    return _write_page(place, frames, render_leaderboard(page))


def _write_meta_evaluation(
    page: MetaEvaluationPage, place: Path, style: str, figures: bool
) -> Path:
    """Write the report of a study with trained models and twins."""
    _write_figures([page.figure], place, style)
    if figures:
        return place
    frames = {f"metrics_{name}": getattr(page.found, name) for name in ("table", "levels", "parts")}
    frames["metrics_readings"] = page.readings
    return _write_page(place, frames, render_meta_evaluation(page))


def _write_sequences(page: SequencePage, place: Path, style: str, figures: bool) -> Path:
    """Write the report of a study of edits one after another."""
    _write_figures(page.part.figures, place, style)
    if figures:
        return place
    return _write_page(place, page.part.found.tables(), render_sequences(page))


def _write_page(place: Path, frames: Mapping[str, pl.DataFrame], html: str) -> Path:
    for name, frame in frames.items():
        _parquet(place / "frames" / f"{name}.parquet", frame)
    write_bytes(place / "report.html", html.encode())
    return place / "report.html"


def _about(results: Results, study: str, run: Table) -> About:
    return About(
        name=results.about.name,
        question=results.about.question,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        state=_state(results),
        run=run,
        study=study,
    )


def _write_figures(figures: Iterable[Figure | Absent], place: Path, style: str) -> None:
    for figure in figures:
        if isinstance(figure, Figure):
            _write_figure(figure, place, style)


def _write_figure(figure: Figure, place: Path, style: str) -> None:
    file = place / "charts" / figure.name
    spec = exported(figure, STYLES[style])
    drawn = svg(spec)
    if style == "paper":
        write_bytes(file.with_suffix(".pdf"), pdf(spec))
    else:
        write_bytes(file.with_suffix(".png"), png(drawn))
    write_bytes(file.with_suffix(".svg"), drawn.encode())
    _parquet(place / "frames" / f"figure_{figure.name}.parquet", figure.frame)


def _parquet(file: Path, frame: pl.DataFrame) -> None:
    with replacing(file) as temporary:
        frame.write_parquet(temporary)


def _state(results: Results) -> str:
    """Return sentences on missing and failed trials, methods that the page lacks, and pooled axes.

    Empty without any.
    """
    said = [_incomplete(results), _without_suite(results)]
    if pooled := results.pooled:
        said.append(
            f"Tables and figures pool over {pooled_text(pooled)} and name none of these values; "
            "Results.grid has them by trial."
        )
    return " ".join(filter(None, said))


def _incomplete(results: Results) -> str:
    done, failed, missing = len(results.done), len(results.failures), len(results.missing)
    without = len(results.without_model)
    total = done + failed + missing + without
    said = []
    if missing:
        said.append(f"{missing:,} of {total:,} trials have not been run yet")
    if failed:
        said.append(f"{failed:,} of {total:,} {'' if missing else 'trials '}failed")
    if without:
        said.append(f"the model of {without:,} of {total:,} trials is missing")
    if not said:
        return ""
    return f"Incomplete study: {listed_text(said)}. This report is about the other {done:,}."


def _without_suite(results: Results) -> str:
    """Return a sentence on the methods of a study of suites whose trials run none."""
    trials = results.about.trials
    suites = {trial.label for trial in trials if trial.measure.get("suite")}
    others = list(dict.fromkeys(trial.label for trial in trials if trial.label not in suites))
    if not suites or not others:
        return ""
    runs = "runs no suite and is" if len(others) == 1 else "run no suite and are"
    return f"{listed_text(others)} {runs} not on this page; Results.edits has their edits."


def _stated(primary: dict[str, str] | None) -> str:
    if primary is None:
        return "The study states no primary contrast."
    return (
        f"Primary contrasts, stated in the study: {_MEASURES[primary['measure']]} per doubling of "
        f"exposures with {primary['method']}, over all facts and over facts known before."
    )


def _counts(results: Results, summary: Summary) -> list[tuple[str, str]]:
    # Counted over available edits: models whose trials are not done yet contribute nothing.
    clusters = len(set(cluster_of(summary.edits).tolist()))
    facts = [f"{count:,}" for count in summary.models["facts"].unique().sort()]
    return [
        ("models trained", f"{summary.models.height:,}"),
        ("clusters (world, init)", f"{clusters:,}"),
        ("facts in each world", " or ".join(facts) or "0"),
        ("edits", f"{summary.edits.height:,}"),
        ("methods", f"{summary.edits['label'].n_unique():,}"),
        ("working time", duration(sum(results.seconds.values()))),
    ]


def _sections(results: Results, summary: Summary) -> list[tuple[str, str, Any]]:
    failures = failure_table(summary, results.failures, results.incomplete)
    return [
        (
            "Contrasts",
            "Roles: the primary contrasts are those that the study states, over all facts and "
            "over facts known before. The family is tested after both, at a family-wise level of "
            "5% (p in the family: the primary contrasts in this order, then Holm's method). All "
            "other contrasts are descriptive, with intervals and without a test. Doses are "
            "modelled as interval-censored accelerated failure times; of the log-normal and the "
            "Weibull model of the same edits, the one with the greater log-likelihood fits "
            "better. Intervals are 95% intervals of the cluster jackknife, which leaves out each "
            "(world seed, initialisation) in turn, with Student's t on clusters \u2212 1 degrees "
            "of freedom. There is no interval with one cluster, if leaving out a cluster changes "
            "nothing, or if the estimate needs one of the clusters. The factor on ED50 is not "
            "given if ED50 is censored at a level that it depends on, and an ED50 of 0 counts as "
            "half a step; notes name these levels. “Known before”: the unedited model recalled the "
            "fact, which itself depends on exposures.",
            contrast_table(summary) if summary.contrasts.height else None,
        ),
        (
            "ED50 in numbers",
            "In edit steps, with 95% percentile intervals of the bootstrap over clusters, which "
            "are too narrow for few clusters. There is no interval with one cluster, or if all "
            "resamples have the same ED50. > means right-censored.",
            dose_table(summary) if summary.doses.height else None,
        ),
        (
            "Mediation by the margin",
            "Time ratios per doubling of exposures, with 95% intervals of the cluster "
            "jackknife. The margin is log p(old) \u2212 log p(new) before the edit. The share "
            "through the margin is the part of the total effect (on the logarithm) that "
            "disappears if the margin is held fixed; above 100%, the remaining effect has the "
            "opposite direction. There is no share if the interval of the total contains 1.",
            mediation_table(summary) if summary.mediations else None,
        ),
        (
            "Failures",
            "" if failures.rows else "No trial and no edit failed.",
            failures if failures.rows else None,
        ),
    ]


def _run(results: Results, summary: Summary) -> list[tuple[str, str]]:
    levels = summary.edits["exposures"].unique().sort().to_list()
    done, *rest = _made_with(results)
    return [
        done,
        ("methods", "; ".join(summary.edits["label"].unique(maintain_order=True).to_list())),
        *settings_rows(results),
        ("exposures of edited facts", ", ".join(f"{level:,}" for level in levels)),
        *rest,
    ]


def _made_with(results: Results) -> list[tuple[str, str]]:
    """Return the progress of a study, the devices it was run on, and the versions used."""
    done, failed, missing = len(results.done), len(results.failures), len(results.missing)
    without = len(results.without_model)
    devices = results.models.collect()["device"].drop_nulls().unique().sort().to_list()
    seconds = sorted(results.seconds.items(), key=lambda item: -item[1])
    pooled = results.pooled
    return [
        (
            "trials",
            f"{done:,} done, {failed:,} failed, {missing:,} not run yet"
            + (f", {without:,} without their model" if without else ""),
        ),
        *([("axes of the grid that tables pool over", pooled_text(pooled))] if pooled else []),
        ("devices of training", ", ".join(devices) or "not recorded"),
        ("devices and versions of trials", "; ".join(results.made_on) or "not recorded"),
        ("seconds of work", "; ".join(f"{name} {value:,.0f}" for name, value in seconds)),
        ("report made on", f"{processor()}, {cores()} cores, {platform.system()}"),
        ("versions of the report", listed(versions(*_PACKAGES))),
    ]


def _toml(results: Results) -> str:
    there = (results.path / "study.toml").is_file()
    return results.directory.text() if there else "(not kept)"
