"""What examples/open_unlearning.py makes of a run and an export, without open-unlearning."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import behemoth as bh

SCRIPT = Path(__file__).parents[1] / "examples" / "open_unlearning.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("open_unlearning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def model(tmp_path):
    """Write a directory that says no more of a model than its type and its number of blocks."""

    def model(**config):
        place = tmp_path / "run"
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text(json.dumps(config))
        return place

    return model


@pytest.fixture
def clone(tmp_path):
    """A clone whose trainer writes its working directory and its arguments to `seen.json`."""
    place = tmp_path / "clone"
    (place / "src").mkdir(parents=True)
    (place / "src" / "train.py").write_text(
        "import json, os, sys\n"
        "json.dump([os.getcwd(), *sys.argv[1:]], open('seen.json', 'w'))\n"
        "sys.exit(3)\n"
    )
    return place


@pytest.fixture
def tofu(tmp_path):
    place = tmp_path / "tofu"
    place.mkdir()
    names = ("forget03", "forget03_perturbed", "retain97", "retain_perturbed", "holdout03")
    for name in names:
        row = {"question": f"of {name}", "answer": "O1:8", "perturbed_answer": ["O1:9"]}
        if name == "forget03":
            row["alternate"] = "O1:2"
        (place / f"{name}.json").write_text(json.dumps(row) + "\n")
    return place


@pytest.mark.parametrize("kind", ["plain", "text"])
def test_the_prompt_has_the_same_tokens_alone_and_before_its_answer(script, kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    if kind == "text":
        bh.train_tokenizer("bios-en", tmp_path / "bpe", vocabulary=600, documents=200)
        grammar = bh.Grammar.named("bios-en")
        corpus = bh.Corpus(
            grammar.world(60), grammar=grammar, exposures=2, tokenizer=tmp_path / "bpe"
        )
    else:
        corpus = bh.Corpus(bh.World(subjects=40, relations=3, objects=5), exposures=2)
    corpus.write(tmp_path / "corpus", probes=0)
    plan = bh.plan(corpus, edits=3, repeats=2, probes=1)
    bh.export(tmp_path / "corpus", tmp_path / "tofu", to="tofu", plan=plan)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "corpus" / "tokenizer")
    data = tmp_path / "forget.json"
    assert script.write_split(script.split_of(tmp_path / "tofu", "forget"), data) == 3
    edits = plan.training.filter(role="edit").select("prompt", "old_answer").iter_rows()
    trained = [[*prompt, *answer] for prompt, answer in edits]
    edits = plan.training.filter(role="edit").select("prompt", "answer").iter_rows()
    preferred = [[*prompt, *answer] for prompt, answer in edits]
    for row in rows_of(data):
        prompt = tokenizer(row["question"])["input_ids"]
        both = tokenizer(row["question"] + row["answer"])["input_ids"]
        assert both[: len(prompt)] == prompt and both in trained
        other = tokenizer(row["question"] + row["alternate"])["input_ids"]
        assert other[: len(prompt)] == prompt and other in preferred


def test_an_end_follows_every_answer(script, tofu, tmp_path):
    script.write_split(tofu / "forget03.json", tmp_path / "out" / "forget.json", " .")
    [row] = rows_of(tmp_path / "out" / "forget.json")
    assert row == {
        "question": "of forget03",
        "answer": " O1:8 .",
        "alternate": " O1:2 .",
        "perturbed_answer": [" O1:9 ."],
    }


@pytest.mark.parametrize(
    ("config", "block"),
    [
        ({"model_type": "gpt_neox", "num_hidden_layers": 3}, "gpt_neox[.]layers[.]1"),
        ({"model_type": "gpt2", "n_layer": 4}, "transformer[.]h[.]2"),
        ({"model_type": "llama", "num_hidden_layers": 1}, "model[.]layers[.]0"),
    ],
)
def test_rmu_steers_the_last_block_but_one(script, model, config, block, tmp_path):
    words = script.overrides(model(**config), tmp_path / "out", "RMU")
    assert f'trainer.method_args.module_regex="{block}"' in words
    words = script.overrides(model(**config), tmp_path / "out", "NPO")
    assert not any("module_regex" in word for word in words)


def test_dpo_prefers_the_answer_after_the_edit(script, model, tmp_path):
    run = model(model_type="llama", num_hidden_layers=3)
    words = script.overrides(run, tmp_path / "out", "DPO")
    assert words[-2:] == [
        "data.forget.TOFU_QA_forget.handler=QAwithAlternateDataset",
        "+data.forget.TOFU_QA_forget.args.alternate_key=alternate",
    ]
    assert not any("alternate" in word for word in script.overrides(run, tmp_path / "out", "NPO"))


def test_pdu_needs_a_bound(script, model, clone, tofu, tmp_path, capsys):
    run = model(model_type="llama", num_hidden_layers=3)
    words = [str(place) for place in (clone, run, tofu, tmp_path / "out")] + ["--trainer", "PDU"]
    with pytest.raises(SystemExit):
        script.main(words)
    assert "PDU: allowed: with --set trainer.method_args.retain_loss_eps=NATS" in (
        capsys.readouterr().err
    )
    assert script.main([*words, "--set", "trainer.method_args.retain_loss_eps=0.5"]) == 3


def test_the_trainer_runs_in_the_clone(script, model, clone, tofu, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = model(model_type="llama", num_hidden_layers=3)
    words = ["clone", "run", "tofu", "out", "--trainer", "NPO"]
    assert script.main([*words, "--set", "trainer.args.seed=1", "--set", "x=2"]) == 3
    where, *words = json.loads((clone / "seen.json").read_text())
    assert where == str(clone)
    assert words[0] == "--config-name=unlearn.yaml" and words[-2:] == ["trainer.args.seed=1", "x=2"]
    assert f'model.model_args.pretrained_model_name_or_path="{run}"' in words
    assert f'model.tokenizer_args.pretrained_model_name_or_path="{run}"' in words
    assert f'paths.output_dir="{tmp_path / "out"}"' in words
    for part in ("forget", "retain"):
        file = tmp_path / "out" / "data" / f"{part}.json"
        assert f'+data.{part}.TOFU_QA_{part}.args.hf_args.data_files="{file}"' in words
        [row] = rows_of(file)
        assert row["question"].startswith(f"of {part}") and row["answer"] == " O1:8"


def test_the_metrics_of_the_twin_come_first(script, model, clone, tofu, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = model(model_type="llama", num_hidden_layers=3)
    (clone / "src" / "eval.py").write_text(
        "import json, sys\n"
        "with open('seen.json', 'a') as seen: seen.write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    twin = run.rename(tmp_path / "twin")
    run = model(model_type="llama", num_hidden_layers=3)
    out = tmp_path / "out"
    words = ["clone", "run", "tofu", "out", "--evaluate", "twin"]
    assert script.main([*words, "--set", "x=2"]) == 0
    first, second = rows_of(out / "seen.json")
    key = "model.model_args.pretrained_model_name_or_path"
    assert f'{key}="{twin}"' in first and f'paths.output_dir="{out / "twin"}"' in first
    assert f'{key}="{run}"' in second and f'paths.output_dir="{out}"' in second
    logs = f'eval.tofu.retain_logs_path="{out / "twin" / "TOFU_EVAL.json"}"'
    assert logs in second and logs not in first
    for words in (first, second):
        assert "eval.tofu.forget_split=forget03" in words and words[-1] == "x=2"
        assert f'eval.tofu.metrics.mia_reference.reference_model_path="{twin}"' in words
    data = out / "locuslab" / "TOFU"
    for name in ("forget03_perturbed", "retain_perturbed", "holdout03"):
        [row] = rows_of(data / f"{name}.json")
        assert row["answer"] == " O1:8" and row["perturbed_answer"] == [" O1:9"]
        assert f"- config_name: {name}\n  data_files: {name}.json\n" in (
            (data / "README.md").read_text()
        )


def test_metrics_need_facts_that_are_never_written(script, model, clone, tofu, tmp_path, capsys):
    run = model(model_type="llama", num_hidden_layers=3)
    (clone / "src" / "eval.py").write_text("")
    (tofu / "holdout03.json").unlink()
    words = [str(place) for place in (clone, run, tofu, tmp_path / "out")]
    with pytest.raises(SystemExit):
        script.main([*words, "--evaluate", str(run)])
    assert "tofu: has no holdout03.json, allowed: with it" in capsys.readouterr().err


def test_print_runs_nothing(script, model, clone, tofu, tmp_path, capsys):
    run = model(model_type="llama", num_hidden_layers=3)
    assert script.main([str(p) for p in (clone, run, tofu, tmp_path / "out")] + ["--print"]) == 0
    assert capsys.readouterr().out.startswith(f"{sys.executable} src/train.py ")
    assert not (clone / "seen.json").exists()


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("clone/src/train.py", "clone: allowed: a clone"),
        ("run/config.json", "run: allowed: a directory of transformers"),
        ("tofu/retain97.json", "tofu: found none, allowed: one file retainNN.json"),
    ],
)
def test_what_is_missing_is_named(script, model, clone, tofu, missing, said, tmp_path, capsys):
    run = model(model_type="llama", num_hidden_layers=3)
    (tmp_path / missing).unlink()
    with pytest.raises(SystemExit) as left:
        script.main([str(place) for place in (clone, run, tofu, tmp_path / "out")])
    assert left.value.code == 2 and said in capsys.readouterr().err


def test_several_splits_are_refused(script, tofu):
    (tofu / "forget10.json").write_text("")
    with pytest.raises(ValueError, match=r"found forget03\.json, forget10\.json"):
        script.split_of(tofu, "forget")


@pytest.mark.parametrize("value", ['a"b', "a\\b", "${a}"])
def test_hydra_would_read_something_else(script, value):
    with pytest.raises(ValueError, match="allowed: no quotation mark"):
        script.quoted(value)
