"""What formats make of independent edits, whose mixtures hold each other's facts in place."""

import json

import polars as pl

import behemoth as bh
from behemoth import export
from behemoth.export.planned import Planned
from behemoth.plan.together import concerned


def lines(file):
    return list(map(json.loads, file.read_text(encoding="utf-8").splitlines()))


def test_tofu_keeps_no_forgotten_fact_of_independent_edits(tmp_path):
    corpus = bh.Corpus(bh.World(subjects=60, relations=4, objects=12, seed=3))
    directory = tmp_path / "corpus"
    corpus.write(directory, probes=0)
    plan = bh.plan(corpus, edits=8, independent=True, repeats=2, regular=40, same_relation=20)
    edited = plan.edits["fact"].implode()
    rest = plan.training.filter(pl.col("role") != "edit")
    assert rest["fact"].is_in(edited).any()  # held in place beside another edit
    out = tmp_path / "tofu"
    export(directory, out, to="tofu", plan=plan)
    [forget] = [path for path in out.glob("forget*.json") if "_" not in path.name]
    forgotten = {row["question"] for row in lines(forget)}
    kept = list(out.glob("retain*.json"))
    assert len(kept) == 2
    assert not any(row["question"] in forgotten for path in kept for row in lines(path))


def test_tasks_of_independent_edits_keep_no_fact_that_another_changes(tmp_path):
    corpus = bh.Corpus(bh.World(subjects=60, relations=4, objects=12, seed=3))
    corpus.write(tmp_path / "corpus", probes=0)
    plan = bh.plan(corpus, edits=20, relation=1, independent=True, repeats=2, probes=10)
    stays = plan.probes.filter(~pl.col("must_change"))
    assert stays["fact"].is_in(plan.edits["fact"].implode()).any()
    out = tmp_path / "tasks"
    export(tmp_path / "corpus", out, to="lm-eval", plan=plan)
    edited = {row["prompt"] for row in lines(out / "edited.jsonl")}
    assert edited
    for name in ("kept", "neighbourhood"):
        rows = lines(out / f"{name}.jsonl")
        assert rows and not any(row["prompt"] in edited for row in rows)


def test_tofu_keeps_no_fact_that_an_independent_edit_puts_in_doubt(tmp_path):
    corpus = bh.Corpus(bh.World(subjects=60, relations=2, objects=12, nested=4), exposures=2)
    corpus.write(tmp_path / "corpus", probes=0)
    plan = bh.plan(corpus, edits=20, independent=True, repeats=2)
    in_doubt = plan.training.filter(pl.col("fact").is_in(concerned(plan, corpus).implode()))
    other = in_doubt.filter(~pl.col("fact").is_in(plan.edits["fact"].implode()))
    planned = Planned(corpus, plan)
    doubtful = {planned.said(prompt, [])[0] for prompt in other["prompt"]}
    assert doubtful
    export(tmp_path / "corpus", tmp_path / "tofu", to="tofu", plan=plan)
    [retained] = (tmp_path / "tofu").glob("retain[0-9][0-9].json")
    assert lines(retained) and not any(row["question"] in doubtful for row in lines(retained))
    together = plan.together(corpus).probes
    assert together.height < plan.probes.height
    asked = {planned.said(prompt, [])[0] for prompt in together["prompt"]}
    probed = lines(tmp_path / "tofu" / "retain_perturbed.json")
    assert probed and all(row["question"] in asked for row in probed)
