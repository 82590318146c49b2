"""`inspect` describes what a directory holds, as `behemoth inspect` does."""

import polars as pl
import pytest

import behemoth as bh


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("all")
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5))
    bh.gen(corpus, place / "corpus", probes=0)
    (place / "spec.toml").write_text(corpus.spec_toml)
    plan = bh.plan(trained, edits=2, independent=True, repeats=1, probes=1, out=place / "plan")
    settings = {"rank": 1, "steps": 1}
    bh.edit(trained, plan, "lora", place / "edit", settings=settings, single=True)
    bh.evaluate_suite(trained, "recall", out=place / "suite", facts=20)
    bh.export(place / "corpus", place / "export", to="text")
    pl.DataFrame({"fact": [1, 2]}).write_parquet(place / "frame.parquet")
    return place


@pytest.mark.parametrize(
    ("name", "what", "rows"),
    [
        ("plan", "a plan of edits", {"edits": 2, "kind": "remap"}),
        ("edit", "an edit, finished", {"method": "lora", "failed": 0, "single": True}),
        ("edit/deltas/00000", "the delta of an edit", {"method": "lora", "failure": None}),
        ("suite", "a suite of measures, recall", {"stage": "before", "plan_hash": None}),
        ("export", "an export to text", {"behemoth": bh.__version__}),
        ("spec.toml", "a spec", {"facts": 40}),
        ("frame.parquet", "a frame", {"rows": 2, "columns": ["fact"]}),
    ],
)
def test_each_kind_is_described_as_the_command_does(made, run, name, what, rows):
    found = bh.inspect(made / name)
    assert found["directory"] == str(made / name) and found["is"] == what
    assert {key: found[key] for key in rows} == rows
    assert run("inspect", made / name, "--json").json() == found


def test_a_corpus_and_a_run_have_types_of_their_own(made, trained):
    corpus = bh.inspect(made / "corpus", samples=1)
    assert (corpus.facts, len(corpus.samples), corpus.complete) == (40, 1, True)
    assert bh.inspect(bh.load(trained)).status == "finished"


def test_anything_else_is_refused(tmp_path):
    with pytest.raises(bh.ArgumentError, match=r"'directory': got .*, allowed: a directory of a"):
        bh.inspect(tmp_path)
    with pytest.raises(bh.ArgumentError, match="'samples': got -1"):
        bh.inspect(tmp_path, samples=-1)
