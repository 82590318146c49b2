import numpy as np
import pytest

from behemoth import ArgumentError, Corpus, CorpusError, World
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
        ("[world", "a TOML file; this is none"),
        ("[wrold]\nsubjects = 3", r"got table \[wrold\] in .*, allowed: \[world\], \[corpus\]"),
        ("[world]\nsubject = 3", "subject"),
        ("[world]\nsubjects = 1.5", "argument 'subjects': got 1.5, allowed: a whole number"),
        ("[world]\nsubjects = -1", "argument 'subjects': got -1, allowed: a whole number"),
        ("[corpus]\norder = 'none'", "argument 'order'"),
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
