"""Metrics of a run: one line of JSON per row, and the same rows as Parquet at the end.

A row is of kind ``train`` (step, tokens, seconds, loss, learning_rate, gradient_norm,
tokens_per_second, wait_share, mfu) or ``recall`` (step, exposures, n, recall, log_probability).
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from behemoth.support.files import named, open_to_append, replacing

_SCHEMA = {
    "kind": pl.String, "step": pl.Int64, "tokens": pl.Int64, "seconds": pl.Float64,
    "loss": pl.Float64, "learning_rate": pl.Float64, "gradient_norm": pl.Float64,
    "tokens_per_second": pl.Float64, "wait_share": pl.Float64, "mfu": pl.Float64,
    "exposures": pl.Int64, "n": pl.Int64, "recall": pl.Float64, "log_probability": pl.Float64,
}  # fmt: skip


class Metrics:
    """Writes ``metrics.jsonl`` and, if enabled and installed, TensorBoard events.

    Parameters
    ----------
    directory : Path
    tensorboard : bool
    step : int
        Step the run resumes from. Existing rows of later steps, whose work was lost, are dropped.
    measures : bool
        Whether recall is measured at this step again, as it is after the checkpoint. Its existing
        rows of recall are then dropped too.
    """

    def __init__(
        self, directory: Path, tensorboard: bool = True, step: int = 0, *, measures: bool = False
    ) -> None:
        self.path = directory / "metrics.jsonl"
        kept = [
            row
            for row in read_rows(self.path)
            if row["step"] < step
            or (row["step"] == step and not (measures and row["kind"] == "recall"))
        ]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        self._file = open_to_append(self.path)
        self._events: Any = None
        if tensorboard and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(directory / "tensorboard", purge_step=step + 1)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()

    def add(self, kind: str, step: int, **values: float | None) -> None:
        """Write a row."""
        row = {"kind": kind, "step": step} | {name: _plain(v) for name, v in values.items()}
        with named(self.path):
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        if self._events is None:
            return
        if kind == "recall":
            self._events.add_scalar(f"recall/{values['exposures']}", values["recall"], step)
            return
        for name, value in values.items():
            if name not in ("tokens", "seconds") and value is not None:
                self._events.add_scalar(f"{kind}/{name}", value, step)


def write_parquet(directory: Path) -> None:
    """Write ``metrics.parquet`` from ``metrics.jsonl``."""
    rows = read_rows(directory / "metrics.jsonl")
    with replacing(directory / "metrics.parquet") as temporary:
        pl.DataFrame(rows, schema=_SCHEMA).write_parquet(temporary)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file, up to a row that a kill truncated."""
    rows: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError):
                break
    return rows


def _plain(value: float | None) -> float | None:
    # JSON has no NaN and no infinity.
    return None if value is None or value != value or abs(value) == float("inf") else value
