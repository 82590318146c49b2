import json
import re
from dataclasses import fields, replace

import numpy as np
import pytest

from behemoth import ArgumentError
from behemoth.model.sizes import SIZES
from behemoth.train.config import TrainConfig, config_of, default_config
from behemoth.train.run import RunRecord, read_record

NEOX = {"model_type": "gpt_neox", "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64}  # fmt: skip
STARTED = {"model": "gpt_neox", "start": "model", "architecture": NEOX}


@pytest.mark.parametrize("name", SIZES)
def test_every_size_has_defaults(name):
    config = default_config(name)
    assert config.model == name
    assert config.learning_rate > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "'steps': got 0, allowed: a whole number from 1"),
        ({"learning_rate": 0.0}, "'learning_rate': got 0.0, allowed: a number above 0"),
        ({"warmup": 1.5}, "'warmup': got 1.5, allowed: a number from 0 to 1"),
        ({"beta1": 1.0}, "'beta1': got 1.0, allowed: a number from 0, below 1"),
        ({"schedule": "linear"}, "'schedule': got linear, allowed: cosine, wsd"),
        ({"steps": 1, "epochs": 1}, "'steps': got 1, allowed: one of epochs and steps"),
        ({"batch_size": 6, "accumulate": 4}, "'accumulate': got 4, allowed: a divisor"),
        ({"schedule": "wsd", "warmup": 0.5, "decay": 0.6}, "'decay': got 0.6, allowed: up to 0.5"),
        ({"decay": 0.2}, "'decay': got 0.2, allowed: only with the schedule wsd"),
        ({"size": "pico"}, r"'size': got an unknown key (did you mean model?), allowed: model, "),
        ({"lr": 1e-3}, r"'lr': got an unknown key (did you mean learning_rate?), allowed: "),
        ({"learning_rte": 1e-3}, r"'learning_rte': .* (did you mean learning_rate?), allowed: "),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(settings, message):
    with pytest.raises(ArgumentError, match=re.escape(message).replace(r"\.\*", ".*")):
        default_config("nano", **settings)


@pytest.mark.parametrize("name", ["document_mask", "answers_only", "fully_shard", "tensorboard"])
def test_a_text_is_no_switch(name):
    """The text "false" is true: a run would do the opposite of what was meant, and record it."""
    with pytest.raises(ArgumentError, match=f"'{name}': got false, allowed: True or False"):
        TrainConfig(**{name: "false"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": 0}, "'device': got 0, allowed: the name of a device, such as cpu or cuda"),
        ({"clip": 10**400}, "allowed: a number from 0 to 1e+09"),
        ({"seed": 2**63}, f"allowed: a whole number from 0 to {2**63 - 1:,}"),
    ],
)
def test_what_a_table_cannot_hold_is_refused_too(settings, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        TrainConfig(**settings)


def test_the_numbers_of_numpy_are_those_of_python():
    config = TrainConfig(steps=np.int64(5), learning_rate=np.float32(0.5), tensorboard=np.bool_(0))
    assert config == TrainConfig(steps=5, learning_rate=0.5, tensorboard=False)
    assert [type(value) for value in (config.steps, config.learning_rate)] == [int, float]
    assert default_config("160m", batch_size=np.int64(64)).accumulate == 8


@pytest.mark.parametrize("name", ["block_length", "learning_rate", "warmup"])
def test_only_what_is_none_by_default_may_be_none(name):
    with pytest.raises(ArgumentError, match=f"'{name}': got nothing"):
        TrainConfig(**{name: None})


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 25),
        ({"epochs": 2}, 50),
        ({"epochs": 0.5}, 12),
        ({"steps": 7}, 7),
        ({"tokens": 1000}, 4),
    ],
)
def test_the_length_of_a_run(settings, steps):
    config = default_config("nano", block_length=64, batch_size=4, **settings)
    assert config.total_steps(blocks=100) == steps


@pytest.mark.parametrize(
    ("settings", "accumulate"),
    [({}, 8), ({"batch_size": 4}, 4), ({"batch_size": 12}, 4), ({"batch_size": 7}, 1),
     ({"batch_size": 4, "accumulate": 2}, 2)],
)  # fmt: skip
def test_large_models_are_computed_in_parts_that_divide_the_batch(settings, accumulate):
    assert default_config("160m", **settings).accumulate == accumulate


@pytest.mark.parametrize("batch_size", ["4", 0, 2.5, None])
def test_a_batch_size_of_a_large_model_is_what_is_refused(batch_size):
    with pytest.raises(ArgumentError, match=r"'batch_size': got .*, allowed: a whole number"):
        default_config("160m", batch_size=batch_size)


def test_every_field_is_documented():
    from behemoth.cli.options import field_help

    assert set(field_help(TrainConfig)) == {field.name for field in fields(TrainConfig)}


@pytest.mark.parametrize("given", [{"lora_rank": 2}, {"weights": "bf16"}])
def test_what_follows_other_weights_is_not_shared_out(given):
    with pytest.raises(ArgumentError, match="with fully_shard"):
        TrainConfig(start="model", fully_shard=True, **given)


def test_a_setting_without_effect_is_refused_unless_it_is_its_default():
    allowed = "'vocabulary_multiple': got 64, allowed: only without a model to start from"
    with pytest.raises(ArgumentError, match=allowed):
        TrainConfig(**STARTED, vocabulary_multiple=64)
    with pytest.raises(ArgumentError, match="'precision': got fp32, allowed: auto or bf16 with"):
        TrainConfig(**STARTED, weights="bf16", precision="fp32")
    assert TrainConfig(**STARTED, weights="bf16", precision="bf16")
    assert TrainConfig(**STARTED, precision="fp32").precision == "fp32"
    assert TrainConfig(decay=TrainConfig.decay) == TrainConfig()
    assert TrainConfig(**STARTED, vocabulary_multiple=0)
    assert TrainConfig(vocabulary_multiple=64).vocabulary_multiple == 64
    assert TrainConfig(schedule="wsd", decay=0.2).decay == 0.2


@pytest.mark.parametrize(
    ("recorded", "read"),
    [
        ({"decay": 0.2}, {}),
        ({"schedule": "wsd", "decay": 0.2}, {"schedule": "wsd", "decay": 0.2}),
        ({"vocabulary_multiple": 64}, {"vocabulary_multiple": 64}),
        ({**STARTED, "vocabulary_multiple": 64}, STARTED),
        (
            {**STARTED, "weights": "bf16", "precision": "fp32"},
            {**STARTED, "weights": "bf16", "precision": "auto"},
        ),
    ],
)
def test_a_run_of_an_earlier_version_may_have_settings_without_effect(trained, recorded, read):
    record = read_record(trained)
    values = record.to_dict()
    values["config"] |= recorded
    config = RunRecord.from_dict(values).config
    assert config == replace(record.config, **read)


def test_a_config_is_settings_or_the_name_of_a_size():
    assert config_of("pico") == default_config("pico") and config_of(None) == default_config()
    config = default_config("pico", epochs=4)
    assert config_of(config) is config
    with pytest.raises(ArgumentError, match=r"'config': got pice \(did you mean pico"):
        config_of("pice")
    with pytest.raises(ArgumentError, match=r"allowed: a TrainConfig, such as default_config\("):
        config_of({"model": "pico"})


def test_a_size_beside_a_configuration_is_refused_by_what_was_given():
    architecture = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2}
    with pytest.raises(ArgumentError, match="'model': got nano, allowed: none with a configurat"):
        default_config("nano", architecture=architecture)


def test_a_configuration_is_held_as_its_record_holds_it():
    architecture = {**NEOX, "id2label": {0: "a"}, "shape": (1, 2)}
    held = default_config(architecture=architecture).architecture
    assert held == json.loads(json.dumps(held)) == {**NEOX, "id2label": {"0": "a"}, "shape": [1, 2]}


@pytest.mark.parametrize("given", ["config.json", [1], object(), {**NEOX, "dtype": object()}])
def test_what_is_no_configuration_is_refused(given):
    with pytest.raises(ArgumentError, match=r"'architecture': got .*, allowed: the content of a"):
        default_config(architecture=given)
    with pytest.raises(ArgumentError, match=r"'architecture': got .*, allowed: the content of a"):
        TrainConfig(architecture=given)
