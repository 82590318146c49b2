"""What is made on this machine and then sent: exports, and studies as they go on."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.locks import holder, lock
from behemoth.support.progress import ProgressLike
from behemoth.support.studies import Content

from .cache import clear, stage_of
from .errors import StoreError
from .files import STUDY
from .pull import bring
from .push import push, send, target_of
from .units import without_begun

__all__ = ["staged", "study_in_store"]

_EVERY = 30.0  # seconds between looks at what a study has finished


@contextmanager
def staged(
    argument: str,
    url: str,
    record: str,
    data: bytes,
    same: Callable[[Mapping[str, object]], bool],
    *,
    force: bool,
    progress: ProgressLike,
) -> Generator[Path]:
    """Give a folder for a directory that goes to a store when it is whole.

    All of it has to have room here. When the block fails the folder stays, for the next call; what
    is left in it of another directory is removed.

    Parameters
    ----------
    argument : str
        What the URL is called where it was given.
    url : str
    record : str
        What will make the folder a directory; the URL may hold no other kind.
    data : bytes
        What that file will hold.
    same : callable
        Whether a directory whose record holds these values may be gone on with.
    force : bool
        Replace another directory that is there.
    progress : callable or Progress, optional
        Who looks on while it is sent.

    Raises
    ------
    ArgumentError, CorpusError, StoreError
        Before any work where it can be known, else when it is sent.
    """
    target, identity = target_of(argument, url, record, None, force=force), digest(data)
    there = target.place.read(record) if target.replaces is None else None
    if there is None:  # nothing, or half of one
        target_of(argument, target.place, record, identity, force=force)
    elif not force and not _says(there, same):
        allowed = "a new place, the same again, or force to replace it"
        raise ArgumentError(argument, f"{url}, which holds another ({record})", allowed)
    with _own_stage(argument, url) as stage:
        left = stage / record
        if left.is_file() and not _says(left.read_bytes(), same):
            clear(stage)
        yield stage
        # The same by another version has another record.
        another = there is not None and digest(there) != identity
        push(stage, url, force=force or another, progress=progress)
        clear(stage)


def _says(data: bytes, same: Callable[[Mapping[str, object]], bool]) -> bool:
    """Whether a record is one of the same; one that cannot be read is of another."""
    try:
        return same(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


@contextmanager
def study_in_store(
    argument: str, url: str, name: str, *, progress: ProgressLike
) -> Generator[Path]:
    """Give a folder for a study that goes to a store as its models and trials are finished.

    What the store has of it is brought first, so that another machine goes on where one was lost:
    models, plans and trials that it has finished and this stage has not, each in full.
    Every 30 seconds what is finished is sent, and at the end the rest.

    Parameters
    ----------
    argument : str
        What the URL is called where it was given.
    url : str
    name : str
        Of the study.
    progress : callable or Progress, optional
        Who looks on while it is brought and sent.

    Raises
    ------
    ArgumentError, CorpusError, StoreError
    """
    target = target_of(argument, url, STUDY, name)
    with _own_stage(argument, url) as stage:
        # A record is sent behind what it stands for, so that any ledger is a study.
        brought = None
        if STUDY in target.ledger.files:
            bring(target.place, without_begun(target.ledger, stage), stage, progress)
            brought = Content.read((stage / STUDY).read_bytes())
        stop = threading.Event()
        words = (stage, url, brought, stop)
        sender = threading.Thread(target=_send_now_and_then, args=words, daemon=True)
        sender.start()
        try:
            yield stage
        finally:
            stop.set()
        sender.join()
        send(stage, url, succeeds=brought, progress=progress)
        clear(stage)


def _send_now_and_then(
    stage: Path, url: str, brought: Content | None, stop: threading.Event
) -> None:
    """Send what a study has finished, until it ends; what fails is tried again."""
    while not stop.wait(_EVERY):
        try:
            if (stage / STUDY).is_file():
                send(stage, url, succeeds=brought)
        except (CorpusError, OSError, StoreError) as error:
            log = logging.getLogger(__name__)
            log.warning("%s; the study goes on, and this is tried again", error)


@contextmanager
def _own_stage(argument: str, url: str) -> Generator[Path]:
    """The stage of a URL; what is made there has locks of its own on the folder."""
    stage = stage_of(argument, url)
    stage.mkdir(parents=True, exist_ok=True)
    guard = stage.with_name(f"{stage.name}.lock")
    with lock(guard, wait=False) as ours:
        if not ours:
            raise CorpusError(f"another process is writing to {url}: {holder(guard)}")
        yield stage
