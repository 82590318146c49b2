"""Several processes train as one does: the same order, the same losses, the same files."""

import json
import os
import signal
import time
from itertools import islice

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

SETTINGS = (
    "--model", "pico", "--steps", 8, "--block-length", 32, "--batch-size", 8, "--threads", 1,
    "--no-tensorboard", "--log-interval", 1, "--device", "cpu", "--precision", "fp32",
    "--eval-interval", 4,
)  # fmt: skip


@pytest.fixture(scope="session")
def spec(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("specs") / "spec.toml"
    path.write_text(small.spec_toml)
    return path


@pytest.fixture(scope="session")
def alone(small, tmp_path_factory):
    """The run of one process."""
    from behemoth.train import default_config, train

    out = tmp_path_factory.mktemp("runs") / "alone"
    config = default_config(
        "pico", steps=8, block_length=32, batch_size=8, threads=1, tensorboard=False,
        log_interval=1, device="cpu", precision="fp32", eval_interval=4,
    )  # fmt: skip
    train(small, out=out, config=config)
    return out


def losses(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"]


def assert_same(run, other):
    """Hold a run to another: the same losses, answers and files.

    Not the same weights: where a gradient is nothing but rounding, as of biases of keys, AdamW
    makes whole steps of it.
    """
    assert losses(run) == pytest.approx(losses(other), abs=1e-4)
    one, two = (load_file(place / "model.safetensors") for place in (run, other))
    assert {name: tensor.shape for name, tensor in one.items()} == {
        name: tensor.shape for name, tensor in two.items()
    }
    # A run that took long has saved on its way, and has an empty folder of that.
    files = [{path.name for path in p.iterdir()} - {"checkpoints"} for p in (run, other)]
    assert files[0] == files[1]
    # What was measured at the step of a checkpoint is lost with who is killed there.
    asked = [
        pl.read_parquet(place / "metrics.parquet")
        .filter(pl.col("step") > 3, kind="recall")
        .select("step", "exposures", "n", "log_probability")
        for place in (run, other)
    ]
    assert_frame_equal(*asked, abs_tol=1e-3)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(("--accumulate", 4), marks=pytest.mark.slow),
        ("--fully-shard", "--accumulate", 2),
        pytest.param(("--fully-shard",), marks=pytest.mark.slow),
    ],
    ids=lambda words: " ".join(map(str, words)) or "plain",
)
def test_two_processes_train_as_one(launch, spec, alone, tmp_path, words):
    ranks = launch(2, "train", spec, "--out", tmp_path / "run", *SETTINGS, *words, "--json").ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks
    (_, out, _), (_, quiet, silent) = ranks
    said = json.loads(out)
    assert (out.count("\n"), quiet, silent) == (1, "", "")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["world_size"], record["status"]) == (2, "finished")
    assert said["recall"] == record["result"]["recall"]
    assert_same(tmp_path / "run", alone)


@pytest.fixture
def stopped(launch, spec, tmp_path):
    """Start a run in some processes, send one of them a signal, and give what they said."""

    def stopped(processes, *words, number=signal.SIGUSR1, rank=0):
        run = tmp_path / "run"
        words = ("train", spec, "--out", run, *SETTINGS, *words)
        launched = launch(processes, *words, "--checkpoint-interval", 1)
        until = time.monotonic() + 200
        while not list((run / "checkpoints").glob("step-*")):
            assert time.monotonic() < until
            time.sleep(0.01)
        os.kill(launched.pids[rank], number)
        return run, launched.ended()

    return stopped


# The second process saves nothing, and has to be heard by the first.
def test_a_signal_to_one_process_stops_all_at_one_step(stopped, launch, spec):
    run, ranks = stopped(2, "--steps", 100_000, rank=1)
    assert [code for code, _, _ in ranks] == [128 + signal.SIGUSR1] * 2, ranks
    assert "saved; run the same command again to resume" in ranks[0][2]
    assert (ranks[0][1], ranks[1][1], ranks[1][2]) == ("", "", "")
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"
    (kept,) = (run / "checkpoints").iterdir()
    step = int(kept.name.removeprefix("step-"))
    assert f"checkpoint at step {step} of 100000 saved" in ranks[0][2]
    assert losses(run)[-1] and len(losses(run)) == step


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((2, "--fully-shard"), (1, "--accumulate", 2), marks=pytest.mark.slow),
        pytest.param((1,), (2, "--fully-shard"), marks=pytest.mark.slow),
        pytest.param((2,), (1,), marks=pytest.mark.slow),
        pytest.param((1,), (2,), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_another_number_of_processes_goes_on(launch, spec, alone, tmp_path, before, after):
    run = tmp_path / "run"
    words = ("train", spec, "--out", run, *SETTINGS, "--checkpoint-interval", 3)
    killed, *others = launch(before[0], *words, *before[1:], killed_at=3).ended()
    assert killed[0] == -signal.SIGKILL
    # They end as well, and leave it to others to say why.
    assert [(code, err) for code, _, err in others] == [(1, "")] * len(others)
    (kept,) = (run / "checkpoints").iterdir()
    assert AutoModelForCausalLM.from_pretrained(kept)
    ranks = launch(after[0], *words, *after[1:]).ended()
    assert [code for code, _, _ in ranks] == [0] * after[0], ranks
    assert_same(run, alone)


# What the first process alone does at a step, such as a checkpoint, must not shift the others.
def test_checkpoints_between_the_lines_of_the_metrics(launch, spec, tmp_path):
    run = tmp_path / "run"
    words = ("--log-interval", 4, "--checkpoint-interval", 3, "--checkpoint-history", 3)
    ranks = launch(2, "train", spec, "--out", run, *SETTINGS, *words, "--eval-interval", 5).ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks
    steps = pl.read_parquet(run / "metrics.parquet").filter(kind="train")["step"]
    assert steps.to_list() == [1, 3, 4, 5, 6, 8]
    # And a run that is finished is left as it is, by all of them.
    before = (run / "model.safetensors").stat().st_mtime_ns
    ranks = launch(2, "train", spec, "--out", run, *SETTINGS, *words[2:], "--json").ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks
    assert json.loads(ranks[0][1])["steps"] == 8
    assert ranks[1][1:] == ("", "")
    assert (run / "model.safetensors").stat().st_mtime_ns == before
    # One of other settings is refused, once.
    ranks = launch(2, "train", spec, "--out", run, *SETTINGS, "--seed", 1).ended()
    assert [code for code, _, _ in ranks] == [2, 1], ranks
    assert "a run with seed 0 and not 1" in ranks[0][2]
    assert ranks[1][1:] == ("", "")


# For longer than torch's processes wait where they average gradients, which is shortened here.
@pytest.mark.parametrize(
    ("slow", "patience"), [("probe", 5), pytest.param("save", 15, marks=pytest.mark.slow)]
)
def test_others_wait_for_what_the_first_process_does_alone(launch, spec, tmp_path, slow, patience):
    run = tmp_path / "run"
    words = ("--steps", 3, "--eval-interval", 2, "--checkpoint-interval", 2,
             "--checkpoint-history", 1)  # fmt: skip
    ranks = launch(
        2, "train", spec, "--out", run, *SETTINGS, *words, patience=patience, slow=(slow,)
    ).ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_a_process_that_does_not_answer_is_what_is_said(launch, spec, tmp_path):
    words = ("train", spec, "--out", tmp_path / "run", *SETTINGS)
    first, second = launch(2, *words, patience=2, slow=("update",)).ended()
    assert (first[0], second[0]) == (1, 1), (first, second)
    assert second[2].startswith(
        "behemoth: process 1: error: process 1 waited for another process of the run for longer "
        "than torch's process group allows: "
    )
    assert second[2].count("\n") == 1
    assert "another process of the run has ended" in first[2]


# A mean over each process' own labels would weigh their tokens differently. Some of these updates
# have a label in one process alone.
def test_answers_alone_are_weighed_over_all_processes(launch, small, spec, tmp_path):
    from behemoth.train import default_config, train
    from behemoth.train.data import BlockStream, DataConfig

    data = DataConfig(6, 1, document_mask=True, answers_only=True)
    counts = [
        [int((batch["labels"][:, 1:] != -100).sum()) for batch in islice(stream, 8)]
        for stream in (BlockStream(small, data, rank=rank, world_size=2) for rank in range(2))
    ]
    assert sum(one != other for one, other in zip(*counts, strict=True)) >= 4
    assert 1 in [one + other for one, other in zip(*counts, strict=True)]
    config = default_config(
        "pico", steps=8, block_length=6, batch_size=2, threads=1, tensorboard=False,
        log_interval=1, device="cpu", precision="fp32", eval_interval=4, answers_only=True,
    )  # fmt: skip
    train(small, out=tmp_path / "alone", config=config)
    words = ("train", spec, "--out", tmp_path / "run", *SETTINGS, "--answers-only",
             "--block-length", 6, "--batch-size", 2)  # fmt: skip
    ranks = launch(2, *words).ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "alone"), abs=1e-5)


# Weights in bfloat16 have each part of a batch averaged, since parts are added up elsewhere.
@pytest.mark.slow
def test_parts_in_bfloat16_are_averaged_over_the_processes(launch, spec, alone, tmp_path):
    own = ("--from", alone, "--weights", "bf16", "--learning-rate", 0.02, "--warmup", 0,
           "--precision", "auto")  # fmt: skip
    for processes, parts in ((1, 4), (2, 2)):
        words = ("train", spec, "--out", tmp_path / str(processes), *SETTINGS[2:], *own)
        ranks = launch(processes, *words, "--accumulate", parts).ended()
        assert [code for code, _, _ in ranks] == [0] * processes, ranks
    one, two = (losses(tmp_path / name) for name in "12")
    assert one[0] - one[-1] > 0.3
    assert two == pytest.approx(one, abs=0.02)


def test_a_damaged_shard_is_found_by_the_process_that_compares(launch, small, tmp_path):
    small.write(tmp_path / "corpus", probes=0)
    words = ("train", tmp_path / "corpus", *SETTINGS, "--steps", 1)
    ranks = launch(2, *words, "--out", tmp_path / "run").ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks
    file = tmp_path / "corpus" / "tokens" / "00000.bin"
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    (first, _, said), second = launch(2, *words, "--out", tmp_path / "other").ended()
    assert first and "00000.bin is damaged" in said
    assert second == (1, "", "")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "differing"),
    [
        (("{directory}/{rank}.toml", "--out", "{directory}/run"), "corpus"),
        (("{directory}/0.toml", "--out", "{directory}/{rank}", "--seed", "{rank}"), "out, seed"),
    ],
)
def test_processes_of_different_runs_are_refused(launch, small, tmp_path, words, differing):
    """As those of jobs that all have the variables of one launcher."""
    for rank in range(2):
        text = small.spec_toml.replace("seed = 0", f"seed = {rank}")
        (tmp_path / f"{rank}.toml").write_text(text)
    words = [word.replace("{directory}", str(tmp_path)) for word in words]
    ranks = launch(2, "train", *words, *SETTINGS).ended()
    for code, _, err in ranks:
        assert code == 2, ranks
        assert f"'WORLD_SIZE': got 2 processes that differ in {differing}, allowed: " in err
        assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.toml", "1.toml"]


def test_what_processes_may_differ_in(launch, spec, tmp_path):
    words = ("--threads", "{rank}", "--out", tmp_path / "run")
    ranks = launch(2, "train", spec, *SETTINGS, *words, "--steps", 1).ended()
    assert [code for code, _, _ in ranks] == [0, 0], ranks


def test_a_batch_that_cannot_be_shared_is_refused(launch, spec, tmp_path):
    words = ("--batch-size", 9, "--out", tmp_path / "run")
    ranks = launch(2, "train", spec, *SETTINGS, *words).ended()
    assert [code for code, _, _ in ranks] == [2, 2], ranks
    assert "'--batch-size': got 9, allowed: a multiple of 2 (2 processes" in ranks[0][2]
    assert ranks[1][2].startswith("behemoth: process 1: error: ")
    assert not (tmp_path / "run").exists()
