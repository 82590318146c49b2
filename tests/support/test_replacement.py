"""What is replaced is there until its successor is whole; what is not ours is not touched."""

import pytest

from behemoth.support import locks, replacement
from behemoth.support.locks import lock_folder
from behemoth.support.replacement import (
    RECORDS,
    Kind,
    clear,
    finish,
    foreign,
    recover,
    replaced,
    succeeds,
    succession,
)

KIND = Kind("run.json", ("weights", "steps/step-*", "deep/*/part"))


@pytest.fixture
def place(tmp_path):
    """A directory of this kind, with notes of its owner in it."""
    made(tmp_path / "it", "old")
    (tmp_path / "it" / "my_notes.txt").write_text("mine")
    (tmp_path / "it" / "steps" / "my_plot.png").write_text("mine")
    return tmp_path / "it"


def names(place):
    return sorted(path.name for path in place.iterdir())


def fails(place, write=lambda: None):
    """A successor that fails once it has written something."""
    with succession(place, KIND, force=True):
        write()
        raise ZeroDivisionError


def made(place, text):
    for name in ("weights", "steps/step-1/file", "deep/00/part", "run.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


def test_what_is_replaced_goes_when_its_successor_is_whole(place):
    with succession(place, KIND, force=True):
        aside = replaced(place)
        assert (aside / "weights").read_text() == "old"
        assert (aside / "steps" / "step-1" / "file").read_text() == "old"
        assert names(place) == [".replaced-1", ".unfinished", "my_notes.txt", "steps"]
        made(place, "new")
    assert replaced(place) is None
    assert names(place) == ["deep", "my_notes.txt", "run.json", "steps", "weights"]
    assert (place / "steps" / "my_plot.png").read_text() == "mine"
    assert (place / "deep" / "00" / "part").read_text() == "new"


def test_it_comes_back_when_the_successor_fails_before_its_record(place, contents):
    before = contents(place)

    def write():
        (place / "weights").write_text("new")
        (place / "steps" / "step-1").mkdir()

    with pytest.raises(ZeroDivisionError) as caught:
        fails(place, write)
    assert contents(place) == before
    assert not hasattr(caught.value, "__notes__")


def test_it_stays_aside_when_the_successor_has_begun(place, contents):
    with pytest.raises(ZeroDivisionError) as caught:
        fails(place, lambda: (place / "run.json").write_text("new"))
    assert caught.value.__notes__ == [
        f"what this replaces is kept in {place / '.replaced-1'} until this is finished"
    ]
    assert succeeds(place, KIND)
    recover(place, KIND)
    assert (place / ".replaced-1" / "run.json").read_text() == "old"
    # It is gone on with, and a second one that takes its place loses neither.
    with pytest.raises(ZeroDivisionError):
        fails(place, lambda: (place / "run.json").write_text("newer"))
    assert (place / ".replaced-2" / "run.json").read_text() == "new"
    with succession(place, KIND, force=False):
        made(place, "newest")
    assert not list(place.glob(".*"))


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("moves", range(4))
@pytest.mark.parametrize("how", ["aside", "back"])
def test_killed_between_two_moves_it_comes_back(place, contents, monkeypatch, moves, how):
    before = contents(place)
    done = []

    def kill(own):
        def after(*args):
            if len(done) == moves:
                raise KilledError
            done.append(args)
            return own(*args)

        return after

    def step():
        if how == "aside":
            replacement._set_aside(place, KIND)
        else:
            replacement._restore(place, KIND, aside)
        raise KilledError

    aside = replacement._set_aside(place, KIND) if how == "back" else None
    with monkeypatch.context() as patch:
        # A killed process tidies nothing up.
        if how == "aside":
            patch.setattr(replacement, "_move_back", lambda *_: None)
        for name in ("rename", "replace"):
            patch.setattr(type(place), name, kill(getattr(type(place), name)))
        with pytest.raises(KilledError):
            step()
    recover(place, KIND)
    assert contents(place) == before
    assert not list(place.glob(".re*"))


def test_killed_before_its_record_a_successor_never_was(place, contents):
    before = contents(place)
    replacement._set_aside(place, KIND)
    (place / "weights").write_text("half")
    recover(place, KIND)
    assert contents(place) == before


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_directory_of_another_kind_is_not_recovered(place, contents, unfinished):
    with pytest.raises(ZeroDivisionError):
        fails(place, lambda: made(place, "new"))
    if unfinished:  # killed before its record
        (place / "run.json").unlink()
    else:
        (place / ".unfinished").unlink()
    for name in (".replacing-2", ".discarded-3"):
        (place / name).mkdir()
        (place / name / "weights").write_text("old")
    before = contents(place)
    others = [Kind(record, ("weights",)) for record in (*RECORDS, "spec.toml")]
    for kind in others:
        if kind.record != KIND.record:
            recover(place, kind)
            assert contents(place) == before, kind
            assert foreign(place, kind) is not None, kind
    recover(place, KIND)
    assert contents(place) != before


def test_what_was_going_goes(place):
    (place / ".replaced-1").rename(place / ".discarded-1") if replaced(place) else None
    (place / ".discarded-1").mkdir()
    (place / ".discarded-1" / "weights").write_text("")
    recover(place, KIND)
    assert not (place / ".discarded-1").exists()
    finish(place)


def test_a_link_to_another_disk_moves_and_not_what_it_leads_to(place, tmp_path):
    (tmp_path / "disk" / "step-1").mkdir(parents=True)
    for path in (place / "steps").iterdir():
        path.rename(tmp_path / path.name)
    (place / "steps").rmdir()
    (place / "steps").symlink_to(tmp_path / "disk")
    links = []
    with pytest.raises(ZeroDivisionError):
        fails(place, lambda: links.append((replaced(place) / "steps").is_symlink()))
    assert links == [True]
    assert (place / "steps" / "step-1").is_dir()


def test_a_mark_that_is_no_text_is_somebody_elses(tmp_path):
    (tmp_path / ".unfinished").write_bytes(b"\xff\xfe")
    assert not replacement.is_under_way(tmp_path, KIND)


def test_what_is_foreign_is_named(tmp_path, place):
    assert foreign(place, KIND) is None
    assert foreign(place, Kind("plan.toml", ())) == "run.json"
    (place / "plan.toml").write_text("")
    assert foreign(place, KIND) == "plan.toml"
    (tmp_path / "new").mkdir()
    assert foreign(tmp_path / "new", KIND) is None
    assert foreign(tmp_path / "nowhere", KIND) is None
    # A file of one of our names is somebody's, unless we were at work there.
    (tmp_path / "new" / "weights").write_text("")
    assert foreign(tmp_path / "new", KIND) == "weights"
    (tmp_path / "new" / ".unfinished").write_text("run.json\n")
    assert foreign(tmp_path / "new", KIND) is None


def test_clear_removes_what_is_owned(place):
    clear(place, KIND)
    assert names(place) == ["my_notes.txt", "steps"]
    clear(place / "nowhere", KIND)


def test_a_folder_made_for_its_lock_goes_again(tmp_path):
    with lock_folder(tmp_path / "a" / "b") as held:
        assert held and (tmp_path / "a" / "b").is_dir()
        with lock_folder(tmp_path / "a" / "b", wait=False) as other:
            assert not other
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", [".replaced-1", ".replacing-1", ".discarded-1"])
def test_a_planted_link_leads_nowhere(name, tmp_path):
    """Neither a link nor a file of such a name is taken for something set aside."""
    place, other = tmp_path / "place", tmp_path / "other"
    for folder in (place, other):
        folder.mkdir()
    (other / "diary.txt").write_text("precious")
    (place / name).symlink_to(other)
    kind = Kind("run.json", ("weights",))
    for force in (False, True):
        recover(place, kind)
        with succession(place, kind, force=force):
            (place / "run.json").write_text("{}")
    assert (other / "diary.txt").read_text() == "precious"
    assert (place / name).is_symlink() and not replaced(place)


def test_what_fails_before_it_begins_leaves_nothing(tmp_path):
    kind = Kind("run.json", ("weights",))
    with pytest.raises(ZeroDivisionError), succession(tmp_path, kind, force=False):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_was_killed_while_it_said_that_it_had_begun_is_no_obstacle(tmp_path):
    (tmp_path / "..unfinished.abcdefgh.tmp").mkdir()
    (tmp_path / "..unfinished.abcdefgh.tmp" / ".unfinished").write_text("run")
    assert foreign(tmp_path, KIND) is None
    with succession(tmp_path, KIND, force=False):
        (tmp_path / "run.json").write_text("{}")
    assert names(tmp_path) == ["run.json"]


@pytest.mark.parametrize("name", ["..unfinished.abc.tmp", "..unfinished.abcdefgh.tmp.txt"])
def test_what_is_called_nearly_so_is_somebody_elses(tmp_path, name):
    (tmp_path / name).mkdir()
    assert foreign(tmp_path, KIND) == name


def test_a_folder_that_goes_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    place, real = tmp_path / "parts", locks.os.open
    times = iter(range(2))

    def late(path, *how):
        if path == place and next(times, None) is not None:
            place.rmdir()  # another, who had made it, leaves it empty
        return real(path, *how)

    monkeypatch.setattr(locks.os, "open", late)
    with lock_folder(place) as held:
        assert held and place.is_dir() and next(times, None) is None
    assert not place.exists()
