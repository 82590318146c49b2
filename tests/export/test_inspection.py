"""What an export says of itself, and how what is no longer so is found."""

import json

import pytest

import behemoth as bh
from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.export import FORMATS, export, inspect_export, verify_export
from behemoth.support.digests import SEAL


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    made = Corpus(World(subjects=30, relations=2, objects=5), exposures=3)
    directory = tmp_path_factory.mktemp("corpus") / "c"
    made.write(directory, probes=0)
    return Corpus.open(directory)


@pytest.mark.parametrize("to", FORMATS)
def test_all_files_are_as_they_should_be(corpus, tmp_path, to):
    done = export(corpus.directory, tmp_path / "out", to=to)
    found = verify_export(tmp_path / "out")
    assert found.ok and not found.bad and not found.missing
    assert found.files == done.files + 3  # the tokenizer's
    report = inspect_export(tmp_path / "out")
    assert (report.to, report.complete, report.spec_hash) == (to, True, corpus.spec_hash)
    assert (report.files, report.bytes) == (found.files, found.bytes)


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_changed_is_named(corpus, tmp_path, to):
    out = tmp_path / "out"
    export(corpus.directory, out, to=to)
    names = [name for name in json.loads((out / "sums.json").read_text()) if name != SEAL]
    other, short, lost = names[0], names[-1], "tokenizer/tokenizer.json"
    whole = {name: (out / name).read_bytes() for name in names}
    for name, data in ((other, whole[other][:-1] + b"?"), (short, whole[short][:-1])):
        (out / name).unlink()  # it may be a link to a shard
        (out / name).write_bytes(data)
    (out / lost).unlink()
    found = verify_export(out)
    assert not found.ok and found.missing == [lost]
    size = len(whole[short])
    assert found.bad == [
        {"file": other, "reason": "is not what was written"},
        {"file": short, "reason": f"has {size - 1:,} bytes, not {size:,}"},
    ]
    for name in (other, short):
        (out / name).unlink()
    export(corpus.directory, out, to=to)
    assert verify_export(out).ok
    assert {name: (out / name).read_bytes() for name in names} == whole


def test_again_makes_no_damaged_file_a_good_one(corpus, tmp_path):
    export(corpus.directory, tmp_path / "out", to="jsonl")
    place = tmp_path / "out" / "documents" / "train-00000.jsonl"
    whole = place.read_bytes()
    place.write_bytes(whole.replace(b"S1", b"S2"))
    export(corpus.directory, tmp_path / "out", to="jsonl")
    bad = {"file": "documents/train-00000.jsonl", "reason": "is not what was written"}
    assert verify_export(tmp_path / "out").bad == [bad]
    place.unlink()
    export(corpus.directory, tmp_path / "out", to="jsonl")
    assert verify_export(tmp_path / "out").ok and place.read_bytes() == whole


@pytest.mark.parametrize("to", ["hf-dataset", "tofu"])
def test_again_by_another_version_leaves_the_card(corpus, tmp_path, monkeypatch, to):
    out, plan = tmp_path / "out", None
    if to == "tofu":
        plan = bh.plan(corpus, edits=2, repeats=2, probes=1)
    export(corpus.directory, out, to=to, plan=plan)
    card = (out / "README.md").read_bytes()
    for module in ("card", "tofu"):
        monkeypatch.setattr(f"behemoth.export.{module}.version", lambda: "9.9.9")
    export(corpus.directory, out, to=to, plan=plan)
    assert (out / "README.md").read_bytes() == card and verify_export(out).ok
    (out / "README.md").unlink()
    export(corpus.directory, out, to=to, plan=plan)
    assert "9.9.9" in (out / "README.md").read_text() and verify_export(out).ok


def test_one_that_was_stopped_is_not_complete(corpus, tmp_path):
    def stop(at):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(corpus.directory, tmp_path / "out", to="jsonl", progress=stop)
    assert not inspect_export(tmp_path / "out").complete
    with pytest.raises(CorpusError, match="is not complete: run the same `behemoth export` again"):
        verify_export(tmp_path / "out")


def test_progress_ends_at_all_bytes(corpus, tmp_path):
    export(corpus.directory, tmp_path / "out", to="jsonl")
    said = []
    found = verify_export(tmp_path / "out", progress=said.append)
    assert (said[-1].done, said[-1].total, said[-1].unit) == (found.bytes, found.bytes, "bytes")


@pytest.mark.parametrize("look", [inspect_export, verify_export])
def test_what_is_no_export_is_refused(corpus, tmp_path, look):
    for place in (corpus.directory, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ArgumentError, match=r"'directory': got .*, allowed: a directory of an"):
            look(place)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("export.json", "{"),
        ("export.json", "[]"),
        ("sums.json", "x"),
        ("sums.json", "[1]"),
        ("sums.json", '{"a": 1}'),
        ("sums.json", '{"a": {"bytes": "1", "blake3": "0"}}'),
    ],
)
def test_what_is_damaged_is_named(corpus, tmp_path, name, text):
    export(corpus.directory, tmp_path / "out", to="olmo")
    (tmp_path / "out" / name).write_text(text)
    with pytest.raises(CorpusError, match=f"{name} is damaged"):
        inspect_export(tmp_path / "out")
