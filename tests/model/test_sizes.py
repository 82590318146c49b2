import pytest

from behemoth import ArgumentError
from behemoth.model.architectures import FAMILIES
from behemoth.model.sizes import SIZES, Size, find_size

# Of pythia-70m, -160m and -410m, without the embeddings (table 1 of the paper).
PYTHIA = {"70m": 18_915_328, "160m": 85_056_000, "410m": 302_311_424}


@pytest.mark.parametrize(("name", "parameters"), PYTHIA.items())
def test_pythia_has_the_parameters_that_its_paper_says(name, parameters):
    assert SIZES[name].parameters == parameters


def test_small_sizes_are_about_what_they_are_called_for():
    assert 0.08e6 < SIZES["pico"].parameters < 0.12e6
    assert 0.4e6 < SIZES["nano"].parameters < 0.6e6
    assert 1.5e6 < SIZES["micro"].parameters < 2.5e6


def test_every_head_has_a_quarter_to_rotate():
    for size in SIZES.values():
        assert size.width % size.heads == 0
        assert (size.width // size.heads) % 8 == 0


def test_an_unknown_size_is_answered_with_its_neighbour():
    with pytest.raises(
        ArgumentError, match=r"'model': got 70M \(did you mean 70m\?\), allowed: pico, nano"
    ):
        find_size("70M")
    with pytest.raises(ArgumentError, match=r"got gema3-nano \(did you mean gemma3-nano\?\), all"):
        find_size("gema3-nano")
    with pytest.raises(ArgumentError, match="got mixtral-nano, allowed: pico, nano"):
        find_size("mixtral-nano")  # whose nearest name is of another family


@pytest.mark.parametrize("name", [name for name in SIZES if "-" in name])
def test_sizes_of_other_families_count_what_their_models_have(name):
    torch = pytest.importorskip("torch")
    from behemoth.model.build import build_model

    size = SIZES[name]
    with torch.device("meta"):
        model = build_model(size, 104)
    own = {key: value.numel() for key, value in model.named_parameters() if ".wpe." not in key}
    assert sum(own.values()) == size.parameters_with(104)
    assert model.config.tie_word_embeddings == size.is_tied
    again = Size.of(model.config.to_dict())
    assert (again.family, again.parameters, again.is_tied) == (
        size.family, size.parameters, size.is_tied
    )  # fmt: skip


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("gpt_neox", "gpt2")])
def test_heads_share_the_width_where_a_configuration_does_not_say(family):
    torch = pytest.importorskip("torch")
    from behemoth.model.build import build_model

    size = Size.of({"model_type": family, "hidden_size": 64, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "intermediate_size": 96})  # fmt: skip
    with torch.device("meta"):
        model = build_model(size, 104)
    assert sum(own.numel() for own in model.parameters()) == size.parameters_with(104)


@pytest.mark.parametrize(
    ("config", "refusal"),
    [
        ({"model_type": "bert"}, "'config': got bert, allowed: gpt_neox, gpt2, llama"),
        ({"hidden_size": 32}, "'config.model_type': got nothing, allowed: gpt_neox, gpt2, llama"),
        ({"model_type": "gemma3"}, r"'config': got gemma3 \(did you mean gemma3_text\?\), allowed"),
        (
            {"model_type": "llama", "hidden_size": "32"},
            "'config.hidden_size': got '32', allowed: a whole number from 1",
        ),
        ({"model_type": "llama", "hidden_size": 32}, "'config.num_hidden_layers': got nothing"),
        (
            {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 5, "intermediate_size": 8},
            "'config.num_attention_heads': got 5, allowed: a divisor of the width 32",
        ),
        (
            {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4, "intermediate_size": 8, "num_key_value_heads": 3},
            "'config.num_key_value_heads': got 3, allowed: a divisor of the 4 heads",
        ),
        (
            {"model_type": "llama", "hidden_size": 28, "num_hidden_layers": 2,
             "num_attention_heads": 4, "intermediate_size": 8},
            "'config.head_dim': got 7, allowed: an even number, as rotary positions turn pairs",
        ),
        (
            {"model_type": "gemma3_text", "use_bidirectional_attention": True},
            "'config.use_bidirectional_attention': got True, allowed: false",
        ),
    ],
)  # fmt: skip
def test_a_configuration_that_is_none_is_refused(config, refusal):
    with pytest.raises(ArgumentError, match=refusal):
        Size.of(config)


@pytest.mark.parametrize(
    ("key", "value", "refusal"),
    [
        ("layer_norm_eps", float("nan"), "layer_norm_eps': got nan, allowed: a number above 0"),
        ("layer_norm_eps", -1, "layer_norm_eps': got -1, allowed: a number above 0"),
        ("layer_norm_eps", float("inf"), "layer_norm_eps': got inf, allowed: a finite number"),
        ("initializer_range", float("inf"), "initializer_range': got inf, allowed: a finite num"),
        ("initializer_range", -0.1, "initializer_range': got -0.1, allowed: a number above 0"),
        ("rotary_emb_base", 0, "rotary_emb_base': got 0, allowed: a number above 0"),
        ("rotary_pct", 7, "rotary_pct': got 7, allowed: a number from 0 to 1"),
        ("final_logit_softcapping", 0.0, "final_logit_softcapping': got 0.0, allowed: a number ab"),
        (
            "rope_parameters",
            {"full_attention": {"rope_theta": -5.0}},
            "rope_parameters.full_attention.rope_theta': got -5.0, allowed: a number above 0",
        ),
        (
            "rope_parameters",
            {"partial_rotary_factor": 1.5},
            "rope_parameters.partial_rotary_factor': got 1.5, allowed: a number from 0 to 1",
        ),
        ("rope_scaling", {"factors": [1.0, float("nan")]}, "factors': got nan, allowed: a finite"),
    ],
)
def test_a_number_with_which_nothing_is_trained_is_refused(key, value, refusal):
    config = {"model_type": "gpt_neox", "hidden_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 2, "intermediate_size": 64}  # fmt: skip
    with pytest.raises(ArgumentError, match=refusal):
        Size.of({**config, key: value})
    Size.of({**config, "layer_norm_eps": 1e-5, "rotary_pct": 1.0, "rope_scaling": None})
    Size.of({**config, "rotary_pct": 0.0})
