"""Comparison of the models, plans and trials of a study in a store with those of a directory.

Several machines may send their parts of one study to one URL, so a push only adds to the store:
units are identified by hashes of everything that determines them, and of two finished units with
the same id the first is kept, as in `behemoth study merge`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.digests import no_record
from behemoth.support.errors import CorpusError

from .files import STUDY
from .ledger import Entry, Ledger
from .place import Place
from .studies import UNITS, Content, unit_of

__all__ = [
    "check_content", "compare", "records_of", "united", "without_begun", "without_failures",
]  # fmt: skip


def check_content(
    place: Place, ledger: Ledger, sizes: dict[str, int], source: Path, succeeds: Content | None
) -> None:
    """Refuse to replace the record of a study by one that lacks models or trials of it.

    Parameters
    ----------
    place : Place
    ledger : Ledger
    sizes : dict of str to int
        Sizes of the files in the store.
    source : Path
        The study's directory.
    succeeds : Content, optional
        Content of the study that the directory was started from, which may be replaced.

    Raises
    ------
    CorpusError
        Also if either record is damaged.
    """
    if STUDY not in ledger.files or STUDY not in sizes:
        return
    own, there = Content.read((source / STUDY).read_bytes()), Content.read(place.read(STUDY) or b"")
    if own is None:
        raise no_record(source / STUDY, "record of a study")
    if there is None:
        raise CorpusError(f"{place.url}/{STUDY} is damaged: use force=True to replace it")
    lacking = own.lacking(there)
    if lacking is not None and there != succeeds:
        raise CorpusError(
            f"{place.url} holds the study {there.name!r} with other {lacking} than {source}; "
            "choose another place or use force=True"
        )


def compare(
    place: Place, ledger: Ledger, sizes: dict[str, int], source: Path, names: Iterable[str]
) -> tuple[set[str], list[str]]:
    """Compare the units that a directory has finished with those of a store.

    Parameters
    ----------
    place : Place
    ledger : Ledger
    sizes : dict of str to int
        Sizes of the files in the store.
    source : Path
        The study's directory.
    names : iterable of str
        Names of the files to be sent.

    Returns
    -------
    set of str
        Units of which the store keeps another finished version.
    list of str
        Records in the store of units to be replaced: failed ones, and, by finished ones, those
        with files missing.
    """
    kept, stale = set[str](), list[str]()
    there = files_by_unit(ledger.files)
    for unit in files_by_unit(names):
        record = record_of_unit(unit)
        if record not in ledger.files or record not in sizes:
            continue
        if ledger.files[record].matches(source / record):
            continue
        whole = all(sizes.get(name) == ledger.files[name].size for name in there[unit])
        failed = is_failed(record, (source / record).read_bytes())
        if (whole or failed) and not is_failed(record, place.read(record)):
            kept.add(unit)
        else:
            stale.append(record)
    return kept, stale


def without_failures(place: Place, ledger: Ledger, target: Path) -> Ledger:
    """Return the ledger without units that are not to be fetched.

    These are units that failed in the store and are finished locally, and those without a record,
    which are being sent: their files would be mixed with those of a unit finished locally.
    """
    left = set[str]()
    for unit in files_by_unit(ledger.files):
        record, own = record_of_unit(unit), target / record_of_unit(unit)
        if record not in ledger.files:
            left.add(unit)
            continue
        if not own.is_file() or ledger.files[record].matches(own):
            continue
        if is_failed(record, place.read(record)) and not is_failed(record, own.read_bytes()):
            left.add(unit)
    files = {name: row for name, row in ledger.files.items() if unit_of(name) not in left}
    return replace(ledger, files=files)


def without_begun(place: Place, ledger: Ledger, sizes: dict[str, int], stage: Path) -> Ledger:
    """Return the part of a ledger that is to be fetched into the stage of a study.

    This is decided per unit: a unit that the store has finished and the stage has not is fetched
    completely, and its files in the stage that differ are removed. Other units stay as they are in
    the stage, so that a unit finished there is not mixed with files from the store, and one begun
    there is not lost to a failed one. A unit with a file missing in the store is not fetched: it is
    carried out again and then replaces the store's.

    Parameters
    ----------
    place : Place
    ledger : Ledger
    sizes : dict of str to int
        Sizes of the files in the store.
    stage : Path
    """
    units = files_by_unit(ledger.files)
    wanted = {name for name in ledger.files if unit_of(name) is None and name in sizes}
    wanted = {name for name in wanted if name == STUDY or not (stage / name).exists()}
    for unit, names in units.items():
        record = record_of_unit(unit)
        own = stage / record
        if record not in ledger.files or not all(name in sizes for name in names):
            continue
        if own.is_file() and not is_failed(record, own.read_bytes()):
            continue
        begun = list((stage / unit).rglob("*"))
        if any(map(Path.is_file, begun)) and is_failed(record, place.read(record)):
            continue
        own.unlink(missing_ok=True)  # the record of a failed unit
        for path in begun:
            row = ledger.files.get(path.relative_to(stage).as_posix())
            if path.is_symlink() or (path.is_file() and (row is None or not row.matches(path))):
                path.unlink()
        wanted |= set(names)
    files = {name: row for name, row in ledger.files.items() if name in wanted}
    return replace(ledger, complete=True, files=files)


def united(place: Place, ledgers: Iterable[Ledger]) -> dict[str, Entry]:
    """Return the files of several ledgers of a study: of the study, then of its parts.

    If two ledgers list different files of a unit, those of the later one are returned, unless the
    record in the store is that of the earlier one.
    """
    found: dict[str | None, dict[str, Entry]] = {}
    for ledger in ledgers:
        units: dict[str | None, dict[str, Entry]] = {}
        for name, row in ledger.files.items():
            units.setdefault(unit_of(name), {})[name] = row
        for unit, rows in units.items():
            earlier = found.get(unit, rows)
            if unit is None:
                found[unit] = {**earlier, **rows}
                continue
            record = record_of_unit(unit)
            if earlier.get(record) != rows.get(record):
                data = place.read(record)
                seal = None if data is None else digest(data)
                if (row := earlier.get(record)) is not None and row.blake3 == seal:
                    continue
            found[unit] = rows
    return {name: row for rows in found.values() for name, row in rows.items()}


def records_of(names: Iterable[str]) -> set[str]:
    """Return the records of the units that the files belong to."""
    return set(map(record_of_unit, files_by_unit(names)))


def files_by_unit(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the files of each unit, by its folder; files of no unit are skipped."""
    found: dict[str, list[str]] = {}
    for name in names:
        if (unit := unit_of(name)) is not None:
            found.setdefault(unit, []).append(name)
    return found


def record_of_unit(unit: str) -> str:
    """Return the record that marks a unit as finished, such as ``trials/ID/trial.json``."""
    return f"{unit}/{UNITS[unit.partition('/')[0]]}"


def is_failed(record: str, data: bytes | None) -> bool:
    """Return whether a unit failed by its record, or the record is missing or unreadable."""
    if record.endswith(".toml"):
        return data is None
    try:
        return json.loads(data or b"").get("status") != "done"
    except (ValueError, AttributeError, RecursionError):
        return True
