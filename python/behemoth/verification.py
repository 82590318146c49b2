"""Verification of any directory against its recorded digests, called by `behemoth verify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from behemoth.support.checks import as_found, is_url, path_of
from behemoth.support.digests import FILES, PASSING, SEAL, Checked, read_sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import check_regular_files
from behemoth.support.progress import Advance, ProgressLike, silent, task

if TYPE_CHECKING:
    from behemoth.corpus.inspection import Verification
    from behemoth.export.inspection import ExportVerification
    from behemoth.study.directory import StudyDirectory

__all__ = ["verify"]

_ALLOWED = (
    "a directory of a corpus, a run, a plan, an edit, a delta, a suite, a trace (with trace.json), "
    "a tuning, a study, gates, an export or a zoo"
)


def verify(
    directory: str | PathLike[str], *, threads: int = 0, progress: ProgressLike = None
) -> Verification | ExportVerification | Checked:
    """Recompute every hash of a directory and, for a corpus, every token and every count.

    Parameters
    ----------
    directory : path
        A corpus, a run, a plan, an edit, a delta, a suite, a trace, a tuning, a study, gates, an
        export or a zoo. For a URL, all files are first fetched and checked against the ledger of
        the store; if one of them is bad or missing, the result of this check is returned.
    threads : int
        Number of threads for a corpus; 0 for all cores.
    progress : callable or Progress, optional
        Receives progress; an exception that it raises stops the work.

    Returns
    -------
    Verification, ExportVerification or Checked
        ``bad`` and ``missing`` name files, and ``ok`` is true if both are empty. ``unhashed`` names
        records of earlier versions, whose files cannot be checked.

    Raises
    ------
    ArgumentError
        When the directory is none of these.
    CorpusError
        When it is not finished, its record is damaged, or there is something in it that is no
        regular file, such as a pipe, which is not opened.

    Examples
    --------
    >>> import behemoth as bh
    >>> bh.verify("run").ok
    True
    """
    if is_url(directory):
        from behemoth.store.cache import verified_copy_of

        place, stored = verified_copy_of(str(directory), progress)
        if not stored.ok:
            return replace(stored, directory=fspath(directory))
    else:
        place = path_of("directory", directory, _ALLOWED)
    from behemoth.corpus.manifest import MANIFEST
    from behemoth.export.inspection import RECORD as EXPORT

    if not any((place / record).is_file() for record in (*_KINDS, EXPORT, MANIFEST)):
        raise ArgumentError("directory", as_found(directory, "none of these"), _ALLOWED)
    check_regular_files(place)
    if (place / EXPORT).is_file():
        from behemoth.export.inspection import verify_export

        return replace(verify_export(place, progress=progress), directory=fspath(directory))
    found = Checked(fspath(directory))
    for record, look in _KINDS.items():
        if (place / record).is_file():
            with task(progress, "verifying", "records") as step:
                look(found, place, "", step)
            return found
    from behemoth.corpus.inspection import verify as verify_corpus

    done = verify_corpus(place, threads=threads, progress=progress)
    return replace(done, directory=fspath(directory))


def _run(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.edit.traced import TraceRecord
    from behemoth.train.directory import TRACE
    from behemoth.train.run import RECORD, read_record

    record = _noted(found, within + RECORD, lambda: read_record(place))
    if record is None:
        return
    if record.status != "finished":
        raise CorpusError(f"{place} is not finished: run the same `behemoth train` again")
    _look(found, place, record.files, within, RECORD)
    if (place / TRACE).is_file():
        _noted(found, within + TRACE, lambda: TraceRecord.read(place))
    for checkpoint in sorted(place.glob("checkpoints/step-*")):
        name = f"{within}{checkpoint.relative_to(place).as_posix()}/"
        _sealed(found, checkpoint, "state.json", name)
    step(1, 1)


def _edit(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.edit.record import EDIT, EditRecord

    record = _noted(found, within + EDIT.record, lambda: EditRecord.read(place))
    if record is None:
        return
    if not record.complete:
        raise CorpusError(f"{place} is not finished: run the same `behemoth edit` again")
    _look(found, place, record.files, within, EDIT.record)
    places = [*map(record.delta_place, record.keys), *map(record.checkpoint_place,
                                                          record.checkpoints)]  # fmt: skip
    for number, delta in enumerate(places):
        _delta(found, delta, f"{within}{delta.relative_to(place).as_posix()}/", step)
        step(number + 1, len(places))


def _delta(found: Checked, place: Path, within: str, step: Advance) -> None:
    _sealed(found, place, "delta.json", within)


def _plan(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.plan.directory import RECORD
    from behemoth.plan.edit_plan import EditPlan, read_head

    head = _noted(found, within + RECORD, lambda: read_head(place))
    if head is None:
        return
    bad = len(found.bad) + len(found.missing)
    _look(found, place, head.get(FILES), within, RECORD)
    if len(found.bad) + len(found.missing) == bad:
        _noted(found, within + RECORD, lambda: EditPlan.load(place))
    step(1, 1)


def _suite(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.evaluate.suites.suite import RECORD, SuiteResult

    _sealed(found, place, RECORD, within)
    if found.ok:
        _noted(found, within + RECORD, lambda: SuiteResult.load(place))
    step(1, 1)


def _trace(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.edit.traced import TraceRecord
    from behemoth.train.directory import TRACE

    _sealed(found, place, TRACE, within)
    if found.ok:
        _noted(found, within + TRACE, lambda: TraceRecord.read(place))
    step(1, 1)


def _tuning(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.tune.record import RECORD, TuningDirectory

    directory = TuningDirectory(place)
    record = _noted(found, within + RECORD, directory.record)
    if record is not None:
        if not directory.is_finished(record):
            raise CorpusError(f"{place} is not finished: run the same `behemoth tune` again")
        _look(found, place, record.get(FILES), within, RECORD)
    # Records of earlier versions have no digests of the trials, which are then only read.
    hashed = (record or {}).get(FILES) or {}
    for number in directory.trial_numbers():
        if (name := f"trials/{number:04}.json") not in hashed:
            _noted(found, within + name, partial(directory.trial, number))
    for name, look in (("plan/plan.toml", _plan), ("twin/run.json", _run)):
        if (place / name).is_file():
            folder = name.partition("/")[0]
            look(found, place / folder, f"{within}{folder}/", silent)
    step(1, 1)


def _study(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.study.directory import RECORD, StudyDirectory

    directory = StudyDirectory(place)
    about = _noted(found, RECORD, directory.read)
    if about is None:
        return
    if SEAL not in (place / RECORD).read_text(encoding="utf-8"):
        found.unhashed.append(RECORD)
    models, trials = [str(model["id"]) for model in about.models], [row.id for row in about.trials]
    _units(found, directory, models, trials, step)


def _gates(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.study.directory import MODEL_RECORD, TRIAL, StudyDirectory
    from behemoth.study.gates.measures import MEASURES, read_measurements
    from behemoth.study.gates.stored import RECORD, read_gates

    if _noted(found, RECORD, lambda: read_gates(place)) is None:
        return
    if SEAL not in (place / RECORD).read_text(encoding="utf-8"):
        found.unhashed.append(RECORD)
    for file in sorted((place / MEASURES).glob("*.json")):
        _noted(found, f"{MEASURES}/{file.name}", partial(read_measurements, file))
    # Gates share units, and no record lists them: those that are there are checked.
    models, trials = (
        sorted(file.parent.name for file in place.glob(f"{folder}/*/{record}"))
        for folder, record in (("models", MODEL_RECORD), ("trials", TRIAL.record))
    )
    _units(found, StudyDirectory(place), models, trials, step)


def _units(
    found: Checked,
    directory: StudyDirectory,
    models: Sequence[str],
    trials: Sequence[str],
    step: Advance,
) -> None:
    """Check the models and trials with these names, all plans, and the costs in the cache."""
    from behemoth.plan.directory import RECORD as PLAN_RECORD
    from behemoth.study.directory import MODEL_RECORD, TRIAL
    from behemoth.train.run import RECORD as RUN_RECORD

    total, done = len(models) + len(trials), 0
    for name in models:
        own, read = directory.model(name), partial(directory.model_record, name)
        record = _noted(found, f"models/{name}/{MODEL_RECORD}", read)
        if record is not None and record.status == "done":
            _look(found, own, record.files, f"models/{name}/", MODEL_RECORD)
            if (own / RUN_RECORD).is_file():
                _run(found, own, f"models/{name}/", silent)
            else:
                found.missing.append(f"models/{name}/{RUN_RECORD}")
        step(done := done + 1, total)
    for plan in sorted(directory.path.glob(f"plans/*/{PLAN_RECORD}")):
        _plan(found, plan.parent, f"plans/{plan.parent.name}/", silent)
    headless: set[str] = set()  # records of plans that are gone although a trial has used them
    for name in trials:
        within_trial = f"trials/{name}/"
        record = _noted(found, within_trial + TRIAL.record, partial(directory.trial_record, name))
        is_done = record is not None and record.status == "done"
        if record is not None and is_done:
            _look(found, directory.trial(name), record.files, within_trial, TRIAL.record)
            own = directory.plan(record.plan)
            if own.is_dir() and not (own / PLAN_RECORD).is_file():
                headless.add(f"plans/{record.plan}/{PLAN_RECORD}")
        for delta in sorted(directory.trial(name).glob("deltas/*/")):
            if is_done or (delta / "delta.json").is_file():
                _delta(found, delta, f"{within_trial}deltas/{delta.name}/", silent)
        step(done := done + 1, total)
    found.missing += sorted(headless)
    for cost in sorted(directory.cache.glob("costs/*.json")):
        read_cost = partial(read_sealed, cost, "counted costs", always=True)
        _noted(found, f"cache/costs/{cost.name}", read_cost)


def _zoo(found: Checked, place: Path, within: str, step: Advance) -> None:
    from behemoth.zoo.record import ZOO, ZooRecord

    record = _noted(found, within + ZOO.record, lambda: ZooRecord.read(place))
    if record is None:
        return
    if not record.complete:
        raise CorpusError(f"{place} is not finished: run the same `behemoth zoo make` again")
    for number, (name, row) in enumerate(record.files.items()):
        found.look(place, {name: row.blake3}, within)
        step(number + 1, len(record.files))
    there = (file.relative_to(place) for file in place.rglob("*") if file.is_file())
    # Names that begin with a dot are locks, and files in progress.
    names = (path.as_posix() for path in there if not any(p.startswith(".") for p in path.parts))
    found.extra += sorted({*names} - {*record.files, ZOO.record})


_KINDS: dict[str, Callable[[Checked, Path, str, Advance], None]] = {
    "run.json": _run,
    "edit.json": _edit,
    "delta.json": _delta,
    "plan.toml": _plan,
    "suite.json": _suite,
    "tuning.json": _tuning,
    "trace.json": _trace,  # after a run, which may have one
    "study.json": _study,
    "gates.json": _gates,
    "zoo.json": _zoo,
}
"""Functions that check a directory, by the name of its record."""


T = TypeVar("T")


def _noted(found: Checked, name: str, read: Callable[[], T]) -> T | None:
    """Read a record; if it is damaged, note that and return None."""
    try:
        return read()
    except CorpusError as error:
        found.bad.append({"file": name, "reason": str(error)})
        return None


def _look(
    found: Checked, place: Path, files: dict[str, str] | None, within: str, record: str
) -> None:
    if files is None:
        found.unhashed.append(within + record)
    found.look(place, files, within)


def _sealed(found: Checked, place: Path, record: str, within: str) -> None:
    """Check a folder that has its own record; a file of `PASSING` may have been removed."""
    if not (place / record).is_file():
        found.missing.append(within + record)
        return
    values = _noted(found, within + record, lambda: read_sealed(place / record, "its folder"))
    if values is not None:
        files = values.get(FILES)
        there = files and {
            name: digest
            for name, digest in files.items()
            if name != PASSING.get(record) or (place / name).is_file()
        }
        _look(found, place, there, within, record)
