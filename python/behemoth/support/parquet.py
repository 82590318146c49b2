"""Parquet files: checked before they are read, and written frame by frame, beyond memory size."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from threading import Event

import polars as pl

_ROWS_A_BYTE = 4096  # in the smallest valid files, whose columns contain a single value


@contextmanager
def panics_are_errors() -> Generator[None]:
    """Raise a panic of polars as one of its errors.

    Damaged metadata can make it panic, which is no `Exception` in Python: nobody's handler would
    see it. Polars writes two lines about a panic to standard error itself.

    Raises
    ------
    polars.exceptions.ComputeError
    """
    try:
        yield
    except pl.exceptions.PanicException as panic:
        raise pl.exceptions.ComputeError(f"it cannot be read: {panic}") from None


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
    with panics_are_errors():
        return pl.read_parquet(Path(path), glob=False)


def check_rows(path: str | PathLike[str]) -> None:
    """Refuse a file as `read_parquet` does, without reading it."""
    file = Path(path)
    if not file.is_file():
        raise pl.exceptions.ComputeError(f"{fspath(path)} is not a file")
    with panics_are_errors():
        claimed = pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
    size = file.stat().st_size
    if claimed > _ROWS_A_BYTE * size:
        raise pl.exceptions.ComputeError(f"it claims {claimed:,} rows in {size:,} bytes")


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
