"""Text by tables of bytes is the text that a token at a time gives, for every kind of tokenizer."""

import numpy as np
import polars as pl
import pytest
import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models

import behemoth as bh
from behemoth import ArgumentError, _gen
from behemoth.corpus.decoding import text_decoder
from behemoth.corpus.text_tokenizer import TextTokenizer

END = "<end>"
ODD = ["\u2028", "\r\n", "\x1c", "\x85", "é", "中", "\N{GRINNING FACE}"]


def byte_level():
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    merges = [("Ġ", "a"), ("Ġa", "b"), ("ã", "Ģ")]
    for pair in merges:
        vocabulary["".join(pair)] = len(vocabulary)
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.decoder = decoders.ByteLevel()
    return made


def pieces():
    words = ["<unk>", "▁", "▁hello", "hello", "▁wor", "ld", ".", *ODD, "▁a▁name▁of▁many▁letters"]
    made = Tokenizer(models.Unigram([(word, -float(n)) for n, word in enumerate(words)], 0))
    made.decoder = decoders.Metaspace()
    return made


def word_pieces():
    words = ["[UNK]", "hello", "##s", "world", ".", "##ing", "n't", "'s", "do", *ODD]
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}))
    made.decoder = decoders.WordPiece(cleanup=True)
    return made


def words():
    names = ["<unk>", "one", "two", "a word of more than sixteen letters", *ODD]
    return Tokenizer(models.WordLevel({word: n for n, word in enumerate(names)}, "<unk>"))


def byte_fallback():
    names = ["<unk>", "▁one", "two", *(f"<0x{byte:02X}>" for byte in range(256))]
    made = Tokenizer(models.BPE({name: n for n, name in enumerate(names)}, [], byte_fallback=True))
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return made


def suffixes():
    names = ["<unk>", "he", "llo</w>", "world</w>", "x"]
    made = Tokenizer(models.BPE({name: n for n, name in enumerate(names)}, []))
    made.decoder = decoders.BPEDecoder("</w>")
    return made


def text_tokenizer(made):
    made.add_special_tokens([END])
    made.add_tokens([AddedToken("an added word", normalized=False), AddedToken("\u3000x")])
    return TextTokenizer({"tokenizer.json": made.to_str().encode()}, END)


def documents_of(tokens, end):
    ends = np.flatnonzero(tokens == end) + 1
    return [piece[:-1] for piece in np.split(tokens, ends)[: len(ends)]], ends.astype(np.uint64)


def check(decoder, decode, tokens, end, folder):
    """Hold texts, lines and the texts of a Parquet file to those of single documents."""
    documents, ends = documents_of(tokens, end)
    expected = [decode(document.tolist()) for document in documents]
    assert decoder.texts(tokens, ends) == expected
    file = folder / "documents.parquet"
    assert decoder.write_parquet(file, tokens[: int(ends[-1])]) == _gen.digest_file(file)
    frame = pl.read_parquet(file)
    assert frame["text"].to_list() == expected
    assert [row[:-1] for row in frame["input_ids"].to_list()] == [row.tolist() for row in documents]
    lines = "".join(f"{' '.join(text.splitlines())}\n" for text in expected)
    middle = int(ends[len(ends) // 2])
    pieces = iter([tokens[:0], tokens[:middle], tokens[middle : int(ends[-1])]])
    file = folder / "documents.txt"
    assert decoder.write_lines(file, pieces) == _gen.digest_file(file)
    assert file.read_bytes() == lines.encode()


@pytest.mark.parametrize(
    ("make", "native"),
    [(byte_level, True), (pieces, True), (word_pieces, True), (words, True),
     (byte_fallback, False), (suffixes, False)],
)  # fmt: skip
def test_tokenizers_of_others(make, native, tmp_path):
    tokenizer = text_tokenizer(make())
    decoder = text_decoder(tokenizer, tokenizer.end_of_document)
    assert isinstance(decoder, _gen.Decoder) == native
    random = np.random.default_rng(0)
    for dtype in (np.uint16, np.uint32):
        tokens = random.integers(0, tokenizer.size, 6000).astype(dtype)
        tokens[random.random(len(tokens)) < 0.1] = tokenizer.end_of_document
        check(decoder, tokenizer.decode, tokens, tokenizer.end_of_document, tmp_path)
    nothing = np.empty(0, np.uint16)
    decoder.write_lines(tmp_path / "nothing.txt", [nothing])
    assert (tmp_path / "nothing.txt").read_bytes() == b""
    assert decoder.texts(nothing, np.empty(0, np.uint64)) == []


def test_a_table_that_the_library_does_not_agree_with_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr("behemoth.corpus.decoding._bytes_of", lambda name: b"?")
    tokenizer = text_tokenizer(byte_level())
    end = tokenizer.end_of_document
    decoder = text_decoder(tokenizer, end)
    assert not isinstance(decoder, _gen.Decoder)
    check(decoder, tokenizer.decode, np.array([70, 80, end, 90, end], np.uint16), end, tmp_path)


@pytest.mark.parametrize("grammar", [None, "bios-en"])
@pytest.mark.parametrize("filler", [None, "zipf:tokens=2000"])
def test_corpora(grammar, filler, tmp_path):
    world = bh.World(40, 3, 6) if grammar is None else bh.Grammar.named(grammar).world(40)
    corpus = bh.Corpus(world, exposures=3, order="bios", filler=filler, grammar=grammar)
    tokens = corpus.tokens(0, corpus.num_documents)
    check(corpus.decoder, corpus.decode, tokens, corpus.end_of_document, tmp_path)
    documents, _ = documents_of(tokens, corpus.end_of_document)
    # Half of the documents, so that the others are looked for in their own places.
    start = corpus.num_documents // 2
    texts = [corpus.decode(document) for document in documents]
    assert corpus.texts(start, corpus.num_documents) == texts[start:]


def test_tokens_that_there_are_not_are_refused(tmp_path):
    decoder = bh.Corpus(bh.World(5, 1, 2)).decoder

    def lines(tokens):
        return decoder.write_lines(tmp_path / "lines.txt", [tokens])

    for call in (lines, lambda t: decoder.texts(t, np.array([2], np.uint64))):
        with pytest.raises(ArgumentError, match="ids below"):
            call(np.array([60_000, 0], np.uint16))
    for call in (lines, lambda t: decoder.write_parquet(tmp_path / "open.parquet", t)):
        with pytest.raises(ArgumentError, match="'tokens': got 2 tokens after the last end"):
            call(np.array([1, 0, 1, 1], np.uint16))
    with pytest.raises(FileNotFoundError):
        decoder.write_parquet(tmp_path / "none" / "a.parquet", np.array([1, 0], np.uint16))
    with pytest.raises(TypeError, match="uint16 or uint32"):
        lines(np.array([1.0, 0.0]))


@pytest.mark.parametrize("make", [words, suffixes])
def test_ends_that_fall_are_refused(make):
    tokenizer = text_tokenizer(make())
    decoder = text_decoder(tokenizer, tokenizer.end_of_document)
    tokens = np.array([1, 2, 3, 1, 2], np.uint16)
    assert len(decoder.texts(tokens, np.array([2, 2, 5], np.uint64))) == 3
    with pytest.raises(ArgumentError, match="'ends': got 2 after 5, allowed: ends that do not de"):
        decoder.texts(tokens, np.array([5, 2, 3], np.uint64))
