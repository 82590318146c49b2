"""Output of `behemoth inspect` for anything but corpora and runs: a few rows each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.edit.record import EditRecord
from behemoth.export.inspection import ExportInspection, inspect_export, is_export

from .console import console

if TYPE_CHECKING:
    from behemoth.corpus import Corpus
    from behemoth.delta import EditDelta
    from behemoth.evaluate import SuiteResult
    from behemoth.plan import EditPlan
    from behemoth.study import Results, Study
    from behemoth.zoo import Zoo

__all__ = ["describe", "show_found"]


def describe(directory: str, url: str | None = None) -> dict[str, Any]:
    """Return a description of a directory or a file as plain values; the first is its kind.

    The directory may be a copy of the one at `url`.

    Raises
    ------
    ArgumentError
        If `behemoth.load` cannot read it.
    CorpusError
        If it is damaged.
    """
    if is_export(directory):
        return _export(inspect_export(directory))
    # Read directly, because `load` refuses an edit that is not finished.
    record = EditRecord.read(Path(directory), url)
    if record is not None:
        return _edit(record)
    import polars as pl

    from behemoth import EditDelta, EditPlan, Results, Study, SuiteResult, Zoo, load

    found: Any = load(directory)
    if isinstance(found, pl.DataFrame):
        return {"is": "a frame", "rows": found.height, "columns": found.columns}
    if isinstance(found, Study):
        return _study_file(found)
    if isinstance(found, EditPlan):
        return _plan(found)
    if isinstance(found, Zoo):
        return _zoo(found)
    if isinstance(found, EditDelta):
        return _delta(found)
    if isinstance(found, SuiteResult):
        return _suite(found)
    return _study(found) if isinstance(found, Results) else _spec(found)


def show_found(directory: str, found: dict[str, Any]) -> None:
    """Print a description returned by `describe`."""
    from rich.table import Table

    out = console()
    out.print(f"{directory}: {found['is']}\n")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in found.items():
        if name != "is":
            table.add_row(name.replace("_", " "), _text(value))
    out.print(table)


def _export(report: ExportInspection) -> dict[str, Any]:
    state = "" if report.complete else ", not finished"
    counts = {"files": report.files, "bytes": report.bytes} if report.complete else {}
    blocks = {} if report.block_length is None else {"block_length": report.block_length}
    return {
        "is": f"an export to {report.to}{state}",
        **counts,
        **blocks,
        "spec_hash": report.spec_hash,
        **({} if report.plan_hash is None else {"plan_hash": report.plan_hash}),
        "behemoth": report.behemoth,
    }


def _plan(plan: EditPlan) -> dict[str, Any]:
    return {
        "is": "a plan of edits",
        "kind": plan.request.kind,
        "edits": len(plan),
        "rows": plan.rows,
        "probes": plan.probes.height,
        "groups": plan.groups,
        "plan_hash": plan.plan_hash,
        "spec_hash": plan.spec_hash,
    }


def _edit(record: EditRecord) -> dict[str, Any]:
    there = sum(map(record.is_there, record.keys))
    state = "finished" if record.complete else f"{there} of {len(record.keys)} deltas are there"
    return {
        "is": f"an edit, {state}",
        "run": str(record.run),
        "method": record.method,
        "settings": record.settings,
        "edits": len(record.edits),
        "single": record.single,
        "failed": len(record.failed),
        "seed": record.seed,
        "plan_hash": record.plan_hash,
    }


def _delta(delta: EditDelta) -> dict[str, Any]:
    return {
        "is": "the delta of an edit",
        "method": delta.method,
        "settings": dict(delta.settings),
        "parameters": list(delta.of_parameters),
        **({"modules": list(delta.of_modules)} if delta.of_modules else {}),
        "failure": delta.failure,
        "seed": delta.seed,
        "plan_hash": delta.plan_hash,
    }


def _suite(result: SuiteResult) -> dict[str, Any]:
    values = {taken.name: taken.found for taken in result.measures}
    return {
        "is": f"a suite of measures, {result.suite}",
        "source": result.source,
        "stage": result.stage,
        "twin": result.twin,
        "rows": result.frame.height,
        "plan_hash": result.plan_hash,
        "measures": {name: result[name] for name, found in values.items() if found is not None},
        "not_taken": [name for name, found in values.items() if found is None],
    }


def _study(results: Results) -> dict[str, Any]:
    return {
        "is": f"the study {results.about.name}",
        "models": len(results.about.models),
        "trials": len(results.about.trials),
        "done": len(results.done),
        "failed": len(results.failures),
        "missing": len(results.missing),
        "without_model": len(results.without_model),
        "made_on": results.made_on,
    }


def _study_file(study: Study) -> dict[str, Any]:
    return {
        "is": f"a file of the study {study.name}",
        "question": study.question,
        "methods": [choice.label for choice in study.methods],
        "points": len(study.points),
    }


def _zoo(zoo: Zoo) -> dict[str, Any]:
    files = zoo.record.files
    return {
        "is": f"a zoo of size {zoo.record.size}",
        "models": zoo.names,
        "files": len(files),
        "bytes": sum(row.bytes for row in files.values()),
        "zoo_hash": zoo.record.zoo_hash,
        "content_hash": zoo.record.content_hash,
        "behemoth": zoo.record.behemoth,
    }


def _spec(corpus: Corpus) -> dict[str, Any]:
    return {
        "is": "a spec",
        "facts": corpus.world.num_facts,
        "sentences": corpus.num_sentences,
        "documents": corpus.num_documents,
        "vocabulary": corpus.vocabulary_size,
        "spec_hash": corpus.spec_hash,
    }


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
