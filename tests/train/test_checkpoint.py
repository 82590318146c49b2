"""What checkpoints are resumed from, and what is said of those that cannot be."""

import errno
import json
import shutil

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from behemoth import CorpusError
from behemoth.model.architecture import Architecture
from behemoth.model.build import build_model
from behemoth.model.sizes import Size
from behemoth.train import default_config, train
from behemoth.train.checkpoint import (
    Checkpoints,
    State,
    _random_states,
    _set_random_states,
    fill,
    load_weights,
    save_model,
)
from behemoth.train.errors import TrainError
from behemoth.train.trained import Trained
from behemoth.verification import verify


def same(one, other):
    one, other = (load_file(run / "model.safetensors") for run in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Stop(Exception):  # noqa: N818
    pass


def stop_at(step):
    def progress(moment):
        if moment.done >= step:
            raise Stop

    return progress


@pytest.mark.exact
def test_a_damaged_checkpoint_is_named(small, config, tmp_path):
    config = config(checkpoint_interval=2)
    with pytest.raises(Stop):
        train(small, out=tmp_path / "run", config=config, progress=stop_at(4))
    (kept,) = (tmp_path / "run" / "checkpoints").iterdir()
    data = (kept / "model.safetensors").read_bytes()
    (kept / "model.safetensors").write_bytes(data[:1000])
    with pytest.raises(
        TrainError, match=f"{kept}/model.safetensors is damaged: .*; remove {kept} to train again"
    ):
        train(small, out=tmp_path / "run", config=config)
    # Which is so.
    shutil.rmtree(kept)
    train(small, out=tmp_path / "run", config=config)
    train(small, out=tmp_path / "whole", config=config)
    assert same(tmp_path / "run", tmp_path / "whole")
    steps = pl.read_parquet(tmp_path / "run" / "metrics.parquet").filter(kind="train")["step"]
    assert steps.to_list() == sorted(set(steps.to_list()))


@pytest.mark.exact
def test_of_two_checkpoints_a_damaged_one_may_be_removed(small, config, tmp_path, monkeypatch):
    config = config(checkpoint_interval=2)
    with monkeypatch.context() as patch:  # as of who is killed between save and prune
        patch.setattr(Checkpoints, "prune", lambda *_: None)
        with pytest.raises(Stop):
            train(small, out=tmp_path / "run", config=config, progress=stop_at(4))
    _, last = sorted((tmp_path / "run" / "checkpoints").iterdir())
    (last / "optimiser.safetensors").write_bytes(b"short")
    with pytest.raises(TrainError, match=f"remove {last} to resume from step 2$"):
        train(small, out=tmp_path / "run", config=config)
    shutil.rmtree(last)
    train(small, out=tmp_path / "run", config=config)
    train(small, out=tmp_path / "whole", config=config)
    assert same(tmp_path / "run", tmp_path / "whole")


def test_a_checkpoint_of_another_model_is_not_called_damaged(tmp_path):
    size = Size("tiny", 32, 2, 4, 48, "llama", key_value_heads=2, head_width=8)
    small, large = (build_model(size, rows, seed=0, block_length=64) for rows in (40, 64))
    checkpoints, settings = Checkpoints(tmp_path), default_config("nano")
    path = checkpoints.save(small, {}, State(1, {}, 0.0, None))
    message = r"holds another model: size mismatch for .*\[40, 32\].*"
    with pytest.raises(TrainError, match=f"checkpoint {path} {message}") as caught:
        checkpoints.load(path, large, Trained(large, settings))
    assert "damaged" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(CorpusError, match=message):
        load_weights(path, large)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "^CUDA out"),
        (OSError(errno.EIO, "Input/output error"), TrainError, "cannot be read: .*put error$"),
    ],
    ids=["memory", "disk"],
)
@pytest.mark.parametrize("name", ["fill", "load_file"])
def test_what_is_intact_is_not_called_damaged(name, error, raised, message, tmp_path, monkeypatch):
    """It was, with the advice to remove it."""
    size = Size("tiny", 32, 2, 4, 48, "llama", key_value_heads=2, head_width=8)
    model = build_model(size, 40, seed=0, block_length=64)
    trained = Trained(model, default_config("nano"))
    kept = Checkpoints(tmp_path)
    path = kept.save(model, trained.tensors(), State(5, {}, 1.0, 1.0))

    def fail(*_):
        raise error

    monkeypatch.setattr(f"behemoth.train.checkpoint.{name}", fail)
    with pytest.raises(raised, match=message) as caught:
        kept.load(path, model, trained)
    assert "remove" not in str(caught.value) and "another model" not in str(caught.value)


def test_the_head_is_stored_under_its_published_name(tmp_path):
    """transformers before 5 found none, and continued with random weights after a warning."""
    model = build_model(Size("tiny", 32, 2, 4, 48), 40, seed=0, block_length=64)
    save_model(model, tmp_path)
    model.save_pretrained(tmp_path / "theirs")
    ours, theirs = (load_file(p / "model.safetensors") for p in (tmp_path, tmp_path / "theirs"))
    assert "embed_out.weight" in ours and ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    read = AutoModelForCausalLM.from_pretrained(tmp_path)
    head = Architecture.of(model).head  # in transformers before 5.14 the published name
    earlier = {name.replace("embed_out", head): tensor for name, tensor in ours.items()}
    for weights in (ours, earlier):  # runs of earlier versions go on too
        other = build_model(Size("tiny", 32, 2, 4, 48), 40, seed=1, block_length=64)
        fill(other, weights)
        for name, tensor in model.state_dict().items():
            assert torch.equal(other.state_dict()[name], tensor)
            assert torch.equal(read.state_dict()[name], tensor)


def test_a_copy_beside_checkpoints_is_none_of_them(tmp_path):
    for name in ("step-00000100-backup", "step-00000100", "step-00000020", "step-x"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "optimiser.safetensors").write_bytes(b"")
    kept = Checkpoints(tmp_path / "checkpoints")
    assert kept.last() == kept.path(100)


def test_no_checkpoint_of_a_lost_stretch_comes_back(tmp_path):
    (tmp_path / "step-00000004").mkdir()
    # As of who is killed between the two renames of a replacement.
    (tmp_path / ".step-00000005.abcdefgh.tmp" / ".old").mkdir(parents=True)
    Checkpoints(tmp_path).drop_after(4)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


def test_a_device_without_a_saved_state_does_not_repeat_the_first_masks(
    small, config, tmp_path, monkeypatch
):
    """A run that goes on on another kind of device finds no state of its generator."""
    config, seeded = config(checkpoint_interval=2), []
    with pytest.raises(Stop):
        train(small, out=tmp_path / "run", config=config, progress=stop_at(4))
    monkeypatch.setattr("behemoth.train.loop.seed_dropout", lambda *words: seeded.append(words[3:]))
    train(small, out=tmp_path / "run", config=config)
    assert seeded == [(), (4,)]


def test_the_generator_of_the_gpu_that_computes_is_saved_and_restored(monkeypatch):
    """By a stand-in for two GPUs, of which the second one computes."""
    states = {torch.device("cuda", place): torch.tensor([place]) for place in (0, 1)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device="cuda:0": states[device])
    monkeypatch.setattr(
        torch.cuda,
        "set_rng_state",
        lambda value, device="cuda:0": states.__setitem__(device, value),
    )
    second = torch.device("cuda", 1)
    saved = _random_states(second)
    states[second] = torch.tensor([7])
    _set_random_states(saved, second)
    assert [state.item() for state in states.values()] == [0, 1]


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "resumed"])
def test_a_checkpoint_of_the_history_says_that_it_lost_its_optimiser(
    small, config, tmp_path, finished
):
    config = config(checkpoint_interval=1, checkpoint_history=3)  # of steps 0, 1 and 3
    out = tmp_path / "run"
    if finished:
        train(small, out=out, config=config)
        assert verify(out).ok
    else:
        with pytest.raises(Stop):
            train(small, out=out, config=config, progress=stop_at(5))
    for path in sorted((out / "checkpoints").iterdir())[:3]:
        state = json.loads((path / "state.json").read_text())
        assert state["resumable"] is False
        assert set(state["files"]) == {name.name for name in path.iterdir()} - {"state.json"}
        assert "optimiser.safetensors" not in state["files"]
    if not finished:
        train(small, out=out, config=config)
        train(small, out=tmp_path / "whole", config=config)
        assert same(out, tmp_path / "whole")


@pytest.mark.exact
def test_a_checkpoint_of_earlier_versions_is_resumed(small, config, tmp_path):
    config = config(checkpoint_interval=2)
    with pytest.raises(Stop):
        train(small, out=tmp_path / "run", config=config, progress=stop_at(4))
    (kept,) = (tmp_path / "run" / "checkpoints").iterdir()
    state = json.loads((kept / "state.json").read_text())
    # They had no digests either.
    del state["stream"]["block_length"], state["files"], state["blake3"]
    (kept / "state.json").write_text(json.dumps(state))
    train(small, out=tmp_path / "run", config=config)
    train(small, out=tmp_path / "whole", config=config)
    assert same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("keep", [0, 1])
def test_a_longer_history_is_kept(keep, tmp_path):
    """It is kept permanently, also where the run is resumed with a shorter one."""
    model = build_model(Size("tiny", 32, 2, 4, 48, "llama"), 40, block_length=64)
    kept, moments = Checkpoints(tmp_path), Trained(model, default_config("nano")).tensors()
    for step, tensors in ((0, None), (2, moments), (3, None), (4, moments), (6, moments)):
        kept.save(model, tensors, State(step, {}, 0.0, None))
    kept.prune(keep, frozenset({4}))
    left = {int(path.name[5:]): (path / "optimiser.safetensors").is_file()
            for path in tmp_path.iterdir()}  # fmt: skip
    assert left == {0: False, 3: False, 4: False} | ({6: True} if keep else {})
