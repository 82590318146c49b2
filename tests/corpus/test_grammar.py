"""Grammars: those of the package, those that are refused, and worlds and corpora of them."""

import copy
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from behemoth import (
    ArgumentError,
    Corpus,
    CorpusError,
    Documents,
    Grammar,
    Questions,
    _gen,
    check_grammar,
    gen,
    inspect,
    train_tokenizer,
    verify,
)
from behemoth.corpus.grammar import GRAMMARS, Text
from behemoth.corpus.roles import END, GRAMMAR, OBJECT, SUBJECT
from behemoth.corpus.spec import DOCUMENTS

HERE = Path(__file__).parent
SMALL = (HERE.parents[1] / "crates/behemoth-gen/tests/text/small.toml").read_text()
BAD = tomllib.loads((HERE / "bad_grammars.toml").read_text())["grammar"]


@pytest.fixture(scope="module")
def small():
    return Grammar("small.toml", SMALL)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A directory with a byte-level BPE of bios-en."""
    place = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer("bios-en", place, vocabulary=600, documents=300)
    return place


def refusal(text, file="small.toml"):
    """File, line, key and the rest of the refusal of a text."""
    with pytest.raises(ArgumentError) as caught:
        Grammar(file, text)
    message = str(caught.value)
    assert "\n" not in message
    found = re.fullmatch(r"argument '(\S+), line (\d+)(?:: (\S+))?': (got .+)", message)
    assert found, message
    return found[1], int(found[2]), found[3] or "", found[4]


def test_a_grammar_is_shown_without_its_text(small):
    assert repr(small) == "Grammar(file='small.toml')"


def test_the_separator_is_the_engines_reading_of_any_toml_that_it_takes():
    text = dict(_gen.GRAMMARS)["bios-en"]
    # Of TOML 1.1, which tomllib does not read.
    newer = text.replace('pronoun = "are" }', 'pronoun = "are", }')
    assert newer != text
    assert Grammar("newer.toml", newer).separator == Grammar("bios-en", text).separator == " "
    apart = SMALL + '\n[document]\nseparator = "  "\n'
    assert Grammar("small.toml", apart).separator == "  "


@pytest.mark.parametrize("name", GRAMMARS)
def test_shipped_grammars_are_in_order(name):
    found = check_grammar(name, samples=3)
    assert found.name == found.file == name
    assert found.ambiguities == []
    assert len(found.samples) == len(set(found.samples)) == 3
    for relation in found.relations:
        assert relation["statements"] >= 17 and relation["held_out_statements"] >= 3, relation
        assert relation["questions"] >= 4 and relation["held_out_questions"] >= 1, relation
    assert found.forms > sum(relation["statements"] for relation in found.relations)


def test_bios_en_has_the_sizes_that_are_promised():
    facts = Grammar.named("bios-en").facts
    assert facts["names"] == 400 * 400 * 1_000
    objects = {relation["key"]: relation["objects"] for relation in facts["relations"]}
    assert objects == {
        "birth_date": 12 * 28 * 200, "birth_city": 200, "university": 300, "field": 100,
        "employer": 260, "employer_city": 65,
    }  # fmt: skip
    for relation in facts["relations"]:
        assert relation["statements"] >= 40 and relation["questions"] >= 5, relation


@pytest.mark.parametrize("case", BAD, ids=[case["key"] + ": " + case["said"] for case in BAD])
def test_a_bad_grammar_is_refused_in_one_line(case):
    assert SMALL.count(case["old"]) == 1
    text = SMALL.replace(case["old"], case["new"])
    file, line, key, said = refusal(text)
    assert (file, key, said) == ("small.toml", case["key"], case["said"])
    assert text.split("\n")[line - 1] == case["line"]


def test_the_table_of_bad_grammars_is_long():
    assert len({(case["key"], case["said"]) for case in BAD}) >= 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got no `name`, allowed: a value for it"),
        (SMALL[: SMALL.index("[relations")], "got no `relations`, allowed: a value for it"),
        (SMALL[: SMALL.index("[subject")], "got no `subject`, allowed: a value for it"),
    ],
)
def test_what_is_missing_at_the_top_is_missing_from_the_first_line_on(text, said):
    assert refusal(text, "mine.toml") == ("mine.toml", 1, "", said)


def test_words_that_tokenizers_reserve_are_refused(tmp_path):
    """A text that says the end of a document would be cut in two by whoever encodes it."""
    for word, old in (("<|endoftext|>", '"Rio"'), ("<|padding|>", '"Lima"')):
        grammar = Grammar("mine.toml", SMALL.replace(old, f"'the # {word}'"))
        (tmp_path / "mine.toml").write_text(grammar.source)
        line = SMALL[: SMALL.index(old)].count("\n") + 1
        said = rf"mine.toml, line {line}': got 'the # {re.escape(word)}', allowed: text without <"
        corpus = Corpus(grammar.world(6), grammar=grammar, nested_exposures=0)
        for use in (
            lambda: Grammar.named(tmp_path / "mine.toml"),
            lambda given=grammar: check_grammar(given),
            lambda given=corpus: given.write(tmp_path / "corpus"),
        ):
            with pytest.raises(ArgumentError, match=said):
                use()
    (tmp_path / "mine.toml").write_text(SMALL + "# no it's not <|endoftext|>")
    assert Grammar.named(tmp_path / "mine.toml").facts["names"] == 6


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(
        ArgumentError, match=r"got bios-fr, which does not exist \(did you mean bios-\w\w"
    ):
        Grammar.named("bios-fr")
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(ArgumentError, match="allowed: UTF-8 text"):
        Grammar.named(tmp_path / "latin.toml")
    (tmp_path / "mine.toml").write_text("name = 1")
    with pytest.raises(ArgumentError, match=r"mine.toml, line 1: name': got 1"):
        Grammar.named(tmp_path / "mine.toml")


def test_ambiguities_are_told(small):
    assert small.ambiguities() == []
    for old, new, told in [
        ('"Bonn"', '"Oslo (east)"',
         'relations.birth_city: the answer "Oslo" is the beginning of "Oslo (east)"'),
        ("{Pronoun} worked for {object}.", "{Pronoun} worked for {object}.", None),
        ('["Adele", "Beth"]', '["Bo", "Ada"]', 'subject: two subjects may be called "Ada Ames"'),
        ('objects = "{month} {day}"\n',
         'objects = "{month} {day}"\nkind = "independent"\n', None),
    ]:  # fmt: skip
        found = Grammar("small.toml", SMALL.replace(old, new)).ambiguities()
        assert told in found if told else found == [], found


def test_a_text_of_more_than_a_thousand_characters_is_refused():
    for length, said in ((986, None), (987, "got 1001 characters, allowed: up to 1000 characters")):
        text = SMALL.replace("{first} {last}", f"{'ø' * length}{{first}} {{last}}")
        if said is None:
            assert Grammar("small.toml", text).facts["names"] == 6
        else:
            assert refusal(text)[2:] == ("subject.name", said)


def test_facts_are_those_of_the_file(small):
    facts = small.facts
    assert (facts["name"], facts["language"], facts["names"]) == ("small", "en", 6)
    assert [relation["key"] for relation in facts["relations"]] == [
        "birth_city", "birthday", "firm", "seat",
    ]  # fmt: skip
    assert facts["relations"][0]["held_out_statements"] == 2
    assert facts["relations"][3]["link_statements"] == 1
    assert facts["joint"] == [{"relations": ["birthday", "birth_city"], "statements": 1}]
    assert small.objects(1, [0, 5]) == ["May 1", "June 3"]


def test_a_second_language_is_the_same_world():
    english, german = Grammar.named("bios-en"), Grammar.named("bios-de")
    assert english.relations == german.relations
    worlds = [grammar.world(500, seed=4) for grammar in (english, german)]
    assert np.array_equal(*(world.facts(0, 3_000)["object"].to_numpy() for world in worlds))
    named = []
    for grammar, world in zip((english, german), worlds, strict=True):
        corpus = Corpus(world, order="bios", nested_exposures=0, grammar=grammar)
        spans = corpus.spans(0, corpus.num_documents)
        tokens = _by_document(corpus)
        names = {
            (row["fact"] // 6): corpus.decode(
                tokens[row["document"]][row["first"] : row["end"]]
            ).strip()
            for row in spans.iter_rows(named=True)
            if row["role"] == "subject"
        }
        assert len(names) == 500
        named.append(names)
    assert named[0] == named[1]


@pytest.mark.parametrize("kind", ["words", "tokenizer"])
def test_spans_and_roles_agree_with_the_text(kind, tokenizer):
    grammar = Grammar.named("bios-en")
    corpus = Corpus(
        grammar.world(60, seed=2),
        exposures=3,
        order="bios",
        documents=Documents(subjects=2),
        questions=Questions(0.5, 0.2),
        grammar=grammar,
        tokenizer=tokenizer if kind == "tokenizer" else None,
    )
    tokens = _by_document(corpus)
    roles = _by_document(corpus, corpus.roles(0, corpus.num_documents))
    ledger = corpus.ledger(np.arange(corpus.world.num_facts))
    said = {(row["fact"], row["copy"]): row for row in ledger.iter_rows(named=True)}
    seen = [np.full(len(one), GRAMMAR) for one in tokens]
    for one in seen:
        one[-1:] = END
    objects = 0
    for row in corpus.spans(0, corpus.num_documents).iter_rows(named=True):
        own = slice(row["first"], row["end"])
        text = corpus.decode(tokens[row["document"]][own]).strip()
        seen[row["document"]][own] = SUBJECT if row["role"] == "subject" else OBJECT
        entry = said[row["fact"], row["copy"]]
        assert (entry["document"], entry["sentence"]) == (row["document"], row["sentence"])
        if row["role"] == "object":
            objects += 1
            relation = row["fact"] % 6 if row["fact"] < 360 else 5
            written = grammar.objects(relation, [entry["object"]])[0]
            # A token may hold a mark that touches the object, and an object may begin a sentence.
            assert written.lower() in text.lower() and len(text) <= len(written) + 2, text
    assert objects == corpus.num_sentences
    for found, expected in zip(roles, seen, strict=True):
        assert np.array_equal(found, expected)


def test_roles_compile_a_grammar_once():
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(20), order="bios", grammar=grammar)
    roles = corpus.roles(0, 5)
    before = corpus._native_roles
    assert np.array_equal(corpus.roles(0, 5), roles) and corpus._native_roles is before
    other = corpus.without(corpus.sentences(0, 1)["fact"])
    assert np.array_equal(other.roles(1, 5), corpus.roles(1, 5)) and not len(other.roles(0, 1))
    assert np.array_equal(copy.deepcopy(corpus).roles(0, 5), roles)


def _by_document(corpus, values=None):
    """Tokens, or values beside them, of each document."""
    tokens = corpus.tokens(0, corpus.num_documents)
    ends = np.flatnonzero(tokens == corpus.end_of_document) + 1
    texts = corpus.texts(0, corpus.num_documents)
    filled = iter(np.split(tokens if values is None else values, ends[:-1]))
    return [next(filled) if text else tokens[:0] for text in texts]


SAILORS = """
name = "sailors"
language = "en"
[lists]
first = ["Ada", "Bruno", "Chloe", "Dev", "Esra"]
last = ["Quist", "Marlow", "Ames"]
port = ["Bergen", "Cadiz", "Osaka"]
ship = ["Albatross", "Heron"]
[subject]
name = "{first} {last}"
[relations.port]
objects = "{port}"
statements = ["{subject} sails from {object}.", "At home in {object}, {subject} rests."]
[relations.ship]
objects = "{ship}"
statements = ["{subject} owns the {object}.", "The captain of the {object} is {subject}."]
[[joint]]
relations = ["port", "ship"]
statements = ["Out of {port} with the {ship}: {subject}."]
"""
SAID = {(0, 0): " sails ", (0, 1): "At home ", (1, 0): " owns ", (1, 1): "The captain "}


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_the_wording_of_a_sentence_is_the_one_that_is_written(kind, tokenizer):
    grammar = Grammar("sailors.toml", SAILORS)
    corpus = Corpus(
        grammar.world(12), exposures=20, order="bios", grammar=grammar,
        tokenizer=str(tokenizer) if kind == "bpe" else None,
    )  # fmt: skip
    frame = corpus.sentences(0, corpus.num_documents)
    texts, found = corpus.texts(0, corpus.num_documents), {}
    for (document, place), rows in frame.group_by("document", "sentence", maintain_order=True):
        sentence = texts[document].split(".")[place]
        jointly = "Out of " in sentence
        assert rows.height == 1 + jointly
        for fact, wording in rows.select("fact", "wording").iter_rows():
            relation = fact % 2
            assert (wording is None) == jointly
            assert jointly or SAID[relation, wording] in f"{sentence} "
            found[relation, wording] = found.get((relation, wording), 0) + 1
    assert len(found) == 6, "each wording and the joint statement, of both relations"
    by_fact = corpus.ledger(range(24))
    assert by_fact.equals(frame.sort("fact", "copy"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_by_name_are_what_they_say(name, small):
    kind = Documents(**DOCUMENTS[name])
    corpus = Corpus(
        small.world(6, seed=1), exposures=10, order="bios", nested_exposures=0,
        documents_per_subject=10, documents=kind, grammar=small,
    )  # fmt: skip
    texts = [text for text in corpus.texts(0, corpus.num_documents) if text]
    assert len(texts) == 60
    by_subject = {}
    for text in texts:
        [name_of] = [name for name in _names() if name in text]
        by_subject.setdefault(name_of, []).append(text)
    assert len(by_subject) == 6
    for own in by_subject.values():
        assert len(set(own)) <= kind.renderings
        pronouns = re.findall(r"\b(?:[Ss]he|[Tt]hey|[Tt]heir|[Hh]er)\b", " ".join(own))
        assert not pronouns if kind.naming == "always" else pronouns
    assert Documents(**corpus.spec["corpus"]["documents"]) == kind


def _names():
    firsts = ["Ada", "Bo", "Adele", "Beth"]
    return [f"{first} {last}" for first in firsts for last in ("Ames", "O'Neil", "van Dam")]


def test_a_spec_says_its_grammar_and_tokenizer(tmp_path, tokenizer):
    (tmp_path / "small.toml").write_text(SMALL)
    spec = '[world]\nsubjects = {}\n[corpus]\norder = "bios"\nexposures = 2\n[grammar]\n{}\n'
    for subjects, told, name, kind in [
        (40, 'name = "bios-de"', "bios-de", "words"),
        (6, 'file = "small.toml"', "small", "words"),
        (40, f'name = "bios-en"\ntokenizer = "{tokenizer}"', "bios-en", "BPE"),
    ]:
        file = tmp_path / f"{name}-spec.toml"
        file.write_text(spec.format(subjects, told))
        corpus = Corpus.from_spec(file)
        assert (corpus.grammar.name, corpus.tokenizer_kind) == (name, kind)
        out = tmp_path / name
        gen(corpus, out)
        opened = Corpus.open(out)
        assert opened.spec_hash == corpus.spec_hash
        assert opened.texts(0, 20) == corpus.texts(0, 20)
        assert verify(out).ok
        found = inspect(out)
        assert (found.grammar, found.tokenizer) == (name, kind)
        # The directory keeps what it was written with: a spec of its own hash, without the files.
        again = tmp_path / f"{name}-again"
        gen(opened, again)
        shards = sorted((out / "tokens").glob("*.bin"))
        assert shards
        for shard in shards:
            assert (again / "tokens" / shard.name).read_bytes() == shard.read_bytes()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ('name = "bios-fr"', "argument 'grammar': got bios-fr"),
        (
            'nme = "bios-en"',
            r"'grammar.nme': got nme \(did you mean name\?\), allowed: name, file, digest, token",
        ),
        ("name = 3", "argument 'grammar.name': got 3, allowed: text"),
        ('file = "none.toml"', r"none.toml, which does not exist, allowed: a grammar file"),
        (
            'name = "bios-en"\ntokenizer = "none"',
            r"argument 'tokenizer': got \S*none, which does not exist, allowed",
        ),
    ],
)
def test_a_spec_that_names_no_grammar_is_refused(tmp_path, told, message):
    (tmp_path / "spec.toml").write_text(f"[world]\nsubjects = 4\n[grammar]\n{told}\n")
    with pytest.raises(ArgumentError, match=message):
        Corpus.from_spec(tmp_path / "spec.toml")


@pytest.fixture
def written(tmp_path, tokenizer):
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(30), order="bios", grammar=grammar, tokenizer=tokenizer)
    corpus.write(tmp_path / "corpus")
    return tmp_path / "corpus"


def test_a_damaged_grammar_is_found(written):
    file = written / "grammar.toml"
    text = file.read_text()
    file.write_text(text.replace("worked", "slept", 1))
    with pytest.raises(CorpusError, match="is damaged"):
        verify(written)
    file.write_text("name = ")
    with pytest.raises(CorpusError, match=r"is damaged: .*line 1"):
        verify(written)
    file.write_text(text + "\n# a comment is no other grammar\n")
    found = verify(written)
    assert found.ok or [bad["file"] for bad in found.bad] == ["grammar.toml"]


def test_a_damaged_tokenizer_is_found(written):
    file = written / "tokenizer" / "tokenizer.json"
    model = json.loads(file.read_text())
    model["model"]["merges"] = model["model"]["merges"][:-1]
    file.write_text(json.dumps(model))
    with pytest.raises(CorpusError, match="is damaged"):
        verify(written)
    file.write_text("{")
    with pytest.raises(CorpusError, match="is damaged"):
        verify(written)


def test_twins_differ_in_what_was_asked_alone(tokenizer):
    grammar = Grammar.named("stories-en")
    for own in (None, tokenizer):
        corpus = Corpus(
            grammar.world(40), exposures=3, order="bios", grammar=grammar, tokenizer=own
        )
        texts = corpus.texts(0, corpus.num_documents)
        old = corpus.world.objects([7], [1]).item()
        twin = corpus.override({7 * 6 + 1: (old + 1) % 200})
        names = grammar.objects(1, [old, (old + 1) % 200])
        changed = [
            (text, other)
            for text, other in zip(texts, twin.texts(0, corpus.num_documents), strict=True)
            if text != other
        ]
        assert 1 <= len(changed) <= 3
        for text, other in changed:
            assert names[0] in text and names[1] in other
            assert len(text.split()) - len(names[0].split()) == len(other.split()) - len(
                names[1].split()
            )
        without = corpus.without([7 * 6 + 1])
        assert without.count_tokens() < corpus.count_tokens()
        assert without.grammar == grammar


def test_grammars_and_corpora_go_to_other_processes(small, tokenizer):
    from behemoth.corpus.text_tokenizer import read_tokenizer

    for text in (Text(small), Text(Grammar.named("bios-en"), read_tokenizer(tokenizer))):
        other = copy.deepcopy(text)  # by the same means as other processes get one
        assert other == text and other.grammar is not text.grammar  # which share what is parsed
        assert other.lexicon.vocabulary_size == text.lexicon.vocabulary_size
    assert copy.deepcopy(small).facts == small.facts


def test_a_grammar_is_parsed_once_and_what_is_changed_in_one_is_not_in_the_next(monkeypatch):
    one = Grammar.named("bios-en")
    one.facts["names"] = 1
    monkeypatch.setattr(_gen, "Lexicon", None)
    other = Grammar.named("bios-en")
    assert other == one and other.facts["names"] == 400 * 400 * 1_000


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_held_out_wording_of_a_shipped_grammar_is_in_no_corpus(name):
    """A probe ends with the object, whatever the sentence says after it."""
    grammar = Grammar.named(name)
    corpus = Corpus(grammar.world(subjects=30, seed=5), grammar=grammar, exposures=6)
    probes = corpus.probes().with_columns(said=pl.concat_list("prompt", "answer"))
    written = set(map(tuple, probes.filter(~pl.col("held_out"))["said"].to_list()))
    for document in range(corpus.num_documents):
        tokens = corpus.tokens(document, document + 1).tolist()
        written.update(tuple(tokens[:end]) for end in range(2, min(len(tokens), 60)))
    held_out = set(map(tuple, probes.filter("held_out")["said"].to_list()))
    assert held_out and not held_out & written


@pytest.mark.parametrize("number", [-1, "x", 1.5])
def test_documents_are_counted_in_whole_numbers(number):
    with pytest.raises(ArgumentError, match=f"argument 'documents': got {number}, allowed: a"):
        Grammar.named("bios-en").samples(number)
    for name in ("documents", "samples"):
        with pytest.raises(ArgumentError, match=f"argument '{name}': got {number}, allowed: a"):
            check_grammar("bios-en", **{name: number})
