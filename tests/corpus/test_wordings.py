"""Which sentences of a grammar are probes of which relation."""

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, Grammar, World
from behemoth.corpus import verify
from behemoth.corpus.grammar import GRAMMARS
from behemoth.corpus.probes import probes_in, wording_frame, write_probes
from behemoth.corpus.wordings import WRITTEN_ASKED, asked_wordings, probed
from behemoth.plan import EditRequest, compile_plan

# Its first four statements cannot be prompts: they name the object first.
LATE = """
name = "late"
[lists]
first = ["Ada", "Bo", "Cy", "Di", "Ed", "Fay", "Gus", "Hal", "Ida", "Jo"]
last = ["Ash", "Birch", "Cole", "Dean", "East", "Fox", "Gray", "Hill", "Ives", "Jude"]
port = ["Oslo", "Rio", "Rome", "Lima", "Bonn"]
[subject]
name = "{first} {last}"
[relations.port]
objects = "{port}"
statements = [
    "{object} is the port of {subject}.",
    "{object} is home to {subject}.",
    "{object} is where {subject} lives.",
    "{object} saw {subject}.",
    "{subject} sails from {object}.",
    "{subject} comes from {object}.",
]
"""


def corpus_of(grammar, subjects=40):
    return Corpus(grammar.world(subjects, seed=1), exposures=2, grammar=grammar)


@pytest.fixture(scope="module", params=[*GRAMMARS, "late"])
def corpus(request):
    late = request.param == "late"
    return corpus_of(Grammar("late.toml", LATE) if late else Grammar.named(request.param))


def expected(corpus, template, *, earlier=False):
    """The probes of a corpus, chosen fact by fact among all sentences."""
    facts = np.arange(corpus.world.num_facts, dtype=np.uint64)
    rows = probed(corpus)[template]
    first = [row["wording"] for row in rows if not row["held_out"]][:WRITTEN_ASKED]
    every = pl.concat([wording_frame(corpus, facts, row) for row in rows])
    among = pl.col("wording").is_in(first)
    number = pl.col("wording").rank("ordinal").over("fact", "held_out")
    late = (number <= WRITTEN_ASKED) & ~among.any().over("fact") & pl.lit(not earlier)
    return every.filter(pl.col("held_out") | among | late)


def test_every_fact_has_written_statements_among_its_probes(corpus):
    probes = corpus.probes(templates=["statement"])
    assert probes.equals(expected(corpus, "statement"))
    written = probes.filter(~pl.col("held_out"))
    assert written["fact"].n_unique() == corpus.world.num_facts
    assert written.group_by("fact").len()["len"].max() <= WRITTEN_ASKED
    assert not probes.select("fact", "wording").is_duplicated().any()


def test_probes_are_new_only_where_there_were_none(corpus):
    """Files of grammars whose relations all had probes keep their bytes."""
    now, before = corpus.probes(), expected(corpus, "statement", earlier=True)
    kept = now.filter(pl.col("fact").is_in(before.filter(~pl.col("held_out"))["fact"].implode()))
    had = before.filter(pl.col("fact").is_in(kept["fact"].implode()))
    assert kept.filter(template="statement").equals(had)
    same = now.filter(template="statement").equals(before)
    assert same == (corpus.grammar.name not in ("stories-en", "late"))


def test_files_have_these_probes(corpus, tmp_path):
    for path in write_probes(corpus, tmp_path, 50):
        own = corpus.probes(corpus.sample_facts(50), [path.stem])
        assert pl.read_parquet(path).equals(own)


@pytest.mark.parametrize("name", GRAMMARS)
def test_files_of_earlier_versions_are_valid(name, tmp_path, monkeypatch):
    corpus = corpus_of(Grammar.named(name))

    def earlier(*given):
        return asked_wordings(*given, earlier=True)

    monkeypatch.setattr("behemoth.corpus.probes.asked_wordings", earlier)
    corpus.write(tmp_path / "c", probes="all")
    monkeypatch.undo()
    file = tmp_path / "c" / "probes" / "statement.parquet"
    whole = pl.read_parquet(file)
    assert whole.equals(expected(corpus, "statement", earlier=True))
    assert verify(tmp_path / "c").ok
    # Written again, it stays what it is: its digest is recorded.
    corpus.write(tmp_path / "c", probes="all")
    assert pl.read_parquet(file).equals(whole) and verify(tmp_path / "c").ok
    # Without the file, the probes of this version are written.
    file.unlink()
    corpus.write(tmp_path / "c", probes="all")
    assert pl.read_parquet(file).equals(corpus.probes(templates=["statement"]))
    assert verify(tmp_path / "c").ok
    file.unlink()
    (tmp_path / "c" / "sums.json").unlink()  # nothing says what was written
    metadata = {"behemoth_spec_hash": corpus.spec_hash, "behemoth_facts": str(whole["fact"].max())}
    whole[1:].write_parquet(file, metadata=metadata)
    reasons = [row["reason"] for row in verify(tmp_path / "c").bad]
    assert any(reason.startswith("contains ") for reason in reasons)


def test_probes_in_one_wording_are_of_all_facts_or_refused(corpus):
    facts = np.array([5, 1], np.uint64)
    row = probed(corpus)["statement"]
    for one in row:
        frame = wording_frame(corpus, facts, one)
        if frame.height == 2:
            found = probes_in(corpus, facts, "statement", one["wording"])
            assert found.equals(frame) and found["fact"].to_list() == [5, 1]
        else:
            with pytest.raises(ArgumentError, match="argument 'wording': got "):
                probes_in(corpus, facts, "statement", one["wording"])
    with pytest.raises(ArgumentError, match="got 900 of template 'statement', allowed: a wording"):
        probes_in(corpus, facts, "statement", 900)


def test_subject_0_of_a_table_may_lack_any_fact(tmp_path):
    (tmp_path / "g.toml").write_text(
        'name = "g"\nlanguage = "en"\nabout = "Two facts."\n[lists]\na = ["x", "y", "z", "u"]\n'
        '[subject]\nname = "{a}"\n'
        '[relations.likes]\nobjects = "{a}"\nstatements = ["{subject} likes {object}."]\n'
        '[relations.shuns]\nobjects = "{a}"\nstatements = ["{subject} shuns {object}."]\n'
        '[relations.owns]\nobjects = "{a}"\nstatements = ["{subject} owns {object}."]\n'
    )
    table = pl.DataFrame(
        {
            "subject": [0, 1, 1, 2, 2, 3, 3],
            "relation": [0, 0, 2, 0, 2, 0, 2],
            "object": [0, 1, 1, 2, 2, 0, 1],
        }
    )
    corpus = Corpus(World.from_table(table), exposures=4, grammar=tmp_path / "g.toml")
    assert corpus.world.examples == {0: 0, 2: 2}
    assert corpus.probes()["fact"].n_unique() == corpus.world.num_facts == 7
    assert corpus.object_tokens(2).numbers == corpus.object_tokens(0).numbers
    plan = compile_plan(corpus, EditRequest(edits=1, relation=2))
    assert plan.edits["relation"].to_list() == [2]
    with pytest.raises(ArgumentError, match="got 1, allowed: one that has facts"):
        corpus.object_tokens(1)
    corpus.write(tmp_path / "corpus")
    assert verify(tmp_path / "corpus").ok
