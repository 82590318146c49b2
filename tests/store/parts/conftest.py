"""A study that parts carry out at a URL, and what the store then has of it."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

import behemoth as bh
from behemoth.store.folder import Folder
from behemoth.store.objects import Objects
from behemoth.study.file.spec import Study
from behemoth.study.work import local, prepare, run as runs
from behemoth.study.work.memory_budget import Shares

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("making.py"))))


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Studies are made by `making`; made(before=..., mark=...) sets how."""

    def made(**options):
        monkeypatch.setattr(runs, "_engine", lambda name, path, *_: making.Making(path, **options))

    real = prepare.shares_of

    def shares_of(work, workers, memory, **others):
        # An estimate compiles the plan of every run, which makes nothing that is looked at here.
        if memory is None:
            return Shares(workers, None, None)
        return real(work, workers, memory, **others)

    monkeypatch.setattr(prepare, "shares_of", shares_of)
    monkeypatch.setattr(local, "gpus", lambda: 0)
    made()
    return made


@pytest.fixture(scope="session")
def made_whole():
    """Files of the study of one machine, once they are made."""
    return {}


@pytest.fixture
def whole(made_whole, tmp_path, files):
    """The files of the study of one machine, without locks."""
    if not made_whole:
        runs.run_study(Study.parse(making.STUDY), tmp_path / "whole")
        found = files(tmp_path / "whole")
        made_whole |= {name: data for name, data in found.items() if "/." not in f"/{name}"}
    return made_whole


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
