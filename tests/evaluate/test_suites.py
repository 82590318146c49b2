"""Suites: every measure is taken or says what is missing, and is what it says."""

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth import ArgumentError, Corpus, World
from behemoth.edit import edit
from behemoth.edit.record import FailedEdit
from behemoth.evaluate import SUITES, evaluate_suite
from behemoth.evaluate.membership import membership, unwritten_pairs
from behemoth.evaluate.schema import SCHEMA
from behemoth.evaluate.suites import sequence
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.sequence import count_held
from behemoth.evaluate.suites.suite import (
    Found,
    MissingError,
    SuiteResult,
    take,
)


def names_missing(found):
    return {taken.name: taken.missing for taken in found.measures if taken.missing}


@pytest.mark.parametrize("suite", ["editing", "unlearning", "recall"])
def test_every_measure_is_taken_or_says_what_is_missing(edited_run, few_steps, suite, tmp_path):
    _, twin, plan, edited = edited_run
    found = evaluate_suite(edited, suite, plan, twin=twin, out=tmp_path / "out")
    names = [taken.name for taken in found.measures]
    assert len(set(names)) == len(names)
    for taken in found.measures:
        assert (taken.found is None) != (taken.missing is None), taken.name
        if taken.found and taken.found.low is not None and not math.isnan(taken.found.value):
            assert taken.found.low <= taken.found.value <= taken.found.high, taken
    allowed = {
        "editing": {"portability_subject_nested", "portability_correlated_followed",
                    "portability_implicit_remap", "exact_portability", "exact_portability_if_known",
                    "portability_subject_nested_if_known",
                    "portability_correlated_followed_if_known",
                    "portability_implicit_remap_if_known", "portability_inverse",
                    "portability_inverse_if_known", "dose"},
        "unlearning": set(),
        "recall": {"recall_unasked"},
    }[suite]  # fmt: skip
    damage = {name for name in names if name.startswith("damage_")}  # a random model knows little
    assert set(names_missing(found)) <= allowed | damage
    told = json.loads((tmp_path / "out" / "suite.json").read_text())
    assert [row["name"] for row in told["measures"]] == names
    assert pl.read_parquet(tmp_path / "out" / "frame.parquet").height == found.frame.height
    assert found.table()["measure"].to_list() == names
    with pytest.raises(ArgumentError, match=r"argument 'out': got .*which holds a suite"):
        evaluate_suite(edited, suite, plan, out=tmp_path / "out")


def test_a_run_without_edit_or_twin_says_so(edited_run):
    run, _, plan, _ = edited_run
    few = ["forget_recall", "membership_loss", "kl_twin_forget"]
    missing = names_missing(evaluate_suite(run, "unlearning", plan, measures=few))
    assert missing["kl_twin_forget"].startswith("a twin: --twin RUN")
    assert "forget_recall" not in missing and "membership_loss" not in missing
    # What the edit did with what was known before it, and how far it moved the model.
    need = {"damage_unrelated", "kl", "exact_portability_if_known",
            "portability_subject_nested_if_known"}  # fmt: skip
    measures = ["efficacy", *need]
    missing = names_missing(evaluate_suite(run, "editing", plan, measures=measures))
    assert set(missing) == need
    assert set(missing.values()) == {"an edit: this is a run as it was trained"}
    with pytest.raises(ArgumentError, match=r"'suite': got edit .*, allowed: editing, unlea"):
        evaluate_suite(run, "edit", plan)


def test_only_the_measures_that_are_asked_for_are_taken(edited_run):
    _, _, plan, edited = edited_run
    found = evaluate_suite(edited, "editing", plan, measures=["kl", "exact_portability"])
    assert [taken.name for taken in found.measures] == ["exact_portability", "kl"]
    assert found.table()["missing"][0].startswith("probes of correlated")
    with pytest.raises(ArgumentError, match=r"'measures': got klf \(did you mean kl\?\), allowed"):
        evaluate_suite(edited, "editing", plan, measures=["efficacy", "klf"])
    for wrong in ("kl", [], 3):
        with pytest.raises(ArgumentError, match=r"'measures': .* a list of names of measures"):
            evaluate_suite(edited, "editing", plan, measures=wrong)


def test_the_unedited_models_own_numbers_stand_beside(edited_run, tmp_path):
    run, _, plan, edited = edited_run
    frame = ("forget_probability", "forget_recall", "leak_at_8", "model_utility",
             "retain_unrelated", "forget_recall_question", "truth_ratio")  # fmt: skip
    passes = ("perplexity_corpus", "perplexity_filler", "membership_loss", "exact_memorisation")
    dear = ("linear_probe", "forget_recall_hint")
    few = replace(
        SUITES["unlearning"],
        measures=lambda measured: [
            measures_of(measured)[name] for name in (*frame, *passes, *dear)
        ],
    )
    found, alone = (take(few, MeasuredModel.open(source, plan)) for source in (edited, run))
    rows = {taken.name: taken for taken in found.measures}
    for name in (*frame, *passes):
        assert rows[name].before == pytest.approx(alone[name], rel=1e-6), name
    assert rows["forget_probability"].before != rows["forget_probability"].found.value
    assert all(rows[name].before is None for name in dear)
    assert all(taken.before is None for taken in alone.measures)
    found.save(tmp_path)
    assert SuiteResult.load(tmp_path).table().equals(found.table())
    measured = MeasuredModel.open(edited, plan)
    measured.in_trial = True  # trials take what they took, at the same cost
    assert all(taken.before is None for taken in take(few, measured).measures)


def measures_of(measured, suite="unlearning"):
    return {measure.name: measure for measure in SUITES[suite].measures(measured)}


def test_probabilities_of_what_stays_by_group(edited_run):
    run, _, plan, _ = edited_run
    measured = MeasuredModel.open(run, plan)
    for group in ("same_subject", "unrelated", "retain"):
        found = measures_of(measured)[f"retain_probability_{group}"].find(measured)
        rows = measured.frame.filter(group=group, must_change=False)
        mean = rows["log_probability_true"].exp().mean()
        assert found.value == pytest.approx(mean) and 0 < mean < 1, group


def test_ranks_and_distances_have_intervals_over_subjects(edited_run):
    _, twin, plan, edited = edited_run
    measured = MeasuredModel.open(edited, plan, twin)
    names = ("membership_loss", "membership_min_k_plus_plus", "privacy_loss",
             "membership_reference", "forget_distance")  # fmt: skip
    rows = {name: measures_of(measured)[name].find(measured) for name in names}
    for name, found in rows.items():
        assert found.over == "subjects" and found.low <= found.value <= found.high, name
    subjects = plan.edits["subject"].n_unique()
    assert rows["forget_distance"].count == subjects
    assert subjects < rows["membership_loss"].count <= 2 * subjects


def test_sizes_of_single_edits_have_intervals_over_edits(edited_run, tmp_path):
    run, _, plan, _ = edited_run
    out = edit(run, plan, "ft", tmp_path / "e", settings={"steps": 3}, single=True)
    measured = MeasuredModel.open(out, plan)
    found = measures_of(measured, "editing")
    norm, largest = (found[name].find(measured) for name in ("norm", "spectrum_largest"))
    assert norm.low < norm.value < norm.high and (norm.count, norm.over) == (6, "edits")
    changes = [c.change for d in measured.deltas.values() for c in d.changes.values()]
    spectra = [torch.linalg.svdvals(c.double()).numpy() for c in changes if c.ndim == 2]
    assert 0 < len(spectra) < len(changes)  # biases are no matrices
    wanted = np.mean([own[0] ** 2 / np.square(own).sum() for own in spectra])
    assert largest.value == pytest.approx(wanted) and 0 < largest.value <= 1
    rank = found["rank"].find(measured)
    assert rank.count == largest.count == len(spectra) and rank.over == "matrices"
    assert rank.value == np.mean([(own > 1e-6 * own[0]).sum() for own in spectra])
    for delta in measured.deltas.values():
        for name in [name for name, c in delta.changes.items() if c.change.ndim == 2]:
            del delta.changes[name]
    del measured.geometry
    for name in ("rank", "effective_rank", "spectrum_largest"):
        with pytest.raises(MissingError, match="an edit that changed a matrix"):
            found[name].find(measured)


def test_edits_that_failed_are_counted_and_are_not_harmless(edited_run, tmp_path):
    run, *_ = edited_run
    new = bh.plan(run, kind="remap", edits=3, repeats=1, probes=4)
    out = edit(run, new, "ft", tmp_path / "e", settings={"steps": 3}, single=True)
    names = ["efficacy", "exact_efficacy", "kl", "exact_specificity"]
    measured = MeasuredModel.open(out, new)
    deltas = dict(measured.deltas)
    for number in (0, 2):
        measured.deltas[number] = replace(deltas[number], changes={}, failure="loss nan at step 1")
    failed = tuple(FailedEdit(number, "loss nan at step 1") for number in (0, 2))
    measured.edit = replace(measured.edit, failed=failed)
    found = take(SUITES["editing"], measured, only=names)
    assert found.failed_edits == 2 and found.to_dict()["failed_edits"] == 2
    assert repr(found).endswith("4 measures; 2 edits failed)")
    assert SuiteResult.load(found.save(tmp_path / "suite")).failed_edits == 2
    alone = MeasuredModel.open(out, new)
    for number in (0, 2):
        del alone.deltas[number]
    wanted = take(SUITES["editing"], alone, only=names)
    assert wanted.failed_edits == 0
    for name in names[:2]:
        assert found[name] == pytest.approx(wanted[name] / 3), name
    for name in names[2:]:
        assert found[name] == pytest.approx(wanted[name], rel=1e-3), name  # other stacks round
    assert wanted["efficacy"] == 1 and wanted["kl"] > 0


def test_what_edits_that_failed_leave_unmeasured_is_not_said_to_lack_probes():
    row = {"edit": 0, "stage": "after", "must_change": False, "known": True, "exact_match": True,
           "link": False, "subject": 0, "exposures": 1, "kl": 0.0, "log_probability_old": -1.0,
           "log_probability_true": -1.0, "log_probability_new": -2.0}  # fmt: skip
    groups = ("same_relation", "unrelated")
    frame = pl.DataFrame(
        [dict.fromkeys(SCHEMA) | row | {"group": group} for group in groups], schema=SCHEMA
    )
    plan = SimpleNamespace(probes=frame.select("group", "exposures"))
    reasons = {}
    for failure in (None, "loss nan at step 1"):
        own = frame.with_columns(failure=pl.lit(failure, pl.String))
        measured = MeasuredModel(None, None, plan, {0: ...}, None, frame=own)
        for suite, name in (("editing", "neighbourhood"), ("editing", "kl"),
                            ("editing", "damage_unrelated"), ("editing", "exact_specificity"),
                            ("editing", "damage_same_subject"), ("editing", "efficacy"),
                            ("unlearning", "retain_unrelated"), ("unlearning", "model_utility"),
                            ("unlearning", "retain_retain")):  # fmt: skip
            measures = {each.name: each for each in SUITES[suite].measures(measured)}
            try:
                measures[name].find(measured)
            except MissingError as error:
                reasons[name, failure is None] = str(error)
    known, some = "such facts that the model knew before", "edits that did not fail"
    lacking = "probes of edited, which the plan does not have"
    asked = ("neighbourhood", "kl", "damage_unrelated", "exact_specificity", "retain_unrelated",
             "model_utility")  # fmt: skip
    assert reasons == {(name, False): some for name in asked} | {
        ("damage_same_subject", made): known for made in (True, False)
    } | {("efficacy", made): lacking for made in (True, False)} | {
        ("retain_retain", made): "probes of this group" for made in (True, False)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (("edited", "same_relation"), "edited_held_out or edited_paraphrase"),
        (("edited_paraphrase", "same_relation"), "edited"),
        (("same_relation",), "edited and of edited_held_out or edited_paraphrase"),
    ],
)
def test_a_score_names_the_part_that_it_lacks(there, missing):
    row = {"edit": 0, "stage": "after", "link": False, "subject": 0, "log_probability_old": -1.0,
           "log_probability_true": -1.0, "log_probability_new": -2.0}  # fmt: skip
    frame = pl.DataFrame(
        [
            dict.fromkeys(SCHEMA) | row | {"group": group, "must_change": "edited" in group}
            for group in there
        ],
        schema=SCHEMA,
    )
    plan = SimpleNamespace(probes=frame.select("group", "exposures"))
    measured = MeasuredModel(None, None, plan, {0: ...}, None, frame=frame)
    with pytest.raises(MissingError, match=f"^probes of {missing}, which the plan does not have$"):
        measured.metric("score")


def test_a_source_whose_edits_all_failed_is_refused(edited_run, tmp_path):
    run, _, plan, _ = edited_run
    broken = {"steps": 2, "learning_rate": 1e30}
    for single in (False, True):
        out = edit(run, plan, "grad_diff", tmp_path / f"{single}", settings=broken, single=single)
        said = f"{re.escape(os.fspath(out))}, whose edits all failed: loss .* allowed: an edit that"
        with pytest.raises(ArgumentError, match=f"argument 'source': got {said}"):
            evaluate_suite(out, "unlearning", plan)


def test_the_cost_of_an_edit_is_that_of_its_record(edited_run, peaks):
    _, _, plan, edited = edited_run
    record = bh.load(edited)
    measured = MeasuredModel.open(edited, plan)
    measures = measures_of(measured, "editing")
    for name in ("seconds", "peak_memory") if peaks else ("seconds",):
        assert measures[name].find(measured).value == getattr(record, name) > 0
    measured.edit = replace(measured.edit, seconds=None, peak_memory=None)  # of an earlier version
    for name in ("seconds", "peak_memory"):
        with pytest.raises(MissingError, match=f"^an edit made in one call, .* states {name}"):
            measures[name].find(measured)


def test_a_trial_of_a_study_takes_the_measures_of_earlier_versions(edited_run):
    _, twin, plan, edited = edited_run
    whole = MeasuredModel.open(edited, plan, twin)
    beside = whole.beside
    trial = MeasuredModel(
        whole.source, whole.run, plan, whole.deltas, whole._load, None,
        MeasuredModel(beside.source, beside.run, plan, {}, beside._load, in_trial=True),
        in_trial=True,
    )  # fmt: skip
    known = {"kl_twin_text", "exact_memorisation"} | {f"retain_probability_{group}" for group in (
        "same_subject", "same_relation", "same_object", "unrelated", "retain")}  # fmt: skip

    def quick(measured):
        return [replace(each, find=lambda _: Found(0.5)) for each in measures_of(measured).values()]

    suite = replace(SUITES["unlearning"], measures=quick)
    taken = {each.name for each in take(suite, trial).measures}
    assert taken == measures_of(whole).keys() - known and len(taken) == len(quick(whole)) - 7
    assert {each.name for each in take(suite, whole).measures} == measures_of(whole).keys()
    with pytest.raises(MissingError, match=r"^an edit"):
        _ = trial.beside.change
    assert not beside.change.changes


def test_truth_ratios_of_names_of_several_tokens(run_of, tmp_path):
    grammar = bh.Grammar.named("bios-en")
    corpus = Corpus(grammar.world(40, seed=1), exposures=4, order="bios", grammar=grammar)
    run = run_of(tmp_path / "a", corpus, 0)
    plan = bh.plan(run, edits=3, relation=1, repeats=1, probes=1)
    twin = run_of(tmp_path / "b", corpus.without(plan.edits["fact"]), 1)
    measured = MeasuredModel.open(run, plan, twin)
    measures = measures_of(measured)
    assert not measured.frame.filter(group="edited")["log_probability_wrong"].has_nulls()
    for name in ("truth_ratio", "forget_quality", "forget_distance"):
        assert math.isfinite(measures[name].find(measured).value), name
    # A trial of a study or of a tuning omits them, and says that.
    trial = MeasuredModel(measured.source, measured.run, plan, {}, measured._load, in_trial=True)
    trial.twin = MeasuredModel(
        measured.source, measured.run, plan, {}, measured.twin._load, in_trial=True
    )
    said = "^truth ratios, which trials omit for objects of several tokens$"
    for name in ("truth_ratio", "forget_quality", "forget_distance"):
        with pytest.raises(MissingError, match=said):
            measures[name].find(trial)


def test_leaks_are_what_sampling_gives(edited_run):
    run, _, plan, _ = edited_run
    few = ["forget_probability", "leak_at_1", "leak_at_8"]
    found = evaluate_suite(run, "unlearning", plan, measures=few)
    model = bh.load(run).load_model("cpu")
    probes = plan.probes.filter(pl.col("group") == "forget")
    generator = np.random.default_rng(0)
    hits = []
    for prompt, answer in probes.select("prompt", "old_answer").iter_rows():
        chance, tokens = 1.0, list(prompt)
        for token in answer:
            with torch.no_grad():
                logits = model(torch.tensor([tokens])).logits[0, -1].double()
            chance *= logits.softmax(0)[token].item()
            tokens.append(token)
        samples = generator.random((4000, 8)) < chance
        hits.append(samples.any(1).mean())
    by_subject = pl.DataFrame({"subject": probes["subject"], "hit": hits})
    assert found["leak_at_8"] == pytest.approx(by_subject["hit"].mean(), abs=0.01)
    assert found["leak_at_1"] == pytest.approx(found["forget_probability"], abs=1e-12)


def test_members_and_others_are_asked_alike(edited_run):
    run, _, plan, _ = edited_run
    loaded = bh.load(run)
    pairs = unwritten_pairs(loaded.corpus, plan)
    members, others = pairs.filter("member"), pairs.filter(~pl.col("member"))
    assert members.height == others.height > 0
    assert (loaded.corpus.exposures(others["fact"].to_numpy()) == 0).all()
    assert not set(others["fact"]) & set(plan.edits["fact"])
    lengths = [frame["prompt"].list.len().sort().to_list() for frame in (members, others)]
    assert lengths[0] == lengths[1]
    answered = loaded.corpus.probes(others["fact"].to_numpy()).select("fact", "prompt", "answer")
    assert others.join(answered, on=["fact", "prompt", "answer"]).height == others.height
    model = loaded.load_model("cpu")
    scores = membership(model, loaded.corpus, plan, pairs=pairs)
    assert scores["member"].to_list() == pairs["member"].to_list()
    full = Corpus(World(90, 3, 10), exposures=2)
    with pytest.raises(ArgumentError, match="as many facts with 0 exposures"):
        unwritten_pairs(full, bh.plan(full, edits=2))


def test_the_command_shows_and_writes_a_suite(edited_run, run, tmp_path):
    _, twin, _, edited = edited_run
    place = Path(edited)
    plan = place.parent / "plan"
    options = ("evaluate", place, "--plan", plan)
    words = (*options, "--suite", "unlearning", "--out", tmp_path / "suite")
    few = ("--measures", "forget_recall,membership_loss,privacy_loss")
    ran = run(*words, *few)
    assert ran.code == 0, ran.err
    for word in (
        "forget_recall", "before", "95%", "subjects", "Not taken:", "needs a twin: --twin RUN",
    ):  # fmt: skip
        assert word in ran.out, ran.out
    told = run(*words, *few, "--twin", twin, "--force", "--json").json()
    assert told["suite"] == "unlearning" and told["twin"] == str(twin)
    shown = {row["name"]: row for row in told["measures"]}["forget_recall"]
    assert shown["before"] is not None and shown["twin"] is not None
    assert set(SUITES) == {"editing", "unlearning", "sequence", "recall"}
    assert "which holds a suite" in run(*words).refused()
    elsewhere = (*words[:-1], tmp_path / "other")
    told = run(*elsewhere, "--measures", "leak_at_8,forget_recall", "--json").json()
    assert [row["name"] for row in told["measures"]] == ["forget_recall", "leak_at_8"]
    elsewhere = (*words[:-1], tmp_path / "another")
    assert "not with --suite" in run(*elsewhere, "--stack", 3).refused()
    message = run(*elsewhere, "--twin", "none").refused()
    assert message.startswith("argument '--twin': got none"), message
    message = run(*options, "--out", tmp_path / "f.parquet", "--twin", twin).refused()
    assert message.startswith(f"argument '--twin': got {twin}, allowed: only with --suite")


def test_the_suite_of_a_sequence(edited_run, tmp_path):
    run, _, plan, edited = edited_run
    settings = {"steps": 2}
    out = edit(run, plan, "ft", tmp_path / "e", settings=settings, sequential=True)
    found = evaluate_suite(out, "sequence", plan, out=tmp_path / "out")
    names = [taken.name for taken in found.measures]
    assert "hold_after_1" in names and "norm_after_6" in names and names[-1] == "half_life"
    frame = found.frame
    assert frame["after"].unique().sort().to_list() == [0, 1, 6]
    made_by = frame.filter(group="edited", stage="after")
    assert made_by.group_by("after").len()["len"].to_list() == [6, 6], "those to come, as well"
    one = made_by.filter((pl.col("place") < 1) & (pl.col("after") == 1))
    assert found["hold_after_1"] == one["exact_match"].mean()
    first = found.table().filter(measure="hold_after_1").row(0, named=True)
    assert (first["count"], first["low"], first["high"]) == (1, None, None), "one edit is no range"
    versions = {taken.name: taken.version for taken in found.measures}
    assert {name for name, version in versions.items() if version == 2} == {
        f"{name}_after_{edits}" for name in ("hold", "efficacy", "first") for edits in (1, 6)
    }
    assert found["norm_after_6"] > found["norm_after_1"] > 0
    # The last checkpoint is what `evaluate` asks of the edit as a whole.
    whole = bh.evaluate(out, plan).filter(stage="after", group="edited").sort("probe")
    last = frame.filter(stage="after", group="edited", after=6).sort("probe")
    assert whole["log_probability_new"].to_list() == pytest.approx(
        last["log_probability_new"].to_list(), rel=1e-5
    )
    held = last.group_by("edit").agg(pl.col("exact_match").all())["exact_match"].sum()
    assert count_held(out.record, bh.EditPlan.of(plan)) == (held, 6)
    missing = {taken.name: taken.missing for taken in found.measures}
    assert missing["forgotten_after_6"] == "edits that forget: ft gives new answers"
    with pytest.raises(ArgumentError, match=r"argument 'source': got .*edits made one after"):
        evaluate_suite(edited, "sequence", plan)


def test_the_suite_of_a_sequence_that_forgets(edited_run, tmp_path, monkeypatch):
    """Whether the old objects are still said, of the facts that the model knew."""
    run, _, plan, _ = edited_run
    out = edit(run, plan, "npo", tmp_path / "e", settings={"steps": 1}, sequential=True)
    asked = sequence.evaluate_model

    def known(*given, **options):
        numbers = pl.col("edit").cast(pl.Int64)
        return asked(*given, **options).with_columns(edit_known=numbers > 1, old_match=numbers < 4)

    monkeypatch.setattr(sequence, "evaluate_model", known)
    found = evaluate_suite(out, "sequence", plan)
    assert found["forgotten_after_6"] == 0.5, "two of the last four"
    missing = {taken.name for taken in found.measures if taken.missing is not None}
    assert {"hold_after_6", "efficacy_after_1", "first_after_1", "half_life"} < missing
    assert not {"kl_after_6", "norm_after_6"} & missing
    assert count_held(out.record, bh.EditPlan.of(plan)) == (2, 4)


def test_an_object_that_links_are_of_is_no_subject_of_its_number(edited_run):
    run, _, plan, _ = edited_run
    measured = MeasuredModel.open(run, plan)
    rows = pl.DataFrame(
        {"link": [False, False, True, True], "subject": [3, 4, 3, 3], "value": [1, 0, 1, 1]}
    )
    assert measured.mean(rows, pl.col("value"), "rows").count == 3
    assert measured.mean(rows.drop("link"), pl.col("value"), "rows").count == 2


def test_links_are_told_apart_in_suite_recall(run_of, tmp_path):
    world = World(6, relations=[bh.Independent(4), bh.Composed(of=0, objects=2)], seed=1)
    run = run_of(tmp_path / "run", Corpus(world, exposures=2), 1)
    found = evaluate_suite(run, "recall")
    [row] = [taken.found for taken in found.measures if taken.name == "recall"]
    about = world.facts().select("link", "subject").unique()
    assert about["link"].any() and row.count == about.height
    assert found.frame.join(world.facts(), on=["fact", "link"]).height == found.frame.height
