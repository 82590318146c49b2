"""Suites: every measure is taken or says what is missing, and is what it says.

All in one file: they share a run, its twin, a plan and an edit, which cost more than the tests.
"""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import behemoth as bh
from behemoth import ArgumentError, Corpus, CorpusError, Groups, Questions, World
from behemoth.edit import edit
from behemoth.evaluate import SUITES, evaluate_suite
from behemoth.evaluate.membership import membership, unwritten_pairs
from behemoth.evaluate.suites.bench import Bench
from behemoth.evaluate.suites.suite import (
    Found,
    MissingError,
    SuiteResult,
    Taken,
    take,
)
from behemoth.support.digests import SEAL, digests, sealed
from behemoth.support.files import as_json
from behemoth.train.run import read_record


def run_of(place, corpus, seed, width=32):
    """A run directory with random weights in which every token matters."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from behemoth.train.config import TrainConfig
    from behemoth.train.run import RunRecord

    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=corpus.vocabulary_size, hidden_size=width, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(place)
    RunRecord(
        status="finished", config=TrainConfig(seed=seed), spec_hash=corpus.spec_hash,
        spec=corpus.spec, directory=None, versions={}, device="cpu", device_name="none",
        precision="fp32", compiled=False, threads=1, world_size=1,
        vocabulary=corpus.vocabulary_size, vocabulary_padded=corpus.vocabulary_size,
        parameters=1, parameters_without_embedding=1000, steps=0,
    ).write(place)  # fmt: skip
    (place / "spec.toml").write_text(corpus._native.spec_toml)
    return place


def test_values_that_json_does_not_have_are_null_and_come_back(tmp_path):
    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    measures = (
        Taken("relearning_steps", "", 1, Found(math.inf, low=3.0, high=math.inf), twin=2.0),
        Taken("truth_ratio", "", 1, Found(math.nan)),
        Taken("score", "", 1, Found(0.5)),
        Taken("kl_twin_forget", "", 1, missing="a twin"),
    )
    suite = SuiteResult(
        "unlearning", "edit", None, None, "after", None, measures, 1.0, {}, pl.DataFrame({"a": [1]})
    )
    assert suite.save(tmp_path) == tmp_path
    written = json.loads((tmp_path / "suite.json").read_text(), parse_constant=refuse)
    steps, ratio, score, divergence = written["measures"]
    assert (divergence["value"], divergence["missing"]) == (None, "a twin")
    assert (steps["value"], steps["low"], steps["high"], steps["twin"]) == (None, 3.0, None, 2.0)
    assert steps["infinite"] == ["value", "high"]
    assert ratio["value"] is None and "infinite" not in ratio | score
    read = SuiteResult.load(tmp_path)
    assert read.measures[0] == measures[0] and read.measures[2:] == measures[2:]
    assert math.isnan(read["truth_ratio"])
    assert list(read) == ["relearning_steps", "truth_ratio", "score"] and len(read) == 3
    assert len(replace(read, measures=measures[3:])) == 0 and replace(read, measures=measures[3:])
    assert {name: read[name] for name in read}["score"] == 0.5 and "kl_twin_forget" not in read


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, its twin, a plan, and an unlearning edit of it."""
    place = tmp_path_factory.mktemp("suites")
    corpus = Corpus(
        World(90, 3, 10),
        exposures=Groups([0, 2, 8]),
        paraphrases=2,
        held_out=1,
        questions=Questions(1.0, 0.3),
        filler="zipf:tokens=2000,words=50",
    )
    run = run_of(place / "run", corpus, 1)
    plan = bh.plan(run, edits=6, repeats=2, probes=3)
    plan.save(place / "plan")
    twin = run_of(place / "twin", corpus.without(plan.edits["fact"]), 2)
    run_of(place / "alone", corpus, 2)  # the twin's weights, as a model of the plan's corpus
    edited = edit(run, plan, "grad_diff", place / "edit", settings={"steps": 2})
    return run, twin, plan, edited


def names_missing(found):
    return {taken.name: taken.missing for taken in found.measures if taken.missing}


@pytest.mark.parametrize("suite", ["editing", "unlearning", "recall"])
def test_every_measure_is_taken_or_says_what_is_missing(made, suite, tmp_path):
    _, twin, plan, edited = made
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
        "recall": set(),
    }[suite]  # fmt: skip
    damage = {name for name in names if name.startswith("damage_")}  # a random model knows little
    assert set(names_missing(found)) <= allowed | damage
    told = json.loads((tmp_path / "out" / "suite.json").read_text())
    assert [row["name"] for row in told["measures"]] == names
    assert pl.read_parquet(tmp_path / "out" / "frame.parquet").height == found.frame.height
    assert found.table()["measure"].to_list() == names
    with pytest.raises(ArgumentError, match=r"argument 'out': got .*which holds a suite"):
        evaluate_suite(edited, suite, plan, out=tmp_path / "out")


def test_a_run_without_edit_or_twin_says_so(made):
    run, _, plan, _ = made
    missing = names_missing(evaluate_suite(run, "unlearning", plan))
    assert missing["kl_twin_forget"].startswith("a twin: --twin RUN")
    assert "forget_recall" not in missing and "membership_loss" not in missing
    missing = names_missing(evaluate_suite(run, "editing", plan))
    assert missing["damage_unrelated"].startswith("an edit") and "efficacy" not in missing
    with pytest.raises(ArgumentError, match=r"'suite': got edit .*, allowed: editing, unlea"):
        evaluate_suite(run, "edit", plan)


def test_only_the_measures_that_are_asked_for_are_taken(made):
    _, _, plan, edited = made
    found = evaluate_suite(edited, "editing", plan, measures=["kl", "exact_portability"])
    assert [taken.name for taken in found.measures] == ["exact_portability", "kl"]
    assert found.table()["missing"][0].startswith("probes of correlated")
    with pytest.raises(ArgumentError, match=r"'measures': got klf \(did you mean kl\?\), allowed"):
        evaluate_suite(edited, "editing", plan, measures=["efficacy", "klf"])
    for wrong in ("kl", []):
        with pytest.raises(ArgumentError, match=r"'measures': .* a list of names of measures"):
            evaluate_suite(edited, "editing", plan, measures=wrong)


def test_a_twin_is_asked_once_for_several_edits_and_a_frame_that_is_there_is_taken(made):
    _, twin, plan, edited = made
    first = Bench.open(edited, plan, twin)
    taken = take(SUITES["unlearning"], first).table()
    asked = []
    load = first.twin._load
    first.twin._load = lambda: asked.append(1) or load()
    measured = first.twin.run.corpus, dict(first.twin._taken)
    second = Bench(
        first.source, first.run, first.plan, first.deltas, first._load, first.edit, first.twin,
        frame=first.frame.with_columns(pl.lit("other").alias("run")),
    )  # fmt: skip
    again = take(SUITES["unlearning"], second).table()
    assert not asked and measured[1] == first.twin._taken
    assert_frame_equal(taken, again, abs_tol=1e-3)
    names = set(taken.filter(pl.col("twin").is_not_null())["measure"])
    assert names <= set(first.twin._taken) and "perplexity_corpus" in names


def test_a_twin_is_of_the_same_world_and_has_not_learned_the_facts(made, tmp_path):
    run, _, plan, edited = made
    corpus = bh.load(run).corpus
    facts = plan.edits["fact"].to_list()

    def refused(place, why, allowed):
        with pytest.raises(ArgumentError) as error:
            Bench.open(edited, plan, place)
        assert str(error.value) == f"argument 'twin': got {Path(place)}, {why}, allowed: {allowed}"

    spec = {**corpus.spec["world"], "seed": 7}
    world = World.from_arrays(spec, None, corpus.spec["format_version"], None)
    other = Corpus.from_arrays(world, corpus.spec["corpus"], None, None)
    refused(run_of(tmp_path / "seed", other, 2), "of another world", "a twin of the run")
    without = "a run on a corpus without these facts, or with other objects for them"
    refused(run, "whose corpus writes 6 of the 6 facts of the plan", without)
    most = run_of(tmp_path / "most", corpus.without(facts[1:]), 2)
    refused(most, "whose corpus writes 1 of the 6 facts of the plan", without)
    refused(edited, "an edit by grad_diff", "one by retrain")
    wide = run_of(tmp_path / "wide", corpus.without(facts), 2, width=64)
    like_it = f"a twin of the run, trained as {run} was"
    refused(wide, "a model of another size", like_it)
    objects = corpus.world.facts_of(facts)["object"]
    overridden = corpus.override({facts[0]: (objects[0] + 1) % 10}).without(facts[1:])
    assert Bench.open(run, plan, run_of(tmp_path / "both", overridden, 2)).twin is not None
    assert Bench.open(edited, None, most).twin is not None, "without a plan there is no such fact"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_twin_is_refused_before_any_measure(made, tmp_path, name):
    run, twin, plan, _ = made
    other = shutil.copytree(twin, tmp_path / "twin")
    files = digests(other, ["config.json", "model.safetensors"])
    replace(read_record(other), files=files).write(other)
    assert Bench.open(run, plan, other).twin is not None
    content = (other / name).read_bytes()
    (other / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(CorpusError, match=rf"twin/{name} is damaged"):
        Bench.open(run, plan, other)


def test_an_edit_by_retrain_is_the_twin_of_its_own_plan(made):
    run, _, plan, edited = made
    retrained = Path(edited).with_name("retrained")  # its record names the run beside it
    shutil.copytree(edited, retrained)
    record = json.loads((retrained / "edit.json").read_text()) | {"method": "retrain"}
    del record[SEAL]
    (retrained / "edit.json").write_bytes(as_json(sealed(record)))
    assert Bench.open(edited, plan, retrained).twin.source == retrained
    other = bh.plan(run, edits=6, repeats=2, probes=3, seed=1)
    with pytest.raises(ArgumentError, match="retrained, an edit by another plan, allowed: one by"):
        Bench.open(run, other, retrained)
    [weights] = retrained.rglob("delta.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CorpusError, match=r"delta\.safetensors is damaged"):
        Bench.open(run, plan, retrained)


@pytest.mark.exact
def test_the_twin_is_no_distance_from_itself(made):
    _, twin, plan, edited = made
    found = evaluate_suite(twin.with_name("alone"), "unlearning", plan, twin=twin)
    bench = Bench.open(edited, plan)

    def load():
        model = bench.run.load_model()
        bench.edit.deltas()[None].apply(model)
        return model

    bench.twin = Bench(bench.source, bench.run, plan, {}, load)
    by_edit = take(SUITES["unlearning"], bench)
    assert by_edit["kl_twin_forget"] == by_edit["privacy_loss"] == by_edit["parameters_twin"] == 0.0
    assert found["kl_twin_forget"] == found["kl_twin_retain"] == 0.0
    assert found["privacy_loss"] == 0.0 and found["membership_reference"] == 0.5
    assert found["forget_distance"] == 0.0 and found["forget_quality"] == 1.0
    with pytest.raises(ArgumentError, match="argument 'measure': got parameters_twin"):
        found["parameters_twin"]


def test_the_twins_own_numbers_stand_beside(made):
    _, twin, plan, edited = made
    found = evaluate_suite(edited, "unlearning", plan, twin=twin)
    alone = evaluate_suite(twin.with_name("alone"), "unlearning", plan)
    rows = {taken.name: taken for taken in found.measures}
    for name in ("forget_probability", "extraction_strength", "model_utility", "perplexity_corpus",
                 "perplexity_filler", "membership_loss", "linear_probe"):  # fmt: skip
        assert rows[name].twin == pytest.approx(alone[name], rel=1e-6), name
    assert rows["forget_probability"].found.value != rows["forget_probability"].twin
    for name in WEIGHTS:  # which need weights, and no edit
        assert rows[name].twin == pytest.approx(alone[name], rel=1e-6), name
    assert rows["privacy_loss"].twin is None and rows["kl_twin_text"].twin is None


def test_the_unedited_models_own_numbers_stand_beside(made, tmp_path):
    run, _, plan, edited = made
    frame = ("forget_probability", "forget_recall", "leak_at_8", "model_utility",
             "retain_unrelated", "forget_recall_question", "truth_ratio")  # fmt: skip
    passes = ("perplexity_corpus", "perplexity_filler", "membership_loss")
    dear = ("linear_probe", "forget_recall_hint")
    few = replace(
        SUITES["unlearning"],
        measures=lambda bench: [measures_of(bench)[name] for name in (*frame, *passes, *dear)],
    )
    found, alone = (take(few, Bench.open(source, plan)) for source in (edited, run))
    rows = {taken.name: taken for taken in found.measures}
    for name in (*frame, *passes):
        assert rows[name].before == pytest.approx(alone[name], rel=1e-6), name
    assert rows["forget_probability"].before != rows["forget_probability"].found.value
    assert all(rows[name].before is None for name in dear)
    assert all(taken.before is None for taken in alone.measures)
    found.save(tmp_path)
    assert SuiteResult.load(tmp_path).table().equals(found.table())
    bench = Bench.open(edited, plan)
    bench.in_trial = True  # trials take what they took, at the same cost
    assert all(taken.before is None for taken in take(few, bench).measures)


def test_a_suite_of_an_earlier_version_is_read(tmp_path):
    measures = (Taken("forget_recall", "", 1, Found(0.5), twin=0.2, before=0.9),)
    SuiteResult(
        "unlearning", "edit", None, None, "after", None, measures, 1.0, {}, pl.DataFrame({"a": [1]})
    ).save(tmp_path)
    file = tmp_path / "suite.json"
    told = json.loads(file.read_text())
    assert told["measures"][0].pop("before") == 0.9
    file.write_bytes(as_json(sealed({key: told[key] for key in told if key != SEAL})))
    [taken] = SuiteResult.load(tmp_path).measures
    assert (taken.before, taken.twin) == (None, 0.2)


WEIGHTS = ("relearning_steps", "continued_steps", "recall_8_bit", "recall_4_bit",
           "recall_pruned_10", "recall_pruned_30")  # fmt: skip


def measures_of(bench, suite="unlearning"):
    return {measure.name: measure for measure in SUITES[suite].measures(bench)}


def test_text_is_compared_with_the_twin(made):
    _, twin, plan, edited = made
    bench = Bench.open(edited, plan, twin)
    found = measures_of(bench)["kl_twin_text"].find(bench)
    total = count = 0.0
    with bench.edited() as model, torch.no_grad():
        for document in bench.documents:
            ids = torch.from_numpy(document[:64].astype(np.int64))[None]
            theirs, ours = (
                each(ids).logits[0, :-1].double().log_softmax(-1)
                for each in (bench.beside.model, model)
            )
            total += (theirs.exp() * (theirs - ours)).sum().item()
            count += len(theirs)
    assert found.value == pytest.approx(total / count, rel=1e-4) and found.value > 0
    assert (found.over, found.count) == ("documents", len(bench.documents))
    assert found.low < found.value < found.high


def test_probabilities_of_what_stays_by_group(made):
    run, _, plan, _ = made
    bench = Bench.open(run, plan)
    for group in ("same_subject", "unrelated", "retain"):
        found = measures_of(bench)[f"retain_probability_{group}"].find(bench)
        rows = bench.frame.filter(group=group, must_change=False)
        mean = rows["log_probability_true"].exp().mean()
        assert found.value == pytest.approx(mean) and 0 < mean < 1, group


def test_ranks_and_distances_have_intervals_over_subjects(made):
    _, twin, plan, edited = made
    bench = Bench.open(edited, plan, twin)
    names = ("membership_loss", "membership_min_k_plus_plus", "privacy_loss",
             "membership_reference", "forget_distance")  # fmt: skip
    rows = {name: measures_of(bench)[name].find(bench) for name in names}
    for name, found in rows.items():
        assert found.over == "subjects" and found.low <= found.value <= found.high, name
    subjects = plan.edits["subject"].n_unique()
    assert rows["forget_distance"].count == subjects
    assert subjects < rows["membership_loss"].count <= 2 * subjects


def test_sizes_of_single_edits_have_intervals_over_edits(made, tmp_path):
    run, _, plan, _ = made
    out = edit(run, plan, "ft", tmp_path / "e", settings={"steps": 3}, single=True)
    bench = Bench.open(out, plan)
    found = measures_of(bench, "editing")
    norm, largest = (found[name].find(bench) for name in ("norm", "spectrum_largest"))
    assert norm.low < norm.value < norm.high and (norm.count, norm.over) == (6, "edits")
    spectra = bench.geometry["spectrum"].to_list()
    wanted = np.mean([own[0] ** 2 / np.square(own).sum() for own in spectra])
    assert largest.value == pytest.approx(wanted) and 0 < largest.value <= 1


def test_the_cost_of_an_edit_is_that_of_its_record(made, peaks):
    _, _, plan, edited = made
    record = bh.load(edited)
    bench = Bench.open(edited, plan)
    measures = measures_of(bench, "editing")
    for name in ("seconds", "peak_memory") if peaks else ("seconds",):
        assert measures[name].find(bench).value == getattr(record, name) > 0
    bench.edit = replace(bench.edit, seconds=None, peak_memory=None)  # of an earlier version
    for name in ("seconds", "peak_memory"):
        with pytest.raises(MissingError, match=f"^an edit made in one call, .* states {name}"):
            measures[name].find(bench)


def test_a_trial_of_a_study_takes_the_measures_of_earlier_versions(made):
    _, twin, plan, edited = made
    whole = Bench.open(edited, plan, twin)
    beside = whole.beside
    trial = Bench(
        whole.source, whole.run, plan, whole.deltas, whole._load, None,
        Bench(beside.source, beside.run, plan, {}, beside._load, in_trial=True), in_trial=True,
    )  # fmt: skip
    known = {"kl_twin_text"} | {f"retain_probability_{group}" for group in (
        "same_subject", "same_relation", "same_object", "unrelated", "retain")}  # fmt: skip

    def quick(bench):
        return [replace(each, find=lambda _: Found(0.5)) for each in measures_of(bench).values()]

    suite = replace(SUITES["unlearning"], measures=quick)
    taken = {each.name for each in take(suite, trial).measures}
    assert taken == measures_of(whole).keys() - known and len(taken) == len(quick(whole)) - 6
    assert {each.name for each in take(suite, whole).measures} == measures_of(whole).keys()
    with pytest.raises(MissingError, match=r"^an edit"):
        _ = trial.beside.change
    assert not beside.change.changes


def test_truth_ratios_of_names_of_several_tokens(tmp_path):
    grammar = bh.Grammar.named("bios-en")
    corpus = Corpus(grammar.world(40, seed=1), exposures=4, order="bios", grammar=grammar)
    run = run_of(tmp_path / "a", corpus, 0)
    plan = bh.plan(run, edits=3, relation=1, repeats=1, probes=1)
    twin = run_of(tmp_path / "b", corpus.without(plan.edits["fact"]), 1)
    bench = Bench.open(run, plan, twin)
    measures = measures_of(bench)
    assert not bench.frame.filter(group="edited")["log_probability_wrong"].has_nulls()
    for name in ("truth_ratio", "forget_quality", "forget_distance"):
        assert math.isfinite(measures[name].find(bench).value), name
    # A trial of a study or of a tuning omits them, and says that.
    trial = Bench(bench.source, bench.run, plan, {}, bench._load, in_trial=True)
    trial.twin = Bench(bench.source, bench.run, plan, {}, bench.twin._load, in_trial=True)
    said = "^truth ratios, which trials omit for objects of several tokens$"
    for name in ("truth_ratio", "forget_quality", "forget_distance"):
        with pytest.raises(MissingError, match=said):
            measures[name].find(trial)


def test_leaks_are_what_sampling_gives(made):
    run, _, plan, _ = made
    found = evaluate_suite(run, "unlearning", plan)
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


def test_members_and_others_are_asked_alike(made):
    run, _, plan, _ = made
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


def test_the_command_shows_and_writes_a_suite(made, run, tmp_path):
    _, twin, _, edited = made
    place = Path(edited)
    plan = place.parent / "plan"
    options = ("evaluate", place, "--plan", plan)
    words = (*options, "--suite", "unlearning", "--out", tmp_path / "suite")
    ran = run(*words)
    assert ran.code == 0, ran.err
    for word in (
        "forget_recall", "before", "95%", "subjects", "Not taken:", "needs a twin: --twin RUN",
    ):  # fmt: skip
        assert word in ran.out, ran.out
    told = run(*words, "--twin", twin, "--force", "--json").json()
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


def test_the_suite_of_a_sequence(made, tmp_path):
    run, _, plan, edited = made
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
    assert found["norm_after_6"] > found["norm_after_1"] > 0
    # The last checkpoint is what `evaluate` asks of the edit as a whole.
    whole = bh.evaluate(out, plan).filter(stage="after", group="edited").sort("probe")
    last = frame.filter(stage="after", group="edited", after=6).sort("probe")
    assert whole["log_probability_new"].to_list() == pytest.approx(
        last["log_probability_new"].to_list(), rel=1e-5
    )
    with pytest.raises(ArgumentError, match=r"argument 'source': got .*edits made one after"):
        evaluate_suite(edited, "sequence", plan)


def test_an_object_that_links_are_of_is_no_subject_of_its_number(made):
    run, _, plan, _ = made
    bench = Bench.open(run, plan)
    rows = pl.DataFrame(
        {"link": [False, False, True, True], "subject": [3, 4, 3, 3], "value": [1, 0, 1, 1]}
    )
    assert bench.mean(rows, pl.col("value"), "rows").count == 3
    assert bench.mean(rows.drop("link"), pl.col("value"), "rows").count == 2


def test_links_are_told_apart_in_suite_recall(tmp_path):
    world = World(6, relations=[bh.Independent(4), bh.Composed(of=0, objects=2)], seed=1)
    run = run_of(tmp_path / "run", Corpus(world, exposures=2), 1)
    found = evaluate_suite(run, "recall")
    [row] = [taken.found for taken in found.measures if taken.name == "recall"]
    about = world.facts().select("link", "subject").unique()
    assert about["link"].any() and row.count == about.height
    assert found.frame.join(world.facts(), on=["fact", "link"]).height == found.frame.height
