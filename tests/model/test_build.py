import pytest
import torch
from transformers import GPTNeoXConfig

from behemoth.model.architectures import FAMILIES
from behemoth.model.build import build_model, model_config, padded_vocabulary, shape_of
from behemoth.model.load import load_model
from behemoth.model.sizes import SIZES, Size
from behemoth.train.checkpoint import save_model

TINY = Size("tiny", 32, 2, 2, 64)


def test_the_model_is_pythias_at_the_size_asked_for():
    config = model_config(SIZES["70m"], 1024)
    assert config.model_type == "gpt_neox"
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (512, 6, 8)
    assert config.intermediate_size == 2048
    assert config.rope_parameters["partial_rotary_factor"] == 0.25
    assert config.use_parallel_residual
    assert not config.tie_word_embeddings
    assert (config.eos_token_id, config.pad_token_id) == (0, 1)
    assert config.attention_dropout == config.hidden_dropout == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_no_row_of_the_embedding_is_set_apart_without_padding(family, tmp_path):
    size = Size("tiny", 32, 2, 2, 64, family, 2, 16)
    model = build_model(size, 56, padding=None)
    rows = model.get_input_embeddings()
    assert (model.config.pad_token_id, rows.padding_idx) == (None, None)
    assert bool(rows.weight.any(1).all())
    save_model(model, tmp_path)
    assert load_model(tmp_path).get_input_embeddings().padding_idx is None


def test_the_count_of_parameters_is_right():
    model = build_model(TINY, 56)
    assert sum(p.numel() for p in model.parameters()) == TINY.parameters_with(56)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"rotary_pct": 0.5, "rotary_emb_base": 500}, ("default", 0.5, 500)),
        ({"rotary_pct": 1.0, "rope_scaling": None}, ("default", 1.0, 10_000)),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, ("linear", 0.25, 10_000)),
        ({"attention_bias": True}, ("default", 0.25, 10_000)),
    ],
)
def test_rotary_settings_of_published_configurations_are_kept(given, wanted):
    dimensions = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                  "intermediate_size": 64}  # fmt: skip
    published = {"model_type": "gpt_neox", **dimensions, **given}
    found = model_config(Size.of(published), 56).rope_parameters
    names = ("rope_type", "partial_rotary_factor", "rope_theta")
    assert tuple(found[name] for name in names) == wanted
    assert found == GPTNeoXConfig(**dimensions, **given).rope_parameters


def test_weights_are_a_function_of_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = build_model(TINY, 56, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = build_model(TINY, 56, seed=3), build_model(TINY, 56, seed=4)
    pairs = list(zip(one.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.get_output_embeddings().weight, other.get_output_embeddings().weight)


def test_generators_of_gpus_are_left_alone(monkeypatch):
    begun = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", begun.append)
    build_model(Size("tiny", 32, 2, 2, 64, "gpt2"), 56, seed=3)
    assert not begun
    torch.manual_seed(0)
    assert begun == [0], "it is what a GPU would have begun with"


@pytest.mark.exact
def test_weights_of_other_families_are_what_transformers_draws_from_the_seed():
    from transformers import AutoModelForCausalLM

    built = build_model(Size("tiny", 32, 2, 2, 64, "gpt2"), 56, seed=3)
    torch.manual_seed(3)
    drawn = AutoModelForCausalLM.from_config(built.config, dtype=torch.float32)
    pairs = zip(built.parameters(), drawn.parameters(), strict=True)
    assert all(torch.equal(own, other) for own, other in pairs)


def test_deviations_are_those_of_pythia():
    model = build_model(SIZES["nano"], 1000)
    layer = model.gpt_neox.layers[0]
    small, output = (2 / (5 * 128)) ** 0.5, 2 / (3 * 128**0.5)
    for weight in (model.get_output_embeddings().weight, layer.attention.query_key_value.weight):
        assert weight.std().item() == pytest.approx(small, rel=0.02)
    assert layer.mlp.dense_4h_to_h.weight.std().item() == pytest.approx(output, rel=0.02)
    assert layer.attention.dense.bias.abs().sum() == 0
    assert torch.equal(layer.input_layernorm.weight, torch.ones(128))


@pytest.mark.parametrize(("tokens", "multiple", "padded"), [(1, 8, 8), (8, 8, 8), (9, 8, 16)])
def test_vocabularies_are_rounded_up(tokens, multiple, padded):
    assert padded_vocabulary(tokens, multiple) == padded


@pytest.mark.parametrize("name", ["pico", "gpt2-nano", "llama-nano", "gemma3-nano"])
def test_a_shape_is_that_of_the_model_and_has_no_weights(name):
    shape, model = shape_of(SIZES[name], 104), build_model(SIZES[name], 104)
    shapes = {key: value.shape for key, value in shape.named_parameters()}
    assert shapes == {key: value.shape for key, value in model.named_parameters()}
    assert {value.device.type for value in shape.parameters()} == {"meta"}
