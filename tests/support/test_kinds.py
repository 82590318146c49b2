"""A directory of one kind where another is wanted: one wording for all pairs."""

import re

import pytest

import behemoth as bh
from behemoth.corpus.finish import finish_corpus
from behemoth.corpus.source import source_place
from behemoth.corpus.text_tokenizer import read_tokenizer
from behemoth.edit.record import read_edit
from behemoth.export.inspection import inspect_export
from behemoth.plan.directory import plan_place
from behemoth.store.files import record_of
from behemoth.study.gates.stored import read_gates
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.kinds import KINDS, held, kind_of
from behemoth.train.inspection import inspect_run
from behemoth.train.run import run_place
from behemoth.zoo import read_zoo

READERS = {
    "a corpus": bh.Corpus.open,
    "a spec": source_place,
    "a run": run_place,
    "a plan": plan_place,
    "an edit": read_edit,
    "a delta": bh.EditDelta.load,
    "a suite": bh.SuiteResult.load,
    "a study": bh.Results.open,
    "a directory of gates": read_gates,
    "a zoo": read_zoo,
    "an export": inspect_export,
}
OTHERS = {
    "a run": inspect_run, "a corpus": finish_corpus, "a tokenizer": read_tokenizer,
    "a corpus of any kind": record_of,
}  # fmt: skip
FILES = {kind: [record] for record, kind in KINDS.items()}
FILES["a run"] += ["spec.toml", "config.json", "model.safetensors", "tokenizer.json", "trace.json"]
FILES["a corpus"] += ["spec.toml"]
FILES |= {"a model": ["config.json", "model.safetensors"], "a tokenizer": ["tokenizer.json"]}
ADAPTER = "an adapter (merge it: `merge_and_unload().save_pretrained(DIR)` of PEFT)"
FILES[ADAPTER] = ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]


def directory(place, kind):
    place.mkdir()
    for name in FILES[kind]:
        (place / name).write_text("")
    return place


@pytest.mark.parametrize("kind", FILES)
def test_a_directory_says_what_it_is_where_another_is_wanted(tmp_path, kind):
    place = directory(tmp_path / "d", kind)
    assert kind_of(place) == kind
    asked = 0
    for wanted, read in (*READERS.items(), *OTHERS.items()):
        # A corpus directory and a run are also the specs that they have.
        if wanted == kind or (wanted == "a spec" and "spec.toml" in FILES[kind]):
            continue
        if wanted == "a corpus of any kind" and kind in FILES and record_is_sent(kind):
            continue
        if wanted == "a tokenizer" and "tokenizer.json" in FILES[kind]:
            continue
        got = re.escape(f"{place}, which is {kind}, allowed: ")
        told = rf"^argument '\w+': got {got}"
        with pytest.raises(ArgumentError, match=told):
            read(place)
        asked += 1
    assert asked >= 9


def record_is_sent(kind):
    return kind not in ("a delta", "a suite", "a trace", "a tuning", "a directory of gates",
                        "a spec", "a model", "a tokenizer", ADAPTER)  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_directory_of_another_kind_is_not_written_over(tmp_path, kind):
    place = directory(tmp_path / "d", kind)
    before = sorted(place.iterdir())
    corpus = bh.Corpus(bh.World(10, 2, 5))
    table = tmp_path / "facts.parquet"
    corpus.world.facts().write_parquet(table)
    writers = {
        "a corpus": lambda: corpus.write(place),
        "a spec": lambda: bh.import_(table, place),
        "a plan": lambda: bh.plan(corpus, edits=1, repeats=1, probes=1).save(place, force=True),
        "a run": lambda: bh.train(corpus, out=place, config="pico"),
    }
    for own, write in writers.items():
        if own == kind or (own == "a corpus" and kind == "a spec"):  # these the engine refuses
            continue
        argument = "directory" if own == "a plan" else "out"
        got = re.escape(f"{place}, which is {kind}")
        told = rf"^argument '{argument}': got {got}, allowed: a new "
        with pytest.raises(ArgumentError, match=told):
            write()
    assert sorted(place.iterdir()) == before


def test_what_is_of_no_kind_is_named_by_a_file(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    assert kind_of(tmp_path) is None and kind_of(tmp_path / "nowhere") is None
    assert held(tmp_path, "notes.txt") == f"{tmp_path}, which holds something else (notes.txt)"
    assert held(tmp_path, "run.json") == f"{tmp_path}, which is a run"


def test_every_kind_is_verified_or_has_a_reason_not_to_be():
    from behemoth import verification

    elsewhere = {"manifest.json", "export.json"}  # by the corpus's and the export's own function
    assert {*verification._KINDS, *elsewhere, "spec.toml"} == set(KINDS)


def test_every_kind_is_loaded_but_exports_and_gates(tmp_path):
    """Without its other files none can be read, but no kind is called unknown."""
    for record, kind in KINDS.items():
        place = tmp_path / record
        place.mkdir()
        (place / record).write_text("?")
        with pytest.raises((ArgumentError, CorpusError)) as refused:
            bh.load(place)
        unknown = "a directory of a corpus, a spec, a run" in str(refused.value)
        assert unknown == (record in ("export.json", "gates.json")), kind
