"""Run directories: their layout, record, lock and replacement.

::

    RUN/config.json, model.safetensors, generation_config.json, tokenizer*.json   when finished
    RUN/run.json         settings, corpus, machine and versions, status, and the result
    RUN/spec.toml        the corpus (with table.parquet, names/ and exposures.parquet if it needs
                         them)
    RUN/checkpoints/     see `checkpoint`
    RUN/trace.json       results of tracing, if they were saved (`behemoth trace --save`)
    RUN/metrics.jsonl, metrics.parquet, tensorboard/
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace
from operator import eq
from pathlib import Path

from behemoth.corpus.background import BACKGROUND_FILE
from behemoth.corpus.corpus import Corpus
from behemoth.corpus.manifest import EXPOSURES_FILE, GRAMMAR_FILE, TABLE_FILE
from behemoth.corpus.tokenizer import FILES, write_tokenizer
from behemoth.support.digests import digests
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import remove_empty_parents, replacing, write_bytes
from behemoth.support.locks import sole
from behemoth.support.replacement import Kind, check_kind, finish, recover, succeeds, succession

from .config import RESUMED, TrainConfig
from .errors import TrainError
from .model_source import CONFIG, GENERATION, WEIGHTS, weights_digest
from .result import TrainResult
from .run import RECORD, RunRecord, read_record

TRACE = "trace.json"
"""Results of tracing the model, in the file that editing reads."""

RUN = Kind(
    RECORD,
    (
        CONFIG, WEIGHTS, GENERATION, *FILES, "spec.toml",
        TABLE_FILE, "names/*.parquet", EXPOSURES_FILE, GRAMMAR_FILE, BACKGROUND_FILE,
        "metrics.jsonl", "metrics.parquet", TRACE, "checkpoints/step-*",
        "tensorboard/events.out.tfevents.*",
    ),
)  # fmt: skip
"""Files that belong to a run directory."""

# The record holds the digests of the others, checkpoints have their own records, and TensorBoard
# events are never read here.
_UNHASHED = (RECORD, "checkpoints", "tensorboard")


class RunDirectory:
    """A run directory and its record.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self) -> RunRecord | None:
        """The content of ``run.json``, or None if there is no run.

        Raises
        ------
        CorpusError
            If it is damaged.
        """
        return read_record(self.path)

    def check(
        self, corpus: Corpus, config: TrainConfig, force: bool
    ) -> tuple[RunRecord | None, bool]:
        """Return the record of the run to resume or None, and whether a run is replaced.

        Raises
        ------
        ArgumentError
            If the directory holds something else, or the model to start from; or, without `force`,
            a run of another corpus, of other settings or from other weights.
        CorpusError
            If its record is damaged, without `force`.
        """
        if config.start is not None and _is_inside(Path(config.start), self.path):
            allowed = f"a model outside {self.path}, the directory to write"
            raise ArgumentError("start", config.start, allowed)
        try:
            record, damaged = self.record(), False
        except CorpusError as error:
            if not force:
                raise CorpusError(f"{error}; force=True replaces it") from None
            record, damaged = None, True
        check_kind("out", self.path, RUN, "a new directory, or one of a run")
        if record is None:
            return None, damaged
        refusal = self._refusal(record, corpus, config)
        if force and (refusal is not None or not succeeds(self.path, RUN)):
            return None, True
        if refusal is not None:
            raise refusal
        return record, False

    def _refusal(
        self, record: RunRecord, corpus: Corpus, config: TrainConfig
    ) -> ArgumentError | None:
        allowed = "a new directory, the same again, or force=True to replace it"
        if record.spec_hash != corpus.spec_hash:
            return ArgumentError(
                "out",
                f"{self.path}, a run of the corpus {record.spec_hash[:16]} "
                f"and not {corpus.spec_hash[:16]}",
                allowed,
            )
        for field in fields(TrainConfig):
            there, now = getattr(record.config, field.name), getattr(config, field.name)
            same = _same_place if field.name == "start" else eq
            if field.name not in RESUMED and not same(there, now):
                return ArgumentError(
                    "out", f"{self.path}, a run with {field.name} {there} and not {now}", allowed
                )
        if record.start_changed:  # a finished run does not need one that is gone
            return ArgumentError(
                "out", f"{self.path}, a run whose start {config.start} had other weights", allowed
            )
        return None

    def begin(self, corpus: Corpus, record: RunRecord) -> None:
        """Record a new run and its corpus."""
        write_bytes(self.path / "spec.toml", corpus.spec_toml.encode())
        _write_arrays(self.path, corpus)
        if corpus.grammar is not None:
            write_bytes(self.path / GRAMMAR_FILE, corpus.grammar.source.encode())
        if corpus.background is not None:
            write_bytes(self.path / BACKGROUND_FILE, corpus.background.note)
        text = corpus.text_settings
        # Reading the corpus needs the tokenizer, before the run is finished too.
        if corpus.background is not None or (text is not None and text.tokenizer is not None):
            self.write_tokenizer(corpus)
        record.write(self.path)

    def update(self, status: str, result: TrainResult | None = None) -> None:
        """Record the status of the run, and the result of a finished one."""
        record = self.record()
        assert record is not None, "a run that has begun has a record"
        files = None
        if result is not None:
            own = RUN.own(self.path)
            files = digests(self.path, [name for name in own if name.parts[0] not in _UNHASHED])
        replace(record, status=status, result=result, files=files).write(self.path)

    def write_tokenizer(self, corpus: Corpus) -> None:
        """Write the tokenizer's files beside the weights, where AutoTokenizer looks."""
        write_tokenizer(self.path, corpus.tokenizer_files)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Prevent other processes from training in this directory at the same time.

        Raises
        ------
        TrainError
            If another process is training in it.
        """
        with sole(self.path, f"training in {self.path}", TrainError):
            recover(self.path, RUN)
            yield

    def begun(self, *, replaces: bool) -> AbstractContextManager[None]:
        """Return the context to train in, which sets an existing run aside if it `replaces` one."""
        return succession(self.path, RUN, force=replaces)

    def discard(self) -> None:
        """Remove the files of a run that did not complete its first step."""
        for name in RUN.own(self.path):
            path = self.path / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            # A folder left empty would be somebody else's.
            remove_empty_parents(self.path, name)

    def finished(self) -> None:
        """Remove what a run that is now finished has replaced."""
        finish(self.path)


def start_weights(config: TrainConfig) -> str | None:
    """Return the BLAKE3 of the weights of the model in `start`; None without a start."""
    return None if config.start is None else weights_digest(Path(config.start))


def _same_place(there: str | None, now: str | None) -> bool:
    """Whether two starts are one, which earlier versions named where links lead."""
    if there is None or now is None:
        return there is now
    return there == now or Path(there).resolve() == Path(now).resolve()


def _is_inside(path: Path, directory: Path) -> bool:
    return path.resolve().is_relative_to(directory.resolve())


def _write_arrays(path: Path, corpus: Corpus) -> None:
    import polars as pl

    from behemoth.corpus.names import write_names

    array = corpus.exposures_array
    arrays = (
        (TABLE_FILE, corpus.world.table_columns),
        (EXPOSURES_FILE, None if array is None else {"exposures": array}),
    )
    for name, columns in arrays:
        if columns is not None:
            with replacing(path / name) as temporary:
                pl.DataFrame(columns).write_parquet(temporary)
    if corpus.world.names is not None:
        write_names(corpus.world.names.frames, path)
