"""Settings that a method does not allow are refused, also from Python, where no text is read."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import pytest

from behemoth import ArgumentError
from behemoth.edit.bounds import ABOVE_0, FROM_0, at_least, check_values
from behemoth.edit.parametrise import check_layers, chosen_layers
from behemoth.edit.registry import get_method, method_names, method_type

if TYPE_CHECKING:
    from behemoth.plan.edit_plan import EditPlan


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("dpo_refusal", {"scale": "sum"}, "'scale': got sum, allowed: dpo, open-unlearning"),
        ("rmu", {"positions": "al"}, r"'positions': got al \(did you mean all\?\), allowed: "),
        ("rome", {"token": "subj"}, "'token': got subj .*, allowed: subject, prompt"),
        ("ft", {"part": "mlpp"}, "'part': got mlpp .*, allowed: mlp, attention"),
        ("ft", {"optimiser": "adma"}, "'optimiser': got adma .*, allowed: adam, sgd"),
        ("retrain", {"twin": "witout"}, "'twin': got witout .*, allowed: auto, override, without"),
        ("ike", {"nearest": "middle"}, "'nearest': got middle, allowed: last, first, anywhere"),
        ("ft", {"part": "mlp", "layers": ()}, "'layers': got none, allowed: at least one layer"),
        ("ft_l", {"layers": []}, "'layers': got none, allowed: at least one layer"),
        ("memit", {"layers": ()}, "'layers': got none, allowed: at least one layer"),
        ("lora", {"alpha": 0.0}, "'alpha': got 0.0, allowed: above 0"),
        ("lora", {"alpha": math.nan}, "'alpha': got nan, allowed: a finite number"),
        ("lora", {"steps": 2.5}, "'steps': got 2.5, allowed: a whole number"),
        ("lora", {"steps": "2"}, "'steps': got '2', allowed: a whole number"),
        ("grace", {"layer": "x"}, "'layer': got 'x', allowed: a whole number"),
        ("grace", {"learning_rate": math.inf}, "'learning_rate': got inf, allowed: a finite"),
        ("grace", {"stop_loss": -1.0}, "'stop_loss': got -1.0, allowed: from 0"),
        ("wise", {"mask": 1.5}, "'mask': got 1.5, allowed: above 0, to 1"),
        ("wise", {"ratio": 1.0}, "'ratio': got 1.0, allowed: between 0 and 1"),
        ("wise", {"batch_growth": 2}, "'batch_growth': got 2, allowed: from 0 to 1"),
        (
            "ft",
            {"alpha": 7.0},
            "'alpha': got 7.0, allowed: none without a rank, whose scale it is$",
        ),
        (
            "npo",
            {"alpha": 7.0},
            "'alpha': got .*, whose scale it is; the weight of .* is `retain`$",
        ),
        ("rmu", {"steering": -3.0}, "'steering': got -3.0, allowed: above 0"),
        ("undial", {"beta": -10.0}, "'beta': got -10.0, allowed: above 0"),
        ("wga", {"beta": -1.0}, "'beta': got -1.0, allowed: from 0"),
        ("npo", {"beta": 0.0}, "'beta': got 0.0, allowed: above 0"),
        ("satimp", {"saturation": -1.0}, "'saturation': got -1.0, allowed: from 0"),
        ("pdu", {"warm_up": -1}, "'warm_up': got -1, allowed: from 0"),
        ("alphaedit", {"samples": 0}, "'samples': got 0, allowed: at least 1"),
        ("memit", {"clamp": 0.0}, "'clamp': got 0.0, allowed: above 0"),
        ("encore", {"norm": -0.5}, "'norm': got -0.5, allowed: from 0"),
        ("encore", {"stop_after": -1}, "'stop_after': got -1, allowed: at least 0"),
    ],
)
def test_what_a_method_does_not_allow_is_refused(name, settings, said):
    with pytest.raises(ArgumentError, match=f"argument {said}"):
        method_type(name)(**settings)


@pytest.mark.parametrize("name", method_names())
def test_bounds_are_those_of_its_settings(name):
    method = get_method(name)
    for setting, bound in getattr(method, "bounds", {}).items():
        # Those of terms that only some methods have.
        if hasattr(method, setting) or setting not in ("retain", "forget"):
            value = getattr(method, setting)
            assert value is None or bound.holds(value), setting


def test_a_bound_may_be_included():
    assert FROM_0.holds(0.0) and not FROM_0.holds(-1e-9) and not FROM_0.holds(math.nan)
    assert ABOVE_0.holds(1e-9) and not ABOVE_0.holds(0.0)
    assert at_least(2).holds(2) and not at_least(2).holds(1)


def test_types_that_only_a_checker_imports_are_no_obstacle():
    @dataclass(frozen=True)
    class Base:
        place: Literal["here", "there"] = "here"
        bounds: ClassVar = {"rate": ABOVE_0}

        def __post_init__(self):
            check_values(self)

    @dataclass(frozen=True)
    class Own(Base):
        rate: float = 1.0
        plan: "EditPlan | None" = None

    assert Own().place == "here"
    with pytest.raises(ArgumentError, match=r"'place': got nowhere .*, allowed: here, there"):
        Own(place="nowhere")
    with pytest.raises(ArgumentError, match=r"argument 'rate': got 0\.0, allowed: above 0"):
        Own(rate=0.0)


def test_a_place_without_layers_is_refused(model):
    with pytest.raises(ArgumentError, match="argument 'layers': got none, allowed: at least one"):
        chosen_layers(model, [])
    assert chosen_layers(model, [-1, 0]) == [0, len(chosen_layers(model, None)) - 1]


def test_layers_that_a_model_lacks_are_refused_before_it_is_made():
    for method, settings in (("lora", {"layers": (0, -3)}), ("rmu", {"layer": 2}), ("wise", {})):
        check_layers(get_method(method, settings), 3)
    with pytest.raises(ArgumentError, match="argument 'layers': got -4, allowed: -3 to 2"):
        check_layers(get_method("lora", {"layers": (0, -4)}), 3)
    with pytest.raises(ArgumentError, match="argument 'layer': got 3, allowed: -3 to 2"):
        check_layers(get_method("wise", {"layer": 3}), 3)
