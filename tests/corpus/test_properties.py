"""Properties of any corpus at all: whatever the spec, the parts agree with each other."""

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, reject, settings, strategies as st

from behemoth import (
    ArgumentError,
    Composed,
    Constant,
    Corpus,
    Correlated,
    Groups,
    Independent,
    Inverse,
    OneToOne,
    Questions,
    World,
    Zipf,
    ZipfExposures,
)

shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])


@st.composite
def worlds(draw):
    subjects = draw(st.integers(1, 40))
    relations = []
    for _ in range(draw(st.integers(1, 5))):
        kinds = [
            Independent(draw(st.sampled_from([2, 6, 12])), draw(st.booleans())),
            Zipf(draw(st.sampled_from([2, 6, 12])), draw(st.floats(0, 2))),
            OneToOne(),
        ]
        for other, relation in enumerate(relations):
            kind = relation.kind
            if kind in ("independent", "zipf"):
                kinds.append(Correlated(other, draw(st.floats(0.6, 1.0))))
                kinds.append(Composed(other, 2))
            if kind == "composed":
                kinds.append(Composed(other, 1))
            if kind == "one_to_one":
                kinds.append(Inverse(other))
        relations.append(kinds[draw(st.integers(0, len(kinds) - 1))])
    drawn = any(relation.kind in ("independent", "zipf", "correlated") for relation in relations)
    minority = draw(shares) if drawn else 0.0
    try:
        return World(subjects, relations, seed=draw(st.integers(0, 2**62)), minority=minority)
    except ArgumentError:
        reject()


@st.composite
def corpora(draw):
    world = draw(worlds())
    templates = draw(
        st.lists(
            st.sampled_from(["default", "sor", "osr", "rso", "repeats", "nonsense", "refusal"]),
            min_size=1,
            unique=True,
        )
    )
    wordings = draw(st.integers(1, 3))
    questions = draw(st.one_of(st.none(), st.builds(Questions, shares, shares)))
    fields = {
        "exposures": draw(
            st.one_of(
                st.builds(Constant, st.integers(1, 4)),
                st.builds(Groups, st.just([1, 2, 5]), st.booleans()),
                st.builds(ZipfExposures, st.floats(0.2, 2), st.just(1), st.integers(1, 9)),
            )
        ),
        "order": draw(st.sampled_from(["shuffle", "bios"])),
        "order_seed": draw(st.one_of(st.none(), st.integers(0, 2**62))),
        "templates": dict.fromkeys(templates, 1.0),
        "inversion": draw(shares),
        "exact_shares": questions is None and draw(st.booleans()),
        "minority_sentences": draw(shares),
        "paraphrases": wordings,
        "held_out": draw(st.integers(0, wordings - 1)),
        "base": draw(st.sampled_from([10, 1000])),
        "nonsense_words": 20,
        "shard_bytes": 4096,
    }
    try:
        return Corpus(world, questions=questions, **fields)
    except ArgumentError:  # more of them than the subjects asked about have sentences
        return Corpus(world, **fields)


quiet = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@given(corpus=corpora())
@quiet
def test_the_ledger_counts_what_is_written(corpus):
    facts = np.arange(corpus.world.num_facts)
    ledger = corpus.ledger(facts)
    exposures = corpus.exposures(facts)
    assert ledger.height == corpus.num_sentences == exposures.sum()
    counts = np.zeros(len(facts), np.uint64)
    np.add.at(counts, ledger["fact"].to_numpy(), 1)
    np.testing.assert_array_equal(counts, exposures)
    classes = {row["exposures"]: row["facts"] for row in corpus.exposure_classes}
    values, number = np.unique(exposures, return_counts=True)
    assert classes == dict(zip(values.tolist(), number.tolist(), strict=True))
    tokens = corpus.tokens(0, corpus.num_documents)
    assert (tokens == 2).sum() == corpus.num_sentences  # each ends in one "."
    assert (tokens == 0).sum() == corpus.num_documents
    # A place in the order is taken once, and the places of a document are without gaps.
    places = ledger.select("document", "sentence")
    assert places.n_unique() == ledger.height
    each = places.group_by("document").agg(pl.len(), pl.col("sentence").max())
    assert (each["len"] == each["sentence"] + 1).all()
    held = {(row["name"], row["wording"]) for row in corpus.templates if row["held_out"]}
    assert not held & set(ledger.select("template", "wording").iter_rows())


@given(corpus=corpora(), data=st.data())
@quiet
def test_the_ledger_says_where_each_sentence_begins(corpus, data):
    gone = data.draw(st.lists(st.integers(0, corpus.world.num_facts - 1), max_size=3, unique=True))
    corpus = corpus.without(gone)
    entries = corpus.sentences(0, corpus.num_documents)
    classes = {row["exposures"]: row["facts"] for row in corpus.exposure_classes}
    values, number = np.unique(corpus.exposures(), return_counts=True)
    assert classes == dict(zip(values.tolist(), number.tolist(), strict=True))
    assert sum(level * facts for level, facts in classes.items()) == corpus.num_sentences
    for number in data.draw(st.sets(st.integers(0, corpus.num_documents - 1), max_size=10)):
        tokens = corpus.tokens(number, number + 1)
        # After each "." the next sentence begins, or the document ends.
        begins = np.append(0, np.flatnonzero(tokens == 2) + 1)[: (tokens == 2).sum()]
        assert entries.filter(document=number)["offset"].to_list() == begins.tolist()
    ledger = corpus.ledger(np.arange(corpus.world.num_facts))
    assert entries.equals(ledger.sort("document", "sentence"))
    assert entries["background"].null_count() == entries.height


@given(corpus=corpora())
@quiet
def test_objects_of_the_ledger_are_those_of_the_world(corpus):
    facts = corpus.world.facts()
    joined = corpus.ledger(facts["fact"]).join(facts, on="fact", suffix="_of_fact")
    said = pl.when("minority").then("minority_object").otherwise("object_of_fact")
    assert joined.filter(pl.col("object") != said).is_empty()
    assert joined.filter(pl.col("minority") & pl.col("minority_object").is_null()).is_empty()
    assert (facts["minority_object"] != facts["object"]).all()


@given(corpus=corpora(), data=st.data())
@quiet
def test_the_stream_is_the_same_from_everywhere(corpus, data):
    tokens = corpus.tokens(0, corpus.num_documents)
    assert corpus.count_tokens() == len(tokens)
    np.testing.assert_array_equal(tokens, corpus.tokens(0, corpus.num_documents, threads=3))
    ends = np.flatnonzero(tokens == 0) + 1
    start = data.draw(st.integers(0, corpus.num_documents))
    stop = data.draw(st.integers(start, corpus.num_documents))
    begin = np.concatenate([[0], ends])
    np.testing.assert_array_equal(corpus.tokens(start, stop), tokens[begin[start] : begin[stop]])
    token = data.draw(st.integers(0, len(tokens)))
    out = np.full(data.draw(st.integers(0, 400)), -1, np.int64)
    expected = tokens[token : token + len(out)]
    assert corpus.fill_tokens(out, token) == len(expected)
    np.testing.assert_array_equal(out[: len(expected)], expected)
    out[:] = -1
    expected = tokens[begin[start] : begin[start] + len(out)]
    assert corpus.fill(out, start) == len(expected)
    np.testing.assert_array_equal(out[: len(expected)], expected)


@given(corpus=corpora(), data=st.data())
@quiet
def test_twins_differ_only_where_they_should(corpus, data):
    facts = corpus.world.facts()
    count = facts.height
    gone = data.draw(st.lists(st.integers(0, count - 1), max_size=5, unique=True))
    twin = corpus.without(gone)
    rest = np.setdiff1d(np.arange(count), gone)
    moves = pl.exclude("sentence", "offset")
    assert twin.ledger(rest).select(moves).equals(corpus.ledger(rest).select(moves))
    assert twin.ledger(gone).is_empty()

    fact = data.draw(st.integers(0, corpus.world.num_subject_facts - 1))
    row = facts.row(fact, named=True)
    table = corpus.world.relation_table[row["relation"]]
    new = data.draw(st.integers(0, table["objects"] - 1))
    if new == row["minority_object"]:
        return
    twin = corpus.override({fact: new})
    before = corpus.tokens(0, corpus.num_documents)
    after = twin.tokens(0, twin.num_documents)
    assert len(before) == len(after)
    changed = np.flatnonzero(before != after)
    names = corpus.token_names
    assert all(names[token][0] in "ON" for token in after[changed].tolist())
    documents = np.searchsorted(np.flatnonzero(before == 0), changed)
    assert set(documents.tolist()) <= set(corpus.ledger([fact])["document"].to_list())
    facts_of_twin = twin.world.facts()
    differ = facts.filter(facts["object"] != facts_of_twin["object"])["fact"].to_list()
    assert differ == ([fact] if new != row["object"] else [])


@given(world=worlds(), data=st.data())
@quiet
def test_composed_facts_follow_an_override_down_the_chain(world, data):
    fact = data.draw(st.integers(0, world.num_subject_facts - 1))
    row = world.facts(fact, fact + 1).row(0, named=True)
    relations = world.relation_table
    new = data.draw(st.integers(0, relations[row["relation"]]["objects"] - 1))
    if new == row["minority_object"]:
        return
    twin = world.override({fact: new}, follow=True)
    assert twin.objects(row["subject"], row["relation"]) == new
    reached = {row["relation"]}
    for relation in relations[: world.num_relations]:
        if relation["kind"] == "composed" and relation["of"] in reached:
            reached.add(relation["relation"])
            links = twin.links(relation["relation"])
            above = twin.objects(row["subject"], relation["of"])
            assert twin.objects(row["subject"], relation["relation"]) == links[above]
    facts = world.facts()
    differ = facts.filter(facts["object"] != twin.facts()["object"])
    assert set(differ["subject"]) <= {row["subject"]}
    assert set(differ["relation"]) <= reached
    assert not differ["link"].any()


@given(corpus=corpora())
@quiet
def test_a_spec_makes_the_same_corpus_again(corpus):
    spec = corpus.spec
    again = Corpus.from_arrays(World.from_spec(spec["world"]), spec["corpus"])
    assert again.spec_hash == corpus.spec_hash
    assert again.spec_toml == corpus.spec_toml


@given(corpus=corpora())
@settings(quiet, max_examples=15)
def test_shards_hold_the_stream(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus")
    half = corpus.write(out, part=(1, 2), probes=0)
    written = corpus.write(out, part=(0, 2), probes="all")
    assert written.complete
    opened = Corpus.open(out)
    shards = [opened.shard(index) for index in range(opened.num_shards)]
    np.testing.assert_array_equal(np.concatenate(shards), corpus.tokens(0, corpus.num_documents))
    assert half.tokens + written.tokens == corpus.count_tokens()


@given(
    subjects=st.integers(-1, 10),
    relations=st.integers(-1, 3),
    objects=st.integers(-1, 5),
    exposures=st.integers(-1, 3),
    inversion=st.floats(allow_nan=False, allow_infinity=False),
    strength=st.one_of(st.none(), st.floats(-0.5, 1.5)),
    nested=st.one_of(st.none(), st.integers(-1, 6)),
    base=st.integers(0, 20),
)
@settings(max_examples=200)
def test_a_spec_is_made_or_refused_in_one_line(
    subjects, relations, objects, exposures, inversion, strength, nested, base
):
    try:
        world = World(subjects, relations, objects, correlated=strength, nested=nested)
        corpus = Corpus(world, exposures=exposures, inversion=inversion, base=base)
    except ArgumentError as error:
        message = str(error)
        assert message.startswith("argument '")
        assert ": got " in message
        assert ", allowed: " in message
        assert "\n" not in message
    else:
        assert len(corpus.tokens(0, corpus.num_documents)) == corpus.count_tokens()
