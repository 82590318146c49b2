"""Formats of rows, read back by the library that they are for."""

import json

import numpy as np
import polars as pl
import pytest
from datasets import get_dataset_config_names, load_dataset

from behemoth import ArgumentError, Corpus, Grammar, Questions, World
from behemoth.export import export, tables

FORMATS = ("jsonl", "chat", "hf-dataset")
SUFFIXES = {"jsonl": "jsonl", "chat": "jsonl", "hf-dataset": "parquet"}
CONFIGS = {
    "jsonl": ["documents", "questions"],
    "chat": ["chat"],
    "hf-dataset": ["documents", "questions", "chat"],
}

LETTERS = r"""
name = "letters"
language = "ja"

[lists]
first = ["Ömer", "Zoë \"Zz\"", "李", "Ana\\"]
last = ["O'Neil", "Ray\u0301", "😀"]
city = ["São Paulo", "東京", "Köln\u00a0(Rhein)"]

[subject]
name = "{first} {last}"

[relations.city]
objects = "{city}"
statements = ["{Subject} lives in {object}.", "{{{object}}}: {subject}"]
questions = ["Where does {subject} live?"]
answer = "“{object}”"
"""


def letters():
    return Grammar("letters.toml", LETTERS)


def background(folder):
    np.array([5, 6, 7, 0] * 20, "<u2").tofile(folder / "tokens.bin")
    np.arange(4, 81, 4).astype("<u8").tofile(folder / "tokens.idx")
    return folder


def corpora(folder):
    """Corpora of each kind, by name."""
    world = World(subjects=50, relations=2, objects=6, minority=0.1)
    templates = Corpus(
        world, exposures=3, paraphrases=2, held_out=1, questions=Questions(0.5, 0.2),
        filler="zipf:tokens=900", shard_bytes=1 << 12,
    )  # fmt: skip
    grammar = Grammar.named("bios-de")
    text = Corpus(
        grammar.world(12), exposures=3, order="bios", questions=Questions(0.5, 0.1),
        grammar=grammar, background=background(folder),
    )  # fmt: skip
    other = Corpus(letters().world(12), exposures=90, grammar=letters())
    return {
        "templates": templates,
        "twin": templates.without(range(0, 60, 2)).override({3: 1}),
        "text": text,
        "text twin": text.without(range(0, 40, 3)),
        "letters": other,
    }


@pytest.fixture(scope="module", params=["templates", "twin", "text", "text twin", "letters"])
def corpus(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    made = corpora(folder)[request.param]
    made.write(folder / "corpus", probes=0)
    return Corpus.open(folder / "corpus")


@pytest.fixture(scope="module")
def small_files():
    """Several files a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_TOKENS", 1000)
        patch.setattr(tables, "_ROWS", 300)
        patch.setattr(tables, "_PARTS", 2)
        yield


@pytest.fixture(scope="module", params=FORMATS)
def exported(request, corpus, tmp_path_factory, small_files):
    """A format, and the directory of an export to it."""
    out = tmp_path_factory.mktemp("exported") / "out"
    export(corpus.directory, out, to=request.param)
    return request.param, out


def read(place, config, cache):
    """All splits of a table, as ``datasets`` reads them."""
    found = load_dataset(str(place), config, cache_dir=str(cache), keep_in_memory=True)
    return {split: pl.from_arrow(rows.with_format("arrow")[:]) for split, rows in found.items()}


def test_the_library_reads_what_there_is(exported, corpus, tmp_path):
    to, out = exported
    assert get_dataset_config_names(str(out)) == CONFIGS[to]
    held_out = any(row["held_out"] and row["is_question"] for row in corpus.templates)
    for config in CONFIGS[to]:
        found = read(out, config, tmp_path / "cache")
        splits = ["train"] if config == "documents" or not held_out else ["train", "test"]
        assert list(found) == splits
        files = [path for path in (out / config).iterdir() if path.suffix == f".{SUFFIXES[to]}"]
        assert len(files) > 2 or (corpus.world.num_facts <= 100 and config != "documents")
        if config == "documents":
            expected = {"train": corpus.documents(0, corpus.num_documents)}
        else:
            expected = {split: corpus.questions(held_out=split == "test") for split in splits}
        for split, frame in expected.items():
            rows = found[split]
            if config == "chat":
                asked = rows["messages"].list.get(0).struct.unnest()
                said = rows["messages"].list.get(1).struct.unnest()
                assert set(rows["messages"].list.len()) == {2}
                assert (asked["role"] == "user").all() and (said["role"] == "assistant").all()
                rows = rows.select(
                    asked["content"].alias("question"),
                    said["content"].alias("answer"),
                    pl.exclude("messages"),
                )
            assert rows.columns == frame.columns and rows.schema == frame.schema
            assert rows.equals(frame)


def test_corpora_in_folders_of_one_name_are_told_apart(tmp_path):
    """The cache knows a local data set by the names of its folder and files, and by the card."""
    for seed in (0, 1):
        corpus = Corpus(World(subjects=12, relations=2, objects=4, seed=seed), exposures=2)
        place = tmp_path / str(seed)
        corpus.write(place / "corpus", probes=0)
        export(place / "corpus", place / "out", to="jsonl")
        found = read(place / "out", "documents", tmp_path / "cache")["train"]
        assert found["text"].to_list() == corpus.texts(0, corpus.num_documents)


def test_lines_are_read_without_the_card(corpus, tmp_path):
    """As open-unlearning reads questions, and others JSON lines."""
    export(corpus.directory, tmp_path / "out", to="jsonl")
    for config, columns in (("questions", ["question", "answer"]), ("documents", ["text"])):
        files = str(tmp_path / "out" / config / "train-*.jsonl")
        found = load_dataset(
            "json", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
        )
        expected = (
            corpus.documents(0, corpus.num_documents)
            if config == "documents"
            else corpus.questions(held_out=False)
        )
        for column in columns:
            assert list(found[column]) == expected[column].to_list()


def test_each_document_is_there_once_and_in_order(exported, corpus, tmp_path):
    to, out = exported
    if "documents" not in CONFIGS[to]:
        return
    frame = read(out, "documents", tmp_path / "cache")["train"]
    texts = corpus.texts(0, corpus.num_documents)
    lengths = [len(corpus.tokens(i, i + 1)) for i in range(corpus.num_documents)]
    there = [i for i, length in enumerate(lengths) if length]
    assert frame["document"].to_list() == there
    assert frame["text"].to_list() == [texts[i] for i in there]
    assert frame["tokens"].sum() == sum(len(corpus.shard(i)) for i in range(corpus.num_shards))


def test_bytes_are_the_same_again(exported, corpus, tmp_path):
    to, out = exported
    export(corpus.directory, tmp_path / "again", to=to)
    names = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(names) > 5
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name


def test_letters_are_written_as_they_are(tmp_path):
    corpus = Corpus(letters().world(12), grammar=letters())
    corpus.write(tmp_path / "corpus", probes=0)
    export(tmp_path / "corpus", tmp_path / "out", to="jsonl")
    raw = (tmp_path / "out" / "documents" / "train-00000.jsonl").read_bytes()
    rows = [json.loads(line) for line in raw.decode().split("\n")[:-1]]
    assert [row["text"] for row in rows] == corpus.texts(0, corpus.num_documents)
    assert "東京".encode() in raw and "😀".encode() in raw
    raw = (tmp_path / "out" / "questions" / "train-00000.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in raw.split("\n")[:-1]]
    cities = ["São Paulo", "東京", "Köln\u00a0(Rhein)"]
    assert [row["answer"] for row in rows] == [f"“{cities[row['object']]}”" for row in rows]


def test_what_was_lost_is_made_again_and_nothing_else(exported, corpus):
    to, out = exported
    whole = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    lost = sorted(path for path in whole if path.suffix == f".{SUFFIXES[to]}")[1::3]
    for path in lost:
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in whole if path not in lost}
    export(corpus.directory, out, to=to)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_one_that_is_stopped_leaves_whole_files_and_goes_on(corpus, tmp_path, small_files):
    class StoppedError(Exception):
        pass

    def stop(at):
        if at.done >= at.total // 2:
            raise StoppedError

    export(corpus.directory, tmp_path / "whole", to="jsonl")
    with pytest.raises(StoppedError):
        export(corpus.directory, tmp_path / "out", to="jsonl", progress=stop)
    place = tmp_path / "out" / "documents"
    there = {path.name for path in place.iterdir()}
    names = sorted(path.name for path in (tmp_path / "whole" / "documents").iterdir())
    assert 0 < len(there) < len(names) and there < set(names)
    for name in there:
        whole = (tmp_path / "whole" / "documents" / name).read_bytes()
        assert (place / name).read_bytes() == whole
    export(corpus.directory, tmp_path / "out", to="jsonl")
    assert sorted(path.name for path in place.iterdir()) == names


def test_progress_ends_at_all_rows(corpus, tmp_path, small_files):
    said = {}

    def look(at):
        before, total = said.get((at.label, at.unit), (0, 0))
        assert before <= at.done or before == total  # a task for each split
        said[at.label, at.unit] = (at.done, at.total)

    export(corpus.directory, tmp_path / "out", to="hf-dataset", progress=look)
    facts = corpus.world.num_facts
    assert said == {
        ("exporting documents", "documents"): (corpus.num_documents,) * 2,
        ("exporting questions", "facts"): (facts, facts),
        ("exporting chat", "facts"): (facts, facts),
    }


def test_force_replaces_one_by_another(corpus, tmp_path):
    export(corpus.directory, tmp_path / "out", to="hf-dataset")
    with pytest.raises(ArgumentError, match=r"another export \(to hf-dataset\), allowed"):
        export(corpus.directory, tmp_path / "out", to="jsonl")
    export(corpus.directory, tmp_path / "out", to="jsonl", force=True)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "README.md", "export.json", "sums.json", "documents", "questions", "tokenizer",
    }  # fmt: skip
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_grammar_that_asks_nothing(tmp_path):
    mute = "\n".join(line for line in LETTERS.splitlines() if "?" not in line)
    grammar = Grammar("mute.toml", mute)
    Corpus(grammar.world(12), grammar=grammar).write(tmp_path / "corpus", probes=0)
    with pytest.raises(ArgumentError, match="got chat for a corpus whose grammar has no questions"):
        export(tmp_path / "corpus", tmp_path / "chat", to="chat")
    assert not (tmp_path / "chat").exists()
    export(tmp_path / "corpus", tmp_path / "out", to="hf-dataset")
    assert get_dataset_config_names(str(tmp_path / "out")) == ["documents"]
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {
        "documents", "tokenizer",
    }  # fmt: skip


def test_a_corpus_without_documents_has_a_table_without_rows(tmp_path):
    corpus = Corpus(World(subjects=2, relations=1, objects=2)).without([0, 1])
    corpus.write(tmp_path / "corpus", probes=0)
    export(tmp_path / "corpus", tmp_path / "out", to="hf-dataset")
    frame = pl.read_parquet(tmp_path / "out" / "documents" / "train-00000.parquet")
    assert frame.equals(corpus.documents(0, 0))
    assert read(tmp_path / "out", "chat", tmp_path / "cache")["train"].height == 2
