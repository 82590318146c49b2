"""Source of an evaluation: a run or another model, or an edit with its unedited model."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from behemoth.model.sizes import Size
from behemoth.store.source import at_hand
from behemoth.support.checks import url_or_none
from behemoth.support.errors import ArgumentError, renamed
from behemoth.train.config import RESUMED, TrainConfig
from behemoth.train.model_source import is_model, read_config
from behemoth.train.run import RECORD, Run, read_model_source, world_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.edit.record import EditRecord
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.model_source import ModelSource

__all__ = [
    "check_plan", "check_shape", "check_start", "check_twin", "deltas_made", "failed_edits",
    "is_edit", "is_model_alone", "open_source", "warn_of_training",
]  # fmt: skip

# Settings in which a twin may differ: another seed is as good, the others affect only rounding, and
# of a start `check_start` tells what it has read.
_OWN = (
    *RESUMED, "seed", "device", "threads", "precision", "compile", "vocabulary_multiple", "start",
)  # fmt: skip
_SAMPLED = 100_000  # facts whose exposures are compared: all of a world of this size


def open_source(
    name: str, place: str | PathLike[str], corpus: str | PathLike[str] | Corpus | None = None
) -> tuple[Path, ModelSource, EditRecord | None]:
    """Open a run or a model with its corpus, or an edit with the run or model that it changes.

    Parameters
    ----------
    name : str
        Name of the argument, for errors.
    place : path
    corpus : path or Corpus, optional
        Corpus of a model that is not a training run; an edit records its own.

    Raises
    ------
    ArgumentError
        When it is none of these, or the weights that an edit was made on have changed.
    """
    from behemoth.edit.record import read_edit

    path = at_hand(name, place, "a training run, a model or an edit directory")
    with renamed(directory=name):
        if not is_edit(path):
            return path, read_model_source(path, corpus), None
        edit = _with_failures(read_edit(path, url_or_none(place)))
        return path, edit.open_run(corpus), edit


def is_edit(place: str | PathLike[str]) -> bool:
    """Return whether a directory is one of an edit, finished or not."""
    return (Path(place) / "edit.json").is_file()


def is_model_alone(place: str | PathLike[str]) -> bool:
    """Return whether a source is a model that does not say what was edited in it, if anything."""
    path = at_hand("source", place, "a training run, a model or an edit directory")
    return not is_edit(path) and not (path / RECORD).is_file() and is_model(path)


def failed_edits(place: str | PathLike[str]) -> int:
    """Return the number of edits of a source that failed; 0 if it is not an edit directory."""
    from behemoth.edit.record import read_edit

    path = at_hand("source", place, "a training run, a model or an edit directory")
    if not is_edit(path):
        return 0
    return _with_failures(read_edit(path, url_or_none(place))).failed_edits


def check_plan(plan: EditPlan, run: ModelSource, edit: EditRecord | None) -> None:
    """Refuse a plan of another corpus, or another plan than the edit's."""
    plan.check(run.corpus)
    if edit is not None:
        edit.check_plan(plan)


def check_twin(
    path: Path, source: ModelSource, edit: EditRecord | None, corpus: Corpus, plan: EditPlan | None
) -> None:
    """Refuse a twin of another world, or one that learned the facts that a plan edits.

    It learned them from its corpus, or from one that the model which it started from had read.

    Parameters
    ----------
    path : Path
        Directory of the twin, for errors.
    source : ModelSource
        The twin, or the run that its edit was made on.
    edit : EditRecord, optional
        Edit that made the twin.
    corpus : Corpus
        Corpus of the model that the twin is compared with.
    plan : EditPlan, optional
        None if no measure needs one.

    Raises
    ------
    ArgumentError
    """
    from behemoth.edit.registry import info_if_loadable

    twin = source.corpus
    if world_id(twin) != world_id(corpus):
        raise ArgumentError("twin", f"{path}, of another world", "a twin of the run")
    # The same world in another grammar has other tokens.
    if _lettering(twin) != _lettering(corpus):
        raise ArgumentError("twin", f"{path}, of another vocabulary", "a twin of the run")
    if edit is not None:
        if edit.single:
            raise ArgumentError("twin", f"{path}, single edits", "one edit of the whole plan")
        info = info_if_loadable(edit.method)
        if info is None or info.family != "oracle":
            allowed = "one by retrain, or by another oracle that is installed"
            raise ArgumentError("twin", f"{path}, an edit by {edit.method}", allowed)
        if plan is not None and edit.plan_hash != plan.plan_hash:
            raise ArgumentError("twin", f"{path}, an edit by another plan", "one by this plan")
    elif plan is not None and (learned := _learned(twin, corpus, plan)):
        raise ArgumentError(
            "twin",
            f"{path}, whose corpus writes {learned:,} of the {len(plan):,} facts of the plan",
            "a run on a corpus without these facts, or with other objects for them",
        )
    if plan is not None:
        check_start(path, source, corpus, plan)


def check_start(path: Path, source: ModelSource, corpus: Corpus, plan: EditPlan) -> None:
    """Refuse a twin that started from a model known to have read the facts that a plan edits.

    Parameters
    ----------
    path, source, corpus, plan
        See `check_twin`.

    Raises
    ------
    ArgumentError
    """
    from behemoth.train.started import objects_read  # loads numpy

    if not isinstance(source, Run):
        return
    read = set[int]()
    facts, objects = _edited(corpus, plan)
    for there in objects_read(source.record.start_corpora, corpus, facts):
        if there is None:
            logging.getLogger(__name__).warning(
                "%s: its start has read facts of this world, and which of them is not recorded",
                path,
            )
        else:
            read.update(facts[there == objects].tolist())
    if read:
        raise ArgumentError(
            "twin",
            f"{path}, whose start has read {len(read):,} of the {len(plan):,} facts of the plan",
            "a run without a start (--from), or from a model that has not read these facts",
        )


def check_shape(path: Path, twin: ModelSource, run: ModelSource) -> None:
    """Refuse a twin whose weights or distributions have another shape than those of a model.

    Raises
    ------
    ArgumentError
    """
    if _shape("twin", twin) != _shape("source", run):
        allowed = f"a twin of the run, trained as {run.directory} was"
        raise ArgumentError("twin", f"{path}, a model of another size", allowed)


def warn_of_training(
    path: Path, twin: ModelSource, run: ModelSource, plan: EditPlan | None
) -> None:
    """Warn of a twin whose settings of training, or whose other facts, are not those of a run.

    Parameters
    ----------
    path : Path
        Directory of the twin, for the warning.
    twin, run : ModelSource
        Only runs tell how they were trained.
    plan : EditPlan, optional
        The facts that may have other exposures.
    """
    if not (isinstance(twin, Run) and isinstance(run, Run)):
        return
    unlike = []
    for field in fields(TrainConfig):
        its, own = (getattr(each.record.config, field.name) for each in (twin, run))
        if field.name not in _OWN and its != own:
            unlike.append(f"{field.name} {its}, not {own}")
    if plan is not None:
        facts = run.corpus.sample_facts(_SAMPLED)
        other = twin.corpus.exposures(facts) != run.corpus.exposures(facts)
        count = len({*facts[other].tolist()} - {*plan.edits["fact"].to_list()})
        if count:
            unlike.append(f"other exposures of {count:,} facts that the plan does not edit")
    if unlike:
        told = "%s was trained otherwise than %s: with %s"
        logging.getLogger(__name__).warning(told, path, run.directory, "; ".join(unlike))


def _with_failures(edit: EditRecord) -> EditRecord:
    """Return a record with the edits that failed beside others of their batch.

    Records of earlier versions do not name them, unlike the trace of the delta.
    """
    from behemoth.delta.delta import EditDelta
    from behemoth.edit.record import failures_within

    if edit.single or edit.failed:
        return edit
    delta = EditDelta.load_record(edit.delta_place(None))
    return replace(edit, failed=tuple(failures_within(delta)))


def _shape(name: str, source: ModelSource) -> tuple[Size, object]:
    config = read_config(source.directory, name)
    size = replace(Size.of(config, name), name="", settings={})
    return size, config.get("vocab_size")


def _lettering(corpus: Corpus) -> tuple[object, ...]:
    """Return what the tokens of a corpus are."""
    own = corpus.spec["corpus"]
    return corpus.vocabulary_size, own.get("grammar"), own.get("tokenizer")


def _learned(twin: Corpus, corpus: Corpus, plan: EditPlan) -> int:
    """Return the number of edits whose facts a corpus writes with the objects that they had."""
    from behemoth.train.started import objects_written  # loads numpy

    facts, objects = _edited(corpus, plan)
    return int((objects_written(twin, facts) == objects).sum())


def _edited(corpus: Corpus, plan: EditPlan) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the facts that edits change, [n], and the objects that they have, [n]."""
    facts = plan.edits["fact"]
    objects = corpus.world.facts_of(facts.to_numpy())["object"]
    # An edit to the object that the fact had already leaves nothing to override.
    changed = (plan.edits["new_object"] != objects).fill_null(True)
    return facts.filter(changed).to_numpy(), objects.filter(changed).to_numpy()


def deltas_made(edit: EditRecord) -> dict[int | None, EditDelta]:
    """Return the deltas of an edit directory, and refuse one whose edits all failed."""
    deltas = edit.deltas()
    failures = [delta.failure for delta in deltas.values() if delta.failure is not None]
    if deltas and len(failures) == len(deltas):
        found = f"{fspath(edit.directory)}, whose edits all failed: {failures[0]}"
        raise ArgumentError("source", found, "an edit that changed the model")
    return deltas
