"""Loading of any path: a corpus, a run, a plan, an edit, a suite, a study, a frame and others."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.store.source import at_hand
from behemoth.support.checks import as_found, url_or_none
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.extras import needed
from behemoth.support.files import text_of
from behemoth.support.kinds import as_grammar, is_grammar
from behemoth.support.toml import read_toml

if TYPE_CHECKING:
    import polars as pl

    from behemoth.corpus import Corpus
    from behemoth.corpus.text_tokenizer import TextTokenizer
    from behemoth.delta import EditDelta
    from behemoth.edit import EditRecord
    from behemoth.edit.traced import TraceRecord
    from behemoth.evaluate import SuiteResult
    from behemoth.plan import EditPlan
    from behemoth.study import Results, Study
    from behemoth.train import Run
    from behemoth.train.model_source import ModelSource
    from behemoth.zoo import Zoo

ALLOWED = (
    "a directory of a corpus, a spec, a run, a plan, an edit, a delta, a suite, a trace, a tuning, "
    "a study, a zoo, a tokenizer or a checkpoint, a file of a spec, a study or settings (.toml), "
    "or a frame (.parquet)"
)
_MODEL = (
    "one with a corpus: `edit` and `evaluate` take a model with `corpus`, and transformers' "
    "AutoModelForCausalLM loads it alone"
)


def load(
    path: str | PathLike[str],
) -> (
    Corpus | Run | ModelSource | EditPlan | EditRecord | EditDelta | SuiteResult | TraceRecord
    | Results | Study | Zoo | TextTokenizer | pl.DataFrame | dict[str, Any]
):  # fmt: skip
    """Load a path as the type of object that it contains.

    Parameters
    ----------
    path : path

    Returns
    -------
    Corpus
        For a corpus directory, with its shards; for a spec directory or spec TOML, without.
    Run
        For a finished training run.
    ModelSource
        For a checkpoint of a run: its ``load_model()`` is the model of that step.
    EditPlan
        For a plan of edits.
    EditRecord
        For a finished edit; `EditRecord.deltas` returns its changes.
    EditDelta
        For the directory of one delta.
    SuiteResult
        For the measures of a suite (``evaluate_suite(..., out=...)``).
    TraceRecord
        For the directory of a trace; its frames are the Parquet files beside it.
    Results
        For a study, finished or not.
    Study
        For a study file.
    Zoo
        For a finished zoo.
    TextTokenizer
        For the directory of a tokenizer, such as `train_tokenizer` writes.
    polars.DataFrame
        For a Parquet file; for a finished tuning, with a row per trial.
    dict
        For a file of settings, such as the ``best.toml`` of a tuning: name, settings and tuning.

    Raises
    ------
    ArgumentError
        When the path is none of these, or is not finished.
    CorpusError
        When it is damaged, or has another format version.

    Examples
    --------
    >>> import behemoth as bh
    >>> _ = bh.gen(bh.Corpus(bh.World(subjects=10, relations=2, objects=5)), "corpus")
    >>> bh.load("corpus")
    Corpus(World(subjects=10, relations=2, facts=20, entropy=46.4386 bits), sentences=20, ...)
    """
    place = at_hand("path", path, ALLOWED)
    with renamed(directory="path", spec="path", source="path"):
        if place.is_dir():
            found = _directory(place, url_or_none(path))
        elif place.suffix == ".parquet" and place.is_file():
            found = _frame(place)
        elif place.suffix == ".toml" and place.is_file():
            found = _toml(place)
        else:
            found = None
    if found is None:
        raise ArgumentError("path", as_found(path, "none of these"), ALLOWED)
    return found


def _directory(
    place: Path, url: str | None
) -> (
    Corpus | Run | ModelSource | EditPlan | EditRecord | EditDelta | SuiteResult | TraceRecord
    | Results | Zoo | TextTokenizer | pl.DataFrame | None
):  # fmt: skip
    """Load a directory by its record. The spec is tried after runs, which have one too."""
    with needed():
        if (place / "manifest.json").is_file():
            from behemoth.corpus import Corpus

            return Corpus.open(place)
        if (place / "run.json").is_file():
            from behemoth.train import read_run

            return read_run(place)
        if (place / "plan.toml").is_file():
            from behemoth.plan import EditPlan

            return EditPlan.load(place)
        if (place / "edit.json").is_file():
            from behemoth.edit import read_edit

            return read_edit(place, url)
        if (place / "delta.json").is_file():
            from behemoth.delta import EditDelta

            return EditDelta.load(place)
        if (place / "suite.json").is_file():
            from behemoth.evaluate import SuiteResult

            return SuiteResult.load(place)
        if (place / "trace.json").is_file():
            from behemoth.edit.traced import TraceRecord

            return TraceRecord.read(place)
        if (place / "tuning.json").is_file():
            return _tuning(place)
        if (place / "study.json").is_file():
            from behemoth.study import Results

            return Results.open(place)
        if (place / "zoo.json").is_file():
            from behemoth.zoo import read_zoo

            return read_zoo(place)
        if (place / "spec.toml").is_file():
            from behemoth.corpus import Corpus

            return Corpus.from_spec(place)
        from behemoth.train.model_source import is_model

        if is_model(place):
            return _checkpoint(place)
        if (place / "tokenizer.json").is_file():
            from behemoth.corpus.text_tokenizer import read_tokenizer

            with renamed(tokenizer="path"):
                return read_tokenizer(place)
    return None


def _tuning(place: Path) -> pl.DataFrame:
    """Load the trials of a finished tuning."""
    curve = place / "curve.parquet"
    if not curve.is_file():
        what = f"{fspath(place)}, which is not finished"
        raise ArgumentError("path", what, "a tuning after the same `behemoth tune` has ended")
    return _frame(curve)


def _checkpoint(place: Path) -> ModelSource:
    """Load a checkpoint with the corpus of its run; refuse a model whose corpus is unknown."""
    from behemoth.train.model_source import read_model, run_of_checkpoint

    run = run_of_checkpoint(place)
    if run is None:
        raise ArgumentError("path", f"{fspath(place)}, a model without a corpus", _MODEL)
    return read_model(place, run)


def _toml(file: Path) -> Corpus | Study | dict[str, Any]:
    try:
        table = read_toml(text_of(file))
    except ValueError:  # from TOML and from UTF-8; the reader below reports it
        table = {}
    if is_grammar(table):
        raise ArgumentError("path", as_grammar(file), ALLOWED)
    if "settings" in table and "name" in table:
        return table
    if "name" in table or "method" in table:
        from behemoth.study import read_study

        return read_study(file)
    from behemoth.corpus import Corpus

    return Corpus.from_spec(file)


def _frame(file: Path) -> pl.DataFrame:
    import polars as pl

    from behemoth.support.parquet import read_parquet

    try:
        return read_parquet(file)
    except pl.exceptions.PolarsError:
        raise ArgumentError("path", f"{fspath(file)}, which is damaged", "a Parquet file") from None
