"""Parts of a study that share one URL: together they are the study of one machine."""

import importlib.util
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.store import parts as stored
from behemoth.store.folder import Folder
from behemoth.store.ledger import LEDGER, part_ledger, read_ledger
from behemoth.store.objects import Objects
from behemoth.store.place import open_place
from behemoth.study.file.spec import Study
from behemoth.study.work import local, run as runs

pytestmark = pytest.mark.usefixtures("cache")

MAKING = Path(__file__).with_name("making.py")
_spec = importlib.util.spec_from_file_location("making", MAKING)
making = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(making)
STUDY = Study.parse(making.STUDY)


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Studies are made by `making`; made(before=..., mark=...) sets how."""

    def made(**options):
        monkeypatch.setattr(runs, "_engine", lambda name, path, *_: making.Making(path, **options))

    monkeypatch.setattr(local, "gpus", lambda: 0)
    made()
    return made


@pytest.fixture(params=["s3://corpora/st", "file://{}/store"], ids=["s3", "file"])
def url(request, s3, tmp_path):
    return request.param.format(tmp_path)


@pytest.fixture
def whole(tmp_path, files):
    """The files of the study of one machine, without locks."""
    runs.run_study(STUDY, tmp_path / "whole")
    found = files(tmp_path / "whole")
    return {name: data for name, data in found.items() if "/." not in f"/{name}"}


@pytest.fixture
def pulled(tmp_path, files):
    """What `pull` makes of a URL: pulled(url) -> bytes by name."""
    number = iter(range(100))

    def pulled(url):
        place = tmp_path / f"pulled-{next(number)}"
        bh.pull(url, place)
        return files(place)

    return pulled


@pytest.fixture
def sends(monkeypatch):
    """Names of the files in the order in which they were sent."""
    sent = []
    for kind in (Folder, Objects):

        def noted(self, name, file, moved, send=kind.send):
            sent.append(name)
            send(self, name, file, moved)

        monkeypatch.setattr(kind, "send", noted)
    return sent


def part(url, number, count=3, study=STUDY, **options):
    return runs.run_study(study, url, part=(number, count), **options)


def ledger(url, name=LEDGER):
    return read_ledger(open_place("url", url), name)


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


def test_parts_at_once(url, whole, pulled, made):
    together = threading.Barrier(3)

    def before(unit):
        if isinstance(unit, making.ModelUnit):
            together.wait(30)

    made(before=before)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: part(url, number), range(3)))
    assert pulled(url) == whole
