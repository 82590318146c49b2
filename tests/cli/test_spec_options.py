"""Options of `gen` are written to the spec, over those of a spec that is given."""

import numpy as np
import pytest

from behemoth import Corpus, train_tokenizer
from behemoth.corpus.text_tokenizer import read_tokenizer


def test_every_option_reaches_the_spec(run, tmp_path):
    run(
        "gen", "--subjects", 1e2, "--relations", 3, "--objects", "20,40,60",
        "--out", tmp_path / "c", "--exposures", "groups:1,4", "--order", "shuffle",
        "--templates", "default=2,repeats=1", "--inversion", 0.3,
        "--minority", "0.1:0.2", "--questions", "0.5:0.25",
        "--paraphrases", "5:2", "--seed", 11, "--order-seed", 12, "--probes", 7, "--json",
    ).json()  # fmt: skip
    spec = Corpus.open(tmp_path / "c").spec
    assert spec["world"]["subjects"] == 100
    assert [row["objects"] for row in spec["world"]["relations"]] == [20, 40, 60]
    assert spec["world"]["seed"] == 11
    assert spec["world"]["minority"] == 0.1
    corpus = spec["corpus"]
    assert corpus["exposures"] == {"kind": "groups", "levels": [1, 4], "balanced": False}
    assert corpus["templates"] == {"default": 2.0, "repeats": 1.0}
    assert corpus["questions"] == {"subjects": 0.5, "sentences": 0.25}
    assert (corpus["inversion"], corpus["minority_sentences"]) == (0.3, 0.2)
    assert (corpus["paraphrases"], corpus["held_out"]) == (5, 2)
    assert corpus["order_seed"] == 12


def test_nested_and_correlated_reach_the_spec(run, tmp_path):
    out = tmp_path / "c"
    run(
        "gen",
        "--facts",
        600,
        "--nested",
        "20:4",
        "--correlated",
        "0.8,binarised",
        "--out",
        out,
        "--json",
    ).json()
    corpus = Corpus.open(out)
    kinds = [row["kind"] for row in corpus.spec["world"]["relations"]]
    assert kinds == ["independent", "correlated", *["independent"] * 4, *["composed"] * 6]
    assert corpus.spec["world"]["relations"][0]["binarised"]
    assert corpus.spec["corpus"]["nested_exposures"] == 4
    assert (
        corpus.exposures(np.arange(corpus.world.num_subject_facts, corpus.world.num_facts)) == 4
    ).all()


def test_documents_of_a_name_and_of_keys_are_both_in_the_spec(run, tmp_path):
    run(
        "gen", "--grammar", "bios-en", "--subjects", 20, "--order", "bios", "--exposures", 10,
        "--questions", "0.5:0.1", "--documents", "multi5, questions=own, naming=always",
        "--out", tmp_path / "c",
    )  # fmt: skip
    found = Corpus.open(tmp_path / "c").spec["corpus"]["documents"]
    assert (found["renderings"], found["sentences"]) == (5, "fixed")
    assert (found["questions"], found["naming"]) == ("own", "always")


@pytest.mark.parametrize(
    ("exposures", "sentences"),
    [
        ("10", 600),
        ("1e1", 600),
        ("latin:1,4", 150),  # half of the facts at each level
        ("zipf:alpha=1,min=1,max=10", None),
    ],
)
def test_exposures_of_every_form(run, tmp_path, exposures, sentences):
    words = ("--facts", 60, "--exposures", exposures)
    report = run("gen", *words, "--out", tmp_path / "c", "--json").json()
    counts = Corpus.open(tmp_path / "c").exposures(np.arange(60))
    assert report["sentences"] == counts.sum()
    if sentences is None:
        assert counts.min() == 1 and counts.max() == 10 and len(set(counts.tolist())) > 2
    else:
        assert report["sentences"] == sentences


def test_a_spec_is_taken_and_options_override_it(run, tmp_path, rich_corpus):
    spec = tmp_path / "spec.toml"
    spec.write_text(rich_corpus.spec_toml)
    run("gen", "--spec", spec, "--out", tmp_path / "same", "--json").json()
    assert Corpus.open(tmp_path / "same").spec_hash == rich_corpus.spec_hash
    run(
        "gen",
        "--spec",
        tmp_path / "same",
        "--seed",
        77,
        "--exposures",
        2,
        "--out",
        tmp_path / "other",
        "--json",
    ).json()
    other = Corpus.open(tmp_path / "other").spec
    assert other["world"]["seed"] == 77
    assert other["world"]["relations"] == rich_corpus.spec["world"]["relations"]
    assert other["corpus"]["exposures"] == {"kind": "constant", "exposures": 2}


def test_a_spec_with_a_grammar_takes_facts_and_another_tokenizer(run, compiled_once, tmp_path):
    for name, size in (("a", 400), ("b", 500)):
        train_tokenizer("bios-en", tmp_path / name, vocabulary=size, documents=50)
    spec = tmp_path / "spec.toml"
    spec.write_text('grammar = { name = "bios-en", tokenizer = "a" }\n')
    first = ("gen", "--spec", spec, "--facts", 60, "--probes", 0, "--out", tmp_path / "c")
    run(*first, "--json").json()
    assert Corpus.open(tmp_path / "c").world.num_subject_facts == 60
    second = ("gen", "--spec", tmp_path / "c", "--tokenizer", tmp_path / "b", "--probes", 0)
    run(*second, "--out", tmp_path / "d", "--json").json()
    made = Corpus.open(tmp_path / "d")
    assert made.text_settings.tokenizer.digest == read_tokenizer(tmp_path / "b").digest
    assert made.world.spec_hash == Corpus.open(tmp_path / "c").world.spec_hash
    run(*second, "--facts", 120, "--out", tmp_path / "e", "--json").json()
    assert Corpus.open(tmp_path / "e").world.num_subject_facts == 120


def test_facts_beside_a_spec_keep_its_relations(run, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text("[world]\nrelations = 4\nobjects = 10\n")
    run("gen", "--spec", spec, "--facts", 80, "--out", tmp_path / "c", "--json").json()
    assert Corpus.open(tmp_path / "c").world.num_subjects == 20
    assert (
        "nearest: 80 or 84"
        in run("gen", "--spec", spec, "--facts", 81, "--out", tmp_path / "d").refused()
    )


def test_options_on_a_world_that_is_a_table_are_refused(run, tmp_path, graph):
    run("import", graph, "--out", tmp_path / "spec")
    for option in ("--subjects", "--relations", "--objects", "--nested", "--facts", "--minority"):
        message = run(
            "gen", "--spec", tmp_path / "spec", option, 1, "--out", tmp_path / "c"
        ).refused()
        assert message.startswith(f"argument '{option}': got a value beside a table of facts")
