"""The directory of a study: its records are read only if they are those of one."""

import json

import pytest

from behemoth import CorpusError
from behemoth.study.directory import StudyDirectory

TRIAL = {
    "id": "t", "model": "m", "plan": "p", "twin": "n", "method": "ft", "settings": {},
    "measure": {}, "label": "ft", "rotation": 0, "family": "gradient",
}  # fmt: skip
STUDY = {
    "format_version": 1, "name": "s", "question": "q?", "primary": None,
    "models": [{"id": "m"}, {"id": "n"}], "trials": [TRIAL],
}  # fmt: skip


def read(place, values):
    (place / "study.json").write_text(json.dumps(values))
    return StudyDirectory(place).read()


@pytest.mark.parametrize("name", ["../../x", "a/b", "/x", "..", ".", "", 3, None])
def test_ids_are_names_of_folders_in_the_study(tmp_path, name):
    assert [row.twin for row in read(tmp_path, STUDY).trials] == ["n"]
    damaged = [{**STUDY, "models": [{"id": name}]}, {**STUDY, "models": [{"name": "m"}]}]
    keys = ("id", "model", "plan") if name is None else ("id", "model", "plan", "twin")
    damaged += [{**STUDY, "trials": [{**TRIAL, key: name}]} for key in keys]
    for values in damaged:
        with pytest.raises(CorpusError, match=r"study\.json is damaged: it is not a valid record"):
            read(tmp_path, values)
