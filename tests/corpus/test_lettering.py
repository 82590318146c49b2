"""Text read back as the tokens that it was written with."""

import json
from pathlib import Path

import numpy as np
import pytest

from behemoth import ArgumentError, Corpus, Documents, Grammar

SMALL = (Path(__file__).parents[2] / "crates/behemoth-gen/tests/text/small.toml").read_text()


@pytest.mark.parametrize("between", [" ", "\n", "  ", "\n\n"])
def test_text_of_a_grammar_is_read_as_the_tokens_it_was_written_with(between):
    source = f"{SMALL}\n[document]\nseparator = {json.dumps(between)}\n"
    grammar = Grammar("small.toml", source)
    corpus = Corpus(grammar.world(6), order="bios", exposures=4, grammar=grammar)
    texts = []
    for document in range(corpus.num_documents):
        tokens = corpus.tokens(document, document + 1)[:-1]
        texts.append(corpus.decode(tokens))
        assert np.array_equal(corpus.encode(texts[-1]), tokens)
    assert any(f".{between}" in text for text in texts)
    text = next(text for text in texts if f".{between}" in text)
    tokens = corpus.encode(text).tolist()
    first = text.split(".")[0]
    spread = first.replace(" ", " \t ", 1)
    wrapped = first.replace(" ", "\n", 1)
    for other in (f" {text}", f"{text}\n", f"\n\n{text} ", text.replace("\n", "\r\n"), *(
        each + text.removeprefix(first) for each in (spread, wrapped)
    )):  # fmt: skip
        assert corpus.encode(other).tolist() == tokens
    with pytest.raises(ArgumentError, match="'text': got Nobody, allowed: words of the corpus"):
        corpus.encode(f"{spread}.{between}Nobody {wrapped}")
    if not between.endswith(" "):
        with pytest.raises(
            ArgumentError, match=r"got They, .* words of the corpus that can follow"
        ):
            corpus.encode(f"{first}. They")
    assert np.array_equal(corpus.encode("Ada \t Ames"), corpus.encode("Ada Ames"))
    with pytest.raises(ArgumentError, match="'text': got Nobody, allowed: words of the corpus"):
        corpus.encode("Ada\nNobody")


def test_documents_of_a_filler_and_parts_of_a_document_are_read_from_their_first_space():
    grammar = Grammar.named("bios-en")
    corpus = Corpus(
        grammar.world(8), order="bios", exposures=4, grammar=grammar,
        filler="zipf:tokens=200,words=20",
    )  # fmt: skip
    spaced = 0
    for document in range(corpus.num_documents):
        tokens = corpus.tokens(document, document + 1)[:-1]
        text = corpus.decode(tokens)
        spaced += text.startswith(" ")
        assert np.array_equal(corpus.encode(text), tokens)
    assert spaced
    assert corpus.decode(corpus.encode(" was born")) == " was born"


def test_a_separator_of_windows_is_read_as_it_was_written():
    source = f"{SMALL}\n[document]\nseparator = {json.dumps(chr(13) + chr(10))}\n"
    grammar = Grammar("small.toml", source)
    corpus = Corpus(grammar.world(6), order="bios", exposures=4, grammar=grammar)
    for document in range(corpus.num_documents):
        tokens = corpus.tokens(document, document + 1)[:-1]
        assert np.array_equal(corpus.encode(corpus.decode(tokens)), tokens)


def test_a_line_break_is_a_token_only_where_documents_have_several_subjects():
    grammar = Grammar.named("bios-en")
    world = grammar.world(20)
    single = Corpus(world, order="bios", exposures=4, grammar=grammar)
    text = next(text for text in single.texts(0, 20) if ". " in text)
    tokens = single.encode(text).tolist()
    wrapped = [text.replace(" ", "\n", 1), text.replace(". ", ".\n"), text.replace(" ", "\n\n")]
    for other in (f"{text}\n", f" {text}", f"\n{text}", *wrapped):
        assert single.encode(other).tolist() == tokens
    several = Corpus(
        world, order="bios", exposures=4, grammar=grammar, documents=Documents(subjects=3)
    )
    for document in range(5):
        tokens = several.tokens(document, document + 1)[:-1]
        text = several.decode(tokens)
        assert "\n" in text and np.array_equal(several.encode(text), tokens)
        assert np.array_equal(several.encode(f"\n{text}\n"), tokens)
