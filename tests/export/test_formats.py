"""Each format, read back by what its own documents say of its bytes."""

import json
import struct

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer

from behemoth import Corpus, Documents, Grammar, World
from behemoth._gen import digest_file
from behemoth.export import FORMATS, export, get_format
from behemoth.export.inspection import read_export_sums

BLOCK = 100


@pytest.fixture(scope="module", params=["uint16", "uint32"])
def corpus(request, tmp_path_factory):
    """A corpus of several shards: (directory, all its tokens)."""
    subjects, base = (300, 1000) if request.param == "uint16" else (70_000, 70_000)
    world = World(subjects=subjects, relations=2, objects=5)
    exposures = 20 if request.param == "uint16" else 1
    made = Corpus(world, exposures=exposures, base=base, shard_bytes=1 << 16)
    directory = tmp_path_factory.mktemp("corpus") / request.param
    made.write(directory, probes=0)
    assert made.dtype == request.param and made.num_shards > 1
    return directory, made.tokens(0, made.num_documents)


@pytest.fixture
def exported(corpus, tmp_path):
    """Export the corpus: exported("litdata") -> (directory, all its tokens)."""

    def exported(to, **options):
        export(corpus[0], tmp_path / to, to=to, **options)
        return tmp_path / to, corpus[1]

    return exported


def test_megatron(exported):
    out, tokens = exported("megatron", block_length=BLOCK)
    found = []
    for index in sorted(out.glob("*.idx")):
        raw = index.read_bytes()
        assert raw[:9] == b"MMIDIDX\0\0"
        version, kind, sequences, documents = struct.unpack_from("<QBQQ", raw, 9)
        assert version == 1
        dtype = {8: np.uint16, 4: np.int32}[kind]
        place = 9 + 8 + 1 + 16
        lengths = np.frombuffer(raw, "<i4", sequences, place)
        pointers = np.frombuffer(raw, "<i8", sequences, place + 4 * sequences)
        firsts = np.frombuffer(raw, "<i8", documents, place + 12 * sequences)
        assert len(raw) == place + 12 * sequences + 8 * documents
        assert firsts.tolist() == list(range(sequences + 1))
        assert set(lengths[:-1].tolist()) == {BLOCK} and 0 < lengths[-1] <= BLOCK
        data = index.with_suffix(".bin").read_bytes()
        for length, pointer in zip(lengths, pointers, strict=True):
            found.append(np.frombuffer(data, dtype, length, pointer))
    assert np.array_equal(np.concatenate(found), tokens)


@pytest.mark.parametrize(("to", "pattern"), [("olmo", "*.npy"), ("datatrove", "*.ds")])
def test_raw_tokens_are_links_to_the_shards(exported, corpus, to, pattern):
    out, tokens = exported(to)
    files = sorted(out.glob(pattern))
    found = np.concatenate([np.fromfile(file, tokens.dtype) for file in files])
    assert np.array_equal(found, tokens)
    shards = sorted((corpus[0] / "tokens").glob("*.bin"))
    assert all(a.samefile(b) for a, b in zip(files, shards, strict=True))


def test_datatrove_says_where_documents_end(exported):
    out, _ = exported("datatrove")
    files = sorted(out.glob("*.ds"))
    assert files
    for file in files:
        width = int((out / f"{file.name}.metadata").read_text().split("\n")[0].split("|")[1])
        tokens = np.fromfile(file, {2: "<u2", 4: "<u4"}[width])
        ends = np.fromfile(out / f"{file.name}.index", "<u8")
        assert (tokens[ends - 1] == 0).all() and ends[-1] == len(tokens)
        assert len(ends) == (tokens == 0).sum()
        assert (out / f"{file.name}.metadata").read_text().split("\n")[1] == str(len(tokens))


def test_litdata_has_whole_blocks_and_leaves_out_the_last_part_of_one(exported):
    out, tokens = exported("litdata", block_length=BLOCK)
    index = json.loads((out / "index.json").read_text())
    assert index["config"]["item_loader"] == "TokensLoader"
    [form] = index["config"]["data_format"]
    dtype = {"no_header_tensor:20": "<u2", "no_header_tensor:16": "<i4"}[form]
    found = []
    for chunk in index["chunks"]:
        raw = (out / chunk["filename"]).read_bytes()
        items, start, end = struct.unpack_from("<III", raw)
        assert (items, start, end) == (chunk["chunk_size"], 12, len(raw))
        assert chunk["chunk_bytes"] == len(raw) - 12
        found.append(np.frombuffer(raw, dtype, offset=start))
        assert len(found[-1]) == chunk["dim"] and chunk["dim"] % BLOCK == 0
    whole = len(tokens) // BLOCK * BLOCK
    assert np.array_equal(np.concatenate(found), tokens[:whole])


def test_llmc(exported):
    out, tokens = exported("llmc")
    found = []
    for file in sorted(out.glob("*.bin")):
        raw = file.read_bytes()
        head = np.frombuffer(raw, "<i4", 256)
        dtype = {(20240520, 1): "<u2", (20240801, 7): "<u4"}[tuple(head[:2].tolist())]
        found.append(np.frombuffer(raw, dtype, offset=1024))
        assert head[2] == len(found[-1]) and not head[3:].any()
    assert np.array_equal(np.concatenate(found), tokens)


def test_text_splits_back_into_the_same_tokens(exported, corpus):
    out, tokens = exported("text")
    ids = {name: index for index, name in enumerate(Corpus.open(corpus[0]).token_names)}
    found = []
    for file in sorted(out.glob("*.txt")):
        for line in file.read_text().splitlines():
            assert line == line.strip()
            found += [*(ids[word] for word in line.split(" ")), 0]
    assert found == tokens.tolist()


def test_parquet_has_the_text_and_the_tokens_of_each_document(exported, corpus, monkeypatch):
    monkeypatch.setattr("behemoth.export.parquet._PIECE", 10_000)  # several files a shard
    out, tokens = exported("parquet")
    files = sorted(out.glob("*.parquet"))
    assert len(files) > len(list((corpus[0] / "tokens").glob("*.bin")))
    sums = read_export_sums(out)  # of what was to be written, computed before it was
    assert [sums[file.name]["blake3"] for file in files] == list(map(digest_file, files))
    frame = pl.concat([pl.read_parquet(file) for file in files])
    assert frame["input_ids"].explode().to_list() == tokens.tolist()
    assert (frame["input_ids"].list.last() == 0).all()
    assert (frame["input_ids"].list.eval(pl.element() == 0).list.sum() == 1).all()
    made = Corpus.open(corpus[0])
    for text, ids in frame.head(50).iter_rows():
        assert text == made.decode(ids[:-1])


@pytest.fixture(scope="module")
def lined(tmp_path_factory):
    """A corpus whose documents have line ends in them: (directory, its texts)."""
    grammar = Grammar.named("bios-en")
    world, documents = grammar.world(30), Documents(subjects=3)
    made = Corpus(world, exposures=2, order="bios", grammar=grammar, documents=documents)
    directory = tmp_path_factory.mktemp("lined") / "corpus"
    made.write(directory, probes=0)
    texts = made.texts(0, made.num_documents)
    assert sum("\n" in text for text in texts) > len(texts) / 2
    return directory, texts


def test_the_text_of_parquet_is_the_document_with_its_line_ends(lined, tmp_path):
    directory, texts = lined
    export(directory, tmp_path / "out", to="parquet")
    frame = pl.read_parquet(tmp_path / "out/*.parquet")
    assert frame["text"].to_list() == texts
    tokenizer = Tokenizer.from_file(str(tmp_path / "out/tokenizer/tokenizer.json"))
    for text, ids in frame.iter_rows():
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids[:-1]


def test_line_ends_inside_of_documents_are_spaces_in_text(lined, tmp_path):
    directory, texts = lined
    export(directory, tmp_path / "out", to="text")
    written = "".join(file.read_text() for file in sorted((tmp_path / "out").glob("*.txt")))
    assert written.splitlines() == [" ".join(text.splitlines()) for text in texts]


@pytest.mark.parametrize("to", FORMATS)
def test_a_format_says_its_own_name(to):
    assert get_format(to).name == to


# What is there already does not depend on the width of a token.
narrow = pytest.mark.parametrize("corpus", ["uint16"], indirect=True)


@narrow
@pytest.mark.parametrize("to", FORMATS)
def test_again_nothing_is_written(exported, to):
    out, _ = exported(to)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    exported(to)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@narrow
@pytest.mark.parametrize("to", FORMATS)
def test_a_lost_file_is_made_again(exported, to):
    out, _ = exported(to)
    whole = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    for path in list(whole)[::2]:
        if path.name != "export.json":
            path.unlink()
    exported(to)
    assert {path: path.read_bytes() for path in whole} == whole
