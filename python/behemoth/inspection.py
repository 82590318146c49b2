"""Description of any directory or file, returned by `behemoth.inspect`.

A corpus and a run have types of their own; everything else is described by a few plain values.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.loading import ALLOWED, load
from behemoth.store.source import at_hand
from behemoth.support.checks import url_or_none, whole_number
from behemoth.support.errors import renamed
from behemoth.support.extras import needed
from behemoth.support.kinds import kind_of
from behemoth.support.progress import ProgressLike

if TYPE_CHECKING:
    from behemoth.corpus import Corpus
    from behemoth.corpus.inspection import Inspection
    from behemoth.corpus.text_tokenizer import TextTokenizer
    from behemoth.delta import EditDelta
    from behemoth.edit import EditRecord
    from behemoth.edit.traced import TraceRecord
    from behemoth.evaluate import SuiteResult
    from behemoth.export.inspection import ExportInspection
    from behemoth.plan import EditPlan
    from behemoth.study import Results, Study
    from behemoth.train.inspection import RunInspection
    from behemoth.train.model_source import ModelSource
    from behemoth.zoo import Zoo

__all__ = ["SuiteDescription", "inspect"]


class SuiteDescription(dict[str, Any]):
    """The description of a suite, with the suite, whose table shows more than the values.

    Parameters
    ----------
    values : dict
    result : SuiteResult
    """

    def __init__(self, values: dict[str, Any], result: SuiteResult) -> None:
        super().__init__(values)
        self.result = result


def inspect(
    directory: str | PathLike[str], *, samples: int = 3, progress: ProgressLike = None
) -> Inspection | RunInspection | dict[str, Any]:
    """Describe a directory or a file.

    Parameters
    ----------
    directory : path
        A corpus, a run, a plan, an edit, a delta, a suite, a trace, a tuning, an export, a study or
        a zoo, finished or not; a checkpoint of a run, another model of a known family, or a
        tokenizer; or a file: a spec, a study or settings (.toml), or a frame (.parquet).
    samples : int
        Number of documents of a corpus to decode; long ones are cut at 200 tokens.
    progress : callable or Progress, optional
        Receives the progress of a download, for a URL.

    Returns
    -------
    Inspection
        For a corpus.
    RunInspection
        For a run.
    dict
        For all others: values by name, as ``behemoth inspect --json`` prints them; ``is`` states
        what it is.

    Raises
    ------
    ArgumentError
        When it is none of these.
    CorpusError
        When it is damaged, or has another version.

    Examples
    --------
    >>> import behemoth as bh
    >>> _ = bh.plan("run", edits=2, repeats=1, probes=1, out="plan")
    >>> bh.inspect("plan")["is"], bh.inspect("plan")["edits"]
    ('a plan of edits', 2)
    >>> bh.inspect("run").status
    'finished'
    """
    from behemoth.corpus.manifest import MANIFEST
    from behemoth.train.inspection import inspect_run, is_run

    samples = whole_number("samples", samples)
    place = at_hand("directory", directory, ALLOWED, progress)
    named = fspath(directory)
    if is_run(place):
        return replace(inspect_run(place), directory=named)
    if (place / MANIFEST).is_file():
        from behemoth.corpus.inspection import inspect as inspect_corpus

        return replace(inspect_corpus(place, samples=samples), directory=named)
    with needed(), renamed(path="directory"):
        if kind_of(place) == "a suite":
            from behemoth.evaluate import SuiteResult

            result = SuiteResult.load(place)
            return SuiteDescription({"directory": named, **_suite(result)}, result)
        return {"directory": named, **_described(place, url_or_none(directory))}


def _described(place: Path, url: str | None) -> dict[str, Any]:
    """Describe what is no corpus, run or suite; the first value is its kind."""
    from behemoth.edit.record import EditRecord
    from behemoth.export.inspection import inspect_export, is_export

    if is_export(place):
        return _export(inspect_export(place))
    # Read directly, because `load` refuses an edit that is not finished.
    record = EditRecord.read(place, url)
    if record is not None:
        return _edit(record)
    if (place / "tuning.json").is_file():
        return _tuning(place)
    from behemoth.train.model_source import is_model, run_of_checkpoint

    # `load` refuses a model without its corpus.
    if is_model(place) and run_of_checkpoint(place) is None:
        return _model(place)
    import polars as pl

    from behemoth import EditDelta, EditPlan, Results, Study, Zoo
    from behemoth.corpus.text_tokenizer import TextTokenizer
    from behemoth.edit.traced import TraceRecord
    from behemoth.train.model_source import ModelSource

    found: Any = load(place)
    if isinstance(found, dict):
        return {"is": f"settings of {found['name']}", "settings": found["settings"]}
    if isinstance(found, TraceRecord):
        return _trace(found)
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
    if isinstance(found, TextTokenizer):
        return _tokenizer(found)
    if isinstance(found, ModelSource):
        return _checkpoint(found)
    return _study(found) if isinstance(found, Results) else _spec(found)


def _export(report: ExportInspection) -> dict[str, Any]:
    state = "" if report.complete else ", not finished"
    return {
        "is": f"an export to {report.to}{state}",
        "files": report.files if report.complete else None,
        "bytes": report.bytes if report.complete else None,
        "block_length": report.block_length,
        "spec_hash": report.spec_hash,
        "plan_hash": report.plan_hash,
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
        "failed": record.failed_edits,
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


def _trace(record: TraceRecord) -> dict[str, Any]:
    return {
        "is": "a trace",
        "plan_hash": record.plan_hash,
        "facts": record.facts,
        "places": [asdict(place) for place in record.places],
    }


def _tuning(place: Path) -> dict[str, Any]:
    """Describe a tuning from its records, also one that is not finished."""
    from behemoth.tune.record import TuningDirectory

    directory = TuningDirectory(place)
    asked, trials = directory.record(), directory.tried()
    scores = [trial.score for trial in trials]
    return {
        "is": "a tuning" if directory.is_finished(asked) else "a tuning, not finished",
        "method": asked.get("method"),
        "objective": asked.get("objective"),
        "trials": len(trials),
        "score": max(scores, default=None),
        "default_score": scores[0] if scores else None,
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


def _tokenizer(tokenizer: TextTokenizer) -> dict[str, Any]:
    return {
        "is": "a tokenizer",
        "kind": tokenizer.kind,
        "vocabulary": tokenizer.size,
        "digest": tokenizer.digest,
    }


def _model(place: Path) -> dict[str, Any]:
    from behemoth.model.sizes import Size
    from behemoth.train.model_source import read_config

    config = read_config(place)
    size = Size.of(config, "directory")
    return {
        "is": "a model, which commands take with its facts (--corpus)",
        "family": size.family,
        "layers": size.layers,
        "width": size.width,
        "heads": size.heads,
        "parameters": size.parameters,
        "vocabulary": config["vocab_size"],
    }


def _checkpoint(model: ModelSource) -> dict[str, Any]:
    return {
        "is": "a checkpoint of a run",
        "run": str(model.directory.resolve().parent.parent),
        "spec_hash": model.corpus.spec_hash,
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
