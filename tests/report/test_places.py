"""Where methods edit, in the tables of a report."""

import json
import sys

import polars as pl

import behemoth.model
from behemoth.edit.protocol import settings_of
from behemoth.edit.registry import get_method
from behemoth.report.page import places_part
from behemoth.report.places import places_of

PUBLISHED = "published: the subject's last token, layer 17 of 48"


def index(*rows):
    """Rows of (label, method, settings that differ from the defaults, size)."""
    return pl.DataFrame(
        [
            {"label": label, "method": name, "size": size,
             "settings": json.dumps(settings_of(get_method(name, settings)))}
            for label, name, settings, size in rows
        ]
    )  # fmt: skip


def test_the_place_is_the_one_that_was_used_beside_the_published_one():
    places = places_of(
        index(
            ("default", "rome", {}, "nano"),
            ("as published", "memit", {"token": "subject", "layers": [0, 1]}, "nano"),
            ("LoRA", "lora", {}, "nano"),
        )
    )
    assert places == {
        "default": f"the prompt's last token, layer 2 of 3\n{PUBLISHED}",
        "as published": "the subject's last token, layers 0, 1 of 3\n"
        "published: the subject's last token, layers 13 to 17 of 48",
    }


def test_sizes_are_named_if_their_places_differ():
    places = places_of(index(("r", "rome", {}, "pico"), ("r", "rome", {}, "nano")))
    assert places["r"].splitlines() == [
        "pico: the prompt's last token, layer 1 of 2", PUBLISHED,
        "nano: the prompt's last token, layer 2 of 3", PUBLISHED,
    ]  # fmt: skip


def test_each_place_of_a_method_with_settings_by_world_is_there():
    rows = (("w", "wise", {"layer": 0}, "nano"), ("w", "wise", {"layer": -1}, "nano"))
    published = "published: layer 27 of 32"
    assert places_of(index(*rows))["w"].splitlines() == [
        "layer 0 of 3", published, "layer 2 of 3", published,
    ]  # fmt: skip


def test_methods_and_sizes_that_are_not_known_have_no_place():
    frame = index(("r", "rome", {}, "nano"))
    assert places_of(frame.with_columns(method=pl.lit("of another package"))) == {}
    assert places_of(frame.with_columns(size=pl.lit("gpt_neox"))) == {}


def test_settings_of_earlier_versions_that_are_gone_do_not_matter():
    """`alphaedit` had a `ridge` without effect, which earlier studies recorded."""
    frame = index(("a", "alphaedit", {}, "nano"))
    settings = {**json.loads(frame["settings"][0]), "ridge": 1e-5}
    recorded = frame.with_columns(settings=pl.lit(json.dumps(settings)))
    assert places_of(recorded) == places_of(frame) != {}


def test_the_places_are_beside_the_table_of_methods():
    """Below the names they made the first column wider than a phone."""
    [part] = places_part({"two": "here\npublished: there"})
    assert part.startswith('<details class="more"><summary>Where methods edit</summary>')
    assert "two</td>" in part and "here<small>published: there</small>" in part
    assert places_part({}) == []


def test_without_torch_no_place_is_known(monkeypatch):
    """The extra `report` has none, and reports are drawn where no model is."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "behemoth.model.build", raising=False)
    monkeypatch.delattr(behemoth.model, "build", raising=False)
    assert places_of(index(("r", "rome", {}, "nano"))) == {}
