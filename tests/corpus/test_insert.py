"""Sentences inside other documents, from Python: the engine's own tests hold more settings."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from numpy.typing import NDArray

import behemoth as bh
from behemoth.corpus.inspection import sample_text
from behemoth.corpus.roles import BACKGROUND, END, OBJECT, SUBJECT
from behemoth.model.labels import IGNORED
from behemoth.support.errors import ArgumentError
from behemoth.train.spans import Answers

Tokens = NDArray[Any]

pytestmark = pytest.mark.usefixtures("compiled_once")


def small_world(seed: int = 0) -> bh.World:
    return bh.World(subjects=40, relations=2, objects=5, seed=seed)


def by_document(corpus: bh.Corpus) -> list[Tokens]:
    return [corpus.tokens(number, number + 1) for number in range(corpus.num_documents)]


def lines(corpus: bh.Corpus) -> pl.DataFrame:
    return corpus.ledger(np.arange(corpus.world.num_facts))


def laid_over(corpus: bh.Corpus) -> list[Tokens]:
    """The documents without any fact, and over them the sentences where the ledger says."""
    plain = corpus.without_insert()
    assert "insert" not in plain.spec["corpus"]
    sentences = by_document(plain)
    made = by_document(corpus.without(np.arange(corpus.world.num_facts)))
    free = [np.ones(len(document), np.bool_) for document in made]
    both = lines(corpus).join(lines(plain), on=["fact", "copy"], suffix="_of_plain")
    assert both.height == corpus.num_sentences == plain.num_sentences
    for row in both.iter_rows(named=True):
        tokens = sentences[row["document_of_plain"]][:-1]
        own = slice(row["offset"], row["offset"] + len(tokens))
        assert own.stop < len(made[row["document"]])
        assert free[row["document"]][own].all()
        free[row["document"]][own] = False
        made[row["document"]][own] = tokens
    return made


@st.composite
def inserted(draw: st.DrawFn) -> bh.Corpus:
    position = draw(st.one_of(st.sampled_from(["anywhere", "start", "end"]), st.floats(0, 1)))
    asks = draw(st.booleans())
    return bh.Corpus(
        small_world(draw(st.integers(0, 100))),
        exposures=draw(st.sampled_from([1, "groups:0,1,4", "latin:1,3"])),
        order_seed=draw(st.one_of(st.none(), st.integers(0, 100))),
        templates=draw(st.sampled_from([{"default": 1.0}, {"repeats": 1.0, "refusal": 1.0}])),
        questions=bh.Questions(0.5, 0.2) if asks else None,
        filler=bh.Filler(total_tokens=draw(st.integers(60_000, 70_000)), words=50, length=200),
        insert=bh.Insert(position, draw(st.integers(1, 3))),
        shard_bytes=4096,
    )


quiet = settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])


@given(corpus=inserted(), data=st.data())
@quiet
def test_every_copy_stands_once_where_the_ledger_says(
    corpus: bh.Corpus, data: st.DataObject
) -> None:
    documents = by_document(corpus)
    for found, expected in zip(documents, laid_over(corpus), strict=True):
        np.testing.assert_array_equal(found, expected)
    stream = np.concatenate(documents)
    assert corpus.count_tokens() == len(stream)
    np.testing.assert_array_equal(corpus.tokens(0, corpus.num_documents, threads=3), stream)
    ledger = lines(corpus)
    entries = corpus.sentences(0, corpus.num_documents)
    assert entries.equals(ledger.sort("document", "offset"))
    says_facts = corpus.says_facts(0, corpus.num_documents)
    assert np.array_equal(np.flatnonzero(says_facts), ledger["document"].unique().sort())
    assert corpus.num_fact_documents == says_facts.sum()
    out = np.empty(data.draw(st.integers(0, 3000)), np.int64)
    token = data.draw(st.integers(0, len(stream)))
    made = corpus.fill_tokens(out, token)
    np.testing.assert_array_equal(out[:made], stream[token : token + made])
    first = data.draw(st.integers(0, corpus.num_documents - 1))
    made = corpus.fill(out, first)
    np.testing.assert_array_equal(out[:made], np.concatenate(documents[first:])[:made])


@given(corpus=inserted(), gone=st.lists(st.integers(0, 79), unique=True))
@quiet
def test_a_twin_has_what_the_sentences_lay_over(corpus: bh.Corpus, gone: list[int]) -> None:
    twin = corpus.without(gone)
    for found, expected in zip(by_document(twin), laid_over(twin), strict=True):
        np.testing.assert_array_equal(found, expected)
    rest = np.setdiff1d(np.arange(80), gone)
    same = pl.exclude("sentence")
    assert twin.ledger(rest).select(same).equals(corpus.ledger(rest).select(same))
    assert twin.count_tokens() == corpus.count_tokens()


def test_the_total_is_that_of_the_documents_whatever_the_exposures() -> None:
    filler = bh.Filler(tokens=80_000, words=100, length=150)
    made = [
        bh.Corpus(small_world(), exposures=n, filler=filler, insert="anywhere") for n in (1, 2, 6)
    ]
    assert [corpus.count_tokens() for corpus in made] == [80_000] * 3
    bare = [corpus.without(np.arange(80)) for corpus in made]
    streams = [corpus.tokens(0, corpus.num_documents) for corpus in bare]
    assert all(np.array_equal(streams[0], stream) for stream in streams)


@pytest.mark.parametrize(
    ("line", "insert"),
    [
        ("anywhere", bh.Insert()),
        (0.25, bh.Insert(0.25)),
        ("end,per_document=3", bh.Insert("end", per_document=3)),
        ("middle", bh.Insert(0.5)),
    ],
)
def test_a_line_and_its_fields_are_one_insert(line: str | float, insert: bh.Insert) -> None:
    first, second = (
        bh.Corpus(small_world(), filler="zipf:tokens=50_000", insert=own) for own in (line, insert)
    )
    assert first.spec_hash == second.spec_hash


def raw(folder: Path, documents: list[Tokens]) -> Path:
    """Write documents as a background."""
    np.concatenate(documents).astype("<u2").tofile(folder / "tokens.bin")
    np.cumsum([len(document) for document in documents]).astype("<u8").tofile(folder / "tokens.idx")
    return folder


def test_a_directory_is_resumed_verified_and_opened(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    known = [np.append(rng.integers(8, 14, n), 0) for n in rng.integers(3, 60, 300).tolist()]
    corpus = bh.Corpus(
        small_world(),
        exposures=3,
        background=raw(tmp_path, known),
        filler="zipf:tokens=9_000,words=40,length=90",
        insert="anywhere,per_document=2",
        shard_bytes=4096,
    )
    assert corpus.num_shards == 1  # a shard has whole pages of documents
    for part in ((1, 2), (0, 2)):
        corpus.write(tmp_path / "parts", part=part, threads=2)
    corpus.write(tmp_path / "out", threads=1)
    again = bh.Corpus.open(tmp_path / "out")
    assert again.spec == corpus.spec
    assert (again.shard(0) == corpus.tokens(0, corpus.num_documents)).all()
    assert (bh.Corpus.open(tmp_path / "parts").shard(0) == again.shard(0)).all()
    assert bh.verify(tmp_path / "out").ok
    # What is read back at document and offset is the sentence; the background's is named.
    plain = corpus.without_insert()
    shard, ends = again.shard(0), np.flatnonzero(again.shard(0) == 0)
    begins = np.append(0, ends + 1)
    bare = by_document(again.without(np.arange(80)))
    copies, first = lines(plain).sort("fact", "copy"), 0
    for row, own in zip(
        lines(again).sort("fact", "copy").iter_rows(named=True),
        copies.iter_rows(named=True),
        strict=True,
    ):
        sentence = plain.tokens(own["document"], own["document"] + 1)[:-1]
        first = begins[row["document"]] + row["offset"]
        np.testing.assert_array_equal(shard[first : first + len(sentence)], sentence)
        if row["background"] is not None:
            np.testing.assert_array_equal(bare[row["document"]], known[row["background"]])
    assert 0 < lines(again)["background"].null_count() < 240
    path = tmp_path / "out" / "tokens" / "00000.bin"
    data = bytearray(path.read_bytes())
    data[2 * int(first)] ^= 1
    path.write_bytes(data)
    assert not bh.verify(tmp_path / "out").ok


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer")
    bh.train_tokenizer("bios-en", place, vocabulary=600, documents=300)
    return place


@pytest.mark.parametrize("kind", ["words", "tokenizer"])
def test_text_has_its_roles_spans_and_probes_inside_others(
    kind: str, tokenizer: Path, tmp_path: Path
) -> None:
    grammar, own = bh.Grammar.named("bios-en"), tokenizer if kind == "tokenizer" else None
    rng = np.random.default_rng(1)
    known = [np.append(rng.integers(5, 90, n), 0) for n in rng.integers(60, 300, 500).tolist()]
    if own is not None:
        from behemoth.corpus.text_tokenizer import read_tokenizer

        end = read_tokenizer(own / "tokenizer.json").end_of_document
        known = [np.append(document[document != end][:-1], end) for document in known]
    corpus = bh.Corpus(
        grammar.world(20),
        exposures=3,
        nested_exposures=0,
        questions=bh.Questions(0.5, 0.2),
        grammar=grammar,
        tokenizer=own,
        background=raw(tmp_path, known),
        insert="anywhere,per_document=2",
    )
    documents = by_document(corpus)
    for found, expected in zip(documents, laid_over(corpus), strict=True):
        np.testing.assert_array_equal(found, expected)
    texts, plain = corpus.texts(0, corpus.num_documents), corpus.without_insert()
    frame = corpus.documents(0, corpus.num_documents)
    assert frame["text"].to_list() == texts
    assert frame["kind"].unique().to_list() == ["background"]
    assert frame["facts"].list.len().sum() == corpus.num_sentences
    said = plain.texts(0, plain.num_documents)
    both = lines(corpus).join(lines(plain), on=["fact", "copy"], suffix="_of_plain")
    for inside, alone in both.select("document", "document_of_plain").iter_rows():
        assert said[alone] in texts[inside]
    roles = corpus.roles(0, corpus.num_documents)
    assert (roles == END).sum() == corpus.num_documents
    of_plain = plain.roles(0, plain.num_documents)
    for role in (SUBJECT, OBJECT):
        assert (roles == role).sum() == (of_plain == role).sum()
    covered = len(of_plain) - plain.num_documents
    assert (roles == BACKGROUND).sum() == len(roles) - corpus.num_documents - covered
    spans = corpus.spans(0, corpus.num_documents)
    assert spans.height == plain.spans(0, plain.num_documents).height
    for row in spans.head(50).iter_rows(named=True):
        text = corpus.decode(documents[row["document"]][row["first"] : row["end"]]).strip()
        assert text in texts[row["document"]]
    # A prompt stands in the corpus as it is asked.
    probe = corpus.probes(lines(corpus).filter(template="statement")["fact"][:1])
    assert (probe["answer"].list.len() > 0).all()
    written = corpus.write(tmp_path / "out", threads=1, probes=20)
    assert written.complete
    assert bh.verify(tmp_path / "out").ok


def test_a_tokenizer_is_held_to_the_sentences(tokenizer: Path, tmp_path: Path) -> None:
    """As without an insert: the text of a sentence has the tokens that were written."""
    corpus = bh.Corpus(
        bh.Grammar.named("bios-en").world(20),
        nested_exposures=0,
        grammar="bios-en",
        tokenizer=tokenizer,
        background=raw(tmp_path, [np.append(np.full(200, 9), 0)] * 150),
        insert="start",
    )
    assert corpus.text_settings is not None
    corpus.text_settings.check(corpus)
    assert corpus.without_insert().without_insert().num_documents == 120
    assert corpus.without_insert().spec["corpus"].get("background") is None


def test_answers_are_found_inside_other_documents() -> None:
    corpus = bh.Corpus(
        small_world(), exposures=2, filler="zipf:tokens=50_000,words=50", insert="anywhere"
    )
    stream = corpus.tokens(0, corpus.num_documents).astype(np.int64)
    labels = np.empty_like(stream)
    Answers(corpus.vocabulary).label(stream, labels)
    # The object, and the period after it.
    assert (labels != IGNORED).sum() == 2 * corpus.num_sentences


def test_a_sample_shows_what_was_inserted() -> None:
    corpus = bh.Corpus(
        small_world(),
        exposures=40,
        filler="zipf:tokens=2_000_000,words=50,length=500",
        insert="end",
    )
    says_facts = corpus.says_facts(0, 5)
    texts = sample_text(corpus, 5, longest=60)
    assert ["subject S" in text for text in texts] == says_facts.tolist()
    assert says_facts.any()
    for text, inside in zip(texts, says_facts.tolist(), strict=True):
        assert text.startswith("... ") == inside
        assert len(text.replace("... ", "").replace(" ...", "").split()) <= 63


def test_positions_follow_the_share() -> None:
    made = [
        bh.Corpus(small_world(), filler="zipf:tokens=60_000", insert=share)
        for share in (0, 0.2, 0.5, 0.9, 1)
    ]
    offsets = [lines(corpus)["offset"].to_numpy().astype(np.int64) for corpus in made]
    assert (offsets[0] == 0).all()
    assert all((a < b).all() for a, b in pairwise(offsets))
    assert all(lines(corpus)["document"].equals(lines(made[0])["document"]) for corpus in made)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"'insert': got an insert without documents to insert into, allowed: an insert tog"),
        (
            {"filler": "zipf:tokens=5000", "order": "bios"},
            r"'insert': got an insert with documents of several sentences, allowed: order 'shuf",
        ),
        (
            {"filler": "zipf:tokens=5000", "schedule": "late:0.9"},
            r"'schedule': got a schedule beside an insert, allowed: none: it places documents",
        ),
        (
            {"filler": "zipf:tokens=5000"},
            r"'insert': got 80 sentences and 19 slots: 19 of 19 documents have room for one "
            r"sentence of up to 10 tokens, allowed: at least as many slots as sentences: "
            r"per_document=5, more or longer documents, or fewer exposures",
        ),
    ],
)
def test_what_is_refused_is_said_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        bh.Corpus(small_world(), insert="anywhere", **fields)
