"""Merge the parts of one study that several machines have carried out.

Ids of units are hashes of everything that determines the unit, so equal ids are equal work and no
contents need to be compared: a unit is copied from the first study that has finished it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

from behemoth.plan.edit_plan import read_head
from behemoth.store.studies import Content
from behemoth.study.directory import StudyDirectory
from behemoth.study.records import FOREIGN, StudyRecord, TrialRow, place_of
from behemoth.support.checks import path_of
from behemoth.support.digests import FILES, check, damaged
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.progress import ProgressLike, check_progress, task
from behemoth.train.run import RECORD as RUN_RECORD, read_record

__all__ = ["Merged", "merge_studies"]

_MOVING = ".merging-"


@dataclass(frozen=True)
class Merged:
    """Outcome of `merge_studies`.

    Attributes
    ----------
    out, name : str
    models, trials : int
        Number of models and trials of the study.
    models_done, trials_done : int
        Number of them that are now finished in `out`.
    copied : int
        Number of models, plans and trials that this call copied.
    """

    out: str
    name: str
    models: int
    trials: int
    models_done: int
    trials_done: int
    copied: int

    def __fspath__(self) -> str:
        return self.out


def merge_studies(
    studies: Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    progress: ProgressLike = None,
) -> Merged:
    """Merge directories of the same study, each carried out in part.

    Parameters
    ----------
    studies : sequence of path
        Directories of the study, which are only read.
    out : path
        A new directory, or one of the same study. Finished units in it are kept, so a call
        that was stopped can be repeated; unfinished and failed ones are replaced by finished ones.
    progress : callable or Progress, optional
        Called with the progress.

    Returns
    -------
    Merged

    Raises
    ------
    ArgumentError
        If a directory is not of a study, or its models or trials differ from the first one's.
    CorpusError
        If a record is damaged, or a file of a finished unit that would be copied.
    StudyError
        If another process is working in `out`.

    Notes
    -----
    A unit that failed everywhere is copied with its reason, unless `out` has begun it. If several
    machines trained a model, the first one is kept. Trials carried out on another machine's model,
    which differs from it by rounding, are kept as well; of models that were added with one label
    for the same run and plan (`add_model`) the first one is kept. Caches are not copied.
    """
    if isinstance(studies, str | PathLike) or not isinstance(studies, Iterable):
        raise ArgumentError("studies", studies, "a list of directories of a study")
    studies = list(studies)
    check_progress(progress)
    if not studies:
        raise ArgumentError("studies", "nothing", "at least one directory of a study")
    with renamed(path="studies"):
        sources = [StudyDirectory(each) for each in studies]
        abouts = [source.read() for source in sources]
    first = replace(abouts[0], trials=_all_trials(abouts))
    for source, other in zip(sources, abouts, strict=True):
        _check_same(source, first, other, sources[0])
    target = StudyDirectory(path_of("out", out))
    if any(target.path.resolve() == source.path.resolve() for source in sources):
        raise ArgumentError("out", fspath(out), "a directory other than those being merged")
    target.check(first.name)
    _with_target(first, target, sources[0])  # refuses another study before anything is written
    text = sources[0].text()
    target.path.mkdir(parents=True, exist_ok=True)
    with target.locked(f"working in {fspath(out)}"):
        # Read again: another process may have added a trial before the lock was acquired.
        about = _with_target(first, target, sources[0])
        target.begin(text, about)
        for left in target.path.glob(f"*/{_MOVING}*"):  # by a call that was killed
            shutil.rmtree(left)
        units = list(_units(about))
        copied = 0
        with task(progress, "merging", "units") as step:
            for done, (kind, name) in enumerate(units):
                copied += _bring(kind, name, sources, target)
                step(done + 1, len(units))
    return Merged(
        out=fspath(out),
        name=about.name,
        models=len(about.models),
        trials=len(about.trials),
        models_done=sum(_state(target, "models", model["id"]) == 2 for model in about.models),
        trials_done=sum(_state(target, "trials", trial.id) == 2 for trial in about.trials),
        copied=copied,
    )


def _all_trials(abouts: Sequence[StudyRecord]) -> tuple[TrialRow, ...]:
    """Return the trials of the study, and trials of other tools from all directories.

    If two have a trial of one label, model and plan, it is the first one's.
    """
    foreign: dict[tuple[str, ...], TrialRow] = {}
    for row in (row for each in abouts for row in each.trials if row.family == FOREIGN):
        foreign.setdefault(place_of(row), row)
    own = (row for row in abouts[0].trials if row.family != FOREIGN)
    return (*own, *foreign.values())


def _with_target(about: StudyRecord, target: StudyDirectory, first: StudyDirectory) -> StudyRecord:
    """Return the record with the trials of other tools that the target has."""
    if (there := target.begun()) is None:
        return about
    _check_same(target, about, there, first)
    return replace(about, trials=_all_trials([about, there]))


def _check_same(
    source: StudyDirectory, about: StudyRecord, other: StudyRecord, first: StudyDirectory
) -> None:
    """Refuse a study whose models or trials differ from those of the first."""
    name = Content.of(about.to_dict()).difference(Content.of(other.to_dict()))
    if name is not None:
        raise ArgumentError(
            "studies",
            f"{fspath(source.path)}, with other {name}",
            f"directories of the same study as {fspath(first.path)}",
        )


def _units(about: StudyRecord) -> Iterator[tuple[str, str]]:
    """Yield models, plans and trials, in this order, so that no trial comes before its model."""
    for model in about.models:
        yield "models", model["id"]
    for plan in dict.fromkeys(trial.plan for trial in about.trials):
        yield "plans", plan
    for trial in about.trials:
        yield "trials", trial.id


def _state(directory: StudyDirectory, kind: str, name: str) -> int:
    """Return the state of a unit: 2 finished, 1 failed, 0 neither."""
    if kind == "plans":
        return 2 * (directory.plan(name) / "plan.toml").is_file()
    of = directory.model_record if kind == "models" else directory.trial_record
    record = of(name)
    return 0 if record is None else 2 if record.status == "done" else 1


def _bring(kind: str, name: str, sources: Sequence[StudyDirectory], target: StudyDirectory) -> bool:
    """Copy a unit from the source with the highest state, unless the target's is as high.

    A failure is copied only if the target has nothing of the unit: a folder without a record may be
    a training with checkpoints, of which a failure from elsewhere says nothing.
    """
    best = max(sources, key=lambda source: _state(source, kind, name))  # the first of equal states
    state = _state(best, kind, name)
    folder = target.path / kind
    if state <= _state(target, kind, name) or (state == 1 and (folder / name).exists()):
        return False
    if state == 2:
        _check_whole(kind, name, best)
    folder.mkdir(exist_ok=True)
    moving = Path(tempfile.mkdtemp(prefix=_MOVING, dir=folder))
    shutil.copytree(best.path / kind / name, moving / "new")
    place = folder / name
    if place.exists():
        place.rename(moving / "old")  # unfinished, or failed
    (moving / "new").rename(place)
    shutil.rmtree(moving)
    return True


def _check_whole(kind: str, name: str, source: StudyDirectory) -> None:
    """Refuse a finished unit with a missing or damaged file, which would be kept from then on."""
    place = source.path / kind / name
    if kind == "plans":
        files = (read_head(place) or {}).get(FILES)
    else:
        of = source.model_record if kind == "models" else source.trial_record
        record = of(name)
        files = None if record is None else record.files
    try:
        check(place, files, *(files or ()))
        if kind == "models":
            if (run := read_record(place)) is None:
                raise damaged(place / RUN_RECORD, "is missing")
            check(place, run.files, *(run.files or ()))
    except CorpusError as error:
        error.add_note(f"remove {place} and run the study again to recreate it")
        raise
