"""What a part of a study at a URL refuses: another study, other parts, and what is damaged."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

import behemoth as bh
from behemoth.store import parts as stored
from behemoth.store.ledger import part_ledger
from behemoth.store.place import open_place
from behemoth.study.file.spec import Study
from behemoth.study.work import run as runs

pytestmark = pytest.mark.usefixtures("cache")

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("making.py"))))
STUDY, part, ledger = Study.parse(making.STUDY), making.part, making.ledger
OTHER = Study.parse(making.STUDY.replace("steps = 1", "steps = 3"))


def test_another_version_of_the_study_is_refused(url, whole, pulled, run, tmp_path):
    part(url, 0)
    before = open_place("url", url).sizes()
    refused = (
        f"{url} holds another version of the study 'made': "
        "run this one there without parts first, or choose another place"
    )
    (tmp_path / "study.toml").write_text(OTHER.text)
    for number in (0, 1):
        words = ("study", "run", tmp_path / "study.toml", "--out", url, "--part", f"{number}/3")
        assert run(*words).refused(1) == refused
    assert open_place("url", url).sizes() == before
    part(url, 1)
    part(url, 2)
    assert pulled(url) == whole
    runs.run_study(OTHER, url)
    assert len(bh.load(url).done) == 6
    with pytest.raises(bh.CorpusError, match="holds another version of the study"):
        part(url, 0)


@pytest.mark.parametrize("url", ["s3", "file"], indirect=True)
def test_two_versions_that_begin_at_once_do_not_mix(url, whole, pulled, monkeypatch):
    """The other one begins when this one has found the place empty."""
    look, looked = stored.StudyPart._look, []

    def meanwhile(self, files):
        found = look(self, files)
        if not looked:
            looked.append(True)
            part(url, 1)
        return found

    monkeypatch.setattr(stored.StudyPart, "_look", meanwhile)
    with pytest.raises(bh.CorpusError, match="holds another version of the study 'made'"):
        part(url, 0, study=OTHER)
    assert ledger(url, part_ledger((0, 3))) is None  # it has withdrawn
    part(url, 0)
    part(url, 2)
    assert pulled(url) == whole


def test_parts_of_another_number_are_refused(url, run, tmp_path):
    part(url, 0)
    (tmp_path / "study.toml").write_text(making.STUDY)
    words = ("study", "run", tmp_path / "study.toml", "--out", url, "--part", "1/2")
    assert run(*words).refused() == (
        f"argument '--part': got 1/2, allowed: one of 3 parts, as at {url}, or none, "
        "which unites them"
    )
    runs.run_study(STUDY, url)
    assert part(url, 1, 2).carried_out == 0


def test_a_part_that_does_not_fit_into_memory_is_not_taken_for_one_at_work(url, whole, pulled):
    with pytest.raises(bh.ArgumentError, match="of memory in a worker while 10 bytes is allowed"):
        runs.run_study(STUDY, url, part=(0, 3), memory=10)
    assert not open_place("url", url).sizes()
    for number in range(3):
        part(url, number)
    assert pulled(url) == whole


def test_results_of_a_part_at_a_url_are_refused_before_it_begins(tmp_path):
    url = f"file://{tmp_path}/store"
    with pytest.raises(bh.ArgumentError, match=r"'part': got \(0, 2\), allowed: none with a URL"):
        bh.study(STUDY, out=url, part=(0, 2))
    assert not (tmp_path / "store").exists()


def test_a_part_on_two_processes_of_one_machine_is_refused(url, made):
    def before(unit):
        with pytest.raises(bh.CorpusError, match="another process is writing to"):
            part(url, 0)

    made(before=before)
    part(url, 0)


def test_a_damaged_unit_is_not_taken(url, monkeypatch, tmp_path):
    part(url, 0)
    place = open_place("url", url)
    [name] = [name for name in place.sizes() if name.endswith("model.safetensors")]
    data = bytearray(place.read(name))
    data[7] ^= 1
    place.write(name, bytes(data))
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(bh.CorpusError, match=f"{name} is damaged: it is not what was sent"):
        part(url, 0)
