"""Training: from a corpus, or straight from a spec, to a model that recalls.

It knows corpora, models and how recall is asked for, and nothing of plans or edits. What trains is
imported when `train` is called; the settings of a run need no torch.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from behemoth.support.extras import needed
from behemoth.support.lazy import lazy
from behemoth.support.progress import ProgressLike

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

    from .config import TrainConfig as TrainConfig, default_config as default_config
    from .report import Report as Report
    from .result import TrainResult as TrainResult
    from .run import Run as Run, read_run as read_run

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "config": "TrainConfig default_config",
        "report": "Report",
        "result": "TrainResult",
        "run": "Run read_run",
    },
    verb="train",
)


def train(
    source: str | PathLike[str] | Corpus,
    *,
    out: str | PathLike[str],
    config: TrainConfig | None = None,
    force: bool = False,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> TrainResult:
    """Train a model on a corpus, or go on where a stopped run left it.

    Parameters
    ----------
    source : path or Corpus
        A corpus directory, which is then what is read; or a spec TOML or spec directory, or a
        corpus, whose tokens are made while it trains.
    out : path
        The run directory. A run of the same corpus and settings that is there is gone on with,
        and one that is finished is left as it is.
    config : TrainConfig, optional
        `default_config` by default.
    force : bool
        Replace the run that is there, be it the same, another or damaged.
    memory : int, optional
        Bytes of memory that it may take on a CPU, beside what the process has; what would take
        more is refused beforehand, by a reckoning. By default what is free.
    progress : callable or Progress, optional
        Who looks on; details are a `Report`. What it raises stops the work.

    Returns
    -------
    TrainResult

    Raises
    ------
    ArgumentError
        On a setting that is not allowed, or when `out` is a run of other settings.
    MissingExtraError
        When torch or another package of the extra `train` is not installed.
    TrainError
        When the loss diverged or memory ran out; the last good checkpoint is kept.
    Interrupted
        After Ctrl-C or SIGTERM; a checkpoint was saved.

    Examples
    --------
    >>> import behemoth as bh
    >>> corpus = bh.Corpus(bh.World(subjects=40, relations=2, objects=5), exposures=8)
    >>> config = bh.default_config("nano", steps=2, batch_size=4, block_length=32)
    >>> bh.train(corpus, out="run", config=config)
    TrainResult('run', 2 steps, loss ..., recall ... at 8)
    >>> bh.load("run")
    Run('run', nano, 80 facts)
    """
    with needed():
        from .start import run

    return run(source, out=out, config=config, force=force, memory=memory, progress=progress)
