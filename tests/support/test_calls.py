"""Classes that are loaded or returned say so when they are called."""

import pytest

import behemoth as bh
from behemoth.support.calls import made_by
from behemoth.support.errors import ArgumentError


@pytest.mark.parametrize(
    ("call", "got", "allowed"),
    [
        (lambda: bh.Run("run"), r"Run\('run'\)", r"bh\.load\(PATH\) of a directory that bh\.train"),
        (lambda: bh.Run("r", model="nano"), r"Run\('r', model='nano'\)", r"bh\.load\(PATH\)"),
        (lambda: bh.EditPlan(1), r"EditPlan\(1\)", r"bh\.plan\(\.\.\.\), or bh\.load\(PATH\)"),
        (lambda: bh.EditPlan(edits=2), r"EditPlan\(edits=2\)", r"bh\.plan\("),
        (lambda: bh.Study("x"), r"Study\('x'\)", r"bh\.load\(PATH\) of a study file"),
        (lambda: bh.Results("study"), r"Results\('study'\)", r"bh\.load\(PATH\)"),
        (lambda: bh.Zoo("zoo"), r"Zoo\('zoo'\)", r"bh\.load\(PATH\) .* bh\.make_zoo wrote"),
        (lambda: bh.EditRecord("edit"), r"EditRecord\('edit'\)", r"bh\.edit\("),
        (lambda: bh.EditDelta(), r"EditDelta\(\)", r"bh\.load\(PATH\) of an edit"),
        (lambda: bh.SuiteResult("s"), r"SuiteResult\('s'\)", r"bh\.evaluate_suite\("),
    ],
)  # fmt: skip
def test_a_guess_is_told_what_makes_one(call, got, allowed):
    name = got.partition("\\")[0]
    with pytest.raises(ArgumentError, match=rf"^argument '{name}': got {got}, allowed: {allowed}"):
        call()


def test_calls_that_fit_and_their_own_errors_stay():
    @made_by("something else")
    class Made:
        """Made of a number."""

        def __init__(self, number: int) -> None:
            """Take it."""
            self.number = number + 1

    assert Made(1).number == Made(number=1).number == 2
    assert Made.__init__.__doc__ == "Take it."
    with pytest.raises(TypeError):
        Made("x")
    with pytest.raises(ArgumentError, match=r"got Made\(1, 2\), allowed: something else"):
        Made(1, 2)
