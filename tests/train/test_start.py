"""Training that goes on from a model on disk."""

import json
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from behemoth import ArgumentError, Corpus, CorpusError, Grammar, Independent, World, load
from behemoth._gen import digest_file
from behemoth.evaluate.foreign_delta import weights_id
from behemoth.study.file.identity import model_id
from behemoth.support.digests import sealed, unchecked
from behemoth.support.files import as_json
from behemoth.train import default_config, train
from behemoth.train.errors import Interrupted
from behemoth.train.memory_budget import file_bytes
from behemoth.train.model_source import (
    OPTIMISER,
    WEIGHTS,
    is_model,
    model_of,
    read_model,
    run_of_checkpoint,
    weights_digest,
)
from behemoth.train.run import read_model_source, read_run
from behemoth.train.started import corpora_of_start

SETTINGS = {"batch_size": 4, "block_length": 32, "threads": 1, "tensorboard": False,
            "precision": "fp32", "device": "cpu"}  # fmt: skip


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(subjects=30, relations=2, objects=6, seed=1), exposures=8)


@pytest.fixture(scope="module")
def first(corpus, tmp_path_factory):
    """A short run of a Llama."""
    place = tmp_path_factory.mktemp("runs") / "first"
    train(corpus, out=place, config=default_config("llama-nano", steps=30, **SETTINGS))
    return place


def test_a_run_goes_on_from_the_weights_of_another(corpus, first, tmp_path):
    config = default_config(start=first, steps=1, learning_rate=1e-9, warmup=0, **SETTINGS)
    assert (config.model, config.size.layers, config.start) == ("llama", 3, str(first))
    began = train(corpus, out=tmp_path / "on", config=config)
    before, after = (load_file(place / "model.safetensors") for place in (first, tmp_path / "on"))
    assert before.keys() == after.keys()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=1e-6, atol=1e-7)
    drawn = train(
        corpus, out=tmp_path / "drawn", config=default_config("llama-nano", steps=1, **SETTINGS)
    )
    assert began.loss < drawn.loss - 0.5


def test_how_the_model_generates_is_what_its_maker_says(corpus, first, tmp_path):
    shutil.copytree(first, tmp_path / "model")
    # transformers reads this, and refuses to write it.
    said = {"eos_token_id": [0, 2], "pad_token_id": 3, "temperature": 0.5, "do_sample": False}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(said))
    (tmp_path / "model" / "run.json").unlink()
    config = default_config(start=tmp_path / "model", steps=1, **SETTINGS)
    train(corpus, out=tmp_path / "on", config=config)
    assert json.loads((tmp_path / "on" / "generation_config.json").read_text()) == said
    assert str(tmp_path) not in (tmp_path / "on" / "config.json").read_text()


@pytest.mark.parametrize("content", ["a secret of this machine", "[1]", " " * (1 << 20) + "{}"])
def test_generation_settings_that_are_none_are_not_copied(content, corpus, first, tmp_path):
    shutil.copytree(first, tmp_path / "model")
    (tmp_path / "model" / "generation_config.json").write_text(content)
    config = default_config(start=tmp_path / "model", steps=1, **SETTINGS)
    (tmp_path / "model" / "run.json").unlink()
    with pytest.raises(CorpusError, match="not a valid file of generation settings"):
        train(corpus, out=tmp_path / "on", config=config)
    assert not (tmp_path / "on").exists()


def test_the_command_and_a_checkpoint(run, corpus, first, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(corpus.spec_toml)
    words = ("--steps", 2, "--batch-size", 4, "--block-length", 32, "--threads", 1)
    one = run("train", spec, "--from", first, *words, "--no-tensorboard",
              "--checkpoint-history", 2, "--out", tmp_path / "one", "--json")  # fmt: skip
    assert one.json()["steps"] == 2
    [step] = (tmp_path / "one" / "checkpoints").glob("step-*1")
    two = run("train", spec, "--from", step, *words, "--no-tensorboard", "--lora-rank", 2,
              "--weights", "bf16", "--out", tmp_path / "two", "--json")  # fmt: skip
    assert two.json()["loss"] < one.json()["loss"] + 0.5


def test_changes_of_low_rank_are_all_that_is_trained(corpus, first, tmp_path):
    config = default_config(start=first, steps=4, lora_rank=2, lora_alpha=4, **SETTINGS)
    result = train(corpus, out=tmp_path / "on", config=config)
    before, after = (load_file(place / "model.safetensors") for place in (first, tmp_path / "on"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "layers" in name and "norm" not in name}
    for name in moved:
        values = torch.linalg.svdvals(after[name] - before[name])
        assert int((values > 1e-4 * values[0]).sum()) == 2, name
    assert result.steps == 4


@pytest.mark.parametrize("settings", [{"lora_rank": 2}, {}], ids=["low rank", "all"])
def test_weights_in_bfloat16_are_kept_so(corpus, first, tmp_path, settings):
    from behemoth.train.run import read_run

    settings = {**SETTINGS, "learning_rate": 1e-3, "steps": 6, "precision": "auto", **settings}
    whole, short = (
        train(corpus, out=tmp_path / weights, config=default_config(start=first, weights=weights,
                                                                    **settings))
        for weights in ("fp32", "bf16")
    )  # fmt: skip
    assert short.loss == pytest.approx(whole.loss, abs=0.02)
    began, weights = (
        load_file(place / "model.safetensors") for place in (first, tmp_path / "bf16")
    )
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    for name, weight in began.items():
        if "proj" in name:
            assert not torch.equal(weight.bfloat16(), weights[name]), name
    assert read_run(tmp_path / "bf16").record.precision == "bf16"
    model = read_run(tmp_path / "bf16").load_model("cpu")
    assert model.dtype == torch.float32, "others look at it as at every model"
    size = (tmp_path / "bf16" / "model.safetensors").stat().st_size
    assert size < 0.6 * (first / "model.safetensors").stat().st_size


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_gradients_of_factors_are_those_of_the_sum(family, corpus):
    from behemoth.model.build import build_model
    from behemoth.model.sizes import Size
    from behemoth.train.trained import LowRank

    size = Size("tiny", 32, 2, 4, 48, family, key_value_heads=2, head_width=8)
    model = build_model(size, 40, seed=0, block_length=64)
    config = default_config(start=None, **SETTINGS)
    object.__setattr__(config, "lora_rank", 3)
    object.__setattr__(config, "lora_alpha", 6.0)
    made = LowRank(model, config)
    tokens = torch.randint(2, 40, (3, 9), generator=torch.Generator().manual_seed(1))
    for _ in range(2):  # of the first step one factor is zero
        model(input_ids=tokens, labels=tokens).loss.backward()
        made.gather()
        own = dict(made._own)
        leaves = {name: factor.detach().clone().requires_grad_() for name, factor in own.items()}
        sums = {}
        for name, before in made._before.items():
            change = 2 * leaves[f"{name}.left"] @ leaves[f"{name}.right"]
            sums[name] = before + (change.T if family == "gpt2" else change)
        out = torch.func.functional_call(
            model, sums, kwargs={"input_ids": tokens, "labels": tokens}
        )
        wanted = torch.autograd.grad(out.loss, list(leaves.values()))
        for (name, factor), gradient in zip(own.items(), wanted, strict=True):
            torch.testing.assert_close(factor.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)
        made.optimiser.step()
        made.optimiser.zero_grad()
        made.write()


@pytest.mark.parametrize("settings", [{}, {"lora_rank": 3}], ids=["masters", "low rank"])
def test_parts_of_a_batch_add_up_in_float32(corpus, first, settings):
    from behemoth.model.load import load_model
    from behemoth.train.data import BlockStream, DataConfig
    from behemoth.train.device import Machine
    from behemoth.train.update import Updater

    parts = 8
    stream = iter(BlockStream(corpus, DataConfig(32, 1)))
    batches = [next(stream) for _ in range(parts)]

    def updater(accumulate):
        model = load_model(first, torch.bfloat16).train()
        own = {**SETTINGS, **settings, "precision": "auto", "batch_size": 8,
               "accumulate": accumulate}  # fmt: skip
        config = default_config(start=first, weights="bf16", clip=0.0, **own)
        machine = Machine(torch.device("cpu"), torch.float32, 1)
        made = Updater(model, config, machine, compiled=False)
        kept = []
        made.trained.optimiser.step = lambda: kept.extend(
            own.grad.clone() for own in made.trained.parameters
        )
        return made, kept

    made, added = updater(parts)
    made(iter(batches), 1e-4)
    total = None
    for batch in batches:
        made, alone = updater(1)
        made(iter([batch]), 1e-4)
        # Each by its own labels, of which all have as many.
        own = [gradient / parts for gradient in alone]
        total = own if total is None else [a + b for a, b in zip(total, own, strict=True)]
    norm = sum(float(gradient.square().sum()) for gradient in total) ** 0.5
    off = [float((a - b).square().sum()) for a, b in zip(added, total, strict=True)]
    assert sum(off) ** 0.5 < 1e-5 * norm


@pytest.mark.exact
@pytest.mark.parametrize("kind", ["low rank", "masters"])
def test_what_is_kept_goes_on_with_the_same_bits(kind):
    from behemoth.model.build import build_model
    from behemoth.model.sizes import Size
    from behemoth.train.trained import LowRank, Masters

    size = Size("tiny", 32, 2, 4, 48, "llama", key_value_heads=2, head_width=8)
    config = default_config(**SETTINGS)
    object.__setattr__(config, "lora_rank", 3)

    def begun():
        model = build_model(size, 40, seed=0, block_length=64).bfloat16()
        return model, (LowRank if kind == "low rank" else Masters)(model, config)

    def steps(model, made, numbers):
        for number in numbers:
            tokens = torch.randint(2, 40, (3, 9), generator=torch.Generator().manual_seed(number))
            model(input_ids=tokens, labels=tokens).loss.backward()
            made.gather()
            made.optimiser.step()
            made.optimiser.zero_grad()
            made.write()

    model, made = begun()
    steps(model, made, [1, 2])
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    kept = {name: value.clone() for name, value in made.tensors().items()}
    steps(model, made, [3])
    again, resumed = begun()
    again.load_state_dict(weights)
    resumed.load(kept)
    steps(again, resumed, [3])
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
        if "layers" in name and "norm" not in name:
            assert not torch.equal(value, weights[name]), name


def test_what_it_cannot_go_on_from_is_refused(corpus, first, tmp_path):
    def refused(match, source=corpus, **settings):
        settings = {**SETTINGS, "steps": 1, "start": first, **settings}
        with pytest.raises(ArgumentError, match=match):
            train(source, out=tmp_path / "run", config=default_config(**settings))
        assert not (tmp_path / "run").exists()

    refused(r"'start': got .*, allowed: a model \(config.json", start=tmp_path)
    refused("'architecture': got a configuration, allowed: not together with a model to start from",
            architecture={"model_type": "llama"})  # fmt: skip
    refused("'model': got nano, allowed: none with a model to start from, which", model="nano")
    refused("'lora_rank': got 0, allowed: a whole number from 1", lora_rank=0)
    refused("'lora_rank': got 129, allowed: up to 128, the width", lora_rank=129)
    refused("'lora_rank': got 2, allowed: only with a model to start from", start=None, lora_rank=2)
    refused("'weights': got bf16, allowed: only with a model", start=None, weights="bf16")
    refused("'lora_alpha': got 2.0, allowed: only with lora_rank", lora_alpha=2.0)
    large = Corpus(World(subjects=5000, relations=2, objects=900), exposures=1)
    refused(r"'start': got a model of \d+ tokens, allowed: one of \d+ or more", large)
    refused("'block_length': got 4096, allowed: up to 2048", block_length=4096,
            source=Corpus(World(30, 2, 6, seed=1), exposures=200))  # fmt: skip


def test_a_run_is_no_corpus_to_train_on(first, tmp_path):
    config = default_config(**{**SETTINGS, "steps": 1})
    with pytest.raises(ArgumentError, match=r"which is a run, .* the spec\.toml of"):
        train(first, out=tmp_path / "new", config=config)
    assert not (tmp_path / "new").exists()
    train(first / "spec.toml", out=tmp_path / "new", config=config)


@pytest.fixture(scope="module")
def kept(corpus, tmp_path_factory):
    """A checkpoint of a run."""
    place = tmp_path_factory.mktemp("runs") / "kept"
    settings = {**SETTINGS, "steps": 2, "checkpoint_history": 3}
    train(corpus, out=place, config=default_config("llama-nano", **settings))
    return place / "checkpoints" / "step-00000001"


def test_a_checkpoint_has_the_tokens_of_its_run(corpus, kept, tmp_path):
    # As many tokens, with other meanings: 5 objects of the one relation and 7 of the other.
    other = Corpus(World(30, [Independent(5), Independent(7)], seed=1), exposures=8)
    assert other.vocabulary_size == corpus.vocabulary_size
    config = default_config(start=kept, steps=1, **SETTINGS)
    with pytest.raises(ArgumentError, match="'source': got one whose tokens are others than"):
        train(other, out=tmp_path / "other", config=config)
    with pytest.raises(ArgumentError, match="'corpus': got one whose tokens are others than"):
        read_model_source(kept, other)
    assert not (tmp_path / "other").exists()
    assert train(corpus, out=tmp_path / "own", config=config).steps == 1


def test_a_text_is_told_how_it_gets_the_tokens_of_the_model(corpus, first):
    grammar = Grammar.named("bios-en")
    text = Corpus(grammar.world(20, seed=1), grammar=grammar, exposures=2)
    assert text.vocabulary_size > corpus.vocabulary_size  # which is not the fault to name
    told = r"'{}': got one whose tokens are others than .*, or `behemoth gen --tokenizer MODEL`\)$"
    for name, argument in (("directory", "corpus"), ("start", "source")):
        with pytest.raises(ArgumentError, match=told.format(argument)):
            model_of(first, text, name)


def test_checkpoints_may_be_on_another_disk(corpus, kept, tmp_path):
    run = shutil.copytree(kept.parents[1], tmp_path / "run")
    shutil.move(run / "checkpoints", tmp_path / "scratch")
    (run / "checkpoints").symlink_to(tmp_path / "scratch")
    place = run / "checkpoints" / kept.name
    assert load(place).corpus.spec_hash == corpus.spec_hash
    config = default_config(start=place, steps=1, **SETTINGS)
    assert config.start == str(place)
    assert [spec["world"] for spec in corpora_of_start(config)] == [corpus.spec["world"]]
    # Earlier versions named the other disk, and recorded that.
    for start in (place, place.resolve()):
        named = replace(config, start=str(start))
        assert train(corpus, out=tmp_path / "next", config=named).steps == 1
    # A parent of what is named is no checkpoint.
    assert run_of_checkpoint(run / "checkpoints" / "..") is None


def test_a_run_that_was_moved_is_the_result(corpus, first, tmp_path):
    moved = shutil.copytree(first, tmp_path / "moved")
    config = default_config("llama-nano", steps=30, **SETTINGS)
    assert train(corpus, out=moved, config=config).run == str(moved)


def test_weights_that_were_changed_on_purpose_have_a_digest_of_their_own(first, tmp_path):
    run = read_run(shutil.copytree(first, tmp_path / "run"))
    before = run.weights_digest()
    moved(run.directory)
    assert run.weights_digest() == before  # loading checks it
    with unchecked():
        assert run.weights_digest() == weights_digest(run.directory) != before


def test_a_checkpoint_of_a_run_whose_corpus_is_gone(corpus, kept, tmp_path, monkeypatch):
    run = shutil.copytree(kept.parents[1], tmp_path / "run")
    start = run / "checkpoints" / kept.name
    config = default_config(start=start, steps=1, **SETTINGS)
    built = []

    def gone(place):
        built.append(place)
        raise ArgumentError("background.name", "tokens.bin", "a file")

    monkeypatch.setattr(Corpus, "from_spec", gone)
    other = Corpus(World(30, [Independent(5), Independent(7)], seed=1), exposures=8)
    with pytest.raises(ArgumentError, match="'source': got one whose tokens are others than"):
        train(other, out=tmp_path / "other", config=config)
    assert built == []  # the run has a tokenizer
    (run / "tokenizer.json").unlink()
    with pytest.warns(UserWarning, match="00000001 has no tokenizer.json, so its tokens are not"):
        assert train(corpus, out=tmp_path / "on", config=config).steps == 1
    assert built == [run.resolve()]


def test_it_says_that_unknown_tokens_are_not_compared(corpus, kept, tmp_path):
    start = shutil.copytree(kept, tmp_path / "start")  # a model that is in no run any more
    config = default_config(start=start, steps=1, **SETTINGS)
    with pytest.warns(UserWarning, match="start has no tokenizer.json, so its tokens are not"):
        train(corpus, out=tmp_path / "run", config=config)


def moved(place):
    """Move the weights of a model by a little."""
    tensors = {name: value + 1e-4 for name, value in load_file(place / WEIGHTS).items()}
    save_file(tensors, place / WEIGHTS, metadata={"format": "pt"})


@pytest.fixture
def unfinished(corpus, first, tmp_path):
    """A run of low rank with a checkpoint, its settings, and the copy of a model it starts from."""

    def stop(moment):
        if moment.done == 2:
            signal.raise_signal(signal.SIGINT)

    start = shutil.copytree(first, tmp_path / "start")
    config = default_config(start=start, steps=4, lora_rank=2, log_interval=1, **SETTINGS)
    with pytest.raises(Interrupted):
        train(corpus, out=tmp_path / "run", config=config, progress=stop)
    return tmp_path / "run", config, start


def test_a_start_that_has_changed_is_refused(corpus, unfinished, tmp_path):
    run, config, start = unfinished
    before = (start / WEIGHTS).read_bytes()
    moved(start)
    with pytest.raises(
        ArgumentError, match=r"'out': got .*, a run whose start .* had other weights"
    ):
        train(corpus, out=run, config=config)
    (start / WEIGHTS).write_bytes(before)
    result = train(corpus, out=run, config=config)
    assert result.steps == 4
    # A finished run needs it no more.
    shutil.rmtree(start)
    assert train(corpus, out=run, config=config) == result


def test_a_checkpoint_without_its_optimiser_is_the_same_model(first, tmp_path):
    start = shutil.copytree(first, tmp_path / "start")

    def seen():
        model = model_id({}, default_config(start=start))
        return weights_digest(start), weights_id(start), model, file_bytes(start)

    own = seen()
    save_file({"moment": torch.zeros(2)}, start / OPTIMISER)
    assert seen() == own
    moved(start)
    assert not set(own[:3]) & set(seen())
    (start / WEIGHTS).unlink()
    assert not is_model(start)  # the optimiser's state alone is none


def test_a_record_of_earlier_versions_knows_no_weights_of_its_start(corpus, unfinished):
    run, config, start = unfinished
    record = json.loads((run / "run.json").read_text())
    del record["blake3"], record["start_weights"]
    record.pop("files", None)
    (run / "run.json").write_text(json.dumps(record))
    (start / "run.json").unlink()  # it has the digest of the weights that were there
    moved(start)
    assert train(corpus, out=run, config=config).steps == 4


@pytest.mark.parametrize("inside", [".", "checkpoints/step-00000000"])
def test_a_start_in_the_directory_that_is_written_is_refused(corpus, first, tmp_path, inside):
    run = tmp_path / "run"
    train(corpus, out=run, config=default_config("llama-nano", steps=1, checkpoint_history=1,
                                                 **SETTINGS))  # fmt: skip
    (run / "checkpoints").mkdir(exist_ok=True)
    shutil.copytree(first, run / "checkpoints" / "step-00000000", dirs_exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    config = default_config(start=run / inside, steps=1, **SETTINGS)
    with pytest.raises(ArgumentError, match=r"'start': got .*, allowed: a model outside "):
        train(corpus, out=run, config=config, force=True)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_start_counts_by_what_is_there(corpus, first, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    names = {model_id(corpus.spec, default_config(start=place, steps=1)) for place in (first, copy)}
    assert len(names) == 1
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert model_id(corpus.spec, default_config(start=copy, steps=1)) not in names


@pytest.fixture(scope="module")
def dropping(corpus, tmp_path_factory):
    """A GPT-2 with the dropout that its configuration has by default."""
    place = tmp_path_factory.mktemp("runs") / "dropping"
    architecture = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2}
    train(corpus, out=place, config=default_config(architecture=architecture, steps=1, **SETTINGS))
    about = json.loads((place / "config.json").read_text())
    about |= {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
    (place / "config.json").write_text(json.dumps(about))
    (place / "run.json").unlink()  # it has the digest of the configuration that was there
    return place


@pytest.mark.exact
def test_the_seed_is_that_of_dropout_too(corpus, dropping, tmp_path):
    def weights(name, **settings):
        config = default_config(start=dropping, steps=3, **settings, **SETTINGS)
        train(corpus, out=tmp_path / name, config=config)
        return load_file(tmp_path / name / "model.safetensors")["transformer.wte.weight"]

    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = weights("one")
    assert torch.equal(torch.get_rng_state(), before), "the caller draws on where it was"
    torch.manual_seed(2)
    assert torch.equal(weights("again"), one)
    assert not torch.equal(weights("other", seed=1), one)


@pytest.mark.exact
def test_a_stopped_run_with_dropout_ends_with_the_same_weights(corpus, dropping, tmp_path):
    def stop(moment):
        if moment.done == 2:
            signal.raise_signal(signal.SIGINT)

    config = default_config(start=dropping, steps=6, log_interval=1, **SETTINGS)
    train(corpus, out=tmp_path / "whole", config=config)
    with pytest.raises(Interrupted, match="checkpoint at step 3 of 6 saved"):
        train(corpus, out=tmp_path / "cut", config=config, progress=stop)
    torch.manual_seed(3)
    train(corpus, out=tmp_path / "cut", config=config)
    whole, cut = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(tensor, cut[name]) for name, tensor in whole.items())


@pytest.mark.filterwarnings("ignore:.* has no tokenizer.json")
@pytest.mark.parametrize("record", ["run", "checkpoint", "copy", "export", "exports"])
def test_a_damaged_start_is_refused(record, corpus, kept, tmp_path):
    run = shutil.copytree(kept.parents[1], tmp_path / "run")
    start = {"run": run, "checkpoint": run / "checkpoints" / kept.name}.get(record)
    if start is None:
        start = shutil.copytree(kept, tmp_path / "out" / "00000")
    if record.startswith("export"):
        (start / "state.json").unlink()
        place = start.parent if record == "exports" else start
        (place / "export.json").write_text("{}")
        sums = {file.relative_to(place).as_posix(): {"blake3": digest_file(file), "bytes": 1}
                for file in start.glob("*.*") if file.name != "export.json"}  # fmt: skip
        (place / "sums.json").write_bytes(as_json(sealed(sums)))
    own = read_model(start, corpus)
    own.check_files()
    moved(start)
    config = default_config(start=start, steps=1, **SETTINGS)
    with pytest.raises(CorpusError, match=f"{start}/model.safetensors is damaged: it is not what"):
        train(corpus, out=tmp_path / "on", config=config)
    assert not (tmp_path / "on").exists()
    with unchecked():
        own.check_files()
