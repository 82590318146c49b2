"""Parquet files: checked before they are read, and written frame by frame, beyond memory size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike, fspath
from pathlib import Path
from threading import Event

import polars as pl

from .checks import path_of
from .errors import ArgumentError

_ROWS_A_BYTE = 4096  # in the smallest valid files, whose columns contain a single value


def read_parquet(path: str | PathLike[str]) -> pl.DataFrame:
    """Read a file, unless it claims more rows than it can contain.

    Polars allocates memory for all rows that a file claims before it reads the first, and if there
    is not enough memory the process is killed.

    Raises
    ------
    polars.exceptions.PolarsError
        When the file claims more than 4,096 rows a byte, or cannot be read.
    """
    check_rows(path)
    return pl.read_parquet(Path(path))


def check_rows(path: str | PathLike[str]) -> None:
    """Refuse a file as `read_parquet` does, without reading it."""
    file = Path(path)
    if not file.is_file():
        raise pl.exceptions.ComputeError(f"{fspath(path)} is not a file")
    claimed = pl.scan_parquet(file).select(pl.len()).collect().item()
    size = file.stat().st_size
    if claimed > _ROWS_A_BYTE * size:
        raise pl.exceptions.ComputeError(f"it claims {claimed:,} rows in {size:,} bytes")


def check_target(out: str | PathLike[str]) -> Path:
    """Refuse to write a Parquet file over anything else.

    Raises
    ------
    ArgumentError
        When `out` is a directory, or a file that is not Parquet.
    """
    path = path_of("out", out)
    if path.is_dir():
        raise ArgumentError("out", f"{fspath(out)!r}, a directory", "a file name")
    if path.is_file() and not path.is_symlink():  # a link is replaced, not followed
        with path.open("rb") as file:
            if file.read(4) != b"PAR1":
                allowed = "a new file, or a Parquet file to replace"
                raise ArgumentError("out", f"{fspath(out)!r}, which holds something else", allowed)
    return path


def sink_parquet(
    chunks: Callable[[], Iterator[pl.DataFrame]],
    empty: pl.DataFrame,
    path: Path,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write frames to one Parquet file, with only a few of them in memory at a time.

    Parameters
    ----------
    chunks : callable that returns an iterator of frames
        Called in another thread; its errors are raised here.
    empty : polars.DataFrame
        An empty frame with the same columns, for the schema.
    path : Path
    metadata : dict, optional
        Text stored in the file in addition to the columns.
    """
    from polars.io.plugins import register_io_source

    stopped = Event()
    failure: list[BaseException] = []

    def source(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        try:
            for frame in chunks():
                if stopped.is_set():
                    return
                yield frame
        except BaseException as error:
            failure.append(error)

    query = register_io_source(source, schema=empty.schema)
    # Polars wraps errors of its source, so the source just ends after one. The query runs in
    # another thread so that this one stays free for Ctrl-C.
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(query.sink_parquet, path, metadata=metadata)
        try:
            call.result()
        finally:
            stopped.set()
    if failure:
        raise failure[0]
