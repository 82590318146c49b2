"""A call of `behemoth.train`: open the corpus, lock the directory, start or resume the run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from os import PathLike, fspath

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.manifest import MANIFEST
from behemoth.model.device import is_out_of_memory
from behemoth.store.source import at_hand
from behemoth.support.checks import flag, path_of, whole_number
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.progress import ProgressLike

from .checkpoint import Checkpoints, history_steps
from .config import TrainConfig, config_of
from .device import Machine
from .directory import RunDirectory
from .errors import ElsewhereError, Interrupted, TrainError
from .loop import Loop
from .result import TrainResult
from .run import RECORD, RunRecord
from .started import warn_of_start

__all__ = ["run"]

_FINISHED = 1
# Settings that a process may have to itself.
_OWN = ("device", "threads", "prefetch", "tensorboard")
# Messages of gloo and NCCL if the other side does not answer, and if it has ended.
_LATE = ("Timed out", "timed out", "Timeout at")
_LOST = ("Connection closed", "Connection reset", "Broken pipe", "remote process exited")


def run(
    source: str | PathLike[str] | Corpus,
    *,
    out: str | PathLike[str],
    config: TrainConfig | str | None = None,
    force: bool = False,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> TrainResult:
    """Train a model; see `behemoth.train.train`."""
    config = config_of(config)
    force = flag("force", force)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    corpus = source if isinstance(source, Corpus) else _open(source, progress)
    directory = RunDirectory(path_of("out", out))
    machine = Machine.find(config)
    with machine.settings(), _failures(machine, config):
        _require_one_run(machine, corpus, config, fspath(out))
        if not machine.main:
            if machine.agreement.tell() == _FINISHED:
                return _result(directory, directory.record())
            vocabulary = machine.agreement.tell() or None
            whole = Loop(corpus, config, machine, directory, progress, memory, vocabulary)
            return _heeding(whole, whole.train())
        with ExitStack() as held:
            with machine.agreement.refusing() as tell:
                held.enter_context(directory.locked())
                record, replaces = directory.check(corpus, config, force)
                finished = record is not None and record.status == "finished"
                tell(_FINISHED if finished else 0)
            if finished:
                assert record is not None
                history = history_steps(config.checkpoint_history, record.steps)
                # Killed before it had removed what only an unfinished run needs.
                Checkpoints(directory.path / "checkpoints").prune(0, history)
                directory.finished()
                return _result(directory, record)
            vocabulary = None if record is None else record.vocabulary_padded
            machine.agreement.tell(vocabulary or 0)
            # Built before anything is written or set aside, so that a refusal changes nothing.
            whole = Loop(corpus, config, machine, directory, progress, memory, vocabulary)
            warn_of_start(corpus, config)
            with directory.begun(replaces=replaces):
                try:
                    result = whole.train()
                except (MemoryError, RuntimeError) as error:
                    # A retry with other settings is another run; this one made no step.
                    if record is None and not whole.step and is_out_of_memory(error):
                        directory.discard()
                    raise
            return _heeding(whole, result)


def _require_one_run(machine: Machine, corpus: Corpus, config: TrainConfig, out: str) -> None:
    """Refuse, in all processes, that they average the gradients of different runs."""
    given = {"corpus": corpus.spec_hash, "out": out, **asdict(config)}
    differing = machine.agreement.differing(
        {name: value for name, value in given.items() if name not in _OWN}
    )
    if differing:
        raise ArgumentError(
            "WORLD_SIZE",
            f"{machine.world_size} processes that differ in {', '.join(differing)}",
            "processes of one run; unset it for processes that each train their own",
        )


def _heeding(whole: Loop, result: TrainResult) -> TrainResult:
    """Return the result of a finished run, unless a signal arrived too late to stop it.

    Callers that would go on with another run then stop.
    """
    if whole.late_signal is not None:
        raise Interrupted(f"{result.run} is finished", whole.late_signal, result)
    return result


@contextmanager
def _failures(machine: Machine, config: TrainConfig) -> Generator[None]:
    """Turn known failures into errors of our own, and let no other process wait for this one."""
    failed = True
    try:
        yield
        failed = False
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise TrainError(
                f"out of memory on {machine.device}: raise accumulate (now {config.accumulate}), "
                f"which keeps the batch, or lower batch_size (now {config.batch_size}) or "
                f"block_length (now {config.block_length})"
            ) from error
        if machine.world_size > 1 and any(word in str(error) for word in _LATE):
            raise TrainError(
                f"process {machine.rank} waited for another process of the run for longer than "
                f"torch's process group allows: {str(error).strip().splitlines()[0]}"
            ) from error
        if machine.world_size > 1 and any(word in str(error) for word in _LOST):
            raise ElsewhereError("another process of the run has ended") from error
        raise
    finally:
        machine.close(failed=failed)


def _open(source: str | PathLike[str], progress: ProgressLike) -> Corpus:
    allowed = "a Corpus, or the path of a corpus directory, a spec directory or a spec TOML"
    place = at_hand("source", source, allowed, progress)
    # A run has the spec of its corpus, so a model would be trained from scratch in silence.
    if (place / RECORD).is_file():
        allowed = (
            "a corpus or a spec, such as the spec.toml of a run for another model on its corpus; "
            "to go on from the weights of a run, name it in start (--from)"
        )
        raise ArgumentError("source", f"{fspath(source)}, which is a run", allowed)
    with renamed(spec="source", directory="source"):
        return Corpus.open(place) if (place / MANIFEST).is_file() else Corpus.from_spec(place)


def _result(directory: RunDirectory, record: RunRecord | None) -> TrainResult:
    if record is None or record.result is None:
        raise CorpusError(f"{directory.path}: its record has no result")
    # The directory may have been moved since, and a relative path is one of this process.
    return replace(record.result, run=str(directory.path))
