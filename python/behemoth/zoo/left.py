"""The parts of a zoo that a stopped call left, which the record of the zoo will vouch for."""

from __future__ import annotations

import shutil
from pathlib import Path

from behemoth.corpus.inspection import verify as verify_corpus
from behemoth.corpus.manifest import SUMS
from behemoth.support.digests import Checked
from behemoth.support.errors import CorpusError
from behemoth.train.run import read_record

__all__ = ["check_left"]

_UNHASHED = ("facts", "recall")


def check_left(place: Path) -> None:
    """Refuse a damaged part of an unfinished zoo, and remove frames, which are made again.

    Corpora and runs are compared with their own digests; plans are when they are read. Frames have
    no digests before those of the zoo.

    Raises
    ------
    CorpusError
        For a damaged or missing file; the error names it.
    """
    for name in _UNHASHED:
        shutil.rmtree(place / name, ignore_errors=True)
    for corpus in sorted(place.glob("corpora/*")):
        if (corpus / SUMS).is_file():
            verified = verify_corpus(corpus)
            _refuse(corpus, [row["file"] for row in verified.bad], verified.missing)
    for run in sorted([*place.glob("models/*"), *place.glob("twins/*")]):
        record = read_record(run)
        if record is not None and record.status == "finished":
            found = Checked(str(run))
            found.look(run, record.files)
            _refuse(run, [row["file"] for row in found.bad], found.missing)


def _refuse(part: Path, bad: list[str], missing: list[str]) -> None:
    for names, what in ((bad, "is damaged"), (missing, "is missing")):
        for name in names:
            raise CorpusError(f"{part / name} {what}: remove {part}, and run this again")
