"""Backgrounds in the formats of others: read where they lie, or encoded first."""

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tokenizers

import behemoth as bh
from behemoth.corpus import encode_documents, encoding, train_tokenizer
from behemoth.corpus.text_tokenizer import read_tokenizer
from behemoth.corpus.tokens import END_OF_DOCUMENT
from behemoth.export import export
from behemoth.support.locks import sole

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    place = tmp_path_factory.mktemp("tokenizer") / "bpe"
    train_tokenizer("bios-en", place, vocabulary=400, documents=200)
    return place


@pytest.fixture(scope="module")
def written(tmp_path_factory, tokenizer):
    """A corpus directory whose documents become the background of others."""
    place = tmp_path_factory.mktemp("written") / "corpus"
    grammar = bh.Grammar.named("encyclopedia-en")
    corpus = bh.Corpus(
        grammar.world(40, seed=3), order="bios", grammar=grammar, tokenizer=tokenizer
    )
    corpus.write(place, threads=1, probes=0)
    return place


def documents_of(directory):
    corpus = bh.Corpus.open(directory)
    return sorted(corpus.tokens(i, i + 1).tolist() for i in range(corpus.num_documents))


def others(tokenizer, background):
    """The documents of a corpus on that background which say no fact."""
    grammar = bh.Grammar.named("bios-en")
    corpus = bh.Corpus(
        grammar.world(30), order="bios", grammar=grammar, tokenizer=tokenizer, background=background
    )
    numbers = np.flatnonzero(~corpus.says_facts(0, corpus.num_documents)).tolist()
    return sorted(corpus.tokens(i, i + 1).tolist() for i in numbers)


@pytest.mark.parametrize("kind", ["olmo", "datatrove"])
def test_exports_are_backgrounds_as_they_lie(tmp_path, tokenizer, written, kind):
    export(written, tmp_path / kind, to=kind)
    assert others(tokenizer, tmp_path / kind) == documents_of(written)


def test_a_background_is_made_of_a_path_alone(tokenizer, written):
    grammar = bh.Grammar.named("bios-en")
    of = {"grammar": grammar, "order": "bios", "tokenizer": tokenizer}
    corpora = [
        bh.Corpus(grammar.world(30), background=given, **of)
        for given in (str(written), bh.Background(written), bh.Background(str(written)))
    ]
    assert len({corpus.spec_hash for corpus in corpora}) == 1
    again = bh.Corpus(grammar.world(30), background=corpora[0].background, **of)
    assert again.background == corpora[0].background
    for value in (None, "", 3, "s3://corpora/mine"):
        with pytest.raises(bh.ArgumentError, match="argument 'background': got "):
            bh.Background(value)
    with pytest.raises(TypeError, match="end"):
        bh.Background(written, end=7)


def test_a_corpus_with_another_tokenizer_of_the_same_size_is_refused(tmp_path, written):
    """Its ids mean something else: the text would be garbage."""
    train_tokenizer("stories-en", tmp_path / "bpe", vocabulary=400, documents=200)
    with pytest.raises(bh.ArgumentError, match="corpus, with another tokenizer, allowed: the corp"):
        others(tmp_path / "bpe", written)


def test_a_corpus_on_another_corpus_has_its_documents(tokenizer, written):
    assert others(tokenizer, written) == documents_of(written)


def test_an_index_of_blocks_is_refused_and_its_tokens_alone_are_documents(
    tmp_path, tokenizer, written
):
    export(written, tmp_path / "m", to="megatron")
    (file,) = (tmp_path / "m").glob("*.bin")
    message = "got an index whose document 0 has an end of document inside, allowed: an index of do"
    with pytest.raises(bh.ArgumentError, match=message):
        others(tokenizer, tmp_path / "m")
    file.rename(tmp_path / "alone.npy")
    assert others(tokenizer, tmp_path / "alone") == documents_of(written)
    lengths = [len(document) for document in documents_of(written)]
    np.concatenate(documents_of(written)).astype("<u2").tofile(tmp_path / "pairs.ds")
    np.cumsum(lengths)[1::2].astype("<u8").tofile(tmp_path / "pairs.ds.index")
    with pytest.raises(bh.ArgumentError, match=message):
        others(tokenizer, tmp_path / "pairs")


def test_torn_tokens_of_megatron_are_refused(tmp_path, tokenizer, written):
    export(written, tmp_path / "m", to="megatron")
    (file,) = (tmp_path / "m").glob("*.bin")
    whole = file.read_bytes()
    for torn in (whole[:-2], whole + whole[:2]):
        file.unlink()  # it is a link to the shard
        file.write_bytes(torn)
        with pytest.raises(bh.ArgumentError, match=r"bin of [0-9,]+ bytes, allowed: the [0-9,]+ b"):
            others(tokenizer, tmp_path / "m")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"path": 3}', b"\xff"])
def test_a_damaged_path_of_a_background_is_named(run, tmp_path, content):
    base = ("gen", "--subjects", 20, "--relations", 2, "--objects", 5, "--probes", 0)
    assert run(*base, "--out", tmp_path / "a").code == 0
    assert run(*base, "--background", tmp_path / "a", "--out", tmp_path / "b").code == 0
    (tmp_path / "b" / "background.json").write_bytes(content)
    for verb in ("verify", "inspect"):
        line = run(verb, tmp_path / "b").refused(1)
        assert "background.json is damaged: it is not a valid path of a background" in line


def test_a_corpus_whose_background_moved_is_not_damaged(run, tmp_path):
    base = ("gen", "--subjects", 20, "--relations", 2, "--objects", 5)
    project, moved = tmp_path / "project", tmp_path / "moved"
    among, pages = moved / "among", moved / "pages"
    assert run(*base, "--out", project / "pages").code == 0
    mixed = ("--background", project / "pages", "--background-tokens", 100)
    assert run(*base, *mixed, "--out", project / "among").code == 0
    project.rename(moved)
    # A project that moves as a whole is complete.
    assert "all intact" in run("verify", among).out
    assert bh.Corpus.open(among).count_tokens() == 540
    pages.rename(tmp_path / "elsewhere")
    for verb in ("verify", "inspect"):
        line = run(verb, among).refused(1)
        assert "damaged" not in line and f"has moved from {project / 'pages'}: put it" in line
    # The command that the line says.
    repair = (
        line.partition("`behemoth ")[2].rstrip("`").replace("PATH", str(tmp_path / "elsewhere"))
    )
    assert run(*repair.split()).code == 0
    assert "all intact" in run("verify", among).out


@pytest.fixture
def of_blocks(run, tmp_path, monkeypatch):
    """A corpus made from blocks, as before they were refused: its spec has their digest."""
    monkeypatch.chdir(tmp_path)
    np.tile(np.array([5, 6, 7, 8, END_OF_DOCUMENT], "<u2"), 8).tofile("b.bin")
    np.array([8, 16, 24, 32, 40], "<u8").tofile("b.idx")
    digest = bh.Background(Path("b.bin")).native.digest
    spec = "[world]\nsubjects = 12\nrelations = 2\nobjects = 40\n[corpus]\n"
    Path("spec.toml").write_text(f'{spec}background = {{path = "b.bin", digest = "{digest}"}}\n')
    assert run("gen", "--spec", "spec.toml", "--out", "c").code == 0
    return Path("c")


def test_blocks_that_have_moved_are_still_those_of_their_corpus(run, of_blocks):
    Path("aside").mkdir()
    for name in ("b.bin", "b.idx"):
        Path(name).rename(Path("aside") / name)
    line = run("inspect", of_blocks).refused(1)
    repair = line.partition("`behemoth ")[2].rstrip("`").replace("PATH", "aside/b.bin")
    # Another place of the same documents; and other blocks are refused, as for any new corpus.
    assert run(*repair.split()).code == 0
    assert "all intact" in run("verify", of_blocks).out
    np.array([7, 40], "<u8").tofile("aside/b.idx")
    assert "an end of document inside" in run(*repair.split()).refused()


@pytest.mark.parametrize(
    ("ends", "what"),
    [
        ([7, 40], "b.bin with other tokens or ends of documents"),
        ([8, 16], "b.idx, which does not fit the 80 bytes beside it"),
        ([16, 8, 40], "b.bin with an index out of order"),
    ],
)
def test_a_background_that_has_changed_is_named(run, of_blocks, ends, what):
    np.array(ends, "<u8").tofile("b.idx")
    line = run("inspect", of_blocks).refused(1)
    assert line.startswith("c: argument 'background': got ") and what in line
    assert line.endswith("allowed: the files that c was made with, there or beside it")
    with (of_blocks / "manifest.json").open("a") as file:
        file.write(" ")
    assert "manifest.json is damaged" in run("inspect", of_blocks).refused(1)


def test_the_ends_beside_olmos_tokens_decide(tmp_path, tokenizer):
    end = 0
    np.array([5, 6, end, 7, 8, 9, 10, end], "<u4").tofile(tmp_path / "part.npy")
    with gzip.open(tmp_path / "part.csv.gz", "wt") as lines:
        lines.write("0,3,id-1,file,0\n3,8,id-2,file,1\n")
    found = others(tokenizer, tmp_path / "part")
    assert found == [[5, 6, end], [7, 8, 9, 10, end]]
    np.save(tmp_path / "array.npy", np.arange(4))
    with pytest.raises(bh.ArgumentError, match=r"array.npy, a numpy array, allowed: raw tok"):
        others(tokenizer, tmp_path / "array.npy")
    bad = (b"no gzip", gzip.compress(b"0,-5\n"), gzip.compress(b"0,99999999999999999999\n"))
    for index in bad:
        (tmp_path / "part.csv.gz").write_bytes(index)
        with pytest.raises(bh.ArgumentError, match="allowed: lines that begin with start,end"):
            others(tokenizer, tmp_path / "part.npy")


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "litdata"])
def test_exports_are_encoded(tmp_path, tokenizer, written, kind):
    options = {"block_length": 64} if kind == "litdata" else {}
    export(written, tmp_path / kind, to=kind, **options)
    source = tmp_path / kind / ("documents" if kind == "jsonl" else "")
    tokens = encode_documents(source, tokenizer, tmp_path / "encoded")
    found, wanted = others(tokenizer, tmp_path / "encoded"), documents_of(written)
    assert sum(map(len, found)) == tokens
    if kind == "litdata":  # less than a block is left out, at the end
        assert sum(map(len, wanted)) - 64 < tokens <= sum(map(len, wanted)) + 1
        assert sum(document in wanted for document in found) >= len(wanted) - 5
    else:
        assert found == wanted


def test_tokens_of_a_column_and_what_datasets_saves(tmp_path, tokenizer, written):
    datasets = pytest.importorskip("datasets")
    wanted = documents_of(written)
    # Once with their ends and once without, which makes no difference.
    rows = [tokens if i % 2 else tokens[:-1] for i, tokens in enumerate(wanted)]
    datasets.Dataset.from_dict({"ids": rows}).save_to_disk(tmp_path / "saved")
    encode_documents(tmp_path / "saved", tokenizer, tmp_path / "a.bin", column="ids")
    assert others(tokenizer, tmp_path / "a") == wanted
    pl.DataFrame({"input_ids": rows}).write_parquet(tmp_path / "rows.parquet")
    encode_documents(tmp_path / "rows.parquet", tokenizer, tmp_path / "b")
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    assert (tmp_path / "a.idx").read_bytes() == (tmp_path / "b.idx").read_bytes()


def test_an_end_inside_a_row_of_tokens_ends_a_document(tmp_path, tokenizer):
    end = read_tokenizer(tokenizer).end_of_document
    rows = [[7, 8, end, 9], [end, 7, end], [], [8], [end, end]]
    pl.DataFrame({"input_ids": rows}).write_parquet(tmp_path / "rows.parquet")
    encode_documents(tmp_path / "rows.parquet", tokenizer, tmp_path / "rows")
    written = np.fromfile(tmp_path / "rows.bin", np.uint16)
    assert written.tolist() == [7, 8, end, 9, end, end, 7, end, end, 8, end, end, end]
    stops = np.fromfile(tmp_path / "rows.idx", np.uint64).tolist()
    assert stops == (np.flatnonzero(written == end) + 1).tolist()


def test_the_end_of_a_document_within_a_text_is_text(tmp_path, tokenizer):
    pages = ["A token <|endoftext|> ends a document.", "No more.<|endoftext|>"]
    lines = "".join(json.dumps({"text": page}) + "\n" for page in pages)
    (tmp_path / "pages.jsonl").write_text(lines, encoding="utf-8-sig")  # as Windows writes it
    tokens = encode_documents(tmp_path / "pages.jsonl", tokenizer, tmp_path / "pages")
    reader = bh.Corpus(bh.Grammar.named("bios-en").world(5), grammar="bios-en", tokenizer=tokenizer)
    written = np.fromfile(tmp_path / "pages.bin", np.uint16)
    stops = np.fromfile(tmp_path / "pages.idx", np.uint64).tolist()
    end = reader.end_of_document
    assert tokens == len(written) and (np.flatnonzero(written == end) + 1).tolist() == stops
    # The end at the end of a text is the document's own, so both have one each.
    assert reader.decode(written) == f"{pages[0]}<|endoftext|>{pages[1]}"


def test_the_end_of_a_document_that_is_a_piece_of_text_is_refused(tmp_path):
    model = tokenizers.models.WordLevel({"a": 0, "<e>": 1, "?": 2}, unk_token="?")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<e>"])
    made.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<e>"}')
    pl.DataFrame({"text": ["a", "a a", "a <e> a"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(
        bh.ArgumentError, match=r"got document 3 of .*a.parquet, whose text has <e>"
    ):
        encode_documents(tmp_path / "a.parquet", tmp_path, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("piece", [1, 16, 1 << 20])
def test_chunks_of_litdata_are_read_in_pieces_of_documents(
    tmp_path, tokenizer, written, monkeypatch, piece
):
    export(written, tmp_path / "l", to="litdata", block_length=64)
    encode_documents(tmp_path / "l", tokenizer, tmp_path / "whole")
    monkeypatch.setattr("behemoth.corpus.encoding._PIECE", piece)
    sizes, documents = [], encoding._documents

    def noted(chunks, *rest):
        for part in documents(chunks, *rest):
            sizes.append(len(part.flat))
            yield part

    monkeypatch.setattr("behemoth.corpus.encoding._documents", noted)
    tokens = encode_documents(tmp_path / "l", tokenizer, tmp_path / "pieces")
    for suffix in (".bin", ".idx"):
        whole, pieces = ((tmp_path / f"{name}{suffix}") for name in ("whole", "pieces"))
        assert whole.read_bytes() == pieces.read_bytes()
    longest = max(map(len, documents_of(written)))
    assert sum(sizes) == tokens and max(sizes) <= max(piece, 2 * longest)


def test_what_cannot_be_encoded_is_refused(tmp_path, tokenizer):
    def refused(source, message, **options):
        with pytest.raises(bh.ArgumentError, match=message):
            encode_documents(tmp_path / source, tokenizer, tmp_path / "out", **options)
        assert not list(tmp_path.glob("out*")), "nothing is left behind"

    refused("none", "argument 'source': got .*none, which does not exist, allowed: files .jsonl")
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"text": "a"}\n{"text": 3}\n')
    refused("lines.jsonl", "got line 2 of .*lines.jsonl, allowed: an object with 'text' or")
    lines.write_text('{"text": "a"}\n')
    refused("lines.jsonl", "allowed: an object with 'body'", column="body")
    lines.write_text("[" * 100_000)
    refused("lines.jsonl", "got line 1 of")
    text = "got line 2 of .*lines.jsonl, which is not UTF-8, allowed: UTF-8 text without halves"
    lines.write_bytes(b'{"text": "a"}\n{"text": "caf\xe9"}\n')
    refused("lines.jsonl", text)
    lines.write_bytes(b'{"text": "a"}\n{"title": "caf\xe9", "text": "a"}\n')
    refused("lines.jsonl", text)
    lines.write_text('{"text": "a"}\n{"text": "\\ud800"}\n')
    refused("lines.jsonl", text)
    lines.write_text(json.dumps({"input_ids": [1, 2**70]}))
    refused("lines.jsonl", "got line 1 of .* a list of token ids")
    lines.write_text("")
    refused("lines.jsonl", "without a token")
    lines.write_text('{"input_ids": [1, 2, 400]}\n')
    refused("lines.jsonl", "got token 400 in .*allowed: tokens below 400")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    refused("bad.parquet", "allowed: a Parquet file that can be read")
    refused("", "which is a directory of .jsonl and .parquet files, allowed: files of one kind")
    large = pl.DataFrame({"input_ids": [[1, 2**63]]}, schema={"input_ids": pl.List(pl.UInt64)})
    large.write_parquet(tmp_path / "bad.parquet")
    refused("bad.parquet", "got a token of .*bad.parquet that has more than 63 bits")
    large.write_ipc_stream(tmp_path / "bad.arrow")
    refused("bad.arrow", "got a token of .*bad.arrow that has more than 63 bits")
    (tmp_path / "bad.arrow").unlink()
    (tmp_path / "lit").mkdir()
    index = tmp_path / "lit" / "index.json"
    index.write_text("{}")
    refused("lit", "index.json, allowed: a LitData index")
    index.write_text('{"chunks": [], "config": {"data_format": [3]}}')
    refused("lit", "index.json, allowed: a LitData index")
    told = {"chunks": [{"filename": "../../x"}], "config": {"data_format": ["jpeg"]}}
    index.write_text(json.dumps(told))
    refused("lit", "got jpeg in")
    told["config"]["data_format"] = ["no_header_tensor:20"]
    index.write_text(json.dumps(told))
    refused("lit", "got .*lit/x, allowed: a LitData chunk")
    for torn in (b"\1", b"\1\0\0\0", np.array([1, 12, 13], "<u4").tobytes() + b"\0"):
        (tmp_path / "lit" / "x").write_bytes(torn)
        refused("lit", "got .*lit/x, allowed: a LitData chunk")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "bad.parquet")
    lines.unlink()
    refused("bad.parquet", "got nothing, allowed: a column of text, .*bad.parquet has a")


def test_what_a_stop_left_of_an_encoding_is_not_in_the_way(tmp_path, tokenizer, monkeypatch):
    (tmp_path / "pages.jsonl").write_text('{"text": "a page"}\n')
    words = (tmp_path / "pages.jsonl", tokenizer, tmp_path / "out")

    def stopped(*others):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoding.np, "concatenate", stopped)
        with pytest.raises(KeyboardInterrupt):
            encode_documents(*words)
    assert not list(tmp_path.glob("*out*"))
    (tmp_path / "out.bin").write_bytes(b"mine")
    with pytest.raises(bh.ArgumentError, match=r"a name without .*out\.bin"):
        encode_documents(*words)
    room = tmp_path / ".out.idx.abcd1234.tmp"  # of a killed writer, which had no index yet
    room.mkdir()
    with sole(room, "encoding"), pytest.raises(bh.CorpusError, match="is writing to"):
        encode_documents(*words)
    assert (tmp_path / "out.bin").read_bytes() == b"mine"
    assert encode_documents(*words) > 1 and not room.exists()
