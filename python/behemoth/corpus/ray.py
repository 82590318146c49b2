"""A corpus written by a Ray cluster: every core writes a part of the shards.

The tasks get specs and arrays and make the corpus for themselves; nothing else
crosses the network, and no part knows of another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Looking, Step, task

from .spec import PROBED_FACTS

if TYPE_CHECKING:
    from .background import Background
    from .corpus import Corpus
    from .grammar import Text
    from .names import Names
    from .write import Written


def write_with_ray(
    corpus: Corpus,
    out: str,
    force: bool = False,
    probes: int | Literal["all"] = PROBED_FACTS,
    combinations: bool = False,
    progress: Looking = None,
) -> Written:
    """Write a corpus in as many parts as the cluster has cores.

    Parameters
    ----------
    corpus : Corpus
    out : str
        A directory that all nodes share.
    force : bool
        Not allowed: no part can know what the others have written already.
    probes : int or 'all'
        As of `Corpus.write`; part 0 writes them.
    combinations : bool
        As of `Corpus.write`.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Raises
    ------
    ArgumentError
        When Ray is not installed, or `force` is asked for.
    """
    try:
        import ray
    except ImportError:
        raise ArgumentError(
            "engine", "ray", "local; ray where it is installed: pip install 'behemoth[ray]'"
        ) from None
    if force:
        raise ArgumentError("force", "true with engine 'ray'", "false; remove the directory")
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False)
    try:
        with task(progress, "writing", "parts") as step:
            done = _write_parts(ray, corpus, out, probes, combinations, step)
    finally:
        # Also on Ctrl-C: the workers stop, and another call goes on with what they left.
        if ours:
            ray.shutdown()
    seconds = max(part.seconds for part in done)
    fresh = sum(part.tokens_per_second * part.seconds for part in done)
    return replace(
        done[0],
        tokens=sum(part.tokens for part in done),
        bytes=sum(part.bytes for part in done),
        seconds=seconds,
        tokens_per_second=fresh / seconds if seconds > 0 else 0.0,
        shards_written=sum(part.shards_written for part in done),
        shards_present=sum(part.shards_present for part in done),
        shards_locked=sum(part.shards_locked for part in done),
        complete=any(part.complete for part in done),
    )


def _write_parts(
    ray: Any,
    corpus: Corpus,
    out: str,
    probes: int | Literal["all"],
    combinations: bool,
    step: Step,
) -> list[Written]:
    parts = max(1, min(int(ray.cluster_resources().get("CPU", 1)), corpus.num_shards))
    task = ray.remote(num_cpus=1)(_write_part)
    # Put once: a table may be large, and the tasks of a node share it.
    table = None if corpus.world._table is None else ray.put(corpus.world._table)
    exposures = None if corpus._exposures is None else ray.put(corpus._exposures)
    waiting = [
        task.remote(
            corpus.spec,
            table,
            corpus.world.names,
            exposures,
            corpus._text,
            corpus._background,
            out,
            (part, parts),
            probes,
            combinations,
        )
        for part in range(parts)
    ]
    done: list[Written] = []
    while waiting:
        finished, waiting = ray.wait(waiting, num_returns=1)
        done += ray.get(finished)
        step(len(done), parts)
    return done


def _write_part(
    spec: dict[str, Any],
    table: dict[str, NDArray[Any]] | None,
    names: Names | None,
    exposures: NDArray[np.uint32] | None,
    text: Text | None,
    background: Background | None,
    out: str,
    part: tuple[int, int],
    probes: int | Literal["all"],
    combinations: bool,
) -> Written:
    from .corpus import remade

    corpus = remade(spec, table, names, exposures, text, background)
    return corpus.write(out, threads=1, part=part, probes=probes, combinations=combinations)
