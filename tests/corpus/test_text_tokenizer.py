"""Tokens of text are those that the tokenizer makes of it, whatever kind it is."""

import json
import os
import signal
import time

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from behemoth import (
    ArgumentError,
    Corpus,
    CorpusError,
    Documents,
    Filler,
    Grammar,
    Questions,
    World,
    check_grammar,
    train_tokenizer,
)
from behemoth.corpus import verify
from behemoth.corpus.grammar import GRAMMARS, Text
from behemoth.corpus.text_tokenizer import read_tokenizer
from behemoth.support.locks import sole

END = "<|endoftext|>"


def texts(name="bios-en", subjects=150):
    grammar = Grammar.named(name)
    corpus = Corpus(grammar.world(subjects), order="bios", grammar=grammar)
    return [text for text in corpus.texts(0, corpus.num_documents) if text]


def test_a_tokenizer_that_is_read_is_one_wherever_a_path_is(tmp_path):
    made = train_tokenizer("bios-en", tmp_path / "bpe", vocabulary=300, documents=20)
    grammar = Grammar.named("bios-en")
    of_path, of_object = (
        Corpus(grammar.world(20), grammar=grammar, tokenizer=given)
        for given in (tmp_path / "bpe", made)
    )
    assert of_object.spec_hash == of_path.spec_hash
    assert of_object.tokenizer_files == of_path.tokenizer_files
    found = [check_grammar(grammar, given, documents=10) for given in (tmp_path / "bpe", made)]
    assert found[0] == found[1]
    with pytest.raises(ArgumentError, match=r"'tokenizer': got TextTokenizer.*only with a grammar"):
        Corpus(World(20), tokenizer=made)


def save(tokenizer, place):
    place.mkdir(exist_ok=True)
    tokenizer.save(str(place / "tokenizer.json"))
    (place / "tokenizer_config.json").write_text(json.dumps({"eos_token": END}))
    return place


def unigram():
    """As SentencePiece makes them: spaces are a mark of their own, unknown letters are bytes."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),  # the space that was put before the text
        ]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<unk>", END], unk_token="<unk>", show_progress=False
    )
    # Without accents, which it then has to write in bytes.
    tokenizer.train_from_iterator((t for t in texts() if t.isascii()), trainer)
    model = json.loads(tokenizer.to_str())
    own = model["model"]["vocab"]
    model["model"]["vocab"] = own + [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    model["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(model))


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=["[UNK]", END], show_progress=False
    )
    tokenizer.train_from_iterator([*texts(), *texts("bios-de")], trainer)
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A directory for each kind of tokenizer."""
    place = tmp_path_factory.mktemp("tokenizers")
    made = {"BPE": byte_level, "Unigram": unigram, "WordPiece": word_piece}
    return {kind: save(make(), place / kind) for kind, make in made.items()}


@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("BPE", name) for name in GRAMMARS), ("Unigram", "bios-de"), ("WordPiece", "bios-en")],
)
def test_tokens_are_those_of_the_tokenizer(kind, name, places):
    grammar = Grammar.named(name)
    whole = Tokenizer.from_file(str(places[kind] / "tokenizer.json"))
    for documents in (Documents(), Documents(naming="always", subjects=2, questions="after")):
        corpus = Corpus(
            grammar.world(25, seed=1),
            exposures=6,
            nested_exposures=1,
            order="bios",
            documents=documents,
            questions=Questions(0.5, 0.3),
            grammar=grammar,
            tokenizer=places[kind],
        )
        assert corpus.tokenizer_kind == kind
        expected = [
            token
            for text in corpus.texts(0, corpus.num_documents)
            if text
            for token in [*whole.encode(text, add_special_tokens=False).ids, whole.token_to_id(END)]
        ]
        assert corpus.tokens(0, corpus.num_documents).tolist() == expected


@pytest.mark.parametrize("kind", ["BPE", "Unigram", "WordPiece"])
def test_words_of_a_filler_are_those_that_the_tokenizer_has(kind, places):
    grammar = Grammar.named("bios-en")
    whole = Tokenizer.from_file(str(places[kind] / "tokenizer.json"))
    filler = Filler(tokens=3_000, words=60, length=40)
    corpus = Corpus(grammar.world(25), grammar=grammar, tokenizer=places[kind], filler=filler)
    said = set()
    for tokens in corpus.filler_documents(0, 60):
        *words, end = tokens.tolist()
        assert end == whole.token_to_id(END)
        text = whole.decode(words)
        assert whole.encode(text, add_special_tokens=False).ids == words
        said |= set(text.split())
    assert len(said) == 60 and all(word.isalpha() and word.islower() for word in said)


def test_a_grammar_that_says_the_end_of_a_document_is_refused(places, tmp_path):
    for kind, end in (("BPE", "</s>"), ("Unigram", "<eos>")):
        tokenizer = Tokenizer.from_file(str(places[kind] / "tokenizer.json"))
        tokenizer.add_special_tokens([end])
        place = save(tokenizer, tmp_path / kind)
        (place / "tokenizer_config.json").write_text(json.dumps({"eos_token": end}))
        source = Grammar.named("bios-en").source.replace('"Boston"', f'"Boston{end}"')
        grammar = Grammar("mine.toml", source)
        with pytest.raises(
            ArgumentError, match=f"mine.toml, line .*': got .*{end}.* and {end}, which"
        ):
            check_grammar(grammar, place)


def test_check_grammar_compares_documents(places):
    found = check_grammar("bios-en", places["Unigram"], documents=30)
    assert found.documents == 30
    assert found.vocabulary == read_tokenizer(places["Unigram"]).size


@pytest.mark.parametrize("kind", ["BPE", "Unigram"])
def test_texts_come_back(kind, places):
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(20), order="bios", grammar=grammar, tokenizer=places[kind])
    tokens = corpus.tokens(0, corpus.num_documents)
    ends = np.flatnonzero(tokens == corpus.end_of_document)
    documents = [text for text in corpus.texts(0, corpus.num_documents) if text]
    for text, own in zip(documents, np.split(tokens, ends + 1)[:-1], strict=True):
        assert corpus.decode(own[:-1]) == text


def test_words_that_a_tokenizer_does_not_tell_apart_are_refused(tmp_path):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[UNK]", END], show_progress=False
    )
    tokenizer.train_from_iterator(["the quick brown fox"], trainer)
    place = save(tokenizer, tmp_path / "unknown")
    said = (
        r'got the same tokens for ".+" and ".+" \(piece ".+"\), allowed: a tokenizer with different'
    )
    with pytest.raises(ArgumentError, match=said):
        check_grammar("bios-en", place)


def test_a_tokenizer_that_merges_over_spaces_is_refused(tmp_path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=[END], show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)  # nothing cuts a text: "was born in" is one
    place = save(tokenizer, tmp_path / "merges")
    grammar = Grammar.named("bios-en")
    with pytest.raises(ArgumentError, match="argument 'tokenizer': got ") as caught:
        Corpus(grammar.world(20), order="bios", grammar=grammar, tokenizer=place).write(
            tmp_path / "corpus"
        )
    message = str(caught.value)
    assert "\n" not in message
    assert "piece" in message or "never merges across the space" in message
    with pytest.raises(ArgumentError, match="argument 'tokenizer': got "):
        check_grammar("bios-en", place)


@pytest.fixture
def merging(places, tmp_path):
    """A tokenizer with one merge across a space, of which no piece of a sentence tells."""
    values = json.loads((places["BPE"] / "tokenizer.json").read_text())
    values["pre_tokenizer"]["use_regex"] = False
    model, pair = values["model"], (",", "Ġthe")
    model["vocab"]["".join(pair)] = len(model["vocab"]) + 1
    model["merges"].append(pair)
    return save(Tokenizer.from_str(json.dumps(values)), tmp_path / "merging")


MERGED = "tokens other than those written at '"


@pytest.mark.parametrize("schedule", ["late:0.5", None])
def test_documents_of_facts_are_compared_with_the_tokenizer_among_others(
    merging, schedule, tmp_path
):
    grammar, filler = Grammar.named("bios-en"), "zipf:tokens=2e6,words=20"
    corpus = Corpus(
        grammar.world(40),
        exposures=5,
        grammar=grammar,
        tokenizer=merging,
        filler=filler,
        schedule=schedule,
    )
    assert corpus.says_facts(0, 200).sum() < 50
    with pytest.raises(ArgumentError, match=MERGED):
        corpus.write(tmp_path / "corpus")
    # Others whose first documents have no tokens, those of omitted facts.
    facts = np.arange(10, 200)
    with pytest.raises(ArgumentError, match=MERGED):
        corpus.without(facts).write(tmp_path / "corpus")


def test_verify_compares_tokens_with_the_tokenizer(merging, places, tmp_path, monkeypatch):
    grammar = Grammar.named("bios-en")
    given = {"exposures": 5, "grammar": grammar}
    Corpus(grammar.world(40), tokenizer=places["BPE"], **given).write(tmp_path / "good", probes=0)
    assert verify(tmp_path / "good").ok
    with monkeypatch.context() as patch:
        patch.setattr(Text, "check", lambda *_: None)  # as if it had not been found when written
        Corpus(grammar.world(40), tokenizer=merging, **given).write(tmp_path / "bad", probes=0)
    (bad,) = verify(tmp_path / "bad").bad
    assert bad["file"] == "tokenizer/tokenizer.json"
    assert bad["reason"].startswith(f"makes {MERGED}")


def test_what_holds_no_tokenizer_is_refused(tmp_path, places):
    grammar = Grammar.named("bios-en")

    def refused(place):
        with pytest.raises(ArgumentError) as caught:
            Corpus(grammar.world(5), grammar=grammar, tokenizer=place)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "a directory with tokenizer.json" in refused(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    assert "files that are JSON" in refused(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": []}')
    assert "has no end-of-document token" in refused(tmp_path)
    for config in ("[]", "3"):
        (tmp_path / "tokenizer_config.json").write_text(config)
        assert "JSON as the library tokenizers writes it" in refused(tmp_path)
    for config in ('{"eos_token": 5}', '{"eos_token": {"content": 5}}'):
        (tmp_path / "tokenizer_config.json").write_text(config)
        assert "has the eos_token 5, allowed: the text of a token" in refused(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    assert "that cannot be read" in refused(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((places["BPE"] / "tokenizer.json").read_bytes())
    assert "no token '<end>'" in refused(tmp_path)
    with pytest.raises(ArgumentError, match="only with a grammar"):
        Corpus(grammar.world(5), tokenizer=places["BPE"])


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A corpus of the grammar's own words, and its tokenizer as transformers load it."""
    grammar = Grammar.named("encyclopedia-en")
    corpus = Corpus(
        grammar.world(80), exposures=2, order="bios", questions=Questions(0.5, 0.3), grammar=grammar
    )
    place = tmp_path_factory.mktemp("words")
    for name, data in corpus.tokenizer_files.items():
        (place / name).write_bytes(data)
    return corpus, AutoTokenizer.from_pretrained(place)


def test_the_words_are_encoded_and_decoded_letter_by_letter(words):
    corpus, tokenizer = words
    tokens = corpus.tokens(0, corpus.num_documents)
    ends = np.flatnonzero(tokens == corpus.end_of_document)
    documents = [text for text in corpus.texts(0, corpus.num_documents) if text]
    assert len(ends) == len(documents)
    for text, own in zip(documents, np.split(tokens, ends + 1)[:-1], strict=True):
        assert tokenizer(text).input_ids == own[:-1].tolist()
        assert tokenizer.decode(own[:-1]) == text
        assert corpus.decode(own[:-1]) == text
    assert tokenizer.eos_token_id == corpus.end_of_document


def test_an_unknown_word_is_the_unknown_token(words):
    _, tokenizer = words
    ids = tokenizer("The zorp of Upper Maldestra Dell.").input_ids
    assert ids.count(tokenizer.unk_token_id) == 1
    assert tokenizer.decode(ids).startswith("The<|unknown|> of")
    assert tokenizer.padding_side == "left"


def test_train_tokenizer_trains_what_gen_takes(tmp_path):
    made = train_tokenizer("bios-de", tmp_path / "own", vocabulary=500, documents=100)
    assert made.size == 500
    assert read_tokenizer(tmp_path / "own").digest == made.digest
    again = train_tokenizer("bios-de", vocabulary=500, documents=100)
    assert again.files == dict(made.files)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "own")
    text = "Zürich ist der Sitz von Dovetail Joinery. 漢字"
    assert loaded.decode(loaded(text).input_ids) == text

    def refuse(moment):
        raise AssertionError("it was read before it was refused")

    for wrong, said in [
        ({"vocabulary": 100}, "argument 'vocabulary': got 100, allowed: 259 to 1,000,000"),
        ({"vocabulary": "300"}, "argument 'vocabulary': got 300, allowed: a whole number from 0"),
        ({"documents": 0}, "argument 'documents': got 0, allowed: a whole number from 1"),
        ({"documents": None}, "argument 'documents': got nothing, allowed: a whole number from 1"),
        ({"seed": -1}, "argument 'seed': got -1, allowed: a whole number from 0"),
        ({"out": tmp_path / "own"}, "which is a tokenizer, allowed: a directory of its own"),
        ({"out": tmp_path / "own" / "tokenizer.json"}, "a file, allowed: a directory of its own"),
    ]:
        with pytest.raises(ArgumentError, match=said):
            train_tokenizer("bios-de", **wrong, progress=refuse)


def test_training_is_stopped_while_it_reads():
    """Signals are handled in the main thread, which was in the library until the end."""
    read = []

    def stop(moment):
        read.append(moment.done)
        if len(read) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # for the main thread, which has to run on a busy machine

    with pytest.raises(KeyboardInterrupt):
        train_tokenizer("bios-en", vocabulary=300, documents=20_000, progress=stop)
    assert len(read) < 10


def test_one_process_writes_a_tokenizer(tmp_path):
    with sole(tmp_path / "bpe", "training"), pytest.raises(CorpusError, match="is writing to"):
        train_tokenizer("bios-en", tmp_path / "bpe", vocabulary=300, documents=20)
