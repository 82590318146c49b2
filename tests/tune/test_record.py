"""The directory of a tuning, as killed ones leave it."""

import polars as pl
import pytest

import behemoth as bh
from behemoth import CorpusError
from behemoth.edit.registry import get_method
from behemoth.edit.settings import read_settings
from behemoth.support.digests import FILES
from behemoth.support.files import as_json
from behemoth.tune.record import Tried, TuningDirectory


def test_what_killed_writers_left_goes_and_is_no_obstacle(tmp_path):
    place = tmp_path / "tuned"
    (place / ".tuning.json.abcdefgh.tmp").mkdir(parents=True)
    TuningDirectory(place).begin({"method": "rome"})
    assert [path.name for path in place.iterdir()] == ["tuning.json"]
    (place / "trials" / ".0003.json.abcdefgh.tmp").mkdir(parents=True)
    TuningDirectory(place).begin({"method": "rome"})
    assert not list((place / "trials").iterdir())


def test_the_best_trial_is_the_first_of_those_with_the_highest_score(tmp_path):
    directory = TuningDirectory(tmp_path / "tuned")
    directory.begin({"method": "ft"})
    trials = [
        Tried(number, {"steps": number}, score, {}, 1.5)
        for number, score in enumerate((0.2, 0.7, 0.5, 0.7))
    ]
    for trial in trials:
        directory.write(trial)
    assert directory.conclude(trials, "ft", "editing", 100) == trials[1]
    curve = pl.read_parquet(directory.path / "curve.parquet")
    assert curve["best"].to_list() == [0.2, 0.7, 0.7, 0.7]
    assert "steps = 1" in (directory.path / "best.toml").read_text().splitlines()


def test_a_tuning_that_goes_on_is_not_finished_and_not_damaged(tmp_path):
    """Results that a killed call had begun to rewrite are not those of the recorded digests."""
    directory = TuningDirectory(tmp_path / "tuned")
    directory.begin({"method": "ft"})
    trials = [Tried(number, {"steps": 5}, 0.5, {}, 1.5) for number in range(2)]
    directory.write(trials[0])
    directory.reopen()
    assert not directory.is_finished(directory.record())
    directory.conclude(trials[:1], "ft", "editing", 100)
    assert directory.is_finished(directory.record())
    directory.reopen()
    directory.write(trials[1])
    (directory.path / "curve.parquet").write_bytes(b"")  # as where it was written anew
    assert bh.inspect(directory.path)["is"] == "a tuning, not finished"
    with pytest.raises(CorpusError, match="is not finished: run the same `behemoth tune` again"):
        bh.verify(directory.path)
    directory.begin({"method": "ft"})
    directory.conclude(trials, "ft", "editing", 100)
    assert bh.inspect(directory.path)["is"] == "a tuning" and bh.verify(directory.path).ok
    # Records of earlier versions have no digests.
    record = {key: value for key, value in directory.record().items() if key != FILES}
    (directory.path / "tuning.json").write_bytes(as_json(record))
    assert directory.is_finished(directory.record())


def test_a_best_value_of_none_is_one_that_settings_read(tmp_path):
    directory = TuningDirectory(tmp_path / "tuned")
    directory.begin({"method": "ft"})
    trial = Tried(0, {"rank": None, "steps": 5}, 0.5, {}, 1.5)
    directory.write(trial)
    directory.conclude([trial], "ft", "editing", 100)
    settings = read_settings(directory.path / "best.toml", "ft")
    method = get_method("ft", settings, text=True)
    assert (method.rank, method.steps) == (None, 5)
