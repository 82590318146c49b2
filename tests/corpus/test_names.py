import shutil

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from transformers import AutoTokenizer

from behemoth import ArgumentError, Corpus, CorpusError, World, facts, import_, plan, verify
from behemoth.corpus.names import Names, word_of
from behemoth.corpus.tokenizer import write_tokenizer

ROWS = [
    ("Ann", "born in", "Paris", "France"),
    ("Bob", "born in", "New York", "USA"),
    ("Zoë", "born in", "Rome", "Italy"),
    ("Ann", "likes", "tea", None),
    ("Bob", "likes", "Paris", None),
    ("Zoë", "likes", "has", None),
    ("subject", "likes", ".", None),
]


def table(rows=ROWS):
    columns = ("subject", "relation", "object", "nested")
    return pl.DataFrame(rows, columns, orient="row")


@pytest.fixture(scope="module")
def world():
    return World.from_table(table())


@pytest.fixture(scope="module")
def corpus(world):
    return Corpus(world, exposures=2)


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory, corpus.tokenizer_files)
    return AutoTokenizer.from_pretrained(directory)


def test_facts_are_written_with_the_names_of_the_table(world, corpus):
    said = corpus.decode(corpus.tokens(0, corpus.num_documents)).split(" <|endoftext|>")
    sentences = {sentence.strip() for sentence in said} - {""}
    words = {"Paris": ("Paris:born_in", "Paris:likes"), "has": ("", "has:likes"),
             ".": ("", ".:likes")}  # fmt: skip
    expected = set()
    for subject, relation, thing, nested in ROWS:
        subject = {"subject": "subject:subject"}.get(subject, subject)
        word = words.get(thing, (word_of(thing),) * 2)[relation == "likes"]
        expected.add(f"subject {subject} has the relation {word_of(relation)} with object {word} .")
        if nested:
            start, end = f"subject {subject} has the relation", f"with object {nested} ."
            expected.add(f"{start} born_in:nested {end}")
            expected.add(f"subject {word} has the relation born_in:link {end}")
    assert sentences == expected


def test_ids_and_facts_are_those_of_a_world_without_names(world, corpus):
    bare = World.from_table(table(), names=False)
    assert bare.names is None
    assert bare.facts().equals(world.facts())
    other = Corpus(bare, exposures=2)
    assert np.array_equal(
        other.tokens(0, other.num_documents), corpus.tokens(0, corpus.num_documents)
    )
    assert other.vocabulary["ranges"] == corpus.vocabulary["ranges"]
    assert other.spec_hash != corpus.spec_hash
    assert "names" not in bare.spec["table"]


def test_a_name_is_one_token_where_numbers_would_be_words_of_several():
    rows = [(f"person {i}", "knows", f"thing {i % 1203}", None) for i in range(1500)]
    named = Corpus(World.from_table(table(rows)))
    assert named.document_tokens == 11
    bare = Corpus(World.from_table(table(rows), names=False))
    assert bare.document_tokens == 13
    assert "person_1499" in named.token_names
    numbers = pl.DataFrame({"subject": range(1500), "relation": 0, "object": ["x", "y"] * 750})
    mixed = Corpus(World.from_table(numbers))
    # Subjects have no names here, and are words of two digits.
    assert mixed.document_tokens == 12
    assert {"S1", "S.499", "x", "y"} <= set(mixed.token_names)


@given(st.data())
@settings(max_examples=50)
def test_names_go_through_text_and_back(corpus, tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, corpus.vocabulary_size - 1), max_size=30))
    assert tokenizer.encode(tokenizer.decode(ids)) == ids
    assert tokenizer.decode(ids).removeprefix(" ") == corpus.decode(ids)


NAME = st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters=" _:"), min_size=1)


@given(st.lists(st.tuples(NAME, st.sampled_from(["is", "has", "R1", "a b"]), NAME), min_size=1))
@settings(max_examples=100)
def test_any_names_are_words_of_their_own_or_refused(rows):
    rows = [(*row, None) for row in {row[:2]: row for row in rows}.values()]
    try:
        named = Corpus(World.from_table(table(rows)))
        words = named.token_names
    except ArgumentError:
        return
    assert len(set(words)) == len(words) == named.vocabulary_size
    assert not any(word.split() != [word] for word in words)


def test_a_directory_says_its_names_wherever_it_is(tmp_path, corpus):
    corpus.write(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    opened = Corpus.open(tmp_path / "there")
    assert opened.token_names == corpus.token_names
    assert opened.spec_hash == corpus.spec_hash
    assert opened.manifest["spec"]["world"]["table"]["names"] == corpus.world.names.digests
    assert verify(tmp_path / "there").ok
    probes = pl.read_parquet(tmp_path / "there" / "probes" / "default.parquet")
    assert probes.filter(subject_name="Bob", relation_name="likes")["object_name"].item() == "Paris"
    assert opened.probes().columns == probes.columns


@pytest.mark.parametrize("kind", ["subjects", "relations", "objects", "nested"])
def test_other_names_and_lost_ones_are_named(tmp_path, corpus, kind):
    corpus.write(tmp_path / "corpus", probes=0)
    file = tmp_path / "corpus" / "names" / f"{kind}.parquet"
    names = pl.read_parquet(file)
    names.with_columns(pl.col("name") + "s").write_parquet(file)
    with pytest.raises(CorpusError, match=rf"damaged: .*'table.names.{kind}': got names with dig"):
        verify(tmp_path / "corpus")
    file.write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=f"a names/{kind}.parquet that cannot be read"):
        Corpus.open(tmp_path / "corpus")
    file.unlink()
    with pytest.raises(CorpusError, match=f"names/{kind}.parquet is missing"):
        Corpus.open(tmp_path / "corpus")


def test_a_directory_without_names_opens_as_ever(tmp_path):
    """As programs wrote it that knew of no names: they lay beside the spec, which said nothing."""
    import_(_csv(tmp_path), tmp_path / "spec", names=False)
    old = Corpus.from_spec(tmp_path / "spec")
    old.write(tmp_path / "corpus")
    assert not (tmp_path / "corpus" / "names").exists()
    opened = Corpus.open(tmp_path / "corpus")
    assert opened.world.names is None
    assert opened.decode(opened.tokens(0, 1)).startswith("subject ")
    assert "S0" in opened.token_names
    assert verify(tmp_path / "corpus").ok


def test_twins_keep_the_names(corpus):
    twin = corpus.override({0: 2})
    assert twin.world.named(twin.world.facts(0, 1))["object_name"].item() == "Rome"
    assert corpus.without([0]).token_names == corpus.token_names
    assert corpus.world.override({0: 2}).names is corpus.world.names


def test_frames_of_facts_get_names(world):
    named = world.named(world.facts())
    rows = named.select("subject_name", "relation_name", "object_name").rows()
    expected = {row[:3] for row in ROWS}
    expected |= {(row[0], "born in:nested", row[3]) for row in ROWS if row[3]}
    expected |= {(row[2], "born in:link", row[3]) for row in ROWS if row[3]}
    assert set(rows) == expected
    assert len(rows) == len(expected)
    assert [row["name"] for row in world.relation_table] == [
        "born in", "likes", "born in:nested", "born in:link",
    ]  # fmt: skip
    bare = World(3, 2, 4)
    assert bare.named(bare.facts()).equals(bare.facts())


def test_facts_keep_their_names_on_the_way_out_and_back(tmp_path):
    rows = [row for row in ROWS if row[3] is None]
    (tmp_path / "spec.toml").write_text("[world]\ntable = 't.parquet'\n")
    table(rows).write_parquet(tmp_path / "t.parquet")
    facts(tmp_path, tmp_path / "facts.parquet")
    back = World.from_table(tmp_path / "facts.parquet")
    world = World.from_table(table(rows))
    assert back.spec == world.spec
    assert back.names.digests == world.names.digests


def test_edits_may_be_given_by_name(corpus):
    edits = pl.DataFrame({"subject": ["Ann", "Bob"], "relation": ["likes", "born in"],
                          "object": ["has", "Rome"]})  # fmt: skip
    made = plan(corpus, table=edits)
    numbers = corpus.world.named(made.edits).sort("subject")
    assert numbers["new_object_name"].to_list() == ["has", "Rome"]
    assert numbers["old_object_name"].to_list() == ["tea", "New York"]
    answers = [corpus.decode(answer) for answer in made.training["answer"].to_list()]
    assert {"has:likes", "Rome"} <= set(answers)
    ids = pl.DataFrame({"fact": numbers["fact"], "object": ["has", "Rome"]})
    assert plan(corpus, table=ids).plan_hash == made.plan_hash
    links = pl.DataFrame({"subject": ["Paris"], "relation": ["born in:link"], "object": ["USA"]})
    (link,) = plan(corpus, table=links, target="object_nested").edits["fact"]
    assert corpus.world.named(corpus.world.facts_of([link]))["subject_name"].item() == "Paris"


@pytest.mark.parametrize(
    ("column", "name", "message"),
    [
        ("subject", "Anna", "got 'Anna' as subject .*mean Ann.* the 4 that"),
        ("relation", "liked", "got 'liked' as relation .*mean likes.* the 4"),
        ("object", "Rome", "got 'Rome' as object, .* the 4 that the table has"),
    ],
)
def test_edits_of_other_names_are_refused(corpus, column, name, message):
    row = {"subject": "Ann", "relation": "likes", "object": "has"} | {column: name}
    with pytest.raises(ArgumentError, match=message):
        plan(corpus, table=pl.DataFrame([row]))


def test_names_for_a_world_without_are_refused():
    bare = Corpus(World(10, 2, 5))
    with pytest.raises(
        ArgumentError, match=r"got 'Ann' as subject in row 0 .from 0., allowed: a whole number"
    ):
        plan(bare, table=pl.DataFrame({"subject": ["Ann"], "relation": [0]}))
    with pytest.raises(ArgumentError, match="only for a world of a table"):
        World.from_arrays({"subjects": 3}, None, names=Names({}, 1))


def test_a_spec_must_have_the_names_that_it_names(world):
    with pytest.raises(ArgumentError, match=r"argument 'table.names': got no names"):
        World.from_arrays(world.spec, world.table_columns)
    told = {**world.spec["table"]["names"], "subjects": ""}
    spec = {**world.spec, "table": {**world.spec["table"], "names": told}}
    filled = World.from_arrays(spec, world.table_columns, names=world.names)
    assert filled.spec == world.spec
    del told["objects"]
    with pytest.raises(ArgumentError, match=r"table.names.objects': got names .* allowed: none"):
        World.from_arrays(spec, world.table_columns, names=world.names)


def test_relations_that_are_correlated_have_their_objects_in_common():
    rows = [("Ann", "born in", "Rome", None), ("Ann", "lives in", "Rome", None),
            ("Bob", "born in", "Oslo", None), ("Bob", "lives in", "Bern", None)]  # fmt: skip
    world = World.from_table(table(rows), correlated=(0, 1))
    assert [row["objects"] for row in world.relation_table] == [3, 3]
    assert world.objects(0, 0) == world.objects(0, 1)
    for relation in (0, 1):
        frame = pl.DataFrame({"relation": [relation] * 3, "object": [0, 1, 2]})
        assert world.named(frame)["object_name"].to_list() == ["Bern", "Oslo", "Rome"]
    words = Corpus(world).token_names
    assert {"Rome:born_in", "Rome:lives_in", "Bern:born_in"} <= set(words)


def test_what_has_no_meaning_beside_names_is_refused(world):
    with pytest.raises(ArgumentError, match="'base': got 10, allowed: nothing: each name is one"):
        Corpus(world, base=10)
    rows = [(f"s{i}", "likes", f"o{i}", None) for i in range(3)]
    numbers = table(rows).with_columns(subject=pl.Series([0, 1, 2]))
    assert Corpus(World.from_table(numbers), base=10).vocabulary["base"] == 10


def test_a_grammar_has_names_of_its_own(tmp_path, world):
    grammar = tmp_path / "g.toml"
    grammar.write_text(
        'name = "g"\nlanguage = "en"\nabout = "One fact."\n[lists]\na = ["x", "y", "z", "u"]\n'
        '[subject]\nname = "{a}"\n[relations.likes]\nobjects = "{a}"\n'
        'statements = ["{subject} likes {object}."]\n'
    )
    one = table([row for row in ROWS if row[1] == "likes"])
    with pytest.raises(ArgumentError, match="got `g` for a table with names, allowed: no grammar"):
        Corpus(World.from_table(one), grammar=grammar)
    assert Corpus(World.from_table(one, names=False), grammar=grammar).texts(0, 1)


def test_names_beside_numbers_must_agree(tmp_path):
    rows = {
        "subject": [0, 0],
        "subject_name": ["Ann", "Anna"],
        "relation": [0, 1],
        "object": [1, 1],
    }
    with pytest.raises(ArgumentError, match=r"'Ann' and 'Anna' among .* one name for each number"):
        World.from_table(pl.DataFrame(rows))


def _csv(place):
    (place / "t.csv").write_text("subject,relation,object\nAnn,likes,tea\nBob,likes,rum\n")
    return place / "t.csv"


def test_a_name_of_several_words_is_read_in_one_and_hinted_at():
    rows = {"subject": ["Ada Lovelace", "Jon"], "relation": "lives in", "object": "New York"}
    corpus = Corpus(World.from_table(pl.DataFrame(rows)))
    assert corpus.decode(corpus.encode("Ada_Lovelace lives_in")) == "Ada_Lovelace lives_in"
    for text, got in (
        ("Ada Lovelace lives_in", r"Ada \(did you mean Ada_Lovelace\?\)"),
        ("Jon lives in New York", r"lives \(did you mean lives_in\?\)"),
        ("Jon lives_in New  York", r"New \(did you mean New_York\?\)"),
        ("Ada Love", "Ada"),
    ):
        with pytest.raises(ArgumentError, match=f"'text': got {got}, allowed: words of the corpus"):
            corpus.encode(text)
