import pytest
import torch

from behemoth.model.architecture import Architecture
from behemoth.model.build import build_model
from behemoth.model.modules import backbone, is_linear, is_norm
from behemoth.model.sizes import SIZES, Size


@pytest.fixture(scope="module")
def model():
    return build_model(Size("tiny", 32, 2, 2, 64), 56)


def test_every_name_is_a_module_of_the_model(model):
    names = Architecture.of(model)
    modules = dict(model.named_modules())
    for layer in range(names.layers):
        for name in ("block", "mlp_out", "mlp_norm", "attention_out", "attention_norm"):
            assert getattr(names, name)(layer) in modules
        assert {*names.mlp_inputs(layer), *names.attention_inputs(layer)} <= set(modules)
    assert {names.head, names.embedding, names.final_norm} <= set(modules)
    assert model.get_buffer(names.frequencies).shape == (2,)


def test_linear_modules_are_all_matrices_of_a_part(model):
    names = Architecture.of(model)
    linear = {
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != names.head
    }
    assert set(names.linear_modules("both")) == linear
    assert len(names.linear_modules("mlp", [1])) == 2


def test_another_architecture_is_refused():
    with pytest.raises(ValueError, match="got Linear, allowed: gpt_neox"):
        Architecture.of(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("name", [name for name in SIZES if name.endswith("-nano")])
def test_names_of_other_families_are_modules_of_their_models(name):
    with torch.device("meta"):
        model = build_model(SIZES[name], 56)
    names, modules = Architecture.of(model), dict(model.named_modules())
    linear = {name for name, module in modules.items() if is_linear(module)}
    assert set(names.linear_modules("both")) == linear - {names.head}
    norms = {name for name, module in modules.items() if is_norm(module)}
    said = {names.final_norm}
    for layer in range(names.layers):
        assert names.block(layer) in modules
        said |= {names.attention_norm(layer), names.mlp_norm(layer), names.mlp_post_norm(layer)}
    assert said - {None} <= norms
    assert modules[names.embedding] is model.get_input_embeddings()
    assert model.get_submodule(names.stream) is backbone(model)
