"""Edited models as others load them: the edit's weights bit by bit, and what their card says."""

import json
import re
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import behemoth as bh
from behemoth import ArgumentError
from behemoth.evaluate.suites.suite import SuiteResult
from behemoth.export import export, inspect_export, verify_export
from behemoth.train.run import world_id

SETTINGS = {"rank": 1, "steps": 2, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def plan(trained):
    return bh.plan(trained, edits=3, repeats=2, probes=1, independent=True)


@pytest.fixture(scope="module")
def edits(trained, plan, tmp_path_factory):
    """Directories of edits: of one batch, of single edits, of a sequence."""
    place = tmp_path_factory.mktemp("edits")
    for name in ("batch", "single", "sequential"):
        how = {} if name == "batch" else {name: True}
        bh.edit(trained, plan, "lora", place / name, settings=SETTINGS, **how)
    return place


def log_probabilities(model, plan):
    """What a model says at the last token of each probe."""
    rows = [model(torch.tensor([prompt])).logits[0, -1] for prompt in plan.probes["prompt"]]
    return torch.stack(rows).log_softmax(-1)


@pytest.mark.parametrize(("name", "key"), [("batch", None), ("sequential", None), ("single", 1)])
def test_it_says_what_the_edited_model_says(edits, trained, plan, tmp_path, name, key):
    out = tmp_path / "out"
    done = export(edits / name, out, to="hf", edit=key)
    loaded = AutoModelForCausalLM.from_pretrained(out)
    model = bh.load(trained).load_model("cpu")
    with torch.no_grad():
        before = log_probabilities(model, plan)
        with bh.load(edits / name).deltas()[key].apply(model):
            after = log_probabilities(model, plan)
        found = log_probabilities(loaded, plan)
    assert torch.equal(found, after) and not torch.equal(found, before)
    assert loaded.dtype == torch.float32 and loaded.generation_config.eos_token_id == 0
    assert (done.files, done.tokens, done.edits) == (7, None, 1 if key is not None else 3)
    kept = [path for path in out.iterdir() if path.name not in ("export.json", "sums.json")]
    assert (len(kept), sum(path.stat().st_size for path in kept)) == (done.files, done.bytes)
    assert done.present == 0 and export(edits / name, out, to="hf", edit=key).present == 7


def test_how_the_model_generates_is_what_its_maker_says(trained, plan, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(trained / name, model / name)
    # transformers reads this, and refuses to write it.
    said = {"eos_token_id": [0, 2], "pad_token_id": 3, "temperature": 0.5, "do_sample": False}
    (model / "generation_config.json").write_text(json.dumps(said))
    spec = trained / "spec.toml"
    bh.edit(model, plan, "lora", tmp_path / "edit", settings=SETTINGS, corpus=spec)
    export(tmp_path / "edit", tmp_path / "out", to="hf")
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text()) == said
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()


def test_the_tokenizer_lies_beside_the_weights(edits, trained, plan, tmp_path):
    export(edits / "batch", tmp_path / "out", to="hf")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    corpus, prompt = bh.load(trained).corpus, plan.probes["prompt"][0].to_list()
    assert tokenizer.encode(corpus.decode(prompt)) == prompt


def test_single_edits_have_a_model_each(edits, trained, plan, tmp_path):
    out = tmp_path / "out"
    done = export(edits / "single", out, to="hf")
    assert done.edits == 3 and done.files == 21
    assert sorted(path.parent.name for path in out.glob("*/config.json")) == [
        "00000", "00001", "00002",
    ]  # fmt: skip
    export(edits / "single", tmp_path / "one", to="hf", edit=2)
    for name in ("model.safetensors", "README.md", "tokenizer.json"):
        assert (out / "00002" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert verify_export(out).ok and inspect_export(out).plan_hash == plan.plan_hash


def test_what_is_lost_is_made_again_and_the_rest_left(edits, tmp_path):
    out = tmp_path / "out"
    export(edits / "single", out, to="hf")
    whole = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in whole}
    (out / "00001" / "model.safetensors").unlink()
    (out / "sums.json").unlink()
    export(edits / "single", out, to="hf")
    assert {path: path.read_bytes() for path in whole} == whole
    kept = [path for path in whole if path.parent.name in ("00000", "00002")]
    assert kept and all(path.stat().st_mtime_ns == times[path] for path in kept)


def test_another_edit_is_left_alone_but_for_force(edits, tmp_path):
    out = tmp_path / "out"
    export(edits / "single", out, to="hf")
    with pytest.raises(ArgumentError, match=r"another export \(to hf\), allowed: a new"):
        export(edits / "batch", out, to="hf")
    export(edits / "batch", out, to="hf", force=True)
    assert (out / "config.json").is_file() and not list(out.glob("0*"))


def test_the_card(edits, trained, plan, tmp_path):
    run = bh.load(trained)
    export(edits / "batch", tmp_path / "plain", to="hf")
    card = (tmp_path / "plain" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-generation\n")
    for said in (
        f"| world | `{world_id(run.corpus)}`, 360 facts |",
        f"| corpus | spec `{run.corpus.spec_hash}` |",
        f"| plan | `{plan.plan_hash}` |",
        "| edits | 3, in one batch |",
        "learning_rate 0.05",
        "lora (Hu",
    ):
        assert said in card, said
    assert "## Suite" not in card
    export(edits / "sequential", tmp_path / "sequence", to="hf")
    card = (tmp_path / "sequence" / "README.md").read_text()
    assert "| edits | 3, one after another |" in card


def test_a_suite_beside_the_edit_is_in_the_card(edits, trained, plan, tmp_path):
    found = bh.evaluate_suite(edits / "batch", "editing", plan, out=edits / "batch-suite")
    export(edits / "batch", tmp_path / "out", to="hf")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "## Suite: editing" in card and f"| efficacy | {found['efficacy']:.3g} | " in card
    assert f"| neighbourhood (v2) | {found['neighbourhood']:.3g} | " in card
    absent = re.findall(r"^- (.*): needs ", card.partition("\nNot taken:\n")[2], re.MULTILINE)
    missing = {taken.name for taken in found.measures if taken.missing}
    assert missing and set(", ".join(absent).split(", ")) == missing
    again = export(edits / "batch", tmp_path / "out", to="hf")
    assert (again.renewed, again.present) == (0, again.files)
    bh.evaluate_suite(edits / "batch", "recall", plan, out=edits / "batch-recall")
    later = export(edits / "batch", tmp_path / "out", to="hf")
    assert (later.renewed, later.present) == (1, later.files - 1)
    assert "## Suite: recall" in (tmp_path / "out" / "README.md").read_text()
    assert verify_export(tmp_path / "out").ok
    export(edits / "sequential", tmp_path / "other", to="hf")  # whose suite it is not
    assert "## Suite" not in (tmp_path / "other" / "README.md").read_text()


def test_a_card_that_was_changed_by_hand_stays(trained, plan, tmp_path, run):
    edit, out = tmp_path / "edit", tmp_path / "out"
    bh.edit(trained, plan, "lora", edit, settings=SETTINGS)
    export(edit, out, to="hf")
    bh.evaluate_suite(edit, "recall", plan, out=edit / "suite")
    said = run("export", edit, "--to", "hf", "--out", out)
    assert "its model card was made again, with the suites that are there now" in said.err
    assert "## Suite: recall" in (out / "README.md").read_text()
    (out / "README.md").write_text("mine")
    bh.evaluate_suite(edit, "editing", plan, out=edit / "suite-2")
    assert export(edit, out, to="hf").renewed == 0
    assert (out / "README.md").read_text() == "mine"


def test_the_card_of_a_single_edit_has_no_suite_of_all(trained, plan, tmp_path):
    bh.edit(trained, plan, "lora", tmp_path / "edit", settings=SETTINGS, single=True)
    bh.evaluate_suite(tmp_path / "edit", "editing", plan, out=tmp_path / "suite")
    export(tmp_path / "edit", tmp_path / "out", to="hf", edit=0)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "## Suite" not in card and "Suites of these edits cover all single edits" in card


def test_a_suite_of_an_equally_named_edit_of_the_same_plan_is_not_in_the_card(
    trained, plan, tmp_path
):
    for name, rank in (("one", 1), ("two", 2)):
        edited = tmp_path / name / "edit"
        bh.edit(trained, plan, "lora", edited, settings={**SETTINGS, "rank": rank})
        bh.evaluate_suite(edited, "editing", plan, out=tmp_path / name / "suite")
    shutil.copytree(tmp_path / "one" / "suite", tmp_path / "two" / "other")
    export(tmp_path / "two" / "edit", tmp_path / "out", to="hf")
    assert (tmp_path / "out" / "README.md").read_text().count("## Suite") == 1
    for name in ("suite", "other"):
        file = tmp_path / "two" / name / "suite.json"
        said = json.loads(file.read_text())
        assert said.pop("edit_hash")
        del said["blake3"], said["files"]
        file.write_text(json.dumps(said))  # as earlier versions wrote it
        assert SuiteResult.load(file.parent).edit_hash is None
    export(tmp_path / "two" / "edit", tmp_path / "old", to="hf")
    assert "## Suite" not in (tmp_path / "old" / "README.md").read_text()


def test_a_damaged_suite_stops_an_export_before_its_work_or_not_at_all(trained, plan, tmp_path):
    edited = tmp_path / "edit"
    bh.edit(trained, plan, "lora", edited, settings=SETTINGS)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "suite.json").write_text("{")
    export(edited, tmp_path / "out", to="hf")
    assert verify_export(tmp_path / "out").ok
    (edited / "suite").mkdir()
    (edited / "suite" / "suite.json").write_text("{")
    with pytest.raises(bh.CorpusError, match=r"suite.json is damaged"):
        export(edited, tmp_path / "none", to="hf")
    assert not (tmp_path / "none").exists()


def test_a_suite_is_read_as_it_was_written(edits, plan, tmp_path):
    found = bh.evaluate_suite(edits / "batch", "editing", plan, out=tmp_path / "suite")
    again = SuiteResult.load(tmp_path / "suite")
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())
    assert again.frame.equals(found.frame)
    (tmp_path / "suite" / "suite.json").write_text("{}")
    with pytest.raises(bh.CorpusError, match=r"suite.json is damaged: it is not a valid result"):
        SuiteResult.load(tmp_path / "suite")


def test_refusals(edits, trained, plan, tmp_path):
    out = tmp_path / "out"

    def refused(match, source=edits / "batch", to="hf", **options):
        with pytest.raises(ArgumentError, match=match):
            export(source, out, to=to, **options)
        assert not out.exists()

    refused("'directory': got .*, a run, which transformers loads without an export", trained)
    refused(
        "'directory': got .*nowhere, which does not exist, allowed: an edit directory",
        tmp_path / "nowhere",
    )
    refused("'plan': got a plan for hf, a format of edits, allowed: none", plan=plan)
    refused("'block_length': got 4 for hf, which has no blocks", block_length=4)
    refused("'edit': got 1, allowed: no number for a batch", edit=1)
    refused("'edit': got 7, allowed: the number of one", edits / "single", edit=7)
    refused("'edit': got 1 for zsre, allowed: nothing, or hf", to="zsre", edit=1)


def test_edits_that_failed_make_no_models(trained, plan, tmp_path):
    worst = {**SETTINGS, "learning_rate": 1e38, "steps": 6}
    bh.edit(trained, plan, "lora", tmp_path / "batch", settings=worst)
    bh.edit(trained, plan, "lora", tmp_path / "single", settings=worst, single=True)
    for name, options, match in (
        ("batch", {}, "which failed: "),
        ("single", {}, "all edits of which failed"),
        ("single", {"edit": 0}, "'edit': got 0, which failed: "),
    ):
        with pytest.raises(ArgumentError, match=match):
            export(tmp_path / name, tmp_path / "out", to="hf", **options)


def test_the_command(run, edits, tmp_path):
    out = tmp_path / "out"
    said = run("export", edits / "single", "--to", "hf", "--edit", 1, "--out", out)
    assert said.code == 0 and said.out.startswith(f"{out}: 7 files, 1 edit, ")
    assert "an export to hf" in run("inspect", out).out
    assert run("verify", out).code == 0


def test_what_no_weights_can_say_is_refused(trained, plan, tmp_path):
    bh.edit(trained, plan, "grace", tmp_path / "grace", settings={"steps": 2})
    allowed = "in which grace changes the modules .*, allowed: an edit that changes only weights"
    with pytest.raises(ArgumentError, match=allowed):
        export(tmp_path / "grace", tmp_path / "out", to="hf")
    assert not (tmp_path / "out").exists()


# The peak of a process that has loaded what an export does, and what was reckoned of it.
PEAK = """
import sys
import behemoth as bh, torch
import behemoth.edit.apply, behemoth.export.hf, behemoth.model.build, behemoth.model.load
from behemoth.export.edited import EditedModels
from behemoth.export.memory_budget import export_bytes
from behemoth.model.memory import LOADED
from behemoth.train.memory_budget import file_bytes
torch.set_num_threads(1)
edit, out = sys.argv[1:3]
before = peak()
bh.export(edit, out, to="hf")
grown = peak() - before
models = EditedModels.open(edit)
print(grown, export_bytes(models) + LOADED * file_bytes(models.run.directory))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ft", "lora"])
def test_a_peak_is_below_what_is_reckoned_and_above_a_third_of_it(measure, tmp_path, method):
    """The weights and the bytes of the file are reckoned apart; here they share most of them."""
    corpus = bh.Corpus(bh.World(500, 4, 20), exposures=4)
    config = bh.default_config("31m", steps=1, batch_size=2, block_length=32, threads=1,
        tensorboard=False, probe_facts=0, device="cpu", precision="fp32")  # fmt: skip
    bh.train(corpus, out=tmp_path / "run", config=config)
    plan = bh.plan(tmp_path / "run", edits=2, repeats=2, probes=1)
    bh.edit(tmp_path / "run", plan, method, tmp_path / "edit", settings={"steps": 1})
    peak, reckoned = measure(PEAK, tmp_path / "edit", tmp_path / "out")
    assert peak <= reckoned <= 3 * peak, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


def test_an_edit_that_does_not_fit_is_refused_before_anything_is_written(
    edits, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    with pytest.raises(ArgumentError, match=r"'directory': got .*, which needs about .* to export"):
        export(edits / "batch", out, to="hf", memory=50 << 20)
    # Without a limit, what is free is the limit.
    monkeypatch.setattr("behemoth.support.memory.available", lambda: 40 << 20)
    with pytest.raises(ArgumentError, match=r"what fits into 41\.9 MB: a smaller model"):
        export(edits / "batch", out, to="hf")
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        export(edits / "batch", out, to="hf", memory=0)
    assert not out.exists()
