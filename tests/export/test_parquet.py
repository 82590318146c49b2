"""Parquet files made in the engine, read by polars, by Arrow, and by datasets."""

import hashlib

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from behemoth import ArgumentError, _gen
from behemoth.corpus.decoding import table_decoder

WORDS = ["a", "bc", "ä", "中", "\N{GRINNING FACE}", "", "a word of many letters", "\n"]


def documents(count, largest, dtype, seed, most=40):
    """Return texts and tokens of random documents, some of them with an empty text."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, most + 1, count)
    texts = [" ".join(draw.choice(WORDS, length - 1)) for length in lengths]
    tokens = draw.integers(0, largest + 1, lengths.sum()).astype(dtype)
    return texts, np.split(tokens, np.cumsum(lengths)[:-1])


def made(texts, tokens, compressed=True):
    """Return the bytes of a file of documents."""
    raw = [text.encode() for text in texts]
    ends = [np.cumsum([len(row) for row in rows]).astype(np.uint64) for rows in (raw, tokens)]
    joined = np.frombuffer(b"".join(raw), np.uint8)
    whole = np.concatenate(tokens)
    return _gen.parquet_documents(joined, ends[0], whole, ends[1], compressed).tobytes()


@pytest.mark.parametrize("compressed", [True, False], ids=["snappy", "none"])
@pytest.mark.parametrize(
    ("count", "largest", "dtype"),
    [
        (1, 0, np.uint16),
        (7, 1, np.uint16),
        (500, 300, np.uint16),  # a dictionary: indices of nine bits
        (30_000, 50_256, np.uint16),  # several pages of both columns
        (500, 65_535, np.uint16),  # too large a dictionary for so few tokens: the ids themselves
        (20_000, 65_536, np.uint32),
        (20_000, 2**32 - 1, np.uint32),
    ],
)
def test_every_reader_reads_the_documents(tmp_path, count, largest, dtype, compressed):
    texts, tokens = documents(count, largest, dtype, seed=count + largest)
    path = tmp_path / "made.parquet"
    path.write_bytes(made(texts, tokens, compressed))
    kind = pl.List(pl.UInt16 if dtype is np.uint16 else pl.UInt32)
    rows = [row.tolist() for row in tokens]
    expected = pl.DataFrame({"text": texts, "input_ids": pl.Series(rows, dtype=kind)})
    assert pl.read_parquet(path).equals(expected)
    assert pl.scan_parquet(path).select("input_ids").collect().equals(expected.select("input_ids"))
    table = pq.read_table(path)
    assert pl.DataFrame(table).equals(expected)
    about = pq.ParquetFile(path).metadata
    assert about.num_rows == count
    packed = (largest + 1) * 4 <= sum(map(len, tokens))  # packed tokens hardly compress
    for column, is_compressed in ((0, compressed), (1, compressed and not packed)):
        codec = about.row_group(0).column(column).compression
        assert codec == ("SNAPPY" if is_compressed else "UNCOMPRESSED")


def test_no_documents_are_an_empty_frame(tmp_path):
    nothing = np.empty(0, np.uint64)
    file = _gen.parquet_documents(np.empty(0, np.uint8), nothing, np.empty(0, np.uint16), nothing)
    (tmp_path / "made.parquet").write_bytes(file.tobytes())
    frame = pl.read_parquet(tmp_path / "made.parquet")
    assert frame.schema == {"text": pl.String, "input_ids": pl.List(pl.UInt16)} and len(frame) == 0
    assert pq.read_table(tmp_path / "made.parquet").num_rows == 0


def test_the_schema_is_what_arrow_gives_such_columns(tmp_path):
    texts, tokens = documents(50, 90, np.uint16, seed=1)
    (tmp_path / "made.parquet").write_bytes(made(texts, tokens))
    table = pq.read_table(tmp_path / "made.parquet")
    pq.write_table(table, tmp_path / "arrow.parquet")
    schemas = [pq.ParquetFile(tmp_path / f"{name}.parquet").schema for name in ("made", "arrow")]
    assert schemas[0].equals(schemas[1])
    assert [str(field.type) for field in table.schema] == ["string", "list<element: uint16>"]


@pytest.mark.parametrize(
    ("count", "dtype", "digest"),
    [(200_000, np.uint16, "aafe88f85ee7183b"), (900, np.uint32, "7cec561ef7deca22")],
)
def test_bytes_depend_on_the_documents_alone(count, dtype, digest):
    numbers = np.arange(count, dtype=np.uint32) * np.uint32(2654435761)
    tokens = np.split((numbers >> 20).astype(dtype), range(10, count, 10))
    texts = [" ".join(WORDS[token % len(WORDS)] for token in row) for row in tokens]
    assert hashlib.sha256(made(texts, tokens)).hexdigest()[:16] == digest


def test_decoded_files_are_those_of_the_same_texts(tmp_path):
    """Of several pages; of words, and of a script without spaces."""
    draw = np.random.default_rng(5)
    for words in ([f" word{n}" for n in range(300)], [chr(0x4E00 + n) for n in range(300)]):
        raw = [b"", *(word.encode() for word in words)]
        decoder = table_decoder(raw, raw, end=0)
        tokens = draw.integers(1, 301, 600_000).astype(np.uint16)
        tokens[11::12] = 0
        rows = np.split(tokens, range(12, len(tokens), 12))
        texts = ["".join(words[token - 1] for token in row[:-1]) for row in rows]
        path = tmp_path / "made.parquet"
        digest = decoder.write_parquet(path, tokens)
        assert path.read_bytes() == made(texts, rows)
        assert digest == _gen.digest_file(path)
        assert pl.read_parquet(path)["text"].to_list() == texts
        assert pq.read_table(path)["text"].to_pylist() == texts


def test_what_is_not_documents_is_refused():
    ends, tokens = np.array([2], np.uint64), np.array([1, 0], np.uint16)
    with pytest.raises(ArgumentError, match="'texts': got a byte at 1 that is not UTF-8"):
        _gen.parquet_documents(np.frombuffer(b"a\xff", np.uint8), ends, tokens, ends)
    longer = np.array([1, 1, 0], np.uint16)
    with pytest.raises(ArgumentError, match="'ends': got a last end 2, allowed: 3"):
        _gen.parquet_documents(np.frombuffer(b"ab", np.uint8), ends, longer, ends)
