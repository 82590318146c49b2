"""What examples/easyedit.py derives from a run; tests/foreign/test_easyedit.py runs EasyEdit."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from behemoth.model.build import build_model
from behemoth.model.sizes import SIZES
from behemoth.support.errors import ArgumentError

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "easyedit.py"))
hyperparameters = EXAMPLE["hyperparameters"]


def made(name):
    with torch.device("meta"):
        return build_model(SIZES[name], 56)


@pytest.mark.parametrize("name", ["nano", "gpt2-nano", "llama-nano", "qwen3-nano"])
def test_names_are_those_of_the_models_modules(name):
    model = made(name)
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    found = hyperparameters("memit", model, {})
    for key in ("rewrite_module_tmp", "layer_module_tmp", "mlp_module_tmp", "attn_module_tmp"):
        assert found[key].count("{}") == 1
        assert found[key].format(2) in modules
        assert found[key].format(3) not in modules
    assert f"{found['rewrite_module_tmp'].format(1)}.weight" in parameters
    assert f"{found['lm_head_module']}.weight" in parameters
    assert parameters[f"{found['lm_head_module']}.weight"].shape[0] >= 56
    assert found["ln_f_module"] in modules
    assert found["v_loss_layer"] == 2


def test_names_of_gpt2_are_those_of_easyedits_own_hparams():
    found = hyperparameters("rome", made("gpt2-nano"), {})
    assert found["rewrite_module_tmp"] == "transformer.h.{}.mlp.c_proj"
    assert found["layer_module_tmp"] == "transformer.h.{}"
    assert found["mlp_module_tmp"] == "transformer.h.{}.mlp"
    assert found["attn_module_tmp"] == "transformer.h.{}.attn"
    assert found["ln_f_module"] == "transformer.ln_f"
    assert found["lm_head_module"] == "transformer.wte"


@pytest.mark.parametrize(
    ("method", "count", "layers"),
    [
        ("rome", 3, [1]),
        ("rome", 6, [2]),
        ("memit", 3, [0, 1]),
        ("memit", 6, [1, 2]),
        ("emmet", 6, [2]),
        ("alphaedit", 6, [1, 2]),
        ("ft", 3, [1]),
        ("ft", 32, [21]),
    ],
)
def test_layers_are_at_the_published_places(method, count, layers):
    assert EXAMPLE["default_layers"](method, count) == layers


def test_settings_replace_hyperparameters_and_unknown_ones_are_refused():
    model = made("nano")
    found = hyperparameters("ft", model, {"lr": 0.01, "layers": [0]}, edits=7)
    assert (found["lr"], found["layers"], found["batch_size"]) == (0.01, [0], 7)
    assert found["rewrite_module_tmp"].endswith(".weight")
    assert EXAMPLE["PUBLISHED"]["ft"]["lr"] == 5e-4
    with pytest.raises(ArgumentError, match=r"'--set': got v_rl .*did you mean v_lr"):
        hyperparameters("rome", model, {"v_rl": 0.1})


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("nano", "gpt_neox.layers[2].mlp.dense_4h_to_h.weight"),
        ("gpt2-nano", "transformer.h[2].mlp.c_proj.weight"),
        ("llama-nano", "model.layers[2].mlp.down_proj.weight"),
    ],
)
@pytest.mark.parametrize("method", ["grace", "wise"])
def test_memories_wrap_one_matrix_and_take_one_edit_at_a_time(name, module, method):
    model = made(name)
    found = hyperparameters(method, model, {"n_iter": 3}, edits=7)
    assert found["inner_params"] == [module]
    assert eval(f"model.{module}") is not None  # EasyEdit does so
    assert (found["batch_size"], found["n_iter"]) == (1, 3)
    assert not {"layers", "rewrite_module_tmp"} & found.keys()


def test_a_text_that_must_stay_is_the_first_locality_prompt_of_an_edit():
    arguments = {
        "prompts": ["a", "b"],
        "locality_inputs": {
            "same_object": {"prompt": [None, ["p", "q"]], "ground_truth": [None, ["x", "y"]]},
            "regular": {"prompt": [["r"], ["s"]], "ground_truth": [["z"], ["w"]]},
        },
    }
    assert EXAMPLE["staying"](arguments) == ["r z", "p x"]
    arguments["locality_inputs"].pop("regular")
    with pytest.raises(ArgumentError, match="edit 0 without locality prompts"):
        EXAMPLE["staying"](arguments)


def test_memories_need_the_plan(tmp_path, monkeypatch, capsys):
    words = ["easyedit.py", "run", "easyedit.json", str(tmp_path / "out"), "--method", "grace"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        EXAMPLE["main"]()
    assert "--plan: got nothing, allowed: the plan, for --method grace" in capsys.readouterr().err


def test_all_accuracies_of_nested_metrics_are_averaged(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")
    accuracies = runpy.run_path(
        str(Path(__file__).parents[1] / "examples" / "easyedit_metrics.py")
    )["accuracies"]
    post = {"rewrite_acc": [1.0], "fluency": 3, "locality": {"a_acc": [0.0, 1.0], "a_output": []}}
    found = dict(accuracies({"case_id": 0, "post": post, "time": 1.5}))
    assert found == {"post.rewrite_acc": [1.0], "post.locality.a_acc": [0.0, 1.0]}
