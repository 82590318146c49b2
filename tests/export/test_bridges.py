"""Plans in the formats of others: what a record says, and that its words are the plan's tokens."""

import json

import polars as pl
import pytest
from datasets import get_dataset_config_names, load_dataset
from transformers import AutoTokenizer

import behemoth as bh
from behemoth import ArgumentError, Corpus, Grammar, Groups, Questions, World
from behemoth.evaluate.metrics import KEPT
from behemoth.export import BRIDGES, FORMATS, export, get_format, inspect_export, verify_export
from behemoth.plan.groups import FOLLOWING

pytestmark = pytest.mark.usefixtures("compiled_once")


def _plain(_=None):
    world = World(subjects=200, relations=3, objects=12, seed=1)
    return Corpus(
        world, exposures=Groups([0, 2, 4]), paraphrases=4, held_out=1, questions=Questions(0.5, 0.2)
    )


def _nested(_=None):  # where something follows from an edit
    world = World(subjects=200, relations=2, objects=12, nested=4, seed=2)
    return Corpus(world, exposures=2, paraphrases=3, held_out=1)


def _long(_=None):
    world = World(subjects=150, relations=2, objects=120, nested=30, seed=5)
    return Corpus(world, base=10, templates={"default": 1, "repeats": 1}, paraphrases=2)


def _text(_=None):
    grammar = Grammar.named("bios-en")
    return Corpus(grammar.world(120), grammar=grammar, exposures=3, questions=Questions(0.5, 0.2))


def _pieces(folder):  # names of several tokens, each with its space
    bh.train_tokenizer("bios-en", folder / "bpe", vocabulary=600, documents=200)
    grammar = Grammar.named("bios-en")
    return Corpus(grammar.world(120), grammar=grammar, exposures=2, tokenizer=folder / "bpe")


MAKERS = {"plain": _plain, "nested": _nested, "long": _long, "text": _text, "pieces": _pieces}


@pytest.fixture(scope="module", params=MAKERS)
def planned(request, tmp_path_factory):
    """A corpus that is written, and a plan for it: (directory, corpus, plan)."""
    folder = tmp_path_factory.mktemp(request.param)
    corpus, directory = MAKERS[request.param](folder), folder / "corpus"
    corpus.write(directory, probes=0)
    return directory, corpus, bh.plan(corpus, edits=4, repeats=3, probes=3, regular=20)


plain = pytest.mark.parametrize("planned", ["plain"], indirect=True)


@pytest.fixture
def exported(planned, tmp_path):
    """Export the plan: exported("tofu") -> directory."""

    def exported(to, **options):
        export(planned[0], tmp_path / to, to=to, plan=planned[2], **options)
        return tmp_path / to

    return exported


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def answered(corpus, answer):
    """An answer as text, without the space before it."""
    return corpus.decode(answer).removeprefix(" ")


def asked_for(corpus, prompt):
    """A prompt as text, without the space that a tokenizer of pieces may end it with."""
    return corpus.decode(prompt).removesuffix(" ")


def prompts(corpus, frame):
    return [asked_for(corpus, prompt) for prompt in frame["prompt"]]


def group(plan, edit, *groups):
    return plan.probes.filter((pl.col("edit") == edit) & pl.col("group").is_in(groups))


def test_counterfact(exported, planned):
    _, corpus, plan = planned
    records = read(exported("counterfact") / "counterfact.json")
    assert [record["case_id"] for record in records] == plan.edits["edit"].to_list()
    rows = zip(records, plan.edits.iter_rows(named=True), strict=True)
    for record, edit in rows:
        asked = record["requested_rewrite"]
        own = group(plan, edit["edit"], "edited").row(0, named=True)
        assert asked["prompt"].count("{}") == 1
        assert asked["prompt"].format(asked["subject"]) == asked_for(corpus, own["prompt"])
        assert asked["target_new"]["str"] == answered(corpus, own["answer"])
        assert asked["target_true"]["str"] == answered(corpus, own["old_answer"])
        assert asked["target_new"]["id"] == str(edit["new_object"])
        held_out, other = (
            prompts(corpus, group(plan, edit["edit"], name))
            for name in ("edited_held_out", "edited_paraphrase")
        )
        own_prompt = asked["prompt"].format(asked["subject"])
        wordings = [own for own in dict.fromkeys(held_out + other) if own != own_prompt]
        assert record["paraphrase_prompts"] == wordings
        for name, groups in (
            ("neighborhood_prompts", ["same_object"]),
            ("attribute_prompts", ["new_object"]),
        ):
            assert record[name] == prompts(corpus, group(plan, edit["edit"], *groups))
        about = prompts(corpus, group(plan, edit["edit"], "same_subject"))
        assert set(about) <= set(record["generation_prompts"])


@plain
def test_counterfact_in_the_words_of_a_world(exported, planned):
    # What a record must be, letter by letter: whoever reads it knows nothing of plans.
    plan = planned[2]
    record = read(exported("counterfact") / "counterfact.json")[0]
    edit = plan.edits.row(0, named=True)
    relation = f"R{edit['relation']}"
    assert record["requested_rewrite"] == {
        "prompt": f"subject {{}} has the relation {relation} with object",
        "relation_id": relation,
        "target_new": {
            "str": f"O{edit['relation']}:{edit['new_object']}",
            "id": str(edit["new_object"]),
        },
        "target_true": {
            "str": f"O{edit['relation']}:{edit['old_object']}",
            "id": str(edit["old_object"]),
        },
        "subject": f"S{edit['subject']}",
    }
    assert list(record) == [
        "case_id", "requested_rewrite", "paraphrase_prompts", "neighborhood_prompts",
        "attribute_prompts", "generation_prompts",
    ]  # fmt: skip


def test_zsre(exported, planned):
    _, corpus, plan = planned
    records = read(exported("zsre") / "zsre_mend_eval.json")
    for number, record in enumerate(records):
        own = group(plan, number, "edited").row(0, named=True)
        assert (
            record["src"] == asked_for(corpus, own["prompt"]) and record["subject"] in record["src"]
        )
        assert record["alt"] == answered(corpus, own["answer"])
        assert record["answers"] == [record["pred"]] == [answered(corpus, own["old_answer"])]
        assert record["cond"] == f"{record['pred']} >> {record['alt']} || {record['src']}"
        others = group(plan, number, "edited_held_out", "edited_paraphrase")
        assert record["rephrase"] in prompts(corpus, others)
        local = group(plan, number, "unrelated").row(0, named=True)
        assert record["loc"] == f"nq question: {asked_for(corpus, local['prompt'])}"
        assert record["loc_ans"] == answered(corpus, local["answer"])
    assert len(records) == len(plan)


def test_easyedit_has_the_arguments_of_its_editor(exported, planned):
    _, corpus, plan = planned
    found = read(exported("easyedit") / "easyedit.json")
    several = ("prompts", "subject", "target_new", "ground_truth", "rephrase_prompts")
    assert {len(found[name]) for name in several} == {len(plan)}
    assert set(found) == {*several, "locality_inputs", "portability_inputs"}
    pairs = zip(found["subject"], found["prompts"], strict=True)
    assert all(subject in prompt for subject, prompt in pairs)
    for inputs, groups, changes in (
        (found["locality_inputs"], KEPT, False),
        (found["portability_inputs"], FOLLOWING, True),
    ):
        assert set(inputs) <= set(groups)
        there = plan.probes.filter(must_change=changes).drop_nulls("edit")
        for name in groups:
            rows = there.filter(group=name)
            assert (name in inputs) == (rows.height > 0)
            if not rows.height:
                continue
            own = inputs[name]
            assert len(own["prompt"]) == len(own["ground_truth"]) == len(plan)
            for number in range(len(plan)):
                mine = rows.filter(edit=number)
                right = [answered(corpus, answer) for answer in mine["answer"]]
                assert (own["prompt"][number] or []) == prompts(corpus, mine)
                assert (own["ground_truth"][number] or []) == right


def test_tofu(exported, planned):
    _, corpus, plan = planned
    out = exported("tofu")
    [forget] = [path for path in out.glob("forget*.json") if "_" not in path.name]
    share = int(forget.stem.removeprefix("forget"))
    own = plan.training.filter(role="edit")
    rest = plan.training.filter(pl.col("role") != "edit")
    facts = own["fact"].n_unique(), rest["fact"].n_unique()
    assert share == max(1, round(100 * facts[0] / sum(facts)))
    assert lines(forget) == [
        {
            "question": asked_for(corpus, row["prompt"]),
            "answer": answered(corpus, row["old_answer"]),
            "alternate": answered(corpus, row["answer"]),
        }
        for row in own.iter_rows(named=True)
    ]
    kept = lines(out / f"retain{100 - share:02}.json")
    assert len(kept) == rest.unique(["fact", "wording"]).height
    said = {
        (asked_for(corpus, row["prompt"]), answered(corpus, row["answer"]))
        for row in rest.iter_rows(named=True)
    }
    assert {(row["question"], row["answer"]) for row in kept} == said
    new = {
        asked_for(corpus, row["prompt"]): answered(corpus, row["answer"])
        for row in own.iter_rows(named=True)
    }
    for name in (f"forget{share:02}_perturbed.json", "retain_perturbed.json"):
        rows = lines(out / name)
        assert rows
        for row in rows:
            wrong = row["perturbed_answer"]
            right = {row["answer"], new.get(row["question"])}
            assert len(set(wrong)) == len(wrong) and not set(wrong) & right
            assert row["paraphrased_answer"] == row["answer"]
    perturbed = lines(out / f"forget{share:02}_perturbed.json")
    assert all(row["paraphrased_question"] != row["question"] for row in perturbed)


@plain
def test_tofu_holds_out_what_was_never_written(exported, planned):
    _, corpus, plan = planned
    rows = lines(next(exported("tofu").glob("holdout*.json")))
    unwritten = corpus.probes().filter(
        (pl.col("exposures") == 0) & (pl.col("template") == "default")
    )
    known = dict(zip(prompts(corpus, unwritten), unwritten["answer"], strict=True))
    assert len(rows) == len(plan)
    assert all(answered(corpus, known[row["question"]]) == row["answer"] for row in rows)
    wrong = lines(next(exported("tofu").glob("forget*_perturbed.json")))[0]["perturbed_answer"]
    edit = plan.edits.row(0, named=True)
    around = [(edit["old_object"] + step) % 12 for step in range(1, 12)]
    words = [f"O{edit['relation']}:{own}" for own in around if own != edit["new_object"]]
    assert wrong == words[:5]


@pytest.mark.parametrize("planned", ["text"], indirect=True)
def test_each_prompt_of_an_edit_is_exported_once(exported, planned):
    plan = planned[2]
    records = read(exported("counterfact") / "counterfact.json")
    assert any(record["paraphrase_prompts"] for record in records)
    for record in records:
        asked = record["requested_rewrite"]
        wordings = [asked["prompt"].format(asked["subject"]), *record["paraphrase_prompts"]]
        assert len(set(wordings)) == len(wordings)
    edits = dict(plan.probes.select("probe", "edit").iter_rows())
    for file in exported("lm-eval").glob("*.jsonl"):
        rows = [(edits[row["probe"]], row["group"], row["prompt"]) for row in lines(file)]
        assert rows and len(set(rows)) == len(rows), file.name


@plain
def test_tofu_is_read_as_tofu_is(exported, planned, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    out = exported("tofu")
    names = get_dataset_config_names(str(out))
    files = {path.stem for path in out.glob("*[0-9d].json")} - {"export"}
    assert set(names) == files and len(names) == 5
    for name in names:
        found = load_dataset(str(out), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert found.to_list() == lines(out / f"{name}.json")


@pytest.mark.parametrize("planned", ["nested"], indirect=True)
def test_tofu_has_no_holdout_where_all_is_written(exported):
    assert not list(exported("tofu").glob("holdout*.json"))


def test_lm_eval(exported, planned):
    _, corpus, plan = planned
    out = exported("lm-eval")
    rows = {row["probe"]: row for row in plan.probes.iter_rows(named=True)}
    for task, right, wrong in (
        ("efficacy", "answer", "old_answer"),
        ("paraphrase", "answer", "old_answer"),
        ("neighbourhood", "old_answer", "new_answer"),
    ):
        documents = lines(out / f"{task}.jsonl")
        assert documents
        for document in documents:
            row = rows[document["probe"]]
            assert document["prompt"] == asked_for(corpus, row["prompt"])
            answers = [f" {answered(corpus, row[name])}" for name in (wrong, right)]
            assert (document["choices"], document["label"]) == (answers, 1)
            assert answers[0] != answers[1]
    yaml = (out / "efficacy.yaml").read_text()
    assert yaml.startswith("task: behemoth_efficacy\ntag: behemoth\n")
    assert "    test: efficacy.jsonl\n" in yaml


@plain
def test_lm_eval_chooses_among_all_objects(exported, planned):
    _, corpus, plan = planned
    rows = {row["probe"]: row for row in plan.probes.iter_rows(named=True)}
    for task, changes in (("edited", True), ("kept", False)):
        documents = lines(exported("lm-eval") / f"{task}.jsonl")
        assert documents
        for document in documents:
            row = rows[document["probe"]]
            marker = "object " if row["template"] == "question" else ""
            every = {f" {marker}O{row['relation']}:{number}" for number in range(12)}
            assert set(document["choices"]) == every and document["label"] == 11
            assert document["choices"][-1] == f" {corpus.decode(row['answer'])}"
            assert row["must_change"] == changes


def test_every_prompt_is_the_tokens_of_a_row(exported, planned):
    _, corpus, plan = planned
    known, pairs = set(), set()
    for frame in (plan.probes, plan.training, corpus.probes()):
        names = [name for name in ("answer", "old_answer") if name in frame.columns]
        for prompt, *answers in frame.select("prompt", *names).iter_rows():
            known.add(tuple(prompt))
            pairs.update((*prompt, *answer) for answer in answers)
    space = AutoTokenizer.from_pretrained(exported("tofu") / "tokenizer").encode(" ")
    for to in BRIDGES:
        out = exported(to)
        tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
        said = list(_prompts(to, out))
        assert said
        right = 0
        for prompt, answers in said:
            tokens = tokenizer.encode(prompt, add_special_tokens=False)
            assert tuple(tokens) in known or (*tokens, *space) in known, (to, prompt)
            for answer in answers:
                # The answer's tokens are its own, whatever stands before it.
                whole = tokenizer.encode(prompt + answer, add_special_tokens=False)
                assert whole[: len(tokens)] == tokens
                assert corpus.decode(whole[len(tokens) :]).strip() == answer.strip()
                right += tuple(whole) in pairs
        assert right >= len([answers for _, answers in said if answers]), to


def _prompts(to, out):
    """All prompts of an export, with the answers that are put behind them."""
    if to == "counterfact":
        for record in read(out / "counterfact.json"):
            own = record["requested_rewrite"]
            both = [f" {own[name]['str']}" for name in ("target_new", "target_true")]
            yield own["prompt"].format(own["subject"]), both
            for name in ("paraphrase_prompts", "neighborhood_prompts", "attribute_prompts"):
                yield from ((prompt, both) for prompt in record[name])
            yield from ((prompt, []) for prompt in record["generation_prompts"])
    elif to == "zsre":
        for record in read(out / "zsre_mend_eval.json"):
            yield record["src"], [f" {record['alt']}", f" {record['pred']}"]
            yield record["rephrase"], [f" {record['alt']}"]
            yield record["loc"].removeprefix("nq question: "), [f" {record['loc_ans']}"]
    elif to == "easyedit":
        found = read(out / "easyedit.json")
        answers = [[f" {answer}"] for answer in found["target_new"]]
        yield from zip(found["prompts"], answers, strict=True)
        yield from zip(found["rephrase_prompts"], answers, strict=True)
        for inputs in (found["locality_inputs"], found["portability_inputs"]):
            for own in inputs.values():
                for some, right in zip(own["prompt"], own["ground_truth"], strict=True):
                    for prompt, answer in zip(some or (), right or (), strict=True):
                        yield prompt, [f" {answer}"]
    elif to == "tofu":
        for file in out.glob("*[0-9d].json"):
            for row in lines(file):
                wrong = [f" {answer}" for answer in row.get("perturbed_answer", ())]
                yield row["question"], [f" {row['answer']}", *wrong]
                if "paraphrased_question" in row:
                    yield row["paraphrased_question"], []
    else:
        for file in out.glob("*.jsonl"):
            for row in lines(file):
                yield row["prompt"], row["choices"]


@plain
@pytest.mark.parametrize("to", BRIDGES)
def test_again_nothing_is_written_and_what_is_lost_is_made_again(planned, tmp_path, to):
    directory, _, plan = planned
    out = tmp_path / "out"
    done = export(directory, out, to=to, plan=plan)
    assert (done.tokens, done.edits) == (None, len(plan)) and done.files > 0
    whole = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in whole}
    export(directory, out, to=to, plan=plan.save(tmp_path / "plan"))
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for path in list(whole)[::2]:
        if path.name != "export.json":
            path.unlink()
    export(directory, out, to=to, plan=plan)
    assert {path: path.read_bytes() for path in whole} == whole
    assert verify_export(out).ok
    report = inspect_export(out)
    assert (report.to, report.plan_hash, report.complete) == (to, plan.plan_hash, True)
    assert get_format(to).name == to


@plain
def test_a_spec_will_do(planned, tmp_path):
    directory, _, plan = planned
    export(directory, tmp_path / "a", to="counterfact", plan=plan)
    export(directory / "spec.toml", tmp_path / "b", to="counterfact", plan=plan)
    both = [(tmp_path / name / "counterfact.json").read_bytes() for name in "ab"]
    assert both[0] == both[1]


@plain
def test_another_plan_is_left_alone_but_for_force(planned, tmp_path):
    directory, corpus, plan = planned
    other = bh.plan(corpus, edits=2, repeats=3, probes=3, regular=20, seed=9)
    export(directory, tmp_path / "out", to="zsre", plan=plan)
    with pytest.raises(ArgumentError, match=r"another export \(to zsre\), allowed: a new"):
        export(directory, tmp_path / "out", to="zsre", plan=other)
    export(directory, tmp_path / "out", to="zsre", plan=other, force=True)
    assert len(read(tmp_path / "out" / "zsre_mend_eval.json")) == 2


@plain
def test_refusals(planned, tmp_path):
    directory, corpus, plan = planned
    out = tmp_path / "out"

    def refused(match, to="zsre", plan=plan, **options):
        with pytest.raises(ArgumentError, match=match):
            export(directory, out, to=to, plan=plan, **options)
        assert not out.exists()

    refused("'plan': got nothing, allowed: a plan of edits, from which tofu is made", "tofu", None)
    refused("'plan': got a plan for olmo, a format of corpora, allowed: none, or counter", "olmo")
    refused(
        "'plan': got .*nowhere, which does not exist, allowed: a plan directory",
        plan=tmp_path / "nowhere",
    )
    refused("'to': got zrse .did you mean zsre", "zrse")
    refused("'block_length': got 4 for zsre, which has no blocks, .*litdata", block_length=4)
    refused("'plan': got a plan of another corpus", plan=bh.plan(_nested(), edits=2, repeats=2))
    asks_nothing = bh.plan(corpus, edits=2, repeats=2, probed=0, probes=0)
    refused("'plan': got a plan without probes, allowed", "lm-eval", asks_nothing)
    allowed = "'plan': got edit 0, which has probes in one wording only, .*--paraphrases"
    refused(allowed, plan=asks_nothing)
    alone = bh.plan(corpus, edits=2, repeats=2, probes=0)
    refused("'plan': got edit 0, which has no probe in the groups unrelated", plan=alone)


def test_corpora_without_a_plan_are_as_they_were():
    assert not set(BRIDGES) & set(FORMATS)
