import pytest

from behemoth.support.text import columns_text, fixed_text, listed_text

ROWS = [["name", "what it is", "count"], ["one", "a cell of several words", "1,234,567"]]


def test_columns_that_fit_are_one_line_each():
    assert columns_text(ROWS, 80, right=[2]).splitlines() == [
        "name  what it is                   count",
        "one   a cell of several words  1,234,567",
    ]


def test_the_widest_column_is_broken_between_words():
    lines = columns_text(ROWS, 30, right=[2]).splitlines()
    assert lines[1:] == ["one   a cell of      1,234,567", "      several words"]


@pytest.mark.parametrize("width", [1, 10, 20])
def test_no_word_is_broken_however_narrow(width):
    text = columns_text(ROWS, width)
    assert "1,234,567" in text and "several" in text


def test_values_are_listed_as_in_a_sentence():
    assert [listed_text(range(n)) for n in (1, 2, 3)] == ["0", "0 and 1", "0, 1 and 2"]


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0004, "0.000"), (-0.0006, "-0.001"), (2, "2.000")]
)
def test_what_is_rounded_to_0_has_no_minus(value, shown):
    assert fixed_text(value) == shown
