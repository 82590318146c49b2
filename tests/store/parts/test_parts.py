"""Parts of a study that share one URL: together they are the study of one machine."""

import runpy
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import behemoth as bh
from behemoth.store import parts as stored
from behemoth.store.folder import Folder
from behemoth.store.ledger import LEDGER, part_ledger
from behemoth.store.objects import Objects
from behemoth.store.place import open_place
from behemoth.study.file.spec import Study
from behemoth.study.work import run as runs

pytestmark = pytest.mark.usefixtures("cache")

MAKING = Path(__file__).with_name("making.py")
making = SimpleNamespace(**runpy.run_path(str(MAKING)))
STUDY, part, ledger = Study.parse(making.STUDY), making.part, making.ledger
ANYWHERE = pytest.mark.parametrize("url", ["s3", "file"], indirect=True)


@ANYWHERE
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_are_the_study_of_one_machine(url, order, whole, pulled, sends, cache):
    for number in order:
        result = part(url, number)
        assert (result.out, result.trained, result.carried_out, result.done) == (url, 1, 2, 2)
    assert pulled(url) == whole
    assert sorted(sends) == sorted(whole)  # each once, the plan and the study's files too
    assert len(bh.load(url).done) == 6
    assert not [path for path in (cache / "stages").rglob("*") if path.suffix != ".lock"
                and not path.is_dir()]  # fmt: skip


@ANYWHERE
def test_parts_at_once(url, whole, pulled, made):
    together = threading.Barrier(3)

    def before(unit):
        if isinstance(unit, making.ModelUnit):
            together.wait(120)

    made(before=before)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: part(url, number), range(3)))
    assert pulled(url) == whole


@pytest.fixture
def shared(monkeypatch):
    """The name of a model that the trials of all parts need."""
    expanded = STUDY.expand(1)
    [shared, *_] = expanded.models
    trials = [replace(trial, twin=shared) for trial in expanded.trials]
    monkeypatch.setattr(Study, "expand", lambda self, threads=1: replace(expanded, trials=trials))
    return shared


@ANYWHERE
def test_a_model_of_several_parts_is_sent_by_the_first(url, shared, pulled, sends, monkeypatch):
    """Each of them trains it at the same time, on machines that round differently."""
    together = threading.Barrier(3)

    def before(unit):
        if isinstance(unit, making.TrialUnit) and unit.id in firsts:
            together.wait(120)

    firsts = [trial.id for trial in STUDY.expand(1).trials][::2]
    marks = iter("abc")
    monkeypatch.setattr(
        runs, "_engine", lambda name, path, *_: making.Making(path, before, next(marks))
    )
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda number: part(url, number), range(3)))
    assert sorted(result.trained for result in results) == [1, 2, 2]
    found = pulled(url)  # which compares every file with the ledger
    assert len([name for name in found if name.startswith("models/")]) == 9
    units = [name for name in sends if not name.startswith("study.")]
    assert sorted(units) == sorted(name for name in found if not name.startswith("study."))
    listed = ledger(url, part_ledger((0, 3))).files
    assert f"models/{shared}/model.json" in listed
    assert any(name.startswith("plans/") for name in listed)


def test_a_model_that_another_part_has_sent_is_taken(url, shared, pulled, made):
    made(mark="a")
    assert part(url, 0).trained == 1
    before = pulled(url)
    made(mark="b")
    result = part(url, 2)
    assert (result.trained, result.carried_out) == (1, 2)
    after = pulled(url)
    assert {name: after[name] for name in before} == before


KILLED = """
import sys
sys.path.insert(0, {folder!r})
import making
from behemoth.study import run_study
from behemoth.study.file.spec import Study
making.install()
def look(moment):
    if moment.label == "sending" and moment.done > {moved}:
        os.kill(os.getpid(), signal.SIGKILL)
run_study(Study.parse(making.STUDY), {url!r}, part=(1, 3), progress=look)
"""


@pytest.mark.parametrize(("machine", "moved"), [("the same", 0), ("another", 80_000)])
def test_killed_it_goes_on(moved, machine, s3, killed, whole, pulled, tmp_path, monkeypatch):
    url = "s3://corpora/killed"
    part(url, 0)
    assert killed(KILLED.format(folder=str(MAKING.parent), url=url, moved=moved), 0)
    assert not ledger(url, part_ledger((1, 3))).complete
    part(url, 2)
    assert not [name for name in pulled(url) if name in ledger(url, part_ledger((2, 3))).files
                and name.startswith("trials")]  # fmt: skip
    if machine == "another":
        monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
    result = part(url, 1)
    assert machine == "another" or (result.trained, result.carried_out) == (0, 0)
    assert pulled(url) == whole


@ANYWHERE
def test_finished_units_are_sent_while_a_part_goes_on(url, whole, pulled, made, monkeypatch):
    from behemoth.store import staged

    monkeypatch.setattr(staged, "_EVERY", 0.05)
    seen = []

    def before(unit):
        until = time.monotonic() + 60
        while isinstance(unit, making.TrialUnit) and not seen and time.monotonic() < until:
            listed = ledger(url, part_ledger((0, 3))).files
            seen.extend(name for name in listed if name == f"models/{unit.model}/model.json")
            time.sleep(0.05)

    made(before=before)
    part(url, 0)
    assert seen
    made()
    part(url, 1)
    part(url, 2)
    assert pulled(url) == whole


def test_while_a_part_is_at_work_others_leave_the_ledger_of_the_study(
    url, run, pulled, whole, made, tmp_path
):
    def before(unit):
        if isinstance(unit, making.ModelUnit):
            made()
            part(url, 1)
            assert ledger(url) is None and ledger(url, part_ledger((1, 3))).complete
            message = run("pull", url, tmp_path / "early").refused(1)
            assert message == f"{url} is not finished: its parts are at work, or were stopped"

    made(before=before)
    part(url, 0)
    assert ledger(url).complete
    assert len(bh.load(url).done) == 4
    part(url, 2)
    assert pulled(url) == whole


@ANYWHERE
def test_two_that_end_at_once_unite_what_all_have_sent(url, whole, pulled, monkeypatch):
    """The others begin and end between the last look of the first and its ledger of the study."""
    for kind in (Folder, Objects):

        def late(self, name, data, write=kind.write):
            if name == LEDGER and not held:
                held.append(True)
                part(url, 1)
                part(url, 2)
                assert len(ledger(url).files) > 20
            write(self, name, data)

        monkeypatch.setattr(kind, "write", late)
    held = []
    part(url, 0)
    assert held and pulled(url) == whole


def test_one_that_begins_while_another_unites_is_not_called_finished(url, made, monkeypatch):
    """It may be replacing what the ledger lists."""
    begun = threading.Event()
    for kind in (Folder, Objects):

        def late(self, name, data, write=kind.write):
            if name == LEDGER and not begun.is_set():
                begun.set()

                def stopped(unit):
                    raise KeyboardInterrupt

                made(before=stopped)
                with pytest.raises(KeyboardInterrupt):
                    part(url, 1)
            write(self, name, data)

        monkeypatch.setattr(kind, "write", late)
    part(url, 0)
    assert begun.is_set() and not ledger(url).complete
    made()
    part(url, 1)
    assert ledger(url).complete


def fails(unit):
    return None if isinstance(unit, making.ModelUnit) else "a cosmic ray"


@ANYWHERE
def test_what_failed_is_tried_again_and_replaced(url, whole, pulled, made, monkeypatch):
    made(before=fails)
    for number in range(3):
        part(url, number)
    assert len(bh.load(url).failures) == 6
    made()
    finished, remove = [], {kind: kind.remove for kind in (Folder, Objects)}
    for kind in remove:

        def noted(self, names, remove=kind.remove):
            finished.append(ledger(url).complete)
            own = ledger(url, part_ledger((1, 3))).files
            assert not any(name in own for name in names)
            remove(self, names)

        monkeypatch.setattr(kind, "remove", noted)
    part(url, 1)
    assert finished == [False]  # no pull takes a study of which a unit is replaced
    assert (len(bh.load(url).done), len(bh.load(url).failures)) == (2, 4)
    part(url, 0)
    part(url, 2)
    assert pulled(url) == whole


def test_what_is_finished_stays(url, pulled, made, cache):
    """Also if the same part is carried out again on a machine that does not know of it."""
    for number in range(3):
        part(url, number)
    before = pulled(url)

    def again(unit):
        pytest.fail("it is carried out again")

    made(before=again)
    result = part(url, 1)
    assert (result.done, result.trained, result.carried_out) == (2, 0, 0)
    assert pulled(url) == before


def test_a_run_without_parts_takes_over_what_a_lost_part_has_sent(
    url, whole, pulled, sends, monkeypatch, tmp_path
):
    part(url, 0)
    early = ledger(url)
    part(url, 1)
    part(url, 2)
    # As if the last part had been killed before its ledger was complete.
    place, name = open_place("url", url), part_ledger((2, 3))
    place.write(name, replace(ledger(url, name), complete=False).to_bytes())
    place.write(LEDGER, early.to_bytes())
    sends.clear()
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
    result = runs.run_study(STUDY, url)
    assert (result.done, result.trained, result.carried_out, sends) == (6, 0, 0, [])
    assert [name for name in place.sizes() if name.startswith(".behemoth")] == [LEDGER]
    assert pulled(url) == whole


def test_a_push_with_force_removes_what_only_ledgers_of_parts_list(url, files, tmp_path):
    part(url, 0)
    early = ledger(url)
    part(url, 1)
    bh.pull(url, tmp_path / "copy")
    place = open_place("url", url)
    place.write(LEDGER, early.to_bytes())
    shutil.rmtree(tmp_path / "copy" / "trials")
    bh.push(tmp_path / "copy", url, force=True)
    there = {name for name in place.sizes() if not name.startswith(".behemoth/")}
    assert there == set(files(tmp_path / "copy")) == set(ledger(url).files)
    assert part_ledger((0, 3)) not in place.sizes()


def test_a_run_without_parts_makes_what_a_lost_part_has_not(url, whole, pulled):
    for number in (1, 2):  # the plan is sent by the first
        part(url, number)
    assert not any(name.startswith("plans/") for name in pulled(url))
    result = runs.run_study(STUDY, url)
    assert (result.done, result.trained, result.carried_out) == (6, 1, 2)
    assert pulled(url) == whole


def test_a_run_without_parts_is_not_undone_by_a_part(url, whole, pulled, made, tmp_path):
    """The part has noted a failure of what the other machine has finished meanwhile."""
    made(before=fails)
    for number in range(3):
        part(url, number)
    made_there = []

    def before(unit):
        if not made_there:
            made_there.append(unit)
            made()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
                runs.run_study(STUDY, url)
        return fails(unit)

    made(before=before)
    part(url, 1)
    assert made_there and pulled(url) == whole


def test_a_push_that_ends_after_a_part_loses_nothing_of_it(url, whole, pulled, monkeypatch):
    """The push has read the ledgers before the part ends, and removes that of the part."""
    part(url, 0)
    part(url, 1)
    place, close = open_place("url", url), stored.Book.close
    before = place.read(LEDGER)

    def late(self, *, complete):
        close(self, complete=complete)
        if complete:
            place.write(LEDGER, before)
            place.remove([part_ledger((2, 3))])

    monkeypatch.setattr(stored.Book, "close", late)
    part(url, 2)
    assert pulled(url) == whole


@ANYWHERE
def test_a_unit_that_lost_a_file_is_made_again(url, whole, pulled, monkeypatch, tmp_path):
    for number in range(3):
        part(url, number)
    place = open_place("url", url)
    own = ledger(url, part_ledger((1, 3))).files
    lost = [name for name in own if name.endswith(("edits.parquet", "model.safetensors"))]
    place.remove(lost)
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
    result = part(url, 1)
    assert (result.trained, result.carried_out) == (1, 2)
    assert pulled(url) == whole
