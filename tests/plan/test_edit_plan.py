import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

import behemoth as bh
from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.export.litgpt import export_litgpt
from behemoth.plan import EditPlan, EditRequest, compile_plan
from behemoth.plan.edit_plan import EDITS, PROBES, TRAINING, PlanWarning

REQUEST = EditRequest(edits=4, exposures=None, seed=9, same_relation=20, regular=20)


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(subjects=300, relations=3, objects=12, seed=7, nested=4), exposures=2)


@pytest.fixture(scope="module")
def plan(corpus):
    return compile_plan(corpus, REQUEST)


def test_columns_and_ids(plan, corpus):
    assert plan.edits.schema == EDITS
    assert plan.training.schema == TRAINING
    assert plan.probes.schema == PROBES
    assert plan.edits["edit"].to_list() == [0, 1, 2, 3]
    assert plan.training["row"].to_list() == list(range(plan.training.height))
    assert plan.probes["probe"].to_list() == list(range(plan.probes.height))
    assert plan.spec_hash == corpus.spec_hash
    assert sum(plan.groups.values()) == plan.probes.height
    assert len(plan) == 4
    assert repr(plan) == f"EditPlan(remap, edits=4, rows={plan.rows}, probes={plan.probes.height})"
    assert plan.rows > plan.training.height


def test_what_is_saved_is_loaded(plan, corpus, tmp_path):
    place = plan.save(tmp_path / "plan")
    again = EditPlan.load(place, corpus)
    assert again.request == plan.request
    assert again.plan_hash == plan.plan_hash
    for name in ("edits", "training", "probes"):
        assert getattr(again, name).equals(getattr(plan, name))
    assert {path.name for path in place.iterdir()} == {
        "plan.toml", "edits.parquet", "training.parquet", "probes.parquet",
    }  # fmt: skip


@pytest.mark.parametrize("words", [{"kind": "censor", "relation": 1}, {"kind": "refusal"}])
def test_every_kind_is_saved(corpus, tmp_path, words):
    request = EditRequest(edits=3, exposures=(2,), **words)
    plan = compile_plan(corpus, request)
    assert EditPlan.load(plan.save(tmp_path), corpus).plan_hash == plan.plan_hash


def test_the_same_request_is_the_same_plan_byte_by_byte(plan, corpus, tmp_path, contents):
    plan.save(tmp_path / "a")
    compile_plan(corpus, REQUEST).save(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    other = compile_plan(corpus, EditRequest(**{**REQUEST.to_dict(), "seed": 10}))
    assert other.plan_hash != plan.plan_hash


def test_the_hash_is_that_of_the_content(plan):
    for name, change in (
        ("edits", pl.col("old_object") + 1),
        ("training", pl.col("weight") + 1),
        ("probes", ~pl.col("must_change")),
    ):
        frames = {key: getattr(plan, key) for key in ("edits", "training", "probes")}
        frames[name] = frames[name].with_columns(change)
        made = EditPlan(plan.request, plan.spec_hash, **frames)
        assert made.plan_hash != plan.plan_hash
    made = EditPlan(plan.request, plan.spec_hash, plan.edits, plan.training, plan.probes)
    assert made.plan_hash == plan.plan_hash


def test_a_plan_that_is_there_stays_untouched(plan, tmp_path):
    plan.save(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    plan.save(tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_another_plan_is_not_replaced_unless_forced(plan, corpus, tmp_path):
    plan.save(tmp_path)
    other = compile_plan(corpus, EditRequest(edits=2, same_relation=5, regular=5))
    with pytest.raises(CorpusError, match="holds another plan; force=True replaces it"):
        other.save(tmp_path)
    assert EditPlan.load(tmp_path).plan_hash == plan.plan_hash
    other.save(tmp_path, force=True)
    assert EditPlan.load(tmp_path).plan_hash == other.plan_hash


@pytest.mark.parametrize("name", ["edits", "training", "probes"])
def test_the_same_plan_without_a_file_is_not_taken_for_another(plan, tmp_path, name):
    plan.save(tmp_path)
    (tmp_path / f"{name}.parquet").unlink()
    with pytest.raises(CorpusError, match=rf"{name}\.parquet is missing; force=True replaces it"):
        plan.save(tmp_path)
    plan.save(tmp_path, force=True)
    assert EditPlan.load(tmp_path).plan_hash == plan.plan_hash


def test_foreign_places_are_refused(plan, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(ArgumentError, match=r"holds something else \(thesis.txt\)"):
            plan.save(tmp_path, force=force)
    with pytest.raises(ArgumentError, match="a file, allowed: a new or empty directory"):
        plan.save(tmp_path / "thesis.txt")


def test_a_killed_save_is_taken_up(plan, tmp_path):
    plan.save(tmp_path)
    (tmp_path / "plan.toml").unlink()
    (tmp_path / "probes.parquet").write_bytes(b"half")
    (tmp_path / ".unfinished").write_text("plan.toml\n")  # which it has until it is whole
    with pytest.raises(ArgumentError, match="allowed: a plan directory"):
        EditPlan.load(tmp_path)
    plan.save(tmp_path)
    assert EditPlan.load(tmp_path).plan_hash == plan.plan_hash


def test_damage_is_found(plan, corpus, tmp_path):
    plan.save(tmp_path)
    frame = plan.probes.with_columns(must_change=True)
    frame.write_parquet(tmp_path / "probes.parquet")
    with pytest.raises(CorpusError, match="is damaged"):
        EditPlan.load(tmp_path)
    (tmp_path / "probes.parquet").unlink()
    with pytest.raises(CorpusError, match=r"probes\.parquet is missing"):
        EditPlan.load(tmp_path)
    text = (tmp_path / "plan.toml").read_text()
    (tmp_path / "plan.toml").write_text(text.replace("format_version = 1", "format_version = 9"))
    with pytest.raises(CorpusError, match="format version 9"):
        EditPlan.load(tmp_path)
    (tmp_path / "plan.toml").write_text("= nonsense")
    with pytest.raises(CorpusError, match="is damaged: it is not a valid plan"):
        EditPlan.load(tmp_path)


def test_a_plan_of_another_world_is_refused(plan, tmp_path):
    plan.save(tmp_path)
    other = Corpus(World(subjects=300, relations=3, objects=12, seed=8))
    with pytest.raises(
        ArgumentError, match=r"got a plan of another corpus \(spec .*\), allowed: one"
    ):
        EditPlan.load(tmp_path, other)
    with pytest.raises(ArgumentError, match="plan of another corpus"):
        export_litgpt(plan, other, tmp_path / "litgpt")


def test_singles_are_the_parts_of_the_plan(plan):
    singles = plan.singles()
    assert len(singles) == 4
    for edit, single in enumerate(singles):
        assert single.edits["edit"].to_list() == [edit]
        assert single.training["share"].unique().to_list() == [edit]
        assert single.probes["edit"].unique().to_list() == [edit]
        assert single.plan_hash == plan.single(edit).plan_hash
        assert single.spec_hash == plan.spec_hash
    assert len({single.plan_hash for single in singles}) == 4
    assert sum(single.training.height for single in singles) == plan.training.height
    assert sum(single.probes.height for single in singles) == plan.probes.height
    two = plan.take([3, 1])
    assert two.edits["edit"].to_list() == [1, 3]
    assert two.take([1]).plan_hash == plan.single(1).plan_hash
    with pytest.raises(ArgumentError, match="argument 'edits': got 7, allowed: the 4 edits"):
        plan.single(7)


def test_probes_of_the_whole_plan_come_along(corpus):
    plan = compile_plan(corpus, EditRequest(kind="censor", relation=0, fraction=0.2))
    whole = plan.probes.filter(pl.col("edit").is_null())
    assert set(whole["group"]) == {"implicit_remap", "unrelated", "retain"}
    single = plan.singles()[0]
    assert single.probes.filter(pl.col("edit").is_null()).equals(whole)
    assert single.plan_hash == plan.single(0).plan_hash


def test_lines_of_independent_edits_are_those_of_one_batch(corpus, tmp_path):
    """Edits of single models are each other's bystanders: their old answers would be trained on."""
    request = EditRequest(edits=60, independent=True, seed=1, repeats=1)
    plan = compile_plan(corpus, request)
    edited = set(plan.edits["fact"])
    others = plan.training.filter(pl.col("role") != "edit")
    assert edited & set(others["fact"])
    kept = plan.as_batch(corpus).training.filter(pl.col("role") != "edit")
    assert not edited & set(kept["fact"]) and kept.height
    export_litgpt(plan, corpus, tmp_path)
    lines = {
        name: {
            (row["instruction"], row["output"])
            for row in map(json.loads, (tmp_path / f"{name}.jsonl").read_text().splitlines())
        }
        for name in ("train", "val", "test")
    }
    told = {(corpus.decode(p), corpus.decode(a)) for p, a in kept.select("prompt", "answer").rows()}
    assert told < lines["train"]
    assert not told & (lines["val"] | lines["test"])
    answers = {asked: {a for p, a in lines["train"] if p == asked} for asked, _ in lines["train"]}
    for name in ("val", "test"):
        asked = [prompt for prompt, _ in lines[name]]
        assert len(asked) == len(set(asked))
        assert all(answer in answers.get(prompt, {answer}) for prompt, answer in lines[name])


@pytest.mark.parametrize(
    ("world", "words"),
    [
        ("plain", {"edits": 60, "relation": 1}),
        ("plain", {"edits": 60}),
        ("rich", {"edits": 30, "relation": 3}),
        ("nested", {"edits": 30, "relation": 0}),
        ("nested", {"edits": 5, "target": "object_nested"}),
    ],
)
def test_probes_of_edits_made_together_are_about_nothing_that_others_change(
    corpora, brute, world, words
):
    corpus, own = corpora[world], brute(corpora[world])
    plan = compile_plan(corpus, EditRequest(**words, independent=True, repeats=1))
    changed = {}  # what each edit changes
    for edit in plan.edits.rows(named=True):
        twin = own.twin([edit])
        of = {fact for fact, row in own.facts.items() if twin[fact] != row["object"]}
        changed[edit["edit"]] = of | {edit["fact"]}
    edited = dict(plan.edits.select("edit", "fact").rows())

    def contradicted(edit, fact):
        others = (of for other, of in changed.items() if other != edit)
        return fact != edited[edit] and any(fact in of for of in others)

    def both(frame):
        return [row for row in frame.select("edit", "fact").rows() if contradicted(*row)]

    together = plan.together(corpus)
    assert both(plan.probes) and not both(together.probes)
    assert together.training.equals(plan.training)
    assert plan.as_batch(corpus).probes.equals(together.probes)
    gone = plan.probes.join(together.probes, on="probe", how="anti")
    assert not set(gone["group"]) & {"edited", "edited_paraphrase", "edited_held_out", "forget"}
    assert together.together(corpus).plan_hash == together.plan_hash
    for single in plan.singles()[:3]:
        assert single.together(corpus) is single


def retained(plan):
    return plan.training.filter(pl.col("role") != "edit")


@pytest.mark.parametrize("probed", [None, 5, 0])
@pytest.mark.parametrize(
    ("world", "words"),
    [
        ("plain", {"edits": 30, "relation": 1}),
        ("rich", {"edits": 30, "relation": 3}),
        ("rich", {"edits": 30, "relation": 4}),
        ("nested", {"edits": 5, "target": "object_nested"}),
    ],
)
def test_a_batch_of_independent_edits_retains_what_a_plan_of_a_batch_does(
    corpora, brute, world, words, probed
):
    """Whatever is probed: what an edit changes or puts in doubt follows from the world."""
    corpus, own = corpora[world], brute(corpora[world])
    sizes = {"same_object": 5, "same_relation": 30, "regular": 30, "repeats": 1}
    plan = compile_plan(corpus, EditRequest(**words, **sizes, independent=True, probed=probed))
    subjects, changed = set(), set(plan.edits["fact"])
    for edit in plan.edits.rows(named=True):
        if not edit["link"]:
            subjects.add(edit["subject"])
        twin = own.twin([edit])
        below = own.table[edit["relation"]].get("composed") if edit["link"] else None
        changed |= {
            fact
            for fact, row in own.facts.items()
            if twin[fact] != row["object"]  # or has an object that the edited link may lead to
            or (row["relation"], row["object"]) == (below, edit["old_object"])
        }
        for relation, row in enumerate(own.table):
            if row["kind"] == "inverse" and edit["relation"] in (relation, row["of"]):
                other = row["of"] if edit["relation"] == relation else relation
                objects = (edit["old_object"], edit["new_object"])
                changed |= {own.ids[other, object_] for object_ in objects}

    def is_concerned(fact):
        row = own.facts[fact]
        return fact in changed or (not row["link"] and row["subject"] in subjects)

    def concerned(frame):
        return frame.filter(pl.col("fact").map_elements(is_concerned, pl.Boolean))

    before = retained(plan)
    gone = concerned(before)
    batch = plan.as_batch(corpus)
    assert gone.height and not concerned(retained(batch)).height
    assert retained(batch).height == before.height - gone.height
    assert batch.training.filter(role="edit").equals(plan.training.filter(role="edit"))


def test_edits_that_lose_all_retained_facts_to_others_are_warned_of():
    corpus = Corpus(World(subjects=40, relations=2, objects=10), exposures=2)
    bare = {"same_object": 0, "same_relation": 1, "regular": 1, "repeats": 1}
    plan = compile_plan(corpus, EditRequest(edits=35, relation=0, independent=True, **bare))
    with pytest.warns(PlanWarning, match="of 35 edits have no retained facts left") as told:
        batch = plan.as_batch(corpus)
    none = 35 - retained(batch)["share"].n_unique()
    assert 0 < none < 35 and str(told[0].message).startswith(f"{none} of 35 ")
    plan.take([0, 1]).as_batch(corpus)  # no warning, which would be an error


def test_a_batch_is_of_the_corpus_of_its_plan():
    plan = compile_plan(Corpus(World(50, 2, 5)), EditRequest(edits=2, independent=True))
    with pytest.raises(ArgumentError, match="argument 'plan': got a plan of another corpus"):
        plan.as_batch(Corpus(World(60, 2, 5)))


def test_json_lines_for_litgpt(plan, corpus, tmp_path):
    paths = export_litgpt(plan, corpus, tmp_path)
    assert [path.name for path in paths] == ["train.jsonl", "val.jsonl", "test.jsonl"]
    train, val, test = (
        [json.loads(line) for line in path.read_text().splitlines()] for path in paths
    )
    assert len(train) == plan.rows
    assert len(val) + len(test) == plan.probes.height
    for row in train + val + test:
        assert set(row) == {"instruction", "input", "output"}
        assert row["input"] == ""
    first = plan.training.row(0, named=True)
    assert (
        train[:250]
        == [
            {
                "instruction": corpus.decode(first["prompt"]),
                "input": "",
                "output": corpus.decode(first["answer"]),
            }
        ]
        * 250
    )
    asked = [{row["instruction"] for row in rows} for rows in (train, val, test)]
    edited = {corpus.decode(p) for p in plan.training.filter(pl.col("role") == "edit")["prompt"]}
    assert asked[0] & (asked[1] | asked[2]) <= edited
    assert not asked[1] & asked[2]


@pytest.mark.parametrize("edit", [1.7, True, "a", 9])
def test_edits_are_taken_by_their_numbers(plan, edit):
    assert plan.take([np.int64(1)]).edits["edit"].to_list() == [1]
    with pytest.raises(ArgumentError, match=f"argument 'edits': got {edit}"):
        plan.take([edit])


@pytest.mark.parametrize("groups", ["forget", ["forgett"]])
def test_probes_are_asked_by_the_names_of_their_groups(plan, groups):
    assert set(plan.asking(["edited"]).probes["group"]) == {"edited"}
    with pytest.raises(ArgumentError, match=r"argument 'groups': got .*forget"):
        plan.asking(groups)


def test_what_a_model_knows_is_true_or_false(corpus, tmp_path):
    known = pl.DataFrame({"fact": [1, 2], "exact_match": ["yes", "no"]})
    with pytest.raises(ArgumentError, match=r"'known': got .*exact_match is String, allowed: true"):
        bh.plan(corpus, out=tmp_path / "plan", edits=1, known=known)


def test_what_a_model_knows_may_be_a_frame_of_pandas(corpus):
    asked = {"exposures": [2] * 120, "fact": range(120), "exact_match": [True, False, None] * 40}
    options = {"edits": 5, "distinct": False}
    plan = bh.plan(corpus, known=pd.DataFrame(asked), **options)
    assert plan.plan_hash == bh.plan(corpus, known=pl.DataFrame(asked), **options).plan_hash
    assert (plan.edits["fact"] % 3 == 0).all()
    with pytest.raises(ArgumentError, match="'known': got a table without it, allowed: a table"):
        bh.plan(corpus, known=pd.DataFrame({"exposures": [7]}), **options)
    with pytest.raises(ArgumentError, match=r"'known': got an array of shape \(1, 2\), allowed"):
        bh.plan(corpus, known=[[7, 200]], **options)
    nullable = pd.DataFrame(asked).astype({"exact_match": "boolean"})
    assert plan.plan_hash == bh.plan(corpus, known=nullable, **options).plan_hash
    with pytest.raises(ArgumentError, match="exact_match is String, allowed: true or false"):
        bh.plan(corpus, known=nullable.astype({"exact_match": "string"}), **options)


def test_a_fact_that_is_not_recalled_is_not_known(corpus, tmp_path):
    asked = pl.DataFrame({"fact": range(120)}).with_columns(exact_match=pl.col("fact") % 7 == 0)
    plan = bh.plan(corpus, out=tmp_path / "plan", edits=5, distinct=False, known=asked)
    assert plan.edits.height == 5 and (plan.edits["fact"] % 7 == 0).all()


def result_of(suite, frame):
    about = {"source": "run", "plan_hash": None, "twin": None, "stage": "before"}
    rest = {"edit_hash": None, "measures": (), "seconds": 0.0, "versions": {}}
    return bh.SuiteResult(suite=suite, **about, **rest, frame=frame)


def test_the_result_of_a_suite_says_what_a_model_knows(corpus):
    asked = pl.DataFrame({"fact": range(120)}).with_columns(exact_match=pl.col("fact") % 7 == 0)
    asked = asked.with_columns(exact_match=pl.when(fact=3).then(None).otherwise("exact_match"))
    plan = bh.plan(corpus, edits=5, distinct=False, known=result_of("recall", asked))
    assert plan.plan_hash == bh.plan(corpus, edits=5, distinct=False, known=asked).plan_hash
    said = "'known': got the result of the suite editing, allowed: that of the suite recall, a tab"
    with pytest.raises(ArgumentError, match=said):
        bh.plan(corpus, edits=5, known=result_of("editing", asked))


@pytest.mark.parametrize(
    ("known", "got"),
    [
        ([7, None], "no number in row 1"),
        (pl.DataFrame({"fact": [9, 4, None], "exact_match": [False, True, True]}), "no number in "),
        ([10**6], "1000000"),
    ],
)
def test_what_a_model_knows_are_facts_of_the_world(corpus, known, got):
    allowed = f"allowed: whole numbers 0 to {corpus.world.num_facts - 1}"
    with pytest.raises(ArgumentError, match=rf"'known': got {got}.*, {allowed}"):
        bh.plan(corpus, edits=1, known=known)
