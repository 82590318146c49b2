"""Parquet files larger than memory, written from frames made one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl


def sink_parquet(
    chunks: Callable[[], Iterator[pl.DataFrame]],
    empty: pl.DataFrame,
    path: Path,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write frames to one Parquet file without holding more than a few of them.

    Parameters
    ----------
    chunks : callable that returns an iterator of frames
    empty : polars.DataFrame
        A frame of the same columns, for the schema.
    path : Path
    metadata : dict, optional
        Text stored in the file beside the columns.
    """
    from polars.io.plugins import register_io_source

    failure: list[BaseException] = []

    def source(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        try:
            yield from chunks()
        except BaseException as error:
            failure.append(error)
            raise

    try:
        register_io_source(source, schema=empty.schema).sink_parquet(path, metadata=metadata)
    except BaseException as error:
        # Polars wraps what the source raises, so that Ctrl-C would look like a bad query.
        raise (failure[0] if failure else error) from None
