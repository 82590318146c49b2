"""Put together what several machines have found of one study.

Units are known by hashes of all that decides what they are, so equal ids are equal work and nothing
has to be compared: a unit is taken from the first study that has finished it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

from behemoth.study.directory import StudyDirectory, StudyError
from behemoth.study.records import FOREIGN, StudyRecord, TrialRow
from behemoth.support.checks import path_of
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.locks import lock
from behemoth.support.progress import ProgressLike, task
from behemoth.support.studies import Content

__all__ = ["Merged", "merge_studies"]

_MOVING = ".merging-"


@dataclass(frozen=True)
class Merged:
    """What `merge_studies` did.

    Attributes
    ----------
    out, name : str
    models, trials : int
        How many there are in the study.
    models_done, trials_done : int
        How many of them are finished in `out` now.
    copied : int
        Models, plans and trials that this call copied.
    """

    out: str
    name: str
    models: int
    trials: int
    models_done: int
    trials_done: int
    copied: int


def merge_studies(
    studies: Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    progress: ProgressLike = None,
) -> Merged:
    """Merge studies that come to the same, each carried out in part.

    Parameters
    ----------
    studies : sequence of path
        Directories of the study, which are only read.
    out : path
        A new directory, or one of the same study. What is finished there is kept, so a call
        that was stopped is made again.
    progress : callable or Progress, optional
        Who looks on.

    Returns
    -------
    Merged

    Raises
    ------
    ArgumentError
        When a directory is none of a study, or comes to something else than the first.
    CorpusError
        When its record is damaged.
    StudyError
        When another process is at work in `out`.

    Notes
    -----
    A trial that failed everywhere is copied with its reason. Of models that several machines
    trained, the first one's is kept; trials of another one's, which differ from it by rounding,
    count as much. Caches are not copied.
    """
    if not studies:
        raise ArgumentError("studies", "nothing", "at least one directory of a study")
    with renamed(path="studies"):
        sources = [StudyDirectory(each) for each in studies]
        abouts = [source.read() for source in sources]
    about = replace(abouts[0], trials=_all_trials(abouts))
    for source, other in zip(sources, abouts, strict=True):
        _check_same(source, about, other, sources[0])
    target = StudyDirectory(path_of("out", out))
    if any(target.path.resolve() == source.path.resolve() for source in sources):
        raise ArgumentError("out", fspath(out), "another directory than those that are merged")
    target.check(about.name)
    if (target.path / "study.json").is_file():
        there = target.read()
        _check_same(target, about, there, sources[0])
        about = replace(about, trials=_all_trials([*abouts, there]))
    target.path.mkdir(parents=True, exist_ok=True)
    with lock(target.path / ".lock", wait=False) as ours:
        if not ours:
            raise StudyError(f"another process is at work in {fspath(out)}")
        target.begin((sources[0].path / "study.toml").read_text(encoding="utf-8"), about)
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
    """The trials of the study, and those that other tools made in any directory."""
    foreign = {row.id: row for each in abouts for row in each.trials if row.family == FOREIGN}
    own = (row for row in abouts[0].trials if row.family != FOREIGN)
    return (*own, *foreign.values())


def _check_same(
    source: StudyDirectory, about: StudyRecord, other: StudyRecord, first: StudyDirectory
) -> None:
    """Refuse a study that does not come to the same as the first."""
    name = Content.of(about.to_dict()).difference(Content.of(other.to_dict()))
    if name is not None:
        raise ArgumentError(
            "studies",
            f"{fspath(source.path)}, with other {name}",
            f"studies that come to the same as {fspath(first.path)}",
        )


def _units(about: StudyRecord) -> Iterator[tuple[str, str]]:
    """Models, plans and trials, so that a trial is never there before its model."""
    for model in about.models:
        yield "models", model["id"]
    for plan in dict.fromkeys(trial.plan for trial in about.trials):
        yield "plans", plan
    for trial in about.trials:
        yield "trials", trial.id


def _state(directory: StudyDirectory, kind: str, name: str) -> int:
    """How far a unit is: 2 finished, 1 failed, 0 neither."""
    if kind == "plans":
        return 2 * (directory.plan(name) / "plan.toml").is_file()
    of = directory.model_record if kind == "models" else directory.trial_record
    record = of(name)
    return 0 if record is None else 2 if record.status == "done" else 1


def _bring(kind: str, name: str, sources: Sequence[StudyDirectory], target: StudyDirectory) -> bool:
    """Copy a unit from whoever has most of it, unless `target` has as much."""
    best = max(sources, key=lambda source: _state(source, kind, name))  # the first of equals
    if _state(best, kind, name) <= _state(target, kind, name):
        return False
    folder = target.path / kind
    folder.mkdir(exist_ok=True)
    for left in folder.glob(f"{_MOVING}*"):  # of a call that was killed
        shutil.rmtree(left)
    moving = Path(tempfile.mkdtemp(prefix=_MOVING, dir=folder))
    shutil.copytree(best.path / kind / name, moving / "new")
    place = folder / name
    if place.exists():
        place.rename(moving / "old")  # unfinished, or failed
    (moving / "new").rename(place)
    shutil.rmtree(moving)
    return True
