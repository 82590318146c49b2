import numpy as np
import pytest

from behemoth import (
    ArgumentError,
    Corpus,
    CorpusError,
    Grammar,
    World,
    finish_corpus,
    inspect,
    verify,
)
from behemoth._gen import FORMAT_VERSION, digest
from behemoth.corpus.source import read_source

TOML = """
[world]
seed = 4
subjects = 30
relations = 2
objects = [5, 7]

[corpus]
exposures = "groups:1,2"
order = "bios"

[corpus.templates]
default = 1
repeats = 1
"""


ASKING = """
[world]
subjects = 8
relations = 2
objects = 5
minority = 0.36

[corpus]
exposures = 10
questions = { subjects = 0.5, sentences = 0.2 }
"""
# Hashes of this spec and of its tokens, from a program that knew version 1 alone.
ASKED_IN_1 = "ae7f3d346bf5a88ee108851454caa1b85f19f0fb946ca7e9d3c97b5782d299cb"
WRITTEN_IN_1 = "68f780b1989fc57a4de55602ebfa7ccb7270dd6206e9c4a3dac86352caf89181"


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(TOML)
    return path


def test_a_spec_is_read_from_toml(spec):
    corpus = Corpus.from_spec(spec)
    assert corpus.world.num_subjects == 30
    assert corpus.num_sentences == 90
    assert corpus.spec["corpus"]["templates"] == {"default": 1.0, "repeats": 1.0}
    assert World.from_spec(spec).facts().equals(World(30, 2, [5, 7], seed=4).facts())
    assert Corpus.from_spec(spec.parent).spec_hash == corpus.spec_hash


def test_the_spec_that_a_corpus_gives_makes_it_again(spec, rich_corpus):
    for corpus in (Corpus.from_spec(spec), rich_corpus):
        spec.write_text(corpus.spec_toml)
        assert Corpus.from_spec(spec).spec_hash == corpus.spec_hash


def test_a_spec_says_which_version_it_is_of(spec):
    latest = Corpus.from_spec(spec)
    assert latest.spec["format_version"] == latest.world.format_version == FORMAT_VERSION == 3
    spec.write_text(f"format_version = 1\n{TOML}")
    corpus = Corpus.from_spec(spec)
    assert corpus.spec["format_version"] == corpus.world.format_version == 1
    assert corpus.spec_hash != latest.spec_hash
    for twin in (corpus.without([1]), corpus.override({1: 1})):
        assert twin.spec["format_version"] == twin.world.format_version == 1
    np.testing.assert_array_equal(corpus.tokens(0, 20), latest.tokens(0, 20))
    spec.write_text(corpus.spec_toml)
    assert Corpus.from_spec(spec).spec_hash == corpus.spec_hash


def test_version_1_is_read_written_and_resumed_as_version_1(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(f"format_version = 1\n{ASKING}")
    corpus = Corpus.from_spec(path)
    # What version 1 had of this spec: a tenth of the sentences are questions, and 5 second objects.
    assert corpus.spec_hash == ASKED_IN_1
    assert digest(corpus.tokens(0, 160).tobytes()) == WRITTEN_IN_1
    assert (corpus.ledger(np.arange(16))["template"] == "question").sum() == 16
    assert corpus.world.facts()["minority_object"].count() == 5
    corpus.write(tmp_path / "corpus", probes=0)
    there = Corpus.open(tmp_path / "corpus")
    assert there.manifest["format_version"] == there.spec["format_version"] == 1
    (tmp_path / "corpus" / "tokens" / "00000.json").unlink()
    assert there.write(tmp_path / "corpus", probes=0).complete
    assert verify(tmp_path / "corpus").ok
    path.write_text(ASKING)
    latest = Corpus.from_spec(path)
    assert (latest.ledger(np.arange(16))["template"] == "question").sum() == 32
    assert latest.world.facts()["minority_object"].count() == 6
    with pytest.raises(CorpusError, match=r"contains a corpus of format version 1, not 3"):
        latest.write(tmp_path / "corpus", probes=0)


def test_a_spec_without_tables_is_the_default(tmp_path):
    (tmp_path / "empty.toml").write_text("")
    assert World.from_spec(tmp_path / "empty.toml").num_subjects == 100_000


def test_numbers_may_be_written_as_floats(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text("[world]\nsubjects = 1e3\nrelations = 1\n")
    assert World.from_spec(path).num_subjects == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[world", "allowed: valid TOML"),
        ("[wrold]\nsubjects = 3", r"got wrold in .* \(did you mean world\?\), allowed: world, "),
        ("[world]\nsubject = 3", "subject"),
        (
            "[world]\nsubjects = 1.5",
            "argument 'world.subjects': got 1.5 in .*spec.toml', allowed: a whole number",
        ),
        (
            "[world]\nsubjects = -1",
            "argument 'world.subjects': got -1 in .*spec.toml', allowed: a whole number",
        ),
        ("format_version = 4", "argument 'format_version': got 4, allowed: 1, 2 and 3"),
        ("[corpus]\norder = 'none'", "argument 'corpus.order'"),
        ("[[world.relations]]\nkind = 'independant'", "relations"),
        ("[corpus.exposures]\nkind = 'array'\ndigest = 'x'", "got no exposures.parquet beside it"),
        ("[world.table]\nrelations = []\ndigest = ''", "got no table.parquet beside it"),
    ],
)
def test_what_is_no_spec_is_refused(tmp_path, text, message):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        Corpus.from_spec(path)


def test_a_path_that_holds_nothing_is_refused(tmp_path):
    with pytest.raises(
        ArgumentError, match="allowed: a spec TOML, a spec directory or a corpus directory"
    ):
        read_source(tmp_path)
    with pytest.raises(ArgumentError, match="allowed: a spec TOML"):
        read_source(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format_version": 1}', '{"spec": 3, "shards": []}']
)
def test_a_manifest_that_cannot_be_read_is_damage(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CorpusError, match=r"manifest\.json is damaged"):
        read_source(tmp_path)


def test_arrays_come_back_from_a_corpus_directory(tmp_path, graph):
    world = World.from_table(graph)
    corpus = Corpus(world, exposures=np.arange(40) % 3 + 1)
    corpus.write(tmp_path / "corpus")
    again = Corpus.open(tmp_path / "corpus")
    assert again.spec_hash == corpus.spec_hash
    np.testing.assert_array_equal(
        again.tokens(0, again.num_documents), corpus.tokens(0, corpus.num_documents)
    )
    assert again.world.facts().equals(world.facts())


def table_spec(place, told, more=""):
    (place / "facts.csv").write_text(
        "subject,relation,object\nAnn,born in,Rome\nAnn,lives in,Rome\nBob,lives in,Bern\n"
    )
    (place / "spec.toml").write_text(f"[world]\ntable = {told}\n{more}[corpus]\nexposures = 3\n")
    return place / "spec.toml"


def test_a_spec_may_name_a_table_that_lies_beside_it(tmp_path):
    corpus = Corpus.from_spec(table_spec(tmp_path, '"facts.csv"', "seed = 7\n"))
    world = World.from_table(tmp_path / "facts.csv", seed=7)
    assert corpus.world.spec == world.spec
    assert corpus.decode(corpus.tokens(0, 1)).startswith(("subject Ann has", "subject Bob has"))
    corpus.write(tmp_path / "corpus")
    (tmp_path / "facts.csv").unlink()
    assert Corpus.open(tmp_path / "corpus").spec_hash == corpus.spec_hash
    assert verify(tmp_path / "corpus").ok


def test_a_table_may_be_told_more_of(tmp_path):
    told = '{ file = "facts.csv", correlated = [0, 1], names = false }'
    world = World.from_spec(table_spec(tmp_path, told))
    assert world.names is None
    assert world.spec["table"]["relations"][1]["with"] == 0
    named = World.from_spec({"table": str(tmp_path / "facts.csv")})
    assert named.names is not None
    assert named.spec["table"]["relations"][1].get("with") is None


@pytest.mark.parametrize(
    ("told", "more", "message"),
    [
        ("3", "", "argument 'world.table': got 3 in '.*', allowed: a file of facts, or a table"),
        (
            '"no.csv"',
            "",
            "argument 'world.table': got .*no.csv, which does not exist, in '.*', allowed: a",
        ),
        (
            '{ file = "facts.csv", correlatd = [0, 1] }',
            "",
            r"correlatd in '.*' \(did you mean correlat",
        ),
        (
            '{ file = "facts.csv", correlated = [0] }',
            "",
            r"'world.table.correlated': got \[0\] in '.*', allowed",
        ),
        (
            '{ file = "facts.csv", names = "no" }',
            "",
            "'world.table.names': got \"no\" in '.*', allowed: true or ",
        ),
        ("{ file = 1 }", "", "argument 'world.table.file': got 1 in '.*', allowed: a path"),
        ('"facts.csv"', "subjects = 2\n", "'world.subjects': got a value beside a table in "),
        ('"facts.csv"', "relations = 2\n", "'world.relations': got a value beside a table in "),
    ],
)
def test_what_a_table_may_not_be(tmp_path, told, more, message):
    with pytest.raises(ArgumentError, match=message):
        Corpus.from_spec(table_spec(tmp_path, told, more))


def test_a_corpus_whose_part_0_has_not_run_says_so(tmp_path):
    """Part 0 writes what the spec refers to: without it, nothing is damaged."""
    grammar = Grammar("mine", Grammar.named("bios-en").source.replace('"bios-en"', '"mine"'))
    bios = Corpus(grammar.world(40), order="bios", grammar=grammar)
    array = Corpus(World(subjects=30, relations=1, objects=5), exposures=[1] * 30)
    for name, corpus, lacking in (("a", bios, "grammar.toml"), ("b", array, "exposures.parquet")):
        place = tmp_path / name
        corpus.write(place, part=(1, 2))
        for look in (finish_corpus, verify, inspect, Corpus.open):
            with pytest.raises(CorpusError, match=f": part 0, which writes {lacking}, has not fin"):
                look(place)
        corpus.write(place, part=(0, 2))
        assert finish_corpus(place).complete and verify(place).ok
