"""Training: from a corpus, or straight from a spec, to a model that recalls.

It knows corpora, models and recall, but not plans or edits. The training code is imported
when `train` is called; the settings of a run need no torch.
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
    config: TrainConfig | str | None = None,
    force: bool = False,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> TrainResult:
    """Train a model on a corpus, or resume a stopped run.

    Parameters
    ----------
    source : path or Corpus
        A corpus directory, or a corpus opened from one, whose shards are read; or a spec TOML,
        spec directory or other corpus, whose tokens are generated during training. A run is
        refused: its ``spec.toml`` is its corpus, and `config.start` names weights to go on from.
    out : path
        The run directory. An existing run of the same corpus and settings is resumed, and a
        finished one is left as it is.
    config : TrainConfig or str, optional
        The settings: ``default_config("pico", epochs=4)``; or the name of a size, with its
        defaults. By default ``default_config()``. The command line has options for all but
        ``beta1``, ``beta2``, ``vocabulary_multiple``, ``probe_facts`` and ``prefetch``.
    force : bool
        Replace an existing run, whether the same, another or damaged; a replacement that was
        stopped is resumed.
    memory : int, optional
        Memory limit in bytes for training on a CPU, in addition to what the process uses
        already. A run that is estimated to need more is refused. By default the free memory.
    progress : callable or Progress, optional
        Receiver of progress; details of training are a `Report`. An exception it raises stops the
        run.

    Returns
    -------
    TrainResult

    Raises
    ------
    ArgumentError
        If a setting is not allowed, `source` is a run, or `out` holds a run of other settings; or
        if processes that a launcher started together differ in the corpus, `out` or a setting.
    MissingExtraError
        If torch or another package of the extra `train` is not installed.
    TrainError
        If the loss diverged or memory ran out; the last good checkpoint is kept.
        If an error of one process separated those of an earlier run that `torchrun` had started.
    Interrupted
        After Ctrl-C, SIGTERM or SIGUSR1; a checkpoint was saved. If the signal arrived after the
        last step, the run is finished and `result` is that of the run.

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
