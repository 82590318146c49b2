"""Errors are one line, whatever they are about."""

import pytest
import torch

from behemoth import ArgumentError


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(30))),
        "two\nlines",
        "a" * 1000,
        [0] * 500,
    ],
    ids=["model", "text", "long text", "list"],
)
def test_what_was_got_is_one_short_line(value):
    text = str(ArgumentError("plan", value, "a plan directory"))
    assert "\n" not in text and "  " not in text
    assert len(text) < 470
    assert text.endswith(", allowed: a plan directory")


def test_spaces_within_a_text_are_shown_as_they_are():
    assert str(ArgumentError("name", " a  b", "a name")) == (
        "argument 'name': got ' a  b', allowed: a name"
    )
