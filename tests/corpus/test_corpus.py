import copy
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from behemoth import (
    ArgumentError,
    Constant,
    Corpus,
    CorpusError,
    Documents,
    Grammar,
    Groups,
    Questions,
    World,
    Zipf,
    ZipfExposures,
)


def facts_of_text(text):
    """(subject, relation, object) of a default sentence, read from its words."""
    words = dict(zip(("S", "R", "O"), (None,) * 3, strict=True))
    for word in text.split():
        if word[0] in words and word[1:2].isdigit():
            words[word[0]] = word[1:]
    relation, _, number = words["O"].partition(":")
    assert relation == words["R"]
    return int(words["S"]), int(words["R"]), int(number)


def test_every_fact_is_written_exactly_as_often_as_asked(world, corpus, documents):
    sentences = documents(corpus.tokens(0, corpus.num_documents))
    assert len(sentences) == corpus.num_sentences == corpus.num_documents == 720
    counts = Counter(facts_of_text(corpus.decode(sentence)) for sentence in sentences)
    facts = world.facts()
    expected = zip(facts["subject"], facts["relation"], facts["object"], strict=True)
    assert counts == dict.fromkeys(expected, 4)


def test_the_parts_that_it_was_made_of_are_read_only():
    world = World.from_table(
        pl.DataFrame({"subject": [0, 1], "relation": [0, 0], "object": [1, 2]})
    )
    corpus = Corpus(world, exposures=[2, 3])
    assert world.table_columns["object"].tolist() == [1, 2]
    assert corpus.exposures_array.tolist() == [2, 3] and corpus.text_settings is None
    again = World.from_arrays(world.spec, world.table_columns)
    made = Corpus.from_arrays(again, corpus.spec["corpus"], corpus.exposures_array)
    assert made.spec_hash == corpus.spec_hash
    for owner, name in ((world, "table_columns"), (corpus, "exposures_array")):
        with pytest.raises(AttributeError):
            setattr(owner, name, None)
    ruled = Corpus(World(6, 1, 4), exposures=2)
    assert ruled.world.table_columns is ruled.exposures_array is None
    with pytest.raises(CorpusError, match=r"has no directory; open one with Corpus.open"):
        ruled.require_directory()
    written = Corpus(Grammar.named("bios-en").world(4), grammar="bios-en")
    assert written.text_settings.grammar is written.grammar


def test_sentences_read_well(corpus, documents):
    sentence = documents(corpus.tokens(0, 1))[0]
    words = corpus.decode(sentence).split()
    assert len(words) == 11  # what the reference writes with words of one token
    assert words[0] == "subject"
    assert words[-2:] == [".", "<|endoftext|>"]


@given(start=st.integers(0, 719), count=st.integers(0, 300))
@settings(max_examples=30)
def test_tokens_are_the_same_wherever_one_starts(start, count):
    corpus = Corpus(World(subjects=60, relations=3, objects=12, seed=7), exposures=4)
    stop = min(start + count, corpus.num_documents)
    everything = corpus.tokens(0, corpus.num_documents)
    np.testing.assert_array_equal(corpus.tokens(start, stop), everything[start * 11 : stop * 11])


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32, np.int64])
def test_fill_writes_into_the_callers_array(corpus, dtype):
    out = np.full(11 * 7 + 5, 9, dtype)
    assert corpus.fill(out, 3) == len(out)
    np.testing.assert_array_equal(out, corpus.tokens(3, 11)[: len(out)])
    rest = np.zeros(100, dtype)
    assert corpus.fill(rest, corpus.num_documents - 2) == 22
    np.testing.assert_array_equal(rest[22:], 0)


@pytest.mark.parametrize("token", [0, 1, 10, 4000, 7919])
def test_fill_tokens_starts_at_any_token(corpus, rich_corpus, token):
    for made in (corpus, rich_corpus):
        everything = made.tokens(0, made.num_documents)
        out = np.empty(1000, np.int64)
        start = min(token, len(everything) - 1)
        written = made.fill_tokens(out, start)
        assert written == min(1000, len(everything) - start)
        np.testing.assert_array_equal(out[:written], everything[start : start + written])


@pytest.mark.parametrize("subjects", [1, 100, 60_000], ids="{} per document".format)
def test_parts_of_long_documents_of_one_length_are_joined(subjects):
    """A thread makes a million tokens at a time, or one document that has more."""
    world = World(60_000, 4, 50)
    made = Corpus(world, order="bios", documents=Documents(subjects=subjects))
    each, million = made.document_tokens, 1 << 20
    everything = made.tokens(0, made.num_documents)
    assert len(everything) == made.num_documents * each > million
    for start, size in ((0, 5), (3, million), (each - 2, 7), (million - 3, 2 * each)):
        out = np.zeros(size, np.uint32)
        written = made.fill_tokens(out, start, threads=2)
        np.testing.assert_array_equal(out[:written], everything[start : start + size])


@pytest.mark.parametrize(
    "out",
    [
        np.empty(10, np.float32),
        np.empty((2, 5), np.uint16),
        np.empty(20, np.uint16)[::2],
        np.empty(10, ">u2"),
    ],
)
def test_fill_refuses_arrays_it_cannot_write(corpus, out):
    with pytest.raises((ArgumentError, TypeError)):
        corpus.fill(out, 0)


def test_fill_refuses_an_array_that_is_read_only(corpus):
    out = np.empty(10, np.uint16)
    out.flags.writeable = False
    with pytest.raises((ArgumentError, TypeError)):
        corpus.fill(out, 0)
    with pytest.raises((ArgumentError, TypeError)):
        corpus.fill([1, 2, 3], 0)


def test_the_count_of_tokens_is_exact(corpus, rich_corpus):
    for made in (corpus, rich_corpus):
        assert made.count_tokens() == len(made.tokens(0, made.num_documents))


def test_threads_do_not_change_tokens(rich_corpus):
    single = rich_corpus.tokens(0, rich_corpus.num_documents, threads=1)
    for threads in (2, 3, 8):
        np.testing.assert_array_equal(
            single, rich_corpus.tokens(0, rich_corpus.num_documents, threads=threads)
        )


@pytest.mark.parametrize(
    ("exposures", "classes"),
    [
        (3, {3: 180}),
        (np.int64(3), {3: 180}),
        (Constant(3), {3: 180}),
        ("3", {3: 180}),
        (Groups([1, 4, 16]), {1: 60, 4: 60, 16: 60}),
        ("groups:1,4,16", {1: 60, 4: 60, 16: 60}),
        ("latin:1,4,16", {1: 60, 4: 60, 16: 60}),
        (Groups([0, 2]), {0: 90, 2: 90}),
        (np.arange(180) % 3, {0: 60, 1: 60, 2: 60}),
        ([5] * 180, {5: 180}),
    ],
)
def test_exposures_of_every_form_are_exact(world, exposures, classes, documents):
    corpus = Corpus(world, exposures=exposures)
    assert {row["exposures"]: row["facts"] for row in corpus.exposure_classes} == classes
    assert corpus.num_sentences == sum(level * facts for level, facts in classes.items())
    each = corpus.exposures()
    assert np.array_equal(each, corpus.exposures(np.arange(180)))
    assert Counter(each.tolist()) == classes
    sentences = documents(corpus.tokens(0, corpus.num_documents))
    counts = Counter(facts_of_text(corpus.decode(sentence)) for sentence in sentences)
    facts = world.facts()
    for fact, level in enumerate(each.tolist()):
        row = facts.row(fact, named=True)
        assert counts[row["subject"], row["relation"], row["object"]] == level


@pytest.mark.parametrize("of", [lambda counts: counts, lambda counts: counts[:], pl.Series])
@pytest.mark.parametrize("made", ["by the class", "from arrays", "from a read-only view"])
def test_exposures_of_an_array_are_those_at_the_time(world, tmp_path, of, made):
    counts = np.ones(180, np.uint32)
    corpus = Corpus(world, exposures=of(counts))
    if made != "by the class":
        given = np.broadcast_to(counts, 180) if made == "from a read-only view" else counts
        corpus = Corpus.from_arrays(corpus.world, corpus.spec["corpus"], given)
    counts[:] = 3
    assert corpus.exposures_array.tolist() == [1] * 180
    with pytest.raises(ValueError, match="read-only"):
        corpus.exposures_array[0] = 3
    corpus.write(tmp_path / "corpus", probes=0)
    assert Corpus.open(tmp_path / "corpus").num_sentences == 180


def test_exposures_are_copied_no_more_than_once(world):
    corpus = Corpus(world, exposures=[1] * 180)
    again = Corpus.from_arrays(corpus.world, corpus.spec["corpus"], corpus.exposures_array)
    assert again.exposures_array is corpus.exposures_array
    assert not corpus.exchanged([(0, 1)]).exposures_array.flags.writeable
    assert not copy.deepcopy(corpus).exposures_array.flags.writeable


@pytest.mark.parametrize("relation", [-1, 99, 2**40, True, 1.5])
def test_a_relation_that_is_none_is_refused(relation):
    grammar = Grammar.named("bios-en")
    text = Corpus(grammar.world(20), grammar=grammar)
    allowed = "a (whole number from 0|relation below [0-9]+)"
    for ask in (World(20, 3, 5).links, text.object_tokens):
        with pytest.raises(ArgumentError, match=f"'relation': got {relation}, allowed: {allowed}"):
            ask(relation)


def test_what_is_neither_true_nor_false_is_refused(corpus):
    for name, ask in (("held_out", corpus.questions), ("combinations", corpus.probes)):
        for value in ("no", 1):
            with pytest.raises(ArgumentError, match=f"'{name}': got .*, allowed: True or False"):
                ask(**{name: value})
    assert corpus.questions([0], held_out=np.bool_(False)).equals(
        corpus.questions([0], held_out=False)
    )


def test_latin_exposures_are_balanced_within_each_subject(world):
    each = Corpus(world, exposures=Groups([1, 4, 16], balanced=True)).exposures(np.arange(180))
    np.testing.assert_array_equal(np.sort(each.reshape(60, 3), axis=1), [[1, 4, 16]] * 60)


def test_zipf_exposures_stay_within_bounds(world):
    each = Corpus(world, exposures=ZipfExposures(1.0, 2, 50)).exposures(np.arange(180))
    assert each.max() == 50
    assert each.min() == 2
    assert sorted(each.tolist(), reverse=True)[1] == 25


def test_the_ledger_says_where_every_sentence_is(rich_corpus, documents):
    facts = rich_corpus.world.facts()
    chosen = np.arange(0, rich_corpus.world.num_facts, 7)
    ledger = rich_corpus.ledger(chosen)
    assert ledger.schema == {
        "fact": pl.UInt64,
        "copy": pl.UInt64,
        "template": pl.String,
        "wording": pl.UInt32,
        "document": pl.UInt64,
        "sentence": pl.UInt32,
        "offset": pl.UInt32,
        "background": pl.UInt64,
        "object": pl.UInt32,
        "minority": pl.Boolean,
    }
    counts = dict(ledger.group_by("fact").len().iter_rows())
    exposures = rich_corpus.exposures(chosen)
    assert counts == {
        fact: count
        for fact, count in zip(chosen.tolist(), exposures.tolist(), strict=True)
        if count
    }
    sentences = documents(rich_corpus.tokens(0, rich_corpus.num_documents))
    for row in ledger.iter_rows(named=True):
        text = rich_corpus.decode(sentences[row["document"]])
        fact = facts.row(row["fact"], named=True)
        expected = fact["minority_object"] if row["minority"] else fact["object"]
        assert row["object"] == expected
        assert f":{row['object']} " in text
        if not fact["link"]:
            assert f"S{fact['subject']} " in text
            assert f"R{fact['relation']} " in text
        assert ("question:" in text) == (row["template"] == "question")


def test_minority_objects_take_an_exact_share_of_sentences():
    corpus = Corpus(World(100, 4, 10, minority=0.5), exposures=20, minority_sentences=0.3)
    facts = corpus.world.facts().filter(pl.col("minority_object").is_not_null())
    ledger = corpus.ledger(facts["fact"])
    assert facts.height == 200
    assert ledger.height == 4000
    assert ledger["minority"].sum() == 1200
    each = ledger.group_by("fact").agg(pl.col("minority").sum())["minority"]
    assert each.unique().to_list() == [6]


def test_exact_shares_of_templates_are_exact(world):
    corpus = Corpus(world, exposures=10, templates={"default": 3, "repeats": 1}, exact_shares=True)
    counts = dict(corpus.ledger(np.arange(180)).group_by("template").len().iter_rows())
    assert counts == {"default": 1350, "repeats": 450}


def test_questions_are_asked_about_a_share_of_the_subjects(world):
    corpus = Corpus(world, exposures=20, questions=Questions(subjects=0.5, sentences=0.2))
    ledger = corpus.ledger(np.arange(180)).join(world.facts()["fact", "subject"], on="fact")
    asked = ledger.filter(pl.col("template") == "question")
    assert asked["subject"].n_unique() == 30
    assert asked.height == 0.2 * corpus.num_sentences
    assert asked.group_by("fact").len()["len"].unique().to_list() == [8]
    seen = corpus.probes(templates=["question"])
    assert (
        seen.filter(pl.col("seen"))["subject"]
        .unique()
        .sort()
        .equals(asked["subject"].unique().sort())
    )


def test_held_out_wordings_are_never_written(rich_corpus):
    held = {(row["name"], row["wording"]) for row in rich_corpus.templates if row["held_out"]}
    written = set(
        rich_corpus.ledger(np.arange(rich_corpus.world.num_facts))
        .select("template", "wording").unique().iter_rows()
    )  # fmt: skip
    assert held
    assert not held & written
    assert {wording for name, wording in written if name == "default"} == {0, 1}


def test_bios_are_documents_of_one_subject(world, documents):
    corpus = Corpus(world, exposures=2, order="bios")
    assert corpus.num_documents == 120
    texts = [corpus.decode(document) for document in documents(corpus.tokens(0, 120))]
    for text in texts:
        assert len({word for word in text.split() if word[0] == "S" and word[1:].isdigit()}) == 1
        assert text.count("<|endoftext|>") == 1
        assert text.count(" .") == 3
    assert Counter(text.split()[1] for text in texts) == {f"S{subject}": 2 for subject in range(60)}


def test_the_order_seed_changes_the_order_and_nothing_else(world, documents):
    first, second = (Corpus(world, exposures=2, order_seed=seed) for seed in (1, 2))
    one, two = (documents(corpus.tokens(0, 360)) for corpus in (first, second))
    assert one != two
    assert sorted(one) == sorted(two)


def test_an_override_changes_the_object_and_no_other_token(rich_corpus):
    fact = 5
    row = rich_corpus.world.facts(fact, fact + 1).row(0, named=True)
    objects = rich_corpus.world.relation_table[row["relation"]]["objects"]
    new = next(o for o in range(objects) if o not in (row["object"], row["minority_object"]))
    twin = rich_corpus.override({fact: new})
    before = rich_corpus.tokens(0, rich_corpus.num_documents)
    after = twin.tokens(0, twin.num_documents)
    assert len(before) == len(after)
    changed = np.flatnonzero(before != after)
    ledger = rich_corpus.ledger([fact])
    assert len(changed) == ledger.filter(~pl.col("minority")).height
    names = rich_corpus.token_names
    assert {names[token].partition(":")[2] for token in after[changed].tolist()} == {str(new)}
    assert twin.world.facts(fact, fact + 1)["object"].item() == new
    assert twin.spec_hash != rich_corpus.spec_hash


def test_without_drops_sentences_and_keeps_the_order_of_the_rest(rich_corpus, documents):
    gone = [0, 3, 17]
    twin = rich_corpus.without(gone)
    lost = set(rich_corpus.ledger(gone)["document"])
    before = documents(rich_corpus.tokens(0, rich_corpus.num_documents))
    after = documents(twin.tokens(0, twin.num_documents))
    assert [sentence for sentence in after if sentence] == [
        sentence for index, sentence in enumerate(before) if index not in lost
    ]
    assert not twin.exposures(gone).any()
    assert twin.ledger(gone).is_empty()
    assert twin.num_sentences == rich_corpus.num_sentences - rich_corpus.exposures(gone).sum()


def test_a_corpus_is_a_function_of_its_spec(rich_corpus):
    again = Corpus.from_arrays(
        World.from_spec(rich_corpus.spec["world"]), rich_corpus.spec["corpus"]
    )
    assert again.spec_hash == rich_corpus.spec_hash
    np.testing.assert_array_equal(again.tokens(0, 200), rich_corpus.tokens(0, 200))


def test_samples_of_facts_are_exact_and_sorted(rich_corpus):
    sample = rich_corpus.sample_facts(50)
    assert len(set(sample.tolist())) == 50
    assert (np.diff(sample.astype(int)) > 0).all()
    np.testing.assert_array_equal(sample, rich_corpus.sample_facts(50))
    everything = rich_corpus.sample_facts(10**6)
    np.testing.assert_array_equal(everything, np.arange(rich_corpus.world.num_facts))


@pytest.mark.parametrize(
    ("arguments", "name", "allowed"),
    [
        ({"exposures": 0}, "exposures", "at least 1"),
        ({"exposures": -1}, "exposures", "a whole number from 1"),
        ({"exposures": "-3"}, "exposures", "a whole number from 1"),
        ({"exposures": np.int64(-1)}, "exposures", "a whole number from 1"),
        ({"exposures": "often"}, "exposures", "groups:1,4,16"),
        ({"exposures": 2**60}, "", "a product up to"),
        ({"exposures": [1, 2]}, "exposures", "180"),
        ({"exposures": [-1] * 180}, "exposures", "whole numbers 0 to 4294967295"),
        ({"exposures": 1.5}, "exposures", "whole numbers"),
        ({"exposures": Zipf(1.0)}, "exposures", "a whole number, Constant, Groups, ZipfExp"),
        ({"exposures": np.ones((180, 2), int)}, "exposures", "whole numbers, one for each fact"),
        ({"exposures": True}, "exposures", "whole numbers"),
        ({"order": "random"}, "order", "shuffle"),
        ({"templates": {"sonnet": 1}}, "templates", "default, sor, osr, rso, repeats"),
        ({"templates": {"default": -1}}, "templates.default", "a weight of at least 0"),
        ({"templates": {"default": 0}}, "templates", "above 0"),
        ({"inversion": 1.1}, "inversion", "a fraction from 0 to 1"),
        ({"minority_sentences": 2}, "minority_sentences", "a fraction from 0 to 1"),
        ({"questions": Questions(0.5, 1.5)}, "questions.sentences", "a fraction from 0 to 1"),
        ({"paraphrases": 0}, "paraphrases", "at least 1"),
        ({"paraphrases": 2, "held_out": 2}, "held_out", "fewer than paraphrases"),
        ({"base": 2}, "base", "10 to 16777216"),
        ({"shard_bytes": 1}, "shard_bytes", "at least 4096"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_by_name(world, arguments, name, allowed):
    with pytest.raises(ArgumentError) as caught:
        Corpus(world, **arguments)
    message = str(caught.value)
    assert message.startswith("argument '")
    assert name in message.partition(": got")[0]
    assert allowed in message.partition("allowed: ")[2]


def test_a_vocabulary_over_the_limit_is_refused():
    with pytest.raises(
        ArgumentError, match=r"argument 'vocabulary': got .*allowed: up to 2147483648 tokens"
    ):
        Corpus(World(10, 300, 10**7), base=2**24)


@pytest.mark.parametrize(("start", "stop"), [(0, 721), (5, 4), (800, 800)])
def test_documents_out_of_range_are_refused(corpus, start, stop):
    with pytest.raises(ArgumentError):
        corpus.tokens(start, stop)


def test_documents_out_of_range_are_refused_before_memory_is_taken(corpus):
    with pytest.raises(ArgumentError, match=r"'stop': got 0 to .*, allowed: a range within"):
        corpus.documents(0, 1 << 60)
