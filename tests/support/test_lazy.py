"""Packages whose name is their verb, whatever was imported before."""

import inspect
import subprocess
import sys

import pytest

import behemoth as bh

VERBS = {
    "train": "TrainConfig",
    "plan": "EditPlan",
    "edit": "EditRecord",
    "evaluate": "METRICS",
    "study": "Results",
    "export": "FORMATS",
    "recall": "generate",
}
ORDERS = (
    "import behemoth as bh",
    "from behemoth.{verb} import {verb}, {noun}",
    "import behemoth.{verb} as module",
    "from behemoth.{verb} import {verb} as function; import behemoth.{verb} as module",
    "from behemoth import {verb} as package; from behemoth.{verb} import {noun}",
)
CHECK = """
import sys
import behemoth as bh
import behemoth.{verb} as module
from behemoth.{verb} import {verb}, {noun}
assert module is bh.{verb} is sys.modules["behemoth.{verb}"]
assert {verb} is module.{verb} is bh.{verb}.{verb} and {verb} is not module
assert bh.{verb}.{noun} is {noun} is module.{noun}
try:
    bh.{verb}(nothing_of_this_name=1)
except (TypeError, ValueError) as error:
    assert "nothing_of_this_name" in str(error) or "missing" in str(error), error
else:
    raise SystemExit("was not called")
"""
SCRIPT = f"""
import sys
verbs, check = {VERBS!r}, {CHECK!r}
for order in {ORDERS!r}:
    for name in [name for name in sys.modules if name.partition(".")[0] == "behemoth"]:
        if name != "behemoth._gen":  # a compiled module is loaded once
            del sys.modules[name]
    for verb, noun in verbs.items():
        exec(order.format(verb=verb, noun=noun), {{}})
        exec(check.format(verb=verb, noun=noun), {{}})
    for verb, noun in verbs.items():  # and when all has been imported
        exec(check.format(verb=verb, noun=noun), {{}})
"""


@pytest.mark.slow
def test_a_verb_is_a_package_and_a_function_in_every_order_of_imports():
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], check=True)


@pytest.mark.parametrize("first", ["behemoth.evaluate.aggregate", "behemoth.evaluate.geometry"])
def test_a_module_does_not_take_the_place_of_a_function(first):
    package, _, name = first.rpartition(".")
    script = f"import {first}, {package} as package; assert not hasattr(package.{name}, '__file__')"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_package_answers_for_its_verb():
    assert inspect.signature(bh.train) == inspect.signature(bh.train.train)
    call, _, doc = inspect.getdoc(bh.train).partition("\n\n")
    assert call.startswith("train(source, *, out, config=None, ")
    assert doc == inspect.getdoc(bh.train.train)
    asked = inspect.signature(bh.plan).parameters
    assert asked["wordings"].default == 1 and asked["request"].default is None
    assert callable(bh.report) and not callable(bh.corpus)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("generate", " (did you mean gen?)"),
        ("open", " (did you mean load?)"),
        ("trian", " (did you mean train?)"),
        ("EditPlam", " (did you mean EditPlan?)"),
        ("nothing_like_it", ""),
        ("__wrapped__", ""),
    ],
)
def test_an_unknown_name_leads_to_the_one_that_was_meant(name, hint):
    with pytest.raises(AttributeError) as caught:
        getattr(bh, name)
    assert str(caught.value) == f"module 'behemoth' has no attribute '{name}'{hint}"
