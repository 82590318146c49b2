"""Run directories: what a run is, so that it can go on, and that no other takes its place.

::

    RUN/config.json, model.safetensors, generation_config.json, tokenizer*.json   when finished
    RUN/run.json         settings, corpus, machine and versions, status, and the result
    RUN/spec.toml        the corpus (with table.parquet and exposures.parquet where it needs them)
    RUN/checkpoints/     see `checkpoint`
    RUN/metrics.jsonl, metrics.parquet, tensorboard/
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.source import EXPOSURES_FILE, TABLE_FILE
from behemoth.corpus.tokenizer import tokenizer_files
from behemoth.support.errors import ArgumentError
from behemoth.support.files import write_bytes

from .config import FREE, TrainConfig
from .errors import TrainError

RECORD = "run.json"


class RunDirectory:
    """A run directory, and what is recorded in it.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self) -> dict[str, Any] | None:
        """What ``run.json`` says, or None where there is no run.

        Raises
        ------
        TrainError
            When it is damaged.
        """
        file = self.path / RECORD
        if not file.is_file():
            return None
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            _ = record["config"]["model"], record["spec_hash"], record["status"]
        except (ValueError, KeyError, TypeError):
            raise TrainError(f"{file} is damaged: it is no record of a run") from None
        return record

    def check(self, corpus: Corpus, config: TrainConfig) -> dict[str, Any] | None:
        """Give the record of the run that is there, if it may go on with these settings.

        Raises
        ------
        ArgumentError
            When something else is there, or a run of another corpus or of other settings.
        """
        record = self.record()
        if record is None:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ArgumentError(
                    "out",
                    f"{self.path}, which holds something else",
                    "a new directory, or one of a run",
                )
            return None
        allowed = "a new directory, the same again, or force to replace it"
        if record["spec_hash"] != corpus.spec_hash:
            raise ArgumentError(
                "out",
                f"{self.path}, a run of the corpus {record['spec_hash'][:16]} "
                f"and not {corpus.spec_hash[:16]}",
                allowed,
            )
        for field in fields(TrainConfig):
            there, now = record["config"].get(field.name), getattr(config, field.name)
            if field.name not in FREE and there != now:
                raise ArgumentError(
                    "out", f"{self.path}, a run with {field.name} {there} and not {now}", allowed
                )
        return record

    def begin(self, corpus: Corpus, config: TrainConfig, facts: Mapping[str, Any]) -> None:
        """Record a new run: its settings, its corpus, and `facts` on where it runs."""
        write_bytes(self.path / "spec.toml", corpus.spec_toml.encode())
        _write_arrays(self.path, corpus)
        self.update(
            status="running",
            config=asdict(config),
            spec_hash=corpus.spec_hash,
            spec=corpus.spec,
            directory=None if corpus.directory is None else str(corpus.directory.absolute()),
            **facts,
        )

    def update(self, **values: Any) -> None:
        """Change values of the record."""
        record = {**(self.record() or {}), **values}
        text = json.dumps(record, indent=1, ensure_ascii=False)
        write_bytes(self.path / RECORD, (text + "\n").encode())

    def write_tokenizer(self, corpus: Corpus) -> None:
        """Write the tokenizer's files beside the weights, where AutoTokenizer looks."""
        for name, data in tokenizer_files(corpus.vocabulary).items():
            write_bytes(self.path / name, data)

    def clear(self) -> None:
        """Remove a run.

        Raises
        ------
        ArgumentError
            When something else is there.
        """
        if not self.path.exists():
            return
        if self.record() is None:
            raise ArgumentError(
                "out",
                f"{self.path}, which is no run and is not replaced",
                "a new directory, or one of a run",
            )
        shutil.rmtree(self.path)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes from training here at the same time.

        Raises
        ------
        TrainError
            When one does.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainError(f"another process is training in {self.path}") from None
            yield
        finally:
            os.close(descriptor)


def _write_arrays(path: Path, corpus: Corpus) -> None:
    import polars as pl

    from behemoth.support.files import replacing

    arrays = (
        (TABLE_FILE, corpus.world._table),
        (EXPOSURES_FILE, None if corpus._exposures is None else {"exposures": corpus._exposures}),
    )
    for name, columns in arrays:
        if columns is not None:
            with replacing(path / name) as temporary:
                pl.DataFrame(columns).write_parquet(temporary)
