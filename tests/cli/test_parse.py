import pytest
from hypothesis import given, strategies as st

from behemoth.cli import parse
from behemoth.cli.parse import ArgumentError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1_000", 1000),
        ("1e8", 10**8),
        ("5E9", 5 * 10**9),
        ("1.5e3", 1500),
        (" 7 ", 7),
        ("2.0", 2),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_counts(text, value):
    assert parse.count("--n", text) == value


@given(st.integers(0, 2**63 - 1))
def test_any_count_is_read_back(value):
    assert parse.count("--n", str(-value), None) == -value
    assert parse.count("--n", str(value)) == parse.count("--n", f"{value:_}") == value


@pytest.mark.parametrize(
    "text",
    [
        "1.5",
        "-1",
        "",
        "many",
        "nan",
        "inf",
        "1e",
        "0x10",
        "1e-3",
        "_60",
        "60_",
        "6__0",
        "1_e3",
        "\u0666\u0660",
    ],
)
def test_what_is_no_count_is_refused(text):
    with pytest.raises(
        ArgumentError,
        match=r"argument '--n': got .*, allowed: a whole number from 0, such as 1000, 1_000 or 1e8",
    ):
        parse.count("--n", text)


@pytest.mark.parametrize("text", ["1e19", "1e999999999", "9223372036854775808"])
def test_counts_too_large_are_refused_at_once(text):
    with pytest.raises(ArgumentError, match="allowed: a whole number up to 9223372036854775807"):
        parse.count("--n", text)


@pytest.mark.parametrize("text", ["_0.5", "0._5", "0.5_", "1__0", "\u0660.5"])
def test_what_is_no_number_is_refused(text):
    assert parse.number("--n", "1_0.5") == 10.5
    with pytest.raises(ArgumentError, match=r"argument '--n': got .*, allowed: a number such"):
        parse.number("--n", text)


def test_a_minimum_is_named():
    with pytest.raises(ArgumentError, match="got 0, allowed: a whole number from 1"):
        parse.count("--n", "0", 1)


def test_nothing_is_shown_as_such():
    with pytest.raises(ArgumentError, match="got '', allowed"):
        parse.count("--n", "")


@pytest.mark.parametrize(
    ("text", "value"), [("0/1", (0, 1)), ("3/4", (3, 4)), ("0/1e3", (0, 1000))]
)
def test_parts(text, value):
    assert parse.part("--part", text) == value


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/4", "0/0", "1/2/3", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ArgumentError, match="allowed: i/n with 0 <= i < n, such as 0/4"):
        parse.part("--part", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0:10", (0, 10)),
        (":10", (0, 10)),
        ("5:", (5, None)),
        (":", (0, None)),
        ("1e3:1e4", (1000, 10_000)),
    ],
)
def test_spans(text, value):
    assert parse.span("--range", text) == value


def test_what_is_no_span_is_refused():
    with pytest.raises(ArgumentError, match="allowed: a:b, such as 0:1000"):
        parse.span("--range", "10")


def test_weights():
    known = ("default", "repeats")
    assert parse.weights("--t", "default=1,repeats=0.5", known) == {"default": 1.0, "repeats": 0.5}
    assert parse.weights("--t", "repeats", known) == {"repeats": 1.0}
    with pytest.raises(
        ArgumentError, match=r"got reapeats \(did you mean repeats\?\), allowed: default, repeats"
    ):
        parse.weights("--t", "reapeats=1", known)
    with pytest.raises(ArgumentError, match="argument '--t default': got much, allowed: a number"):
        parse.weights("--t", "default=much", known)


@pytest.mark.parametrize(("text", "value"), [("all", "all"), ("0", 0), ("1e4", 10_000)])
def test_samples(text, value):
    assert parse.sample("--probes", text) == value


def test_what_is_no_sample_is_refused():
    with pytest.raises(ArgumentError, match=r"got some, allowed: .* from 0, .* or 'all'$"):
        parse.sample("--probes", "some")
    with pytest.raises(ArgumentError, match=r"got 0, allowed: .* from 1, .* or 'all'$"):
        parse.sample("--facts", "0", 1)


def test_a_file_of_settings_stands_alone():
    assert parse.settings("--set", ["best.toml"]) == "best.toml"
    for words in (["best.toml", "rank=4"], ["rank=4", "best.toml"]):
        with pytest.raises(
            ArgumentError, match=r"allowed: best\.toml once, without other settings"
        ):
            parse.settings("--set", words)


def test_a_setting_is_given_once():
    assert parse.settings("--set", ["rank=4", " steps = 1"]) == {"rank": "4", "steps": "1"}
    said = "argument '--set': got rank=8, allowed: each key once; rank was set before"
    with pytest.raises(ArgumentError, match=said):
        parse.settings("--set", ["rank=4", "rank=8"])


def test_counts_with_commas():
    assert parse.counts("--o", "400") == 400
    assert parse.counts("--o", "400,1e3") == [400, 1000]


def test_a_file_of_settings_may_have_a_byte_order_mark(tmp_path):
    (tmp_path / "config.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert parse.json_object("--config", str(tmp_path / "config.json")) == {"a": 1}
