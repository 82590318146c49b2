"""Studies of several machines in one place of a store: nothing that is finished is lost there."""

import json
import logging
import threading
import time
from dataclasses import replace

import pytest

import behemoth as bh
from behemoth._gen import digest
from behemoth.store import staged
from behemoth.store.cache import stage_of
from behemoth.store.ledger import LEDGER, read_ledger
from behemoth.store.place import open_place
from behemoth.store.work import carry_out
from behemoth.support.digests import checks, sealed, unchecked

pytestmark = pytest.mark.usefixtures("cache")

MODELS, TRIALS = ("m0", "m1"), ("t0", "t1")


def write_study(place, models=MODELS, trials=TRIALS, name="two", foreign=()):
    """Write the records of a study that comes to these models and trials."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "study.toml").write_text(f'name = "{name}"\n')
    rows = [
        {"id": trial, "label": f"lora {trial}", "family": "lora", "model": "m0", "plan": "p"}
        for trial in trials
    ]
    rows += [{**row, "family": "foreign"} for row in rows if row["id"] in foreign]
    values = {"format_version": 1, "name": name, "threads": 1, "corpus_version": 3}
    values |= {"models": [{"id": model} for model in models], "trials": rows}
    (place / "study.json").write_text(json.dumps(sealed(values)))
    return place


def finish(place, unit, content=b"frame", status="done", **more):
    """Write a unit with one file, and its record."""
    kind, name = unit.split("/")
    file = {"models": "recall.parquet", "trials": "edits.parquet"}[kind]
    folder = place / unit
    folder.mkdir(parents=True, exist_ok=True)
    files = None
    if status == "done":
        (folder / file).write_bytes(content)
        files = {file: digest(content)}
    values = {"format_version": 1, "id": name, "status": status, "files": files, **more}
    (folder / f"{kind[:-1]}.json").write_text(json.dumps(sealed(values)))


@pytest.fixture
def parts(tmp_path):
    """The two parts of a study, each carried out on a machine of its own."""
    places = [write_study(tmp_path / name) for name in ("sa", "sb")]
    for number, place in enumerate(places):
        finish(place, f"models/m{number}")
        finish(place, f"trials/t{number}")
    (places[0] / "cache/costs").mkdir(parents=True)
    (places[0] / "cache/costs/one.json").write_text("{}")
    return places


ANYWHERE = pytest.mark.parametrize("url", ["s3", "file"], indirect=True)


def held(url):
    """What a store has of a study, by name; the ledger has to say the same."""
    place = open_place("url", url)
    names = [name for name in place.sizes() if not name.startswith(".behemoth/")]
    assert set(read_ledger(place).files) == set(names)
    return {name: place.read(name) for name in names}


@ANYWHERE
def test_parts_that_are_sent_to_one_place_add_up(parts, url, tmp_path, files, run):
    for part in parts:
        told = run("push", part, url)
        assert told.code == 0 and "removed" not in told.out
    assert held(url) == {**files(parts[0]), **files(parts[1])}
    again = [bh.push(part, url) for part in parts]
    assert [(done.sent, done.removed, done.kept) for done in again] == [(0, 0, 0)] * 2
    bh.pull(url, tmp_path / "back")
    assert files(tmp_path / "back") == held(url)


@ANYWHERE
def test_what_a_unit_no_longer_has_is_removed_and_counted(parts, url, run):
    (parts[0] / "models/m0/notes.txt").write_text("mine")
    for part in parts:
        bh.push(part, url)
    (parts[0] / "models/m0/notes.txt").unlink()
    told = run("push", parts[0], url)
    assert "; sent 0, 0 bytes; removed 1, " in told.out
    assert "models/m0/notes.txt" not in held(url)
    assert "trials/t1/trial.json" in held(url)


def test_force_alone_removes_units_and_counts_them(parts, url, files, run):
    bh.push(parts[0], url)
    told = run("push", parts[1], url, "--force")
    assert "; removed 5, " in told.out
    assert held(url) == files(parts[1])


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        ({"trials": ("t0",)}, "trials"),
        ({"models": ("m0",)}, "models"),
        ({"models": ("m0", "m2")}, "models"),
    ],
)
def test_a_study_that_comes_to_something_else_is_refused(parts, url, tmp_path, more, differs, run):
    bh.push(parts[0], url)
    there = held(url)
    other = write_study(tmp_path / "other", **more)
    said = run("push", other, url).refused(1)
    assert said == (
        f"{url} holds the study 'two' with other {differs} than {other}; "
        "choose another place or use --force"
    )
    assert held(url) == there
    bh.push(other, url, force=True)


def test_a_study_that_grew_is_sent(parts, url):
    bh.push(parts[0], url)
    write_study(parts[0], trials=(*TRIALS, "t2"))
    assert bh.push(parts[0], url).sent == 1
    # And what is sent from a directory that does not know of it is refused.
    with pytest.raises(bh.CorpusError, match="with other trials"):
        bh.push(parts[1], url)


def test_trials_of_other_tools_are_not_dropped(parts, url):
    write_study(parts[0], foreign=("t0",))
    bh.push(parts[0], url)
    with pytest.raises(bh.CorpusError, match="with other trials"):
        bh.push(parts[1], url)


def test_a_finished_unit_is_not_replaced(parts, url, run):
    """By one that failed, nor by another that is finished; a failed one is."""
    bh.push(parts[0], url)
    there = held(url)
    finish(parts[1], "models/m0", b"another", seconds={"train": 2.0})
    finish(parts[1], "trials/t0", status="failed", reason="a cosmic ray")
    told = run("push", parts[1], url)
    assert "kept 2 units of the store" in told.out
    now = held(url)
    assert {name: now[name] for name in there} == there
    assert "trials/t1/trial.json" in now
    finish(parts[0], "trials/t1", status="failed", reason="a cosmic ray")
    assert bh.push(parts[0], url).kept == 1


def test_a_failed_unit_is_replaced_by_a_finished_one(parts, url, files):
    finish(parts[1], "trials/t0", status="failed", reason="a cosmic ray")
    for part in reversed(parts):
        bh.push(part, url)
    assert held(url) == {**files(parts[1]), **files(parts[0])}


@ANYWHERE
def test_a_unit_with_a_file_missing_in_the_store_is_replaced(parts, url):
    bh.push(parts[0], url)
    open_place("url", url).remove(["trials/t0/edits.parquet"])
    finish(parts[1], "trials/t0", b"another")
    bh.push(parts[1], url)
    assert held(url)["trials/t0/edits.parquet"] == b"another"


def test_threads_check_as_the_caller_does(monkeypatch):
    """With `--no-verify`, those of `study run --out URL` refused every file that does not match."""
    monkeypatch.setattr(staged, "_EVERY", 0.01)
    seen = []
    with unchecked():
        with staged.send_now_and_then(lambda progress: seen.append(checks())):
            while not seen:
                time.sleep(0.01)
        carry_out([1, 2], lambda job, moved: seen.append(checks()), workers=2)
    carry_out([1], lambda job, moved: seen.append(not checks()), workers=1)
    assert not any(seen)


def test_a_transfer_ends_before_the_lock_of_a_failed_study(parts, url, monkeypatch):
    monkeypatch.setattr(staged, "_EVERY", 0.01)
    place, begun, ended = open_place("url", url), threading.Event(), []

    def slow(self, name, file, moved):
        begun.set()
        while True:  # until another job, or the study, has failed
            moved(0)
            time.sleep(0.01)

    monkeypatch.setattr(type(place), "send", slow)

    def now(progress):
        try:
            bh.push(parts[0], url, progress=progress)
        finally:
            ended.append(True)

    def fail():
        with staged.send_now_and_then(now):
            begun.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ended


@ANYWHERE
def test_two_that_send_at_once_keep_each_others_entries(parts, url, monkeypatch):
    """The second begins and ends while the first is on its way."""
    kind = type(open_place("url", url))
    send, sent = kind.send, []

    def meanwhile(self, name, file, moved):
        if not sent:
            sent.append(name)
            bh.push(parts[1], url)
        send(self, name, file, moved)

    monkeypatch.setattr(kind, "send", meanwhile)
    bh.push(parts[0], url)
    assert sent
    assert {"trials/t0/trial.json", "trials/t1/trial.json"} <= set(held(url))


def test_entries_that_another_dropped_at_the_same_moment_are_written_again(parts, url, monkeypatch):
    """The other read the ledger before this one wrote it, and wrote it afterwards."""
    bh.push(parts[0], url)
    place = open_place("url", url)
    others, kind, dropped = place.read(LEDGER), type(place), []
    write = kind.write

    def written(self, name, data):
        write(self, name, data)
        if b'"complete": true' in data and not dropped:
            dropped.append(name)
            write(self, name, others)

    monkeypatch.setattr(kind, "write", written)
    bh.push(parts[1], url)
    assert dropped == [LEDGER]
    assert {"trials/t0/trial.json", "trials/t1/trial.json"} <= set(held(url))


def test_a_study_is_brought_only_over_the_same(parts, url, tmp_path, files, run):
    narrow = write_study(tmp_path / "narrow", trials=("t0",))
    bh.push(narrow, url)
    before = files(parts[0])
    said = run("pull", url, parts[0]).refused()
    assert f"a study with other trials than the one at {url}, allowed: " in said
    assert files(parts[0]) == before
    # The other way round it has grown.
    bh.push(parts[0], url)
    bh.pull(url, narrow)
    assert (narrow / "study.json").read_bytes() == (parts[0] / "study.json").read_bytes()


def test_a_failure_is_not_brought_over_what_is_finished(parts, url, files):
    finish(parts[1], "trials/t0", status="failed", reason="a cosmic ray")
    bh.push(parts[1], url)
    own = files(parts[0])
    bh.pull(url, parts[0])
    now = files(parts[0])
    assert {name: now[name] for name in own} == own
    assert "trials/t1/trial.json" in now


@ANYWHERE
def test_a_study_in_place_stays_one_while_it_is_brought(parts, url):
    """It keeps its record, and a unit that is replaced has none until it is there."""
    finish(parts[1], "trials/t0", b"another")
    bh.push(parts[1], url)

    def stop(moment):
        if moment.unit == "bytes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bh.pull(url, parts[0], progress=stop)
    assert (parts[0] / "study.json").is_file()
    assert not (parts[0] / "trials/t0/trial.json").exists()
    bh.pull(url, parts[0])
    assert (parts[0] / "trials/t0/edits.parquet").read_bytes() == b"another"


@pytest.mark.parametrize("status", [None, "failed"], ids=["half made", "failed"])
def test_a_half_made_unit_of_the_stage_gives_way_to_the_stores(parts, url, status):
    bh.push(parts[0], url)
    there, stage = held(url), stage_of(url)
    for unit, file in (("trials/t0", "edits.parquet"), ("models/m0", "recall.parquet")):
        (stage / unit).mkdir(parents=True)
        (stage / unit / file).write_bytes(b"torn")
        (stage / unit / "left.partial").write_bytes(b"torn")
        if status:
            finish(stage, unit, status=status)
    with staged.study_in_store(url, "two", progress=None) as folder:
        assert folder == stage
        for unit, file in (("trials/t0", "edits.parquet"), ("models/m0", "recall.parquet")):
            assert (stage / unit / file).read_bytes() == b"frame"
            assert not (stage / unit / "left.partial").exists()
    assert held(url) == there


def test_a_finished_unit_of_the_stage_is_not_mixed_with_the_stores(parts, url):
    bh.push(parts[0], url)
    there, stage = held(url), stage_of(url)
    finish(stage, "trials/t0", b"another")
    with staged.study_in_store(url, "two", progress=None):
        assert (stage / "trials/t0/edits.parquet").read_bytes() == b"another"
    assert held(url) == there  # the first stays


@ANYWHERE
def test_two_live_copies_do_not_remove_each_others_units(parts, url, tmp_path, monkeypatch):
    def made_by(machine, unit, inside):
        monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / machine))
        with staged.study_in_store(url, "two", progress=None) as stage:
            write_study(stage)
            finish(stage, unit)
            inside()

    made_by("one", "trials/t0", lambda: made_by("other", "trials/t1", lambda: None))
    assert {"trials/t0/trial.json", "trials/t1/trial.json"} <= set(held(url))


def test_a_study_that_changed_goes_on_in_its_place(parts, url, caplog):
    """As in a directory: what it no longer has stays there and is no part of its results."""
    bh.push(parts[0], url)
    with (
        caplog.at_level(logging.WARNING),
        staged.study_in_store(url, "two", progress=None) as stage,
    ):
        write_study(stage, trials=("t1", "t9"))
        finish(stage, "trials/t9")
    assert not caplog.records
    assert {"trials/t0/trial.json", "trials/t9/trial.json"} <= set(held(url))


@pytest.mark.parametrize("what", ["a failed unit", "a file of a unit"])
def test_a_push_stopped_at_a_removal_leaves_no_entry_of_what_is_gone(
    parts, url, tmp_path, monkeypatch, what
):
    """Else another machine completes a ledger that lists it, and every pull fails."""
    kind = type(open_place("url", url))
    if what == "a failed unit":
        finish(parts[1], "trials/t0", status="failed", reason="a cosmic ray")
        bh.push(parts[1], url)
    else:
        (parts[0] / "models/m0/notes.txt").write_text("mine")
        bh.push(parts[0], url)
        (parts[0] / "models/m0/notes.txt").unlink()
    (parts[1] / "trials/t0/trial.json").unlink(missing_ok=True)
    remove = kind.remove

    def stopped(self, names):
        remove(self, names)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kind, "remove", stopped)
        with pytest.raises(KeyboardInterrupt):
            bh.push(parts[0], url)
    bh.push(parts[1], url)  # the other machine, which completes the ledger
    held(url)
    bh.pull(url, tmp_path / "back")


@ANYWHERE
@pytest.mark.parametrize("theirs", ["theirs", "mine"])
def test_what_another_machine_sends_after_a_removal_stays_listed(parts, url, monkeypatch, theirs):
    for part in parts:
        finish(part, "models/m0")
        (part / "models/m0/notes.txt").write_text("mine")
    bh.push(parts[0], url)
    (parts[0] / "models/m0/notes.txt").unlink()
    (parts[1] / "models/m0/notes.txt").write_text(theirs)
    kind = type(open_place("url", url))
    remove, removed = kind.remove, []

    def meanwhile(self, names):
        remove(self, names)
        if names and not removed:
            removed.extend(names)
            bh.push(parts[1], url)

    monkeypatch.setattr(kind, "remove", meanwhile)
    bh.push(parts[0], url)
    assert removed == ["models/m0/notes.txt"]
    assert held(url)["models/m0/notes.txt"] == theirs.encode()


@ANYWHERE
def test_an_entry_without_its_file_is_removed_by_the_next_push(parts, url):
    (parts[0] / "models/m0/notes.txt").write_text("mine")
    bh.push(parts[0], url)
    (parts[0] / "models/m0/notes.txt").unlink()
    open_place("url", url).remove(["models/m0/notes.txt"])
    assert bh.push(parts[0], url).removed == 0
    held(url)


def list_as(url, **more):
    """Write values of the ledger in the store, as a call that was stopped left them."""
    place = open_place("url", url)
    place.write(LEDGER, replace(read_ledger(place), **more).to_bytes())


def test_a_stage_takes_nothing_of_a_unit_that_lacks_a_file_in_the_store(parts, url):
    """It is carried out again, and then replaces the store's."""
    bh.push(parts[0], url)
    open_place("url", url).remove(["trials/t0/trial.json", "models/m0/recall.parquet"])
    with staged.study_in_store(url, "two", progress=None) as stage:
        assert (stage / "study.json").is_file()
        assert not (stage / "trials").exists() and not (stage / "models").exists()
        finish(stage, "trials/t0", b"again")
        finish(stage, "models/m0", b"again")
    assert held(url)["trials/t0/edits.parquet"] == held(url)["models/m0/recall.parquet"] == b"again"


def test_a_stage_is_begun_anew_in_a_store_that_lost_the_record_of_the_study(parts, url):
    bh.push(parts[0], url)
    open_place("url", url).remove(["study.json"])
    with staged.study_in_store(url, "two", progress=None) as stage:
        assert not list(stage.iterdir())
        write_study(stage)
    assert "study.json" in held(url)


def test_a_retry_in_the_stage_is_not_lost_to_a_failed_unit_of_the_store(parts, url):
    finish(parts[0], "models/m0", status="failed", reason="a cosmic ray")
    (parts[0] / "models/m0/recall.parquet").unlink()
    bh.push(parts[0], url)
    retry = stage_of(url) / "models/m0/run/step-100.safetensors"
    retry.parent.mkdir(parents=True)
    retry.write_bytes(b"hours of work")
    with staged.study_in_store(url, "two", progress=None) as stage:
        assert retry.read_bytes() == b"hours of work"
        assert (stage / "trials/t0/trial.json").is_file()
        finish(stage, "models/m0", b"at last")
    assert held(url)["models/m0/recall.parquet"] == b"at last"


def test_files_of_a_unit_without_its_record_are_not_fetched(parts, url, files):
    """Another machine is sending the unit: its files are not mixed with the finished ones here."""
    finish(parts[1], "trials/t0", b"another")
    bh.push(parts[1], url)
    open_place("url", url).remove(["trials/t0/trial.json"])
    listed = read_ledger(open_place("url", url)).files
    list_as(url, files={n: row for n, row in listed.items() if n != "trials/t0/trial.json"})
    own = files(parts[0])
    bh.pull(url, parts[0])
    now = files(parts[0])
    assert {name: now[name] for name in own} == own
    assert "trials/t1/trial.json" in now


def test_what_pull_counts_is_what_the_store_has(parts, url):
    finish(parts[1], "trials/t0", status="failed", reason="a cosmic ray")
    bh.push(parts[1], url)
    there = held(url)
    done = bh.pull(url, parts[0])
    assert (done.files, done.bytes) == (len(there), sum(map(len, there.values())))
    assert done.fetched == 4  # a model and a trial, without the trial that failed


def test_a_push_with_force_that_was_stopped_is_repeated_with_force(parts, url, run):
    """Another push would call a ledger complete that lists only what had been sent again."""
    bh.push(parts[0], url)
    list_as(url, complete=False, forced=True, files={})
    refused = f"{url} is not finished: a push with --force was stopped; repeat it with --force"
    assert run("push", parts[1], url).refused(1) == refused
    with (
        pytest.raises(bh.CorpusError, match="repeat it with force=True"),
        staged.study_in_store(url, "two", progress=None),
    ):
        pytest.fail("the study is carried out")
    ledger = read_ledger(open_place("url", url))
    assert ledger.forced and not ledger.complete
    bh.push(parts[0], url, force=True)
    held(url)
    assert bh.push(parts[1], url).sent == 4
