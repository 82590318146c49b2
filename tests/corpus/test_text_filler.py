"""A filler beside a grammar, in words and in the tokens of other tokenizers."""

import pytest

import behemoth as bh
from behemoth import ArgumentError

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def grammar():
    return bh.Grammar.named("bios-en")


@pytest.fixture(scope="module")
def bpe(grammar, tmp_path_factory):
    place = tmp_path_factory.mktemp("bpe")
    bh.train_tokenizer(grammar, place / "own", vocabulary=2048, documents=500)
    return place / "own"


def corpus_of(grammar, exposures, tokenizer=None, **filler):
    filler = bh.Filler(**{"total_tokens": 60_000, "words": 200, "length": 60, **filler})
    return bh.Corpus(
        grammar.world(20, seed=2), exposures=exposures, order="bios", filler=filler,
        grammar=grammar, tokenizer=tokenizer,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_total_tokens_stay_at_any_exposures_and_facts_keep_theirs(grammar, bpe, kind, tmp_path):
    tokenizer = None if kind == "words" else bpe
    corpora = [corpus_of(grammar, exposures, tokenizer) for exposures in (1, 6)]
    assert {corpus.count_tokens() for corpus in corpora} == {60_000}
    # Text that is in no corpus is the same for both.
    held_out = [
        [tokens.tolist() for tokens in corpus.filler_documents(0, 20)] for corpus in corpora
    ]
    assert held_out[0] == held_out[1]
    plain = bh.Corpus(
        grammar.world(20, seed=2), exposures=6, order="bios", grammar=grammar, tokenizer=tokenizer
    )
    frame = bh.corpus.Corpus.documents(corpora[1], 0, corpora[1].num_documents)
    facts = frame.filter(frame["kind"] != "filler")
    assert sorted(facts["text"]) == sorted(t for t in plain.texts(0, plain.num_documents) if t)
    assert facts["tokens"].sum() == plain.count_tokens()
    written = corpora[1].write(tmp_path / "corpus", threads=1)
    assert written.tokens == 60_000
    assert not bh.verify(tmp_path / "corpus").bad
    again = bh.Corpus.open(tmp_path / "corpus")
    assert again.spec_hash == corpora[1].spec_hash
    assert (again.shard(0) == corpora[1].tokens(0, corpora[1].num_documents)).all()


def test_a_twin_with_other_objects_has_every_document_in_its_place(grammar):
    corpus = corpus_of(grammar, 6)
    own, tokens = int(corpus.world.facts()["object"][2]), corpus.object_tokens(2)
    longer = [len(tokens.of(number)) - len(tokens.of(own)) for number in range(20)]
    other = next(number for number in range(20) if longer[number])
    twin = corpus.override({2: other})
    assert twin.count_tokens() == 60_000 + 6 * longer[other]
    says = set(corpus.ledger([2])["document"])
    assert twin.num_documents == corpus.num_documents
    both = zip(*(it.texts(0, it.num_documents) for it in (corpus, twin)), strict=True)
    assert {number for number, (before, after) in enumerate(both) if before != after} == says


def test_text_of_a_filler_has_its_tokens_again(grammar, bpe):
    corpus = corpus_of(grammar, 2, bpe)
    tokenizer = bh.corpus.text_tokenizer.read_tokenizer(bpe)
    names = {token for relation in range(6) for n in range(20)
             for token in corpus.object_tokens(relation).of(n)}  # fmt: skip
    assert corpus.vocabulary_size == 2048
    said = set()
    for tokens in corpus.filler_documents(0, 50):
        *words, end = tokens.tolist()
        assert end == corpus.end_of_document
        text = corpus.decode(words)
        assert tokenizer.encode([text])[0].ids == words
        assert text.startswith(" ") and text.replace(" ", "").isalpha()
        assert text.count(" ") == len(words)
        said |= set(words)
    assert 100 < len(said) <= 200
    assert not said & names


def test_words_of_a_grammar_are_words_of_no_other(grammar, tmp_path):
    from transformers import AutoTokenizer

    corpus = corpus_of(grammar, 2)
    plain = bh.Corpus(grammar.world(20, seed=2), grammar=grammar)
    assert corpus.vocabulary_size == plain.vocabulary_size + 200
    assert corpus.token_names[: plain.vocabulary_size] == plain.token_names
    assert len(set(corpus.token_names)) == corpus.vocabulary_size
    corpus.write(tmp_path / "corpus", threads=1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "corpus" / "tokenizer")
    for tokens in corpus.filler_documents(0, 5):
        assert tokenizer(tokenizer.decode(tokens)).input_ids == tokens.tolist()


def test_facts_are_inserted_in_a_filler(grammar, bpe):
    own = {"exposures": 3, "grammar": grammar, "tokenizer": bpe, "insert": "anywhere"}
    filler = bh.Filler(tokens=120_000, words=150, length=250)
    corpus = bh.Corpus(grammar.world(20, seed=2), filler=filler, nested_exposures=0, **own)
    assert corpus.count_tokens() == 120_000
    line = corpus.ledger([7]).row(0, named=True)
    tokens = corpus.tokens(line["document"], line["document"] + 1)[line["offset"] :]
    name = corpus.texts(line["document"], line["document"] + 1)[0]
    assert corpus.decode(tokens)[:20] in name


def test_more_words_than_the_tokenizer_has_are_refused(grammar, bpe):
    with pytest.raises(ArgumentError, match=r"'filler.words': got 10000, allowed: 2 to \d+: words"):
        corpus_of(grammar, 1, bpe, words=10_000)


def test_inserted_sentences_begin_where_words_do(grammar, bpe):
    own = {"exposures": 3, "grammar": grammar, "tokenizer": bpe, "nested_exposures": 0}
    filler = bh.Filler(tokens=200_000, words=150, length=250)
    world = grammar.world(20, seed=2)
    corpus = bh.Corpus(world, filler=filler, insert="anywhere,per_document=2,words=true", **own)
    assert corpus.count_tokens() == 200_000
    fields = bh.Insert("anywhere", per_document=2, words=True)
    assert bh.Corpus(world, filler=filler, insert=fields, **own).spec_hash == corpus.spec_hash
    facts = range(world.num_facts)
    alone = bh.Corpus(world, **own)
    written = {text for text in alone.texts(0, alone.num_documents) if text}
    for line in corpus.ledger(facts).head(60).iter_rows(named=True):
        document = corpus.tokens(line["document"], line["document"] + 1)
        text = corpus.decode(document[line["offset"] :])
        assert text.startswith(" ") == (line["offset"] > 0)
        assert any(text.lstrip().startswith(own) for own in written)
    plain = bh.Corpus(world, filler=filler, insert="anywhere,per_document=2", **own)
    assert "words" not in plain.spec["corpus"]["insert"]
