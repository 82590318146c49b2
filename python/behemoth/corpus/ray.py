"""Writing of a corpus on a Ray cluster: every core writes parts of the shards, one at a time.

The tasks receive specs and arrays and make the corpus themselves; nothing else crosses the
network, and parts are independent. The tasks of a lost node are repeated on another one, and keep
the shards that exist.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from behemoth.support.cluster import ray_cluster
from behemoth.support.progress import Advance, ProgressLike, task

if TYPE_CHECKING:
    from .background import Background
    from .corpus import Corpus
    from .grammar import Text
    from .names import Names
    from .write import Written


_PARTS = 4  # per core
_RETRIES = 10  # of a part, when its node or process is lost
_PAUSE, _PATIENCE = 1.0, 60.0  # seconds between attempts at locked shards, and in total


def write_with_ray(
    corpus: Corpus,
    out: str,
    probes: int | Literal["all"] | None,
    combinations: bool,
    progress: ProgressLike,
) -> Written:
    """Write a corpus in a few parts for each core of the cluster.

    Parameters
    ----------
    corpus : Corpus
    out : str
        A directory that all nodes share.
    probes : int or 'all', optional
        As in `Corpus.write`; part 0 writes them.
    combinations : bool
        As in `Corpus.write`.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Raises
    ------
    ArgumentError
        When Ray is not installed.
    """
    place = Path(out).absolute()  # tasks have other working directories
    with ray_cluster() as ray, task(progress, "writing", "bytes") as step:
        before, began = _tokens_there(corpus, place), time.perf_counter()
        done = _write_all(ray, corpus, str(place), probes, combinations, step)
        seconds = time.perf_counter() - began
    tokens = sum(part.tokens for part in done)
    return replace(
        done[0],
        out=out,
        tokens=tokens,
        bytes=sum(part.bytes for part in done),
        seconds=seconds,
        # This includes what a node wrote before it was lost.
        tokens_per_second=max(0, tokens - before) / seconds if seconds > 0 else 0.0,
        shards_written=sum(part.shards_written for part in done),
        shards_present=sum(part.shards_present for part in done),
        shards_locked=sum(part.shards_locked for part in done),
        complete=any(part.complete for part in done),
    )


def _write_all(
    ray: Any,
    corpus: Corpus,
    out: str,
    probes: int | Literal["all"] | None,
    combinations: bool,
    step: Advance,
) -> list[Written]:
    """Write all parts; return the last result of each."""
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    # Several per core, to balance the load and to report progress.
    parts = max(1, min(cores * _PARTS, corpus.num_shards))
    remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_write_part)
    # Put once: a table may be large, and the tasks of a node share it.
    columns, array = corpus.world.table_columns, corpus.exposures_array
    table = None if columns is None else ray.put(columns)
    exposures = None if array is None else ray.put(array)
    given = exposures, corpus.text_settings, corpus.background
    world = (corpus.spec, table, corpus.world.names, *given)

    def begin(part: int) -> Any:
        return remote.remote(*world, out, (part, parts), probes, combinations)

    total = corpus._native.estimated_bytes
    waiting = {begin(part): part for part in range(parts)}
    done: dict[int, Written] = {}
    until = 0.0
    while waiting:
        (finished, *_), _ = ray.wait(list(waiting), num_returns=1)
        part = waiting.pop(finished)
        done[part] = _result(ray, finished)
        there = sum(written.bytes for written in done.values())
        step(there, max(there, total))
        if waiting:
            continue
        # Processes of a lost node keep their shards locked until they end as well; the last part
        # must see all others done.
        behind = [part for part, written in done.items() if written.shards_locked]
        if not behind:
            step(there, there)
            break
        until = until or time.monotonic() + _PATIENCE
        if time.monotonic() > until:
            break
        time.sleep(_PAUSE)
        waiting = {begin(part): part for part in behind}
    return [done[part] for part in range(parts)]


def _result(ray: Any, task: Any) -> Written:
    """Return the result of a task, or raise its error itself, without Ray's trace."""
    try:
        written: Written = ray.get(task)
    except Exception as error:
        cause: object = getattr(error, "cause", None)
        if isinstance(cause, Exception):
            raise cause from None
        raise
    return written


def _tokens_there(corpus: Corpus, out: Path) -> int:
    """Return the number of tokens in complete shards."""
    size = corpus.dtype.itemsize
    return sum(
        path.stat().st_size // size
        for path in (out / "tokens").glob("[0-9]*.bin")
        if path.with_suffix(".json").is_file()
    )


def _write_part(
    spec: dict[str, Any],
    table: dict[str, NDArray[Any]] | None,
    names: Names | None,
    exposures: NDArray[np.uint32] | None,
    text: Text | None,
    background: Background | None,
    out: str,
    part: tuple[int, int],
    probes: int | Literal["all"] | None,
    combinations: bool,
) -> Written:
    from .twins import remade

    corpus = remade(spec, table, names, exposures, text, background)
    return corpus.write(out, threads=1, part=part, probes=probes, combinations=combinations)
