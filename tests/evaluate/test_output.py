"""Where an evaluation may write."""

import subprocess
import sys

import pytest

from behemoth.evaluate import output
from behemoth.evaluate.output import all_or_none, output_place, sole_output
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import names_in
from behemoth.support.locks import sole


def place(out, *, force=False):
    return output_place(out, "a suite", "suite.json", "frame.parquet", force=force)


def test_what_a_killed_writer_left_is_not_in_the_way(tmp_path):
    (tmp_path / ".frame.parquet.abcd1234.tmp").mkdir()
    assert place(str(tmp_path)) == tmp_path
    (tmp_path / "frame.parquet").touch()
    with pytest.raises(ArgumentError, match=r"which holds frame.parquet, allowed: .* force=True"):
        place(tmp_path)
    place(tmp_path, force=True)


def test_a_result_that_was_begun_and_killed_is_begun_again(tmp_path):
    (tmp_path / "frame.parquet").touch()
    (tmp_path / ".unfinished").write_text("trace.json\n")
    with pytest.raises(ArgumentError, match=r"which holds"):
        place(tmp_path)
    (tmp_path / ".unfinished").write_text("suite.json\n")
    assert place(tmp_path) == tmp_path
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ArgumentError, match=r"something else \(thesis\.tex\)"):
        place(tmp_path, force=True)


def test_a_result_is_replaced_only_by_force(tmp_path):
    (tmp_path / "suite.json").touch()
    with pytest.raises(ArgumentError, match=r"which holds a suite, allowed: another, or force=Tru"):
        place(tmp_path)
    assert place(tmp_path, force=True) == tmp_path


def test_what_is_not_of_the_result_is_never_in_question(tmp_path):
    (tmp_path / "thesis.tex").touch()
    for out, what in (
        (tmp_path, r", which holds something else \(thesis\.tex\)"),
        (tmp_path / "thesis.tex", r"thesis\.tex, a file"),
    ):
        said = rf"'out': .*{what}, allowed: a new or empty directory"
        with pytest.raises(ArgumentError, match=said):
            place(out, force=True)
    assert not place(tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(PermissionError):
        place(tmp_path / "suite")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_of_a_new_result_nothing_is_left_if_it_is_not_finished(tmp_path, error):
    """The same command refused its own directory when there was room again."""

    def write(place, *, room):
        place.mkdir(exist_ok=True)
        with all_or_none(place, "result.json", "frame.parquet"):
            (place / "frame.parquet").write_text("new")
            if not room:
                raise error
            (place / "result.json").write_text("new")

    with pytest.raises(type(error)):
        write(tmp_path / "new", room=False)
    assert names_in(tmp_path / "new") == set()
    write(tmp_path / "new", room=True)
    with pytest.raises(type(error)):
        write(tmp_path / "new", room=False)
    assert names_in(tmp_path / "new") == {"result.json", "frame.parquet"}


FILES = ("suite.json", "frame.parquet", "chart.svg")


def replace(out, stop=None, *, after="frame.parquet"):
    """Replace a suite, with a chart that a command adds, up to a file after which it is stopped."""
    with sole_output(out, "a suite", *FILES, force=True) as place:
        with all_or_none(place, *FILES):
            for name in ("frame.parquet", "suite.json"):
                (place / name).write_text("new")
                if stop is not None and name == after:
                    stop()
        (place / "chart.svg").write_text("new")
        if stop is not None:
            stop()


def existing(out):
    return {name: (out / name).read_text() for name in names_in(out)}


@pytest.fixture
def suite(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    return tmp_path


OLD, NEW = ({**dict.fromkeys(FILES, text), "mine.txt": "mine"} for text in ("old", "new"))


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_replaced_result_is_kept_until_its_successor_is_complete(suite, error):
    def stop():
        raise error

    with pytest.raises(type(error)):
        replace(suite, stop)
    assert existing(suite) == OLD
    replace(suite)
    assert existing(suite) == NEW
    with pytest.raises(ArgumentError, match=r"which holds a suite, allowed: another, or force=Tru"):
        place(suite)


@pytest.mark.parametrize("after", ["frame.parquet", "suite.json", "chart.svg"])
def test_a_result_whose_successor_is_killed_is_kept(suite, after):
    name = "tests.evaluate.test_output"
    code = (
        f"import os, {name} as t; t.replace({str(suite)!r}, lambda: os._exit(9), after={after!r})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    if after == "frame.parquet":
        refused = sole_output(suite, "a suite", *FILES, force=False)
        with pytest.raises(ArgumentError, match="which holds a suite"), refused:
            pytest.fail("replaced without force")
        assert existing(suite) == OLD
    else:  # the successor has its record: the same command goes on
        assert (suite / ".replaced-1" / "suite.json").read_text() == "old"
        assert output_place(suite, "a suite", *FILES, force=False) == suite
    replace(suite)
    assert existing(suite) == NEW


def test_what_was_replaced_is_back_when_its_successor_fails_again(suite):
    """The first time it is killed after its record, the second time it is stopped before it."""
    name = "tests.evaluate.test_output"
    code = f"import os, {name} as t; t.replace({str(suite)!r}, lambda: os._exit(9), after=None)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    with pytest.raises(OSError, match="No space left"):
        replace(suite, stopped)
    assert existing(suite) == OLD


def stopped():
    raise OSError(28, "No space left")


def test_what_a_killed_run_has_set_aside_makes_no_room_for_a_result(tmp_path):
    (tmp_path / "run.json").touch()
    (tmp_path / ".unfinished").write_text("run.json\n")
    (tmp_path / ".replaced-1").mkdir()
    with pytest.raises(ArgumentError, match=r"got .*, which is a run"):
        place(tmp_path, force=True)


def test_a_record_of_another_kind_beside_a_result_is_refused(suite):
    (suite / "run.json").touch()
    with pytest.raises(ArgumentError, match=r"which holds run\.json, allowed: a new or empty"):
        place(suite, force=True)


def written(out):
    """What a function does that writes a result."""
    with sole_output(out, "a suite", "suite.json", "frame.parquet", force=False) as place:
        with all_or_none(place, "suite.json", "frame.parquet"):
            for name in ("frame.parquet", "suite.json"):
                (place / name).touch()
        return names_in(place)


def test_one_process_writes_and_what_it_writes_is_unfinished_up_to_the_end(tmp_path):
    out = tmp_path / "t"
    with sole(out, "writing"), pytest.raises(CorpusError, match=f"process is writing to {out}"):
        written(out)
    assert not out.exists()
    files = ("suite.json", "frame.parquet", "more")  # the last one a command's
    with sole_output(str(out), "a suite", *files, force=False):
        assert written(out) == {"frame.parquet", "suite.json", ".unfinished"}
        (out / "more").touch()
    assert names_in(out) == {"frame.parquet", "suite.json", "more"}
    again = sole_output(out, "a suite", *files, force=False)
    with pytest.raises(ArgumentError, match="which holds a suite"), again:
        pytest.fail("written twice")


def test_what_another_process_has_finished_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    taken = output.sole

    def later(place, doing):
        place.mkdir()
        (place / "suite.json").touch()
        return taken(place, doing)

    monkeypatch.setattr(output, "sole", later)
    with pytest.raises(ArgumentError, match="which holds a suite"):
        written(tmp_path / "t")
