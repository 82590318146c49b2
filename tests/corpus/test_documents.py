"""Documents: their sentences are the ledger, and their texts are what the tokens say."""

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, Documents, Filler, Grammar, Questions, World
from behemoth.corpus.documents import SCHEMA


@pytest.fixture(scope="module")
def background(tmp_path_factory):
    """Documents of three tokens, which begin with one that ends a document, and an empty one."""
    folder = tmp_path_factory.mktemp("background")
    np.array([0, 7, 9, 0] * 30 + [0], "<u2").tofile(folder / "tokens.bin")
    np.array([*range(4, 121, 4), 121], "<u8").tofile(folder / "tokens.idx")
    return folder


@pytest.fixture(
    scope="module",
    params=["templates", "bios", "filler", "background", "text", "two", "text background"],
)
def any_corpus(request, rich_corpus, background):
    """A corpus of each style and order, with all that may stand between its documents."""
    name = request.param
    if name == "templates":
        return rich_corpus
    world = World(subjects=40, relations=3, objects=7, minority=0.2)
    if name == "bios":
        return Corpus(world, exposures="groups:1,4", order="bios", questions=Questions(0.5, 0.1))
    if name == "filler":
        return Corpus(world, exposures=3, filler=Filler(tokens=400, words=50))
    if name == "background":
        return Corpus(world, exposures=2, filler="zipf:tokens=300", background=background)
    grammar = Grammar.named("bios-en")
    questions = Questions(0.5, 0.15)
    if name == "text":
        return Corpus(grammar.world(20), exposures=3, grammar=grammar, questions=questions)
    return Corpus(
        grammar.world(20),
        exposures=3,
        order="bios",
        documents=Documents(subjects=2 if name == "two" else 1),
        grammar=grammar,
        questions=questions,
        background=None if name == "two" else background,
    )


@pytest.fixture(scope="module", params=[False, True], ids=["parent", "twin"])
def corpus(request, any_corpus):
    """The same, or its twin without every third fact."""
    return any_corpus.without(range(0, 60, 3)) if request.param else any_corpus


def test_sentences_of_documents_are_the_ledger(corpus):
    said = corpus.sentences(0, corpus.num_documents)
    ledger = corpus.ledger(range(corpus.world.num_facts))
    key = ["document", "sentence", "fact", "copy"]
    assert said.sort(key).equals(ledger.sort(key))
    assert said.height == corpus.num_sentences
    places = said.select(pl.struct("document", "sentence").rle().struct.field("value"))
    assert places.equals(places.unique().sort("value"))  # in order, and no sentence in two pieces
    middle = corpus.num_documents // 2
    parts = [corpus.sentences(0, middle), corpus.sentences(middle, corpus.num_documents)]
    assert pl.concat(parts).equals(said)


def test_documents_with_sentences_state_facts(corpus):
    says_facts = corpus.says_facts(0, corpus.num_documents)
    stated = corpus.sentences(0, corpus.num_documents)["document"].unique().sort()
    assert np.flatnonzero(says_facts).tolist() == stated.to_list()
    middle = corpus.num_documents // 2
    assert (corpus.says_facts(middle, middle + 5) == says_facts[middle : middle + 5]).all()


def test_texts_are_what_the_tokens_say(corpus):
    texts = corpus.texts(0, corpus.num_documents)
    assert len(texts) == corpus.num_documents
    for number, text in enumerate(texts):
        tokens = corpus.tokens(number, number + 1)
        if len(tokens):
            assert tokens[-1] == corpus.end_of_document
        assert text == corpus.decode(tokens[:-1])
    middle = corpus.num_documents // 3
    assert corpus.texts(0, middle) + corpus.texts(middle, corpus.num_documents) == texts


def test_documents_with_text_and_facts(corpus):
    frame = corpus.documents(0, corpus.num_documents)
    assert frame.schema == SCHEMA
    lengths = [len(corpus.tokens(i, i + 1)) for i in range(corpus.num_documents)]
    there = np.flatnonzero(lengths)
    assert frame["document"].to_list() == there.tolist()
    assert frame["tokens"].to_list() == np.array(lengths)[there].tolist()
    assert frame["tokens"].sum() == corpus.count_tokens()
    texts = np.array(corpus.texts(0, corpus.num_documents), object)
    assert frame["text"].to_list() == texts[there].tolist()

    said = corpus.sentences(0, corpus.num_documents)
    facts = frame.select("document", "facts").explode("facts").drop_nulls().unnest("facts")
    columns = ["document", "fact", "object", "minority", "template", "wording", "sentence"]
    assert facts.select(columns).equals(said.select(columns))
    world = corpus.world.facts_of(facts["fact"].to_numpy())
    assert facts["subject"].equals(world["subject"])
    assert facts["relation"].equals(world["relation"])
    for own, about in zip(frame["subjects"], frame["facts"], strict=True):
        named = [row["subject"] for row in about if row["relation"] < corpus.world.num_relations]
        assert own.to_list() == list(dict.fromkeys(named))


def test_kinds_of_documents(corpus):
    frame = corpus.documents(0, corpus.num_documents)
    questions = {row["name"] for row in corpus.templates if row["is_question"]}
    says_facts = corpus.says_facts(0, corpus.num_documents)
    for row in frame.iter_rows(named=True):
        asked = {about["template"] in questions for about in row["facts"]}
        if row["kind"] in ("filler", "background"):
            assert not says_facts[row["document"]] and not row["facts"]
        else:
            kinds = {(False,): "statements", (True,): "questions", (False, True): "mixed"}
            assert row["kind"] == kinds[tuple(sorted(asked))]
    kinds = frame["kind"].value_counts()
    tokens = dict(frame.group_by("kind").agg(pl.col("tokens").sum()).iter_rows())
    spec = corpus.spec["corpus"]
    filler = spec.get("filler")
    assert ("filler" in tokens) == (filler is not None)
    if filler is not None:
        assert tokens["filler"] == filler["tokens"]
    if corpus.background is not None:
        assert tokens["background"] == 121
        assert kinds.filter(kind="background")["count"].item() == 31


def test_a_subject_is_counted_once_and_a_thing_is_none():
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(3), order="bios", grammar=grammar)
    frame = corpus.documents(0, corpus.num_documents)
    people = frame.filter(pl.col("subjects").list.len() > 0)
    assert sorted(people["subjects"].to_list()) == [[0], [1], [2]]
    things = frame.filter(pl.col("subjects").list.len() == 0)
    assert set(things["facts"].explode().struct.field("relation")) == {6}


@pytest.mark.parametrize("method", ["sentences", "texts", "documents"])
def test_documents_that_there_are_not(corpus, method):
    ask = getattr(corpus, method)
    with pytest.raises(ArgumentError, match=r"'stop': got 0 to \d+, allowed: a range within 0 to"):
        ask(0, corpus.num_documents + 1)
    with pytest.raises(ArgumentError, match="'stop': got 3 to 2, allowed: a range within"):
        ask(3, 2)
    with pytest.raises(ArgumentError, match="'start': got -1"):
        ask(-1, 2)
    assert len(ask(2, 2)) == 0
