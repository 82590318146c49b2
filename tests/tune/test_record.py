"""The directory of a tuning, as killed ones leave it."""

from behemoth.tune.record import TuningDirectory


def test_what_killed_writers_left_goes_and_is_no_obstacle(tmp_path):
    place = tmp_path / "tuned"
    (place / ".tuning.json.abcdefgh.tmp").mkdir(parents=True)
    TuningDirectory(place).begin({"method": "rome"})
    assert [path.name for path in place.iterdir()] == ["tuning.json"]
    (place / "trials" / ".0003.json.abcdefgh.tmp").mkdir(parents=True)
    TuningDirectory(place).begin({"method": "rome"})
    assert not list((place / "trials").iterdir())
