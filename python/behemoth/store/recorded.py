"""The digests in a directory's own records, against which `push` checks its files.

Without this check, a file that was damaged locally would replace the intact object in the store,
and its entry in the ledger would declare it intact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from behemoth.support.digests import (
    FILES,
    PASSING,
    SEAL,
    check,
    checks,
    damaged,
    leads_out,
    no_record,
    read_object,
    read_sealed,
    unsealed,
)
from behemoth.support.kinds import KINDS
from behemoth.support.toml import read_toml

__all__ = ["digests_in", "recorded"]

_OF_CORPUS = "record of a corpus"
_MANIFEST, _SUMS, _PLAN = "manifest.json", "sums.json", "plan.toml"
_GATES = "gates.json"  # no command reads gates from a store
_SEALED = {
    **{name: kind for name, kind in KINDS.items() if name.endswith(".json") and name != _GATES},
    "model.json": "a model", "state.json": "a checkpoint", "trial.json": "a trial",
    _SUMS: "a directory",
}  # fmt: skip


def recorded(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the recorded BLAKE3 of files of a directory, by name; empty within `unchecked`.

    Parameters
    ----------
    directory : Path
    names : iterable of str
        Names of the files to be sent, including the records.

    Raises
    ------
    CorpusError
        If a record is damaged, or a file that it names is missing.
    """
    found: dict[str, str] = {}
    if not checks():
        return found
    for name in names:
        path = PurePosixPath(name)
        for file, wanted in digests_in(directory / name).items():
            if leads_out(file):
                raise damaged(directory / name, f"is damaged: {file} leads out of the directory")
            full = (path.parent / file).as_posix()
            if (directory / full).is_file():
                found[full] = wanted
            elif file != PASSING.get(path.name):
                raise damaged(directory / full, "is missing")
    return found


def digests_in(file: Path) -> Mapping[str, str]:
    """Return the digests in a record, by name relative to its folder; empty for other files.

    Raises
    ------
    CorpusError
        If the record is damaged.
    """
    if file.name == _MANIFEST:
        return _shards(file)
    if file.name == _PLAN:
        try:
            head = read_toml(file.read_text(encoding="utf-8"))
        except ValueError:
            raise no_record(file, "plan") from None
        return unsealed(file, head, "a plan").get(FILES, {})
    if file.name not in _SEALED:
        return {}
    values = read_sealed(file, _SEALED[file.name])
    if file.name == _SUMS and not isinstance(values.get("spec_hash"), str):
        rows: Mapping[str, Any] = values  # an export
    else:
        if file.name == _SUMS and values["spec_hash"] != _spec_hash(file.parent):
            return {}  # left over from a corpus that was replaced part by part
        rows = values.get(FILES) or {}
    try:
        return {n: str(row[SEAL]) if isinstance(row, dict) else str(row) for n, row in rows.items()}
    except (KeyError, TypeError, AttributeError):
        raise no_record(file, f"record of {_SEALED[file.name]}") from None


def _shards(manifest: Path) -> dict[str, str]:
    """Return the digests of shards in a manifest; every shard's own record has to agree."""
    if (manifest.parent / _SUMS).is_file():  # has the manifest's own digest
        check(manifest.parent, digests_in(manifest.parent / _SUMS), _MANIFEST)
    try:
        rows = {row["file"]: row for row in read_object(manifest, _OF_CORPUS)["shards"]}
        for name, row in rows.items():
            own = manifest.parent / PurePosixPath(name).with_suffix(".json")
            if own.is_file() and not row.items() <= read_object(own, "record of a shard").items():
                raise damaged(own)
        return {name: str(row[SEAL]) for name, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_record(manifest, _OF_CORPUS) from None


def _spec_hash(corpus: Path) -> object:
    manifest = corpus / _MANIFEST
    return read_object(manifest, _OF_CORPUS).get("spec_hash") if manifest.is_file() else None
