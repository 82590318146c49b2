import json

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, Questions, World
from behemoth.corpus.probes import probe_metadata, write_probes

SCHEMA = {
    "prompt": pl.List(pl.UInt32),
    "answer": pl.List(pl.UInt32),
    "rest": pl.List(pl.UInt32),
    "fact": pl.UInt64,
    "subject": pl.UInt64,
    "relation": pl.UInt32,
    "object": pl.UInt32,
    "template": pl.String,
    "wording": pl.UInt32,
    "held_out": pl.Boolean,
    "exposures": pl.UInt64,
    "seen": pl.Boolean,
}


def test_probes_are_the_sentences_of_the_corpus_cut_before_the_object(world, corpus, documents):
    probes = corpus.probes()
    assert probes.schema == SCHEMA
    assert probes.height == 180
    written = {tuple(sentence) for sentence in documents(corpus.tokens(0, corpus.num_documents))}
    for prompt, answer in probes.select("prompt", "answer").iter_rows():
        assert (*prompt, *answer, 2, 0) in written
    assert probes["object"].equals(world.facts()["object"])
    assert (probes["exposures"] == 4).all()
    assert probes["seen"].null_count() == 180


def test_probes_of_several_wordings_and_templates(rich_corpus):
    probes = rich_corpus.probes(np.arange(0, 100, 3))
    assert probes.schema == SCHEMA
    assert {"default", "rso", "repeats", "nonsense", "question"} <= set(probes["template"])
    assert not {"sor", "osr"} & set(probes["template"])  # the object stands before the relation
    default = probes.filter(pl.col("template") == "default")
    assert sorted(default["wording"].unique()) == [0, 1, 2]
    assert default.filter(pl.col("held_out"))["wording"].unique().to_list() == [2]
    names = rich_corpus.token_names
    for row in probes.iter_rows(named=True):
        assert names[row["answer"][-1]].endswith(f":{row['object']}")
        assert f":{row['object']}" not in "".join(names[token] for token in row["prompt"][-1:])
    questions = probes.filter(pl.col("template") == "question")
    assert questions["seen"].null_count() == 0
    assert 0 < questions["seen"].sum() < questions.height


@pytest.mark.parametrize("template", ["sor", "osr", "refusal", "question_refusal"])
def test_a_corpus_without_probes_has_an_empty_frame_of_them(template):
    corpus = Corpus(World(20, 2, 5), exposures=4, templates={template: 1})
    assert corpus.probes().is_empty()
    assert corpus.probes().schema == SCHEMA
    assert corpus.probes(combinations=True).schema == {**SCHEMA, "combination": pl.UInt16}
    assert Corpus(World(20, 2, 5)).probes(templates=[]).schema == SCHEMA


def test_questions_with_a_weight_are_about_all_subjects():
    corpus = Corpus(World(20, 2, 5), exposures=4, templates={"default": 1, "question": 1})
    assert corpus.probes(templates=["question"])["seen"].all()
    assert corpus.questions()["seen"].all()


def test_seen_and_unseen_subjects_are_told_apart():
    corpus = Corpus(World(40, 2, 5), exposures=10, questions=Questions(0.25, 0.125))
    probes = corpus.probes(templates=["question"])
    ledger = corpus.ledger(np.arange(80))
    asked = set(ledger.filter(pl.col("template") == "question")["fact"].to_list())
    seen = set(probes.filter(pl.col("seen"))["fact"].to_list())
    assert len(seen) == 20
    assert asked == seen


def test_words_of_several_tokens_are_answers_of_several_tokens():
    corpus = Corpus(World(20, 1, 300), base=10)
    probes = corpus.probes()
    assert probes["answer"].list.len().unique().to_list() == [3]
    # The answer of a question begins with the marker, as the reference's does.
    assert corpus.probes([0], ["question"])["answer"].list.len().to_list() == [4]
    text = [corpus.decode(answer) for answer in probes["answer"].to_list()]
    digits = [text.replace("O0:", "").replace(".", "").replace(" ", "") for text in text]
    assert [int(number) for number in digits] == probes["object"].to_list()


def test_an_unknown_template_is_refused_with_those_there_are(corpus):
    with pytest.raises(
        ArgumentError, match=r"argument 'templates': got sonnet, allowed: .*default"
    ):
        corpus.probes(templates=["sonnet"])


def test_no_facts_make_an_empty_frame(corpus):
    assert corpus.probes([]).schema == SCHEMA
    assert corpus.probes([]).is_empty()


def test_one_file_for_each_template(rich_corpus, tmp_path):
    paths = write_probes(rich_corpus, tmp_path, "all")
    assert {path.stem for path in paths} == set(rich_corpus.probes([0])["template"])
    for path in paths:
        frame = pl.read_parquet(path)
        assert frame.schema == SCHEMA
        expected = rich_corpus.probes(templates=[path.stem])
        assert frame.equals(expected)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}


def test_chunks_make_the_same_file(rich_corpus, tmp_path, monkeypatch):
    whole = write_probes(rich_corpus, tmp_path / "whole", 100)
    monkeypatch.setattr("behemoth.corpus.probes._CHUNK", 7)
    cut = write_probes(rich_corpus, tmp_path / "cut", 100)
    for left, right in zip(whole, cut, strict=True):
        assert pl.read_parquet(left).equals(pl.read_parquet(right))


def test_all_combinations_of_the_repeats_grammar(tmp_path):
    corpus = Corpus(World(30, 2, 5), templates={"default": 1, "repeats": 1}, paraphrases=2)
    one = corpus.probes([3, 4], ["repeats"])
    every = corpus.probes([3, 4], ["repeats"], combinations=True)
    assert every.schema == SCHEMA | {"combination": pl.UInt16}
    assert every.height == 432 * one.height == 432 * 4
    assert set(every["combination"]) == set(range(432))
    each = every.group_by("fact", "wording").agg(pl.col("prompt").n_unique(), pl.len())
    assert (each["prompt"] == 432).all() and (each["len"] == 432).all()
    # The one that is drawn is among them, with the same answer.
    keys = ["fact", "wording", "prompt", "answer"]
    assert one.join(every, on=keys, how="semi").height == one.height
    # Others have the one prompt that they have.
    plain = corpus.probes([3, 4], ["default"], combinations=True)
    assert plain.drop("combination").equals(corpus.probes([3, 4], ["default"]))
    assert plain["combination"].unique().to_list() == [0]


def test_files_with_all_combinations(run, tmp_path):
    words = ["--facts", "60", "--templates", "default=1,repeats=1", "--probes", "5"]
    seen = json.loads(run("gen", *words, "--dry-run", "--json").out)["disk_needed"]
    every = json.loads(run("gen", *words, "--combinations", "--dry-run", "--json").out)
    assert every["disk_needed"] - seen == 431 * 5 * 16
    assert run("gen", *words, "--combinations", "--out", tmp_path / "c").code == 0
    file = tmp_path / "c" / "probes" / "repeats.parquet"
    assert pl.read_parquet(file).height == 5 * 432
    assert pl.read_parquet(file.with_stem("default")).height == 5
    assert run("verify", tmp_path / "c").code == 0
    # Asked for another way, the files are written anew.
    assert run("gen", *words, "--out", tmp_path / "c").code == 0
    assert pl.read_parquet(file).height == 5
    assert run("verify", tmp_path / "c").code == 0


def test_a_sample_is_exact_and_says_how_large_it_is(rich_corpus, tmp_path):
    calls = []
    paths = write_probes(rich_corpus, tmp_path, 30, lambda done, total: calls.append((done, total)))
    for path in paths:
        assert pl.read_parquet(path)["fact"].n_unique() == 30
        assert probe_metadata(path) == {
            "behemoth_spec_hash": rich_corpus.spec_hash,
            "behemoth_facts": "30",
        }
    assert calls[-1][0] == calls[-1][1] > 0


def test_files_that_are_there_stay_untouched(rich_corpus, tmp_path):
    first = {path: path.stat().st_mtime_ns for path in write_probes(rich_corpus, tmp_path, 30)}
    again = {path: path.stat().st_mtime_ns for path in write_probes(rich_corpus, tmp_path, 30)}
    assert first == again
    for path in write_probes(rich_corpus, tmp_path, 40):
        assert pl.read_parquet(path)["fact"].n_unique() == 40


def test_none_are_written_when_none_are_asked_for(rich_corpus, tmp_path):
    assert write_probes(rich_corpus, tmp_path / "probes", 0) == []
    assert not (tmp_path / "probes").exists()


def test_what_stops_a_write_is_told_and_leaves_no_half_file(rich_corpus, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_probes(rich_corpus, tmp_path, 30, stop)
    assert list(tmp_path.iterdir()) == []
