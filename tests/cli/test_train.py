import json
import os
import re
import shutil
import signal
import sys

import pytest

from behemoth import Corpus, World

SMALL = (
    "--steps", "6", "--block-length", "32", "--batch-size", "4", "--threads", "1",
    "--no-tensorboard", "--log-interval", "2",
)  # fmt: skip


@pytest.fixture
def spec(tmp_path):
    pytest.importorskip("torch")
    corpus = Corpus(World(subjects=20, relations=2, objects=5), exposures="groups:4,16")
    (tmp_path / "spec.toml").write_text(corpus.spec_toml)
    return tmp_path / "spec.toml"


def test_json_is_one_object_with_the_keys_of_the_contract(run, spec, tmp_path):
    report = run("train", spec, "--out", tmp_path / "run", *SMALL, "--json").json()
    assert set(report) == {
        "run", "steps", "tokens", "seconds", "tokens_per_second", "loss", "recall",
    }  # fmt: skip
    assert report["run"] == str(tmp_path / "run")
    assert (report["steps"], report["tokens"]) == (6, 6 * 4 * 32)
    assert set(report["recall"]) == {"4", "16"}


def test_people_see_the_loss_the_rate_and_the_recall(run, spec, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    monkeypatch.setenv("NO_COLOR", "1")
    ran = run("train", spec, "--out", tmp_path / "run", *SMALL)
    assert ran.code == 0
    for words in ("step 6 of 6", "loss", "tokens/s", "data wait"):
        assert words in ran.err, words
    assert "is finished" not in ran.err  # which the table on stdout says
    assert "exposures  recall" in re.sub(r"\x1b\[[0-9;]*m", "", ran.out)
    assert "behemoth: warning: 6 updates were too few to learn these facts; a smaller" in ran.err


def test_a_start_without_a_tokenizer_is_warned_of_in_a_line(run, spec, tmp_path):
    assert run("train", spec, "--out", tmp_path / "run", *SMALL).code == 0
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(tmp_path / "run" / name, tmp_path / "model" / name)
    words = ("--from", tmp_path / "model", "--steps", 1, *SMALL[2:])
    ran = run("train", spec, "--out", tmp_path / "on", *words)
    said = " ".join(ran.err.split())
    assert ran.code == 0 and "UserWarning" not in said and "model_of" not in said
    assert f"behemoth: warning: {tmp_path / 'model'} has no tokenizer.json, so its tokens" in said
    assert "behemoth: warning: 1 update was too few to learn these facts; a smaller" in said


def test_a_corpus_without_probes_is_trained_on_and_has_no_recall(run, tmp_path):
    corpus = Corpus(World(subjects=20, relations=2, objects=5), exposures=8, templates={"osr": 1})
    (tmp_path / "osr.toml").write_text(corpus.spec_toml)
    ran = run("train", tmp_path / "osr.toml", "--out", tmp_path / "run", *SMALL)
    assert ran.code == 0
    assert "loss" in ran.out and "ecall" not in ran.out


def test_every_option_reaches_the_config(run, spec, tmp_path):
    run(
        "train", spec, "--out", tmp_path / "run", *SMALL, "--learning-rate", "1e-3", "--schedule",
        "wsd", "--warmup", 0.1, "--decay", 0.4, "--final-learning-rate", 0.1, "--weight-decay", 0.2,
        "--clip", 0.5, "--seed", 7, "--no-document-mask", "--answers-only", "--precision", "fp32",
        "--compile", "off", "--device", "cpu", "--accumulate", 2, "--eval-interval", 3,
        "--checkpoint-interval", 2, "--checkpoint-history", 2, "--json",
    ).json()  # fmt: skip
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    expected = {
        "model": "nano", "steps": 6, "learning_rate": 1e-3, "schedule": "wsd", "warmup": 0.1,
        "decay": 0.4, "final_learning_rate": 0.1, "weight_decay": 0.2, "clip": 0.5, "seed": 7,
        "document_mask": False, "answers_only": True, "precision": "fp32", "compile": "off",
        "device": "cpu", "accumulate": 2, "eval_interval": 3, "checkpoint_interval": 2,
        "checkpoint_history": 2,
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "nanno"),
         "'--model': got nanno (did you mean nano?), allowed: pico, nano, micro, 14m, 31m, 70m, "
         "160m, 410m, gpt2-nano, gpt2-micro, llama-nano"),
        (("--steps", "0"), "'--steps': got 0, allowed: a whole number from 1"),
        (("--steps", "many"), "'--steps': got many, allowed: a whole number"),
        (("--schedule", "linear"), "'--schedule': got linear, allowed: cosine, wsd"),
        (("--block-length", "1e6"), "'--block-length': got 1e6, allowed: up to the"),
    ],
)  # fmt: skip
def test_errors_are_one_line(run, spec, tmp_path, words, message):
    assert message in run("train", spec, "--out", tmp_path / "run", *words).refused()
    assert not (tmp_path / "run").exists()


def test_out_is_needed(run, spec):
    assert (
        run("train", spec).refused()
        == "argument '--out': got nothing, allowed: a directory to write"
    )


def test_a_run_of_other_settings_is_one_line(run, spec, tmp_path):
    run("train", spec, "--out", tmp_path / "run", *SMALL, "--json").json()
    line = run("train", spec, "--out", tmp_path / "run", *SMALL, "--seed", 5).refused()
    assert "a run with seed 0 and not 5, allowed: a new directory" in line
    run("train", spec, "--out", tmp_path / "run", *SMALL, "--seed", 5, "--force", "--json").json()


def test_inspect_says_what_a_run_is(run, spec, tmp_path):
    run("train", spec, "--out", tmp_path / "run", *SMALL, "--json").json()
    ran = run("inspect", tmp_path / "run")
    assert ran.code == 0
    assert "a run of nano, finished" in ran.out
    assert "6 of 6" in ran.out
    assert "Recall at step 6" in ran.out
    report = run("inspect", tmp_path / "run", "--json").json()
    assert report["status"] == "finished"
    assert set(report["recall"]) == {"4", "16"}
    assert report["record"]["config"]["block_length"] == 32


def test_a_stop_before_the_first_checkpoint_says_that_the_run_starts_over(
    run, spec, tmp_path, monkeypatch
):
    def stop(loop):
        raise KeyboardInterrupt

    monkeypatch.setattr("behemoth.train.loop.Loop._train", stop)
    ran = run("train", spec, "--out", tmp_path / "run", *SMALL)
    assert ran.code == 130
    assert ran.err == "behemoth: stopped: run the same command again, which starts over\n"
    assert (tmp_path / "run" / "run.json").is_file()
    saved = tmp_path / "run" / "checkpoints" / "step-00000002"
    saved.mkdir(parents=True)
    (saved / "optimiser.safetensors").touch()
    monkeypatch.setattr("behemoth.train.loop.Loop.train", stop)
    ran = run("train", spec, "--out", tmp_path / "run", *SMALL)
    resumed = f"run the same command again to resume {tmp_path / 'run'}"
    assert ran.err == f"behemoth: stopped: {resumed}\n"


def test_a_missing_extra_is_named(run, spec, tmp_path, monkeypatch):
    for name in [*sys.modules]:
        if name in ("behemoth.train.loop", "behemoth.train.start", "behemoth.train.update"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    line = run("train", spec, "--out", tmp_path / "run", *SMALL).refused(1)
    assert line == "transformers is not installed: in a clone of Behemoth, pip install '.[train]'"


def test_models_lists_all_sizes(run):
    rows = run("models", "--json").json()["models"]
    names = ["pico", "nano", "micro", "14m", "31m", "70m", "160m", "410m"]
    assert [row["name"] for row in rows if row["family"] == "gpt_neox"] == names
    assert "llama-nano" in [row["name"] for row in rows if row["family"] == "llama"]
    assert {"width", "layers", "heads", "hidden", "parameters", "learning_rate"} <= set(rows[0])
    shown = run("models").out
    assert "302,311,424" in shown


@pytest.mark.faults
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(spawn, spec, tmp_path, how, code):
    words = ("train", spec, "--out", tmp_path / "run", *SMALL[2:], "--steps", "100000")
    with spawn(*words) as process:
        metrics = tmp_path / "run" / "metrics.jsonl"
        while not (metrics.is_file() and metrics.stat().st_size):
            assert process.poll() is None
        os.kill(process.pid, how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "of 100000 saved; run the same command again to resume" in err
    assert (tmp_path / "run" / "checkpoints").is_dir()
