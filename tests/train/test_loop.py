"""What a run leaves behind, and that it is the same whatever happens to it on the way."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.evaluate import evaluate
from behemoth.model.labels import IGNORED
from behemoth.plan import plan
from behemoth.recall import recall
from behemoth.train import default_config, loop, train
from behemoth.train.agreement import Agreement
from behemoth.train.data import BlockStream, DataConfig
from behemoth.train.device import Machine
from behemoth.train.directory import RunDirectory
from behemoth.train.errors import ElsewhereError, Interrupted, TrainError
from behemoth.train.run import read_run


def weights(run):
    return load_file(Path(run) / "model.safetensors")


def same(one, other):
    one, other = weights(one), weights(other)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Stop(Exception):  # noqa: N818
    pass


def stop_at(step):
    def progress(moment):
        if moment.done >= step:
            raise Stop

    return progress


def test_one_process_of_a_machine_compares_the_shards(small, config, tmp_path):
    small.write(tmp_path / "corpus", probes=0)
    corpus, told = Corpus.open(tmp_path / "corpus"), []
    train(corpus, out=tmp_path / "run", config=config(steps=1), progress=told.append)
    file = tmp_path / "corpus" / "tokens" / "00000.bin"
    first = told[0]
    assert (first.label, first.unit) == ("checking", "bytes")
    assert first.done == first.total == file.stat().st_size
    content = bytearray(file.read_bytes())
    content[6] ^= 1
    file.write_bytes(content)

    def opened(local_rank):
        machine = Machine(torch.device("cpu"), torch.float32, 1, local_rank=local_rank)
        out = RunDirectory(tmp_path / "other")
        return loop.Loop(corpus, config(steps=1), machine, out, None).stream

    assert opened(1).blocks == small.count_tokens() // 32
    with pytest.raises(CorpusError, match=r"00000.bin is damaged"):
        opened(0)


def test_who_refuses_a_run_and_who_hears_of_it_exchange_as_often(small, config, tmp_path):
    """Otherwise one of them waits for hours for an answer."""

    class Failing(Agreement):
        exchanges = 0

        def _fails(self, here):
            self.exchanges += 1
            return True

    for blocks, error in ((3, ArgumentError), (4, ElsewhereError)):
        agreement = Failing(1, 0)
        machine = Machine(torch.device("cpu"), torch.float32, 1, world_size=2, agreement=agreement)
        own = config(steps=1, batch_size=blocks)
        with pytest.raises(error):
            loop.Loop(small, own, machine, RunDirectory(tmp_path / "run"), None)
        assert agreement.exchanges == 1


@pytest.fixture(scope="module")
def finished(small, config, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "finished"
    return train(small, out=out, config=config(checkpoint_history=3)), out


def test_a_finished_run_loads_and_knows_its_tokens(finished, small):
    _, out = finished
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert model.config.model_type == "gpt_neox"
    assert model.config.vocab_size >= small.vocabulary_size
    assert model.config.vocab_size % 8 == 0
    assert (model.config.eos_token_id, model.config.pad_token_id) == (0, 1)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1)
    said = model.generation_config
    assert (said.bos_token_id, said.eos_token_id, said.pad_token_id) == (0, 0, 1)
    text = small.decode(small.tokens(0, 2))
    assert tokenizer(text)["input_ids"] == small.tokens(0, 2).tolist()
    assert model.dtype == torch.float32
    loaded = model.state_dict()
    loaded["embed_out.weight"] = model.get_output_embeddings().weight  # its name in files
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights(out).items())


def test_a_run_on_a_table_speaks_in_its_names(config, tmp_path):
    rows = {
        "subject": [f"person {i}" for i in range(20)] * 2,
        "relation": ["born in"] * 20 + ["likes"] * 20,
        "object": [f"town {i % 4}" for i in range(20)] + ["tea", "rum"] * 10,
    }
    corpus = Corpus(World.from_table(pl.DataFrame(rows)), exposures=8)
    train(corpus, out=tmp_path / "run", config=config())
    run = read_run(tmp_path / "run")
    assert run.corpus.token_names == corpus.token_names
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert tokenizer("person_3 likes tea").tokens() == ["person_3", "likes", "tea"]
    known = recall(run.load_model(), run.corpus, facts=[0, 1])
    assert known["subject_name"].to_list() == ["person 0"] * 2
    assert known["object_name"].to_list() == ["town 0", "tea"]
    said = {word for text in known["generated"] for word in text.split()}
    assert said <= set(corpus.token_names) | {f"<{i}>" for i in range(64)}
    made = plan(tmp_path / "run", edits=2, relation=1, distinct=False, repeats=1)
    frame = evaluate(tmp_path / "run", made, out=tmp_path / "frame.parquet")
    asked = frame.filter(pl.col("group") == "edited")
    assert set(asked["relation_name"]) == {"likes"}
    assert set(asked["subject_name"]) <= set(rows["subject"])
    assert pl.read_parquet(tmp_path / "frame.parquet").equals(frame)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of dynamo's own looking about
def test_a_compiled_run_learns_the_same(small, config, tmp_path):
    losses = {
        compiled: train(
            small, out=tmp_path / compiled, config=config(compile=compiled, precision="fp32")
        ).loss
        for compiled in ("on", "off")
    }
    assert json.loads((tmp_path / "on" / "run.json").read_text())["compiled"]
    assert losses["on"] == pytest.approx(losses["off"], rel=1e-4)


def test_the_result_and_the_record_agree(finished, small, config):
    result, out = finished
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["spec_hash"] == small.spec_hash == Corpus.from_spec(out).spec_hash
    assert record["result"]["loss"] == result.loss
    assert result.steps == 8
    assert result.tokens == 8 * 4 * 32
    assert set(result.recall) == {4, 16}
    assert record["result"]["recall"] == {str(k): v for k, v in result.recall.items()}
    # Again: nothing is trained, the same is said.
    before = (out / "model.safetensors").stat().st_mtime_ns
    assert train(small, out=out, config=config(checkpoint_history=3)) == result
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_metrics_are_lines_and_a_frame(finished):
    result, out = finished
    frame = pl.read_parquet(out / "metrics.parquet")
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == len(frame)
    training = frame.filter(kind="train")
    assert training["step"].to_list() == sorted(set(training["step"].to_list()))
    assert training["step"].to_list()[-1] == 8
    assert training["loss"].to_list()[-1] == result.loss
    assert training["loss"][0] > training["loss"][-1]
    assert training["tokens_per_second"].min() > 0
    last = frame.filter(kind="recall", step=8)
    assert dict(last.select("exposures", "recall").iter_rows()) == result.recall


def test_damaged_metrics_do_not_keep_a_run_from_being_read(finished, tmp_path):
    _, out = finished
    place = shutil.copytree(out, tmp_path / "run")
    (place / "metrics.parquet").write_bytes(b"")
    assert read_run(place).record.status == "finished"
    (place / "spec.toml").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"spec\.toml is damaged"):
        read_run(place)


def test_history_is_kept_at_log_spaced_steps(finished):
    _, out = finished
    found = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert found == [f"step-{step:08}" for step in (0, 1, 3)]
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoints" / "step-00000003")
    assert model.config.hidden_size == 128


@pytest.mark.exact
@pytest.mark.parametrize(
    "settings",
    [{}, {"document_mask": False}, {"answers_only": True}, {"schedule": "wsd"}, {"accumulate": 2}],
    ids=str,
)
def test_a_run_cut_short_ends_with_the_same_weights(small, config, tmp_path, settings):
    config = config(checkpoint_interval=3, **settings)
    train(small, out=tmp_path / "whole", config=config)
    for step in (4, 6):
        with pytest.raises(Stop):
            train(small, out=tmp_path / "cut", config=config, progress=stop_at(step))
        assert not (tmp_path / "cut" / "model.safetensors").exists()
    train(small, out=tmp_path / "cut", config=config)
    assert same(tmp_path / "whole", tmp_path / "cut")
    steps = pl.read_parquet(tmp_path / "cut" / "metrics.parquet").filter(kind="train")["step"]
    assert steps.to_list() == sorted(set(steps.to_list()))


@pytest.mark.exact
@pytest.mark.parametrize("interval", [100, 3])
def test_checkpoints_of_a_lost_stretch_are_written_anew(small, config, tmp_path, interval):
    own = config(checkpoint_interval=interval, checkpoint_history=5)
    with pytest.raises(Stop):
        train(small, out=tmp_path / "cut", config=own, progress=stop_at(5))
    for step in range(4 if interval == 3 else 0, 8):
        file = tmp_path / f"cut/checkpoints/step-{step:08}/model.safetensors"
        if file.is_file():  # as another device would have written it
            file.write_bytes(b"")
    train(small, out=tmp_path / "cut", config=own)
    train(small, out=tmp_path / "whole", config=own)
    found = {path.name: path for path in (tmp_path / "whole/checkpoints").iterdir()}
    assert found.keys() == {path.name for path in (tmp_path / "cut/checkpoints").iterdir()}
    for name in found:
        assert same(found[name], tmp_path / "cut/checkpoints" / name), name


@pytest.mark.exact
def test_a_directory_and_a_spec_give_the_same_weights(small, config, tmp_path):
    small.write(tmp_path / "corpus")
    train(tmp_path / "corpus", out=tmp_path / "one", config=config())
    train(tmp_path / "corpus" / "spec.toml", out=tmp_path / "other", config=config())
    assert same(tmp_path / "one", tmp_path / "other")


def test_accumulation_changes_nothing_but_rounding(small, config, tmp_path):
    for accumulate in (1, 4):
        settings = config(accumulate=accumulate, precision="fp32", answers_only=True)
        train(small, out=tmp_path / str(accumulate), config=settings)
    one, other = weights(tmp_path / "1"), weights(tmp_path / "4")
    assert all(torch.allclose(one[name], other[name], atol=1e-3) for name in one)


@pytest.mark.exact
def test_the_seed_decides(small, config, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(small, out=tmp_path / name, config=config(seed=seed, steps=2))
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")


def test_a_run_of_something_else_is_refused(small, config, tmp_path):
    with pytest.raises(Stop):
        train(small, out=tmp_path / "run", config=config(), progress=stop_at(2))
    other = Corpus(World(subjects=20, relations=2, objects=5, seed=1), exposures="groups:4,16")
    with pytest.raises(ArgumentError, match=r"a run of the corpus .* and not .*, allowed: a new"):
        train(other, out=tmp_path / "run", config=config())
    with pytest.raises(
        ArgumentError, match=r"a run with learning_rate 0.0025 and not 0.001, allowed"
    ):
        train(small, out=tmp_path / "run", config=config(learning_rate=1e-3))
    with pytest.raises(ArgumentError, match="which holds something else"):
        train(small, out=tmp_path, config=config())
    with pytest.raises(ArgumentError, match=r"holds something else \(run\)"):
        train(small, out=tmp_path, config=config(), force=True)
    # What moves no weight may change, and force replaces.
    train(small, out=tmp_path / "run", config=config(log_interval=3))
    result = train(small, out=tmp_path / "run", config=config(steps=2), force=True)
    assert result.steps == 2


def test_a_diverged_loss_stops_and_keeps_the_last_good_checkpoint(small, config, tmp_path):
    wild = config(learning_rate=1e4, clip=0.0, warmup=1.0, checkpoint_interval=1, steps=200,
                  log_interval=1, block_length=16)  # fmt: skip
    with pytest.raises(TrainError, match=r"the loss diverged: .* last good checkpoint is .*/step-"):
        train(small, out=tmp_path / "run", config=wild)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "diverged"
    (kept,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert all(tensor.isfinite().all() for tensor in weights(kept).values())


@pytest.mark.parametrize(
    ("losses", "diverges"),
    [
        ([0.01, 0.05, 1.9], False),  # of a model that knows the corpus
        ([0.0, 0.5], False),
        ([0.01, 0.05, 2.1], True),
        ([3.0, 5.9], False),
        ([3.0, 6.1], True),
        ([float("nan")], True),
        ([3.0, float("inf")], True),
        ([None, 3.0, None, 5.9], False),  # None: an update without a label
        ([3.0, None], False),
        ([None, 3.0, 6.1], True),
    ],
)
def test_a_loss_has_diverged_far_above_where_it_began(
    small, config, tmp_path, monkeypatch, losses, diverges
):
    said = iter(losses)

    def update(self, micro, rate):
        next(micro)
        loss = next(said)
        return torch.tensor(loss or 0.0), torch.tensor(1.0), loss is not None

    monkeypatch.setattr("behemoth.train.update.Updater.__call__", update)
    settings = config(steps=len(losses), log_interval=1, probe_facts=0)
    if not diverges:
        assert train(small, out=tmp_path / "run", config=settings).loss == pytest.approx(losses[-1])
        return
    first = next(loss for loss in losses if loss is not None)
    with pytest.raises(TrainError, match=f"diverged: .*, after {first:.4g} at the start"):
        train(small, out=tmp_path / "run", config=settings)


@pytest.mark.parametrize("interval", [1, 3])
def test_updates_without_an_answer_have_no_loss(config, tmp_path, interval):
    filler = {"kind": "zipf", "tokens": 3000, "words": 50}
    corpus = Corpus(World(subjects=20, relations=2, objects=10), exposures=4, filler=filler)
    settings = {"answers_only": True, "batch_size": 2, "steps": 12, "probe_facts": 0}
    data = DataConfig(32, 2, answers_only=True)
    counts = [
        int((batch["labels"][:, 1:] != IGNORED).sum())
        for batch in islice(BlockStream(corpus, data), settings["steps"])
    ]
    own = config(**settings, log_interval=interval)
    result = train(corpus, out=tmp_path / "run", config=own)
    rows = pl.read_parquet(tmp_path / "run" / "metrics.parquet").filter(kind="train")
    steps = [0, *rows["step"]]
    there = [any(counts[first:last]) for first, last in pairwise(steps)]
    assert {1: there.count(False) > 3, 3: True}[interval]
    assert [loss is not None for loss in rows["loss"]] == there
    assert (rows["loss"].drop_nulls() > 1).all()
    assert read_run(tmp_path / "run").record.result.loss == result.loss == rows["loss"][-1]


def test_a_run_keeps_its_vocabulary_on_another_device(small, config, tmp_path, monkeypatch):
    from behemoth.train import loop

    with pytest.raises(Stop):
        train(small, out=tmp_path / "run", config=config(checkpoint_interval=2),
              progress=stop_at(4))  # fmt: skip
    padded, pad = json.loads((tmp_path / "run" / "run.json").read_text())["vocabulary_padded"], []

    def wider(size, multiple):  # what a GPU pads to
        pad.append(multiple)
        return -(-size // 64) * 64

    monkeypatch.setattr(loop, "padded_vocabulary", wider)
    assert wider(small.vocabulary_size, 8) != padded
    train(small, out=tmp_path / "run", config=config(checkpoint_interval=2))
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "run").config.vocab_size == padded


def test_out_of_memory_says_what_to_lower(small, config, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with monkeypatch.context() as context:
        context.setattr("behemoth.train.update.Updater.__call__", full)
        with pytest.raises(TrainError, match="out of memory on cpu: raise accumulate"):
            train(small, out=tmp_path / "run", config=config(tensorboard=True))
    # Which is so: nothing of the first try is in the way.
    train(small, out=tmp_path / "run", config=config(accumulate=2, tensorboard=True))


def test_a_device_that_is_not_there_is_refused(small, config, tmp_path):
    with pytest.raises(ArgumentError, match="'device': got nothere, allowed: auto, cpu"):
        train(small, out=tmp_path / "run", config=config(device="nothere"))


def test_two_processes_do_not_train_in_one_place(small, config, tmp_path):
    from behemoth.train.directory import RunDirectory

    with (
        RunDirectory(tmp_path / "run").locked(),
        pytest.raises(TrainError, match="another process is training in"),
    ):
        train(small, out=tmp_path / "run", config=config())


@pytest.mark.exact
def test_ctrl_c_saves_and_says_so(small, config, tmp_path):
    def interrupt(moment):
        if moment.done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="checkpoint at step 5 of 8 saved"):
        train(small, out=tmp_path / "run", config=config(), progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(small, out=tmp_path / "run", config=config())
    train(small, out=tmp_path / "whole", config=config())
    assert same(tmp_path / "run", tmp_path / "whole")


def test_a_run_that_was_stopped_where_it_measures_makes_up_for_it(small, config, tmp_path):
    own = config(eval_interval=5, probe_facts=20)

    def interrupt(moment):
        if moment.done == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="checkpoint at step 5 of 8 saved"):
        train(small, out=tmp_path / "run", config=own, progress=interrupt)
    # Killed in the middle of it, too: what it wrote of it goes.
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "recall", "step": 5, "exposures": 1, "recall": 0.5}\n')
    train(small, out=tmp_path / "run", config=own)
    train(small, out=tmp_path / "whole", config=own)
    rows, wanted = (
        list(map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines()))
        for name in ("run", "whole")
    )
    asked = [row for row in rows if row["kind"] == "recall"]
    assert asked == [row for row in wanted if row["kind"] == "recall"]
    assert {row["step"] for row in asked} == {5, 8}


@pytest.mark.parametrize(("late", "saves"), [(0, [4, 8]), (1, [5, 10])])
def test_a_checkpoint_by_the_clock_is_written_once(
    small, config, tmp_path, monkeypatch, late, saves
):
    """Of several processes all hear at a step what was wished at the one before."""
    from behemoth.train.checkpoint import Checkpoints
    from behemoth.train.update import Updater

    class Late(Agreement):
        delay, heard = late, (0, 0)

        def vote(self, *wishes):
            heard, self.heard = self.heard, wishes
            return heard if self.delay else wishes

    seconds, written = [0.0], []
    find, update, save = Machine.find, Updater.__call__, Checkpoints.save

    def slowly(self, micro, rate):
        seconds[0] += 10.0  # and a checkpoint is due after 30
        return update(self, micro, rate)

    def noted(self, model, trained, state):
        written.append(state.step)
        return save(self, model, trained, state)

    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    monkeypatch.setattr(Updater, "__call__", slowly)
    monkeypatch.setattr(Checkpoints, "save", noted)
    monkeypatch.setattr(Machine, "find", lambda config: replace(find(config), agreement=Late(1, 0)))
    train(small, out=tmp_path / "run", config=config(steps=12, log_interval=5, probe_facts=0))
    assert written == saves


SCRIPT = textwrap.dedent(
    """
    import sys
    from behemoth import Corpus
    from behemoth.train import default_config, train

    config = default_config("nano", steps=60, block_length=32, batch_size=4, threads=1,
                            tensorboard=False, probe_facts=0, log_interval=1,
                            checkpoint_interval=5)
    def progress(moment):
        sys.stdout.write(f"{moment.done}\\n")
        sys.stdout.flush()
    train(sys.argv[1], out=sys.argv[2], config=config, progress=progress)
    """
)


@pytest.mark.faults
def test_a_killed_run_ends_with_the_same_weights(small, tmp_path):
    (tmp_path / "spec.toml").write_text(small.spec_toml)

    def start(out):
        command = [sys.executable, "-c", SCRIPT, tmp_path / "spec.toml", tmp_path / out]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start("whole") as whole:
        whole.communicate()
    for step in ("7", "23", "24"):
        with start("killed") as process:
            for line in process.stdout:
                if int(line) >= int(step):
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL
        time.sleep(0.1)
    with start("killed") as process:
        first = int(process.stdout.readline())
        process.communicate()
    assert first > 20
    assert process.returncode == 0
    assert same(tmp_path / "whole", tmp_path / "killed")


def test_recall_is_kept_if_the_interval_changes(small, config, tmp_path):
    own = {"checkpoint_interval": 5, "probe_facts": 20}
    with pytest.raises(Stop):
        train(small, out=tmp_path, config=config(eval_interval=5, **own), progress=stop_at(7))
    train(small, out=tmp_path, config=config(eval_interval=4, **own))
    rows = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert {row["step"] for row in rows if row["kind"] == "recall"} == {5, 8}


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"rms_norm_eps": "a"}, "rms_norm_eps"),
        ({"layer_types": ["full_attention"]}, "layer"),
    ],
)
def test_what_transformers_refuses_is_refused_in_one_line(setting, reason, small, tmp_path):
    architecture = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "intermediate_size": 64, **setting}  # fmt: skip
    config = default_config(architecture=architecture, steps=1, threads=1, tensorboard=False)
    with pytest.raises(ArgumentError, match=r"^argument 'architecture': got ") as caught:
        train(small, out=tmp_path / "run", config=config)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "refusal"),
    [
        ({"hidden_act": "sliu"}, r"'architecture.hidden_act': got sliu \(did you mean silu\?\)"),
        ({"rope_parameters": {"rope_type": "none"}},
         "'architecture.rope_parameters.rope_type': got none, allowed: default, "),
        ({"rope_scaling": {"full_attention": {"type": "linaer"}}},
         r"'architecture.rope_scaling.full_attention.type': got linaer \(did you mean linear"),
    ],
)  # fmt: skip
def test_a_function_that_transformers_lacks_is_refused_by_its_key(
    setting, refusal, small, tmp_path, capfd
):
    architecture = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "intermediate_size": 64, **setting}  # fmt: skip
    config = default_config(architecture=architecture, steps=1, threads=1, tensorboard=False)
    with pytest.raises(ArgumentError, match=refusal):
        train(small, out=tmp_path / "run", config=config)
    assert not (tmp_path / "run").exists()
    assert not capfd.readouterr().err  # transformers warns of it, too
