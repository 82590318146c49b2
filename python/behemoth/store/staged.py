"""Local stages of directories that are sent to a store: exports, and studies during their run."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.locks import lock, refused
from behemoth.support.progress import Moment, ProgressLike

from .cache import clear, stage_of
from .errors import StoreError
from .files import STUDY
from .ledger import Entries
from .pull import bring
from .push import check_forced, push, send, target_of
from .studies import Content
from .units import without_begun

__all__ = ["own_stage", "send_now_and_then", "staged", "study_in_store"]

_EVERY = 30.0  # seconds between transfers of what a study has finished
_PATIENCE = 2.0  # seconds to wait for a transfer to stop when the study has failed


class _HaltedError(Exception):
    """The study has failed, and a transfer of its units stops."""


@contextmanager
def staged(
    url: str,
    record: str,
    data: bytes,
    same: Callable[[Mapping[str, object]], bool],
    *,
    force: bool,
    progress: ProgressLike,
) -> Generator[Path]:
    """Yield a local folder for a directory that is sent to a store once it is complete.

    The local disk needs room for all of it. If the block fails, the folder stays for the next
    call; leftovers of another directory are removed from it.

    Parameters
    ----------
    url : str
    record : str
        Name of the directory's record; the URL may hold no directory of another kind.
    data : bytes
        Contents that the record will have.
    same : callable
        Called with the values of a record; returns whether its directory may be resumed.
    force : bool
        Replace another directory of this kind at the URL. The store keeps no old version.
    progress : callable or Progress, optional
        Called with the progress of the transfer.

    Raises
    ------
    ArgumentError, CorpusError, StoreError
        Before any work if the cause is known by then, otherwise when the directory is sent.
    """
    target = target_of("out", url, record, None, force=force, same_kind=True)
    identity = digest(data)
    there = target.place.read(record) if target.replaces is None else None
    if there is None:  # nothing, or an incomplete directory
        target_of("out", target.place, record, identity, force=force)
    elif not force and not _says(there, same):
        allowed = "a new place, the same again, or force=True to replace it"
        raise ArgumentError("out", f"{url}, which holds another ({record})", allowed)
    with own_stage(url) as stage:
        left = stage / record
        if left.is_file() and not _says(left.read_bytes(), same):
            clear(stage)
        yield stage
        # The same directory written by another version has another record.
        another = there is not None and digest(there) != identity
        push(stage, url, force=force or another, progress=progress)
        clear(stage)


def _says(data: bytes, same: Callable[[Mapping[str, object]], bool]) -> bool:
    """Return whether `same` accepts a record; False if it cannot be read."""
    try:
        return same(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


@contextmanager
def study_in_store(url: str, name: str, *, progress: ProgressLike) -> Generator[Path]:
    """Yield a local folder for a study whose finished models and trials are sent to a store.

    Models, plans and trials that the store has finished and this stage has not are fetched first,
    each in full, so that another machine can continue after one was lost. Finished units are sent
    every 30 seconds, and the rest at the end.

    Parameters
    ----------
    url : str
    name : str
        Name of the study.
    progress : callable or Progress, optional
        Called with the progress of both transfers.

    Raises
    ------
    ArgumentError, CorpusError, StoreError
    """
    target = target_of("out", url, STUDY, name)
    check_forced(target)
    with own_stage(url) as stage:
        # Records are sent after the files they stand for, so that any ledger describes a study.
        brought: Content | None = None
        if STUDY in target.ledger.files and STUDY in target.sizes:
            place = target.place
            wanted = without_begun(place, target.ledger, target.sizes, stage)
            bring(place, wanted, stage, progress)
            brought = Content.read((stage / STUDY).read_bytes())

        entries = Entries()  # the last call computes all again

        def now(progress: ProgressLike) -> None:
            if (stage / STUDY).is_file():
                send(stage, url, succeeds=brought, entries=entries, progress=progress)

        with send_now_and_then(now):
            yield stage
        send(stage, url, succeeds=brought, progress=progress)
        clear(stage)


@contextmanager
def send_now_and_then(now: Callable[[ProgressLike], object]) -> Generator[None]:
    """Call `now` every 30 seconds while a study is carried out; log failures and try again.

    If the block fails, a transfer under way stops, so that it does not go on in a stage whose lock
    another process may have. `now` passes its argument to what reports progress.
    """
    stop, halt = threading.Event(), threading.Event()

    def look(_: Moment) -> None:
        if halt.is_set():
            raise _HaltedError

    def run() -> None:
        while not stop.wait(_EVERY):
            try:
                now(look)
            except _HaltedError:
                return
            except (CorpusError, OSError, StoreError) as error:
                log = logging.getLogger(__name__)
                log.warning("%s; the study continues, and sending is tried again", error)

    # A thread does not inherit the context, which says whether files are checked (`unchecked`).
    sender = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    sender.start()
    try:
        yield
    except BaseException:
        halt.set()
        raise
    finally:
        stop.set()
        sender.join(_PATIENCE if halt.is_set() else None)


@contextmanager
def own_stage(url: str, part: str = "") -> Generator[Path]:
    """Yield a stage of a URL under a lock beside it; writers in the stage lock the folder.

    `part` distinguishes several of one URL.
    """
    stage = stage_of(url, part)
    stage.mkdir(parents=True, exist_ok=True)
    guard = stage.with_name(f"{stage.name}.lock")
    with refused(lock(guard, wait=False), guard, f"writing to {url}"):
        yield stage
