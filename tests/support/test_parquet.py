"""Parquet files of anybody: what polars cannot read is one of its errors."""

import random

import polars as pl
import pytest

from behemoth.support.parquet import panics_are_errors, read_parquet


def test_flipped_bits_of_the_metadata_are_errors_of_polars(tmp_path):
    file = tmp_path / "frame.parquet"
    columns = {"number": range(300), "text": ["a"] * 300, "list": [[1, 2]] * 300}
    pl.DataFrame(columns).write_parquet(file, metadata={"key": "value"})
    whole = file.read_bytes()
    metadata = int.from_bytes(whole[-8:-4], "little")
    bits = range(8 * (len(whole) - metadata - 8), 8 * len(whole))
    read, refused = 0, 0
    for bit in random.Random(0).sample(bits, 400):  # with polars 2.1, one of 200 makes it panic
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            read_parquet(file)
            read += 1
        except pl.exceptions.PolarsError:
            refused += 1
    assert read and refused


def test_a_panic_is_an_error():
    refused = pytest.raises(pl.exceptions.ComputeError, match="it cannot be read: at the disco")
    with refused, panics_are_errors():
        raise pl.exceptions.PanicException("at the disco")
