import math

import polars as pl
import pytest
import torch

from behemoth import Corpus, World
from behemoth.delta.delta import Dense, EditDelta
from behemoth.edit.protocol import HOLD
from behemoth.edit.registry import method_type
from behemoth.evaluate.dose import first_dose
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.trial.batched_geometry import shapes
from behemoth.study.trial.laboratory import Laboratory
from behemoth.study.trial.measure import _shape_of, about_edits, dose_of, trace_frame


@pytest.fixture(scope="module")
def edits(finished):
    return Results.open(finished[0]).edits.collect()


def test_single_edits_and_batches(edits):
    assert edits.height == 8 * 4
    single = edits.filter(pl.col("label") != "batch")
    batch = edits.filter(pl.col("label") == "batch")
    assert set(single["batch"]) == {1} and set(batch["batch"]) == {4}
    assert single["dose"].null_count() == 0 and batch["dose"].null_count() == batch.height
    assert batch.group_by("trial").agg(pl.col("norm").n_unique())["norm"].to_list() == [1, 1]


def test_doses_and_margins_are_those_of_the_traces(finished, edits):
    traces = Results.open(finished[0]).traces.collect()
    steps = {"LoRA, rank 1": 3, "LoRA, rank 4": 3, "ascent": 2}
    for label, last in steps.items():
        for row in edits.filter(pl.col("label") == label).iter_rows(named=True):
            own = traces.filter(trial=row["trial"], edit=row["edit"]).sort("step")
            assert own["step"].to_list() == list(range(last + 1))
            assert row["limit"] == max(0, last - HOLD)
            if label != "ascent":
                said = row["dose"], row["reached"], row["dose_low"], row["limit"]
                assert said == first_dose(own.to_dicts())
            start = own.row(0, named=True)
            margin = start["log_probability_old"] - start["log_probability_new"]
            assert math.isclose(row["margin"], margin)


def test_a_flip_after_the_last_step_is_efficacy(edits):
    flips = edits.filter(pl.col("label").str.starts_with("LoRA"))
    assert set(flips["dose_kind"]) == {"flip"}
    never = flips.filter(~pl.col("reached"))
    assert (never["dose"] == never["limit"]).all() and not never["efficacy"].sum()


def test_what_is_asked_is_what_is_in_the_frames(finished, edits):
    probes = Results.open(finished[0]).probes.collect()
    assert probes.group_by("trial").agg(pl.col("edit").drop_nulls().n_unique())["edit"].min() == 4
    own = probes.filter((pl.col("group") == "edited") & (pl.col("stage") == "after"))
    row = edits.filter(pl.col("label") == "LoRA, rank 4").row(0, named=True)
    after = own.filter(trial=row["trial"], edit=row["edit"])
    assert row["success"] == after["exact_match"].mean()


def test_geometry_agrees_with_the_deltas(finished, tiny, tmp_path):
    """Done again with the changes kept: they are the same, and so is their shape."""
    from behemoth.delta.delta import EditDelta

    study = Study.parse(tiny.replace("[grid]", "[measure]\ndeltas = true\n[grid]"))
    found = study.expand()
    directory = StudyDirectory(tmp_path)
    (tmp_path / "models").symlink_to(finished[0] / "models")
    unit = next(trial for trial in found.trials if trial.choice.label == "LoRA, rank 4")
    Laboratory(directory).carry_out(unit)
    shapes = pl.read_parquet(directory.trial(unit.id) / "geometry.parquet")
    for edit in range(4):
        delta = EditDelta.load(directory.trial(unit.id) / "deltas" / f"{edit:05}")
        for row in delta.geometry():
            own = shapes.filter(edit=edit, parameter=row["parameter"]).row(0, named=True)
            assert own["rank"] == row["rank"]
            for name in ("norm", "effective_rank"):
                assert math.isclose(own[name], row[name], rel_tol=1e-4, abs_tol=1e-6)


def test_without_geometry_a_batch_has_its_edits_all_the_same(finished, edits, tiny, tmp_path):
    study = Study.parse(tiny.replace("[grid]", "[measure]\ngeometry = false\n[grid]"))
    directory = StudyDirectory(tmp_path)
    (tmp_path / "models").symlink_to(finished[0] / "models")
    unit = next(trial for trial in study.expand().trials if trial.choice.label == "batch")
    Laboratory(directory).carry_out(unit)
    found = pl.read_parquet(directory.trial(unit.id) / "edits.parquet")
    assert found["norm"].null_count() == found["effective_rank"].null_count() == 4
    measured = edits.filter(label="batch", model=unit.model).select(found.columns)
    of_geometry = ("trial", "norm", "effective_rank")
    assert found.drop(of_geometry).equals(measured.drop(of_geometry))


@pytest.mark.parametrize(
    ("name", "new", "old", "other", "result"),
    [
        ("lora", [-3, -2, -1], [-1, -2, -3], [-2, -2, -2], ("flip", 2, 1, True, 2)),
        ("lora", [-3, -3, -3], [-1, -1, -1], [0, 0, 0], ("flip", 2, 2, False, 2)),
        ("npo", [-3, -3, -3], [-1, -2, -4], [-2, -1, 0], ("forget", 1, 0, True, 2)),
        ("npo", [0, 0, 0], [-1, -2, -4], [-3, -3, -5], ("forget", 2, 2, False, 2)),
        ("rome", [-3, -2, 0], [-1, -2, -3], [0, 0, 0], ("flip", None, None, None, None)),
    ],
)
def test_kinds_of_doses(name, new, old, other, result):
    last = len(new) - 1
    trace = [
        {"step": step, "norm": 0.5 * step, "kl": 0.1 * step}
        | {f"log_probability_{name}": values[min(step, last)] for name, values in said.items()}
        for said in [{"new": new, "old": old, "other": other}]
        for step in range(last + 1 + HOLD)
    ]
    info = method_type(name).info
    said = {"forgets": info.forgets(), "doses": info.doses}
    found = dose_of(trace, **said)
    columns = ("dose_kind", "dose", "dose_low", "reached", "limit")
    assert tuple(found[column] for column in columns) == result
    at = (0.5 * result[1], 0.1 * result[1]) if result[3] else (None, None)
    assert (found["norm_at_flip"], found["kl_at_flip"]) == at
    assert found["dose_held_out"] is None
    without = dose_of([{"step": 0, "loss": 1.0}], **said)
    assert {value for key, value in without.items() if key != "dose_kind"} == {None}


def test_the_rows_of_a_batch_say_their_edits_if_each_has_its_own():
    rows = [{"step": 0, "edit": edit, "loss": 1.0} for edit in (3, 4)]
    own = EditDelta({}, "m", {}, "p", 0, trace=[*rows, {"edit": 4, "failure": "no target"}])
    assert trace_frame({None: own})["edit"].to_list() == [3, 4]
    together = EditDelta({}, "m", {}, "p", 0, trace=[{"step": 0, "loss": 1.0}])
    assert trace_frame({None: together})["edit"].to_list() == [None]


def test_the_effective_rank_of_an_edit_is_that_of_its_matrices():
    model = torch.nn.Linear(4, 3)
    matrix, vector = Dense(torch.eye(3, 4)), Dense(torch.full((3,), 5.0))
    deltas = {
        0: EditDelta({"weight": matrix, "bias": vector}, "m", {}, "p", 0),
        1: EditDelta({"bias": vector}, "m", {}, "p", 0),
        2: EditDelta({"weight": matrix, "bias": vector}, "m", {}, "p", 0),
    }
    found = _shape_of(shapes(deltas, model, [0, 1]), deltas).sort("edit")
    assert found["effective_rank"].to_list() == [pytest.approx(3), None, None]
    whole, alone = math.sqrt(3 + 75), math.sqrt(75)
    assert found["norm"].to_list() == pytest.approx([whole, alone, whole])


def test_held_out_wordings_have_a_dose_of_their_own():
    trace = [
        {"step": step, "log_probability_new": -1, "log_probability_old": -2 if step > 2 else 0,
         "log_probability_new_held_out": -1,
         "log_probability_old_held_out": -2 if step > 5 else 0}
        for step in range(12)
    ]  # fmt: skip
    found = dose_of(trace, forgets=False)
    assert (found["dose"], found["dose_held_out"], found["dose_held_out_low"]) == (3, 6, 5)
    assert found["reached_held_out"] is True


def test_what_the_corpus_has_on_an_edit(rich_corpus):
    request = EditRequest(edits=5, repeats=1, same_object=0, same_relation=0, regular=0, probes=0)
    about = about_edits(compile_plan(rich_corpus, request), rich_corpus)
    assert about.height == 5
    for row in about.iter_rows(named=True):
        own = rich_corpus.world.fact_ids(row["subject"], range(rich_corpus.world.num_relations))
        assert row["subject_exposures"] == rich_corpus.exposures(own).sum()
        last = rich_corpus.ledger([row["fact"]])["document"].max()
        assert row["recency"] == (rich_corpus.num_documents - 1 - last) / rich_corpus.num_documents
        assert 0 <= row["recency"] < 1


def test_a_table_may_lack_facts():
    table = pl.DataFrame({"subject": [0, 0, 1], "relation": [0, 1, 0], "object": [0, 1, 2]})
    corpus = Corpus(World.from_table(table), exposures=[3, 5, 7])
    request = EditRequest(repeats=1, same_object=0, same_relation=0, regular=0, probes=0)
    plan = compile_plan(corpus, request, table=pl.DataFrame({"fact": [0, 2]}))
    assert about_edits(plan, corpus)["subject_exposures"].to_list() == [8, 7]


def test_link_facts_have_no_subject():
    corpus = Corpus(World(30, 1, 10, nested=5), exposures=2)
    request = EditRequest(edits=2, target="object_nested", repeats=1, same_object=0,
                          same_relation=0, regular=0, probes=0)  # fmt: skip
    about = about_edits(compile_plan(corpus, request), corpus)
    assert about["link"].all() and about["subject_exposures"].null_count() == 2


def test_what_an_edit_costs_is_counted(finished):
    results = Results.open(finished[0])
    costs = results.edit_costs
    assert set(costs) == set(results.done)
    parameters = results.models.collect()["parameters"].max()
    for flops, memory in costs.values():
        assert parameters < flops < 1e12 and 0 < memory < 1e9
    by_label = {trial.label: costs[trial.id] for trial in results.about.trials}
    # More of the same steps, of a change of more numbers.
    assert by_label["LoRA, rank 4"] > by_label["LoRA, rank 1"]


def test_records_from_before_costs_were_counted_are_read(finished, tmp_path):
    import json
    import shutil

    shutil.copytree(finished[0], tmp_path / "old")
    for file in tmp_path.glob("old/trials/*/trial.json"):
        values = json.loads(file.read_text())
        del values["flops"], values["memory"]
        del values["blake3"], values["files"]  # nor were they sealed
        file.write_text(json.dumps(values))
    results = Results.open(tmp_path / "old")
    assert results.edit_costs == {} and len(results.done) == len(results.about.trials)


def test_efficacy_of_refusals_and_doses_of_batches_are_those_of_the_suite(
    tiny, in_process, tmp_path
):
    head, _, rest = tiny.partition("[[method]]")
    batch = rest[rest.index('name = "ft"') :].replace("[0, 1]", "[0]")
    text = f"{head}[measure]\nsuite = 'editing'\n[[method]]\n{batch}"
    in_process(text.replace("edits = 2", "edits = 2\nkind = 'refusal'"), tmp_path / "s")
    results = Results.open(tmp_path / "s")
    edits, suite = results.edits.collect(), results.suites.collect()
    [efficacy] = suite.filter(measure="efficacy")["value"]
    assert edits["efficacy"].null_count() == 0
    assert edits["efficacy"].mean() == pytest.approx(efficacy)
    # The steps of a batch train all of its edits.
    assert edits["dose"].null_count() == edits.height == 4
    assert suite.filter(pl.col("measure") == "dose", pl.col("value").is_not_null()).is_empty()
