"""Worker processes, and what they know of the process that started them."""

import pytest

from behemoth.support.digests import unchecked
from behemoth.support.workers import Workers

MODULE = """
import os, sys
from pathlib import Path
from behemoth.support.digests import checks
from behemoth.support.worker_loop import serve
names = "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RANK", "WORLD_SIZE"
values = [os.environ.get(name) for name in names]
serve(Path(sys.argv[1]), lambda task, step: ("done", {"checks": checks(), "values": values}))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a file that has the name of a module, as a download may have."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "queue.py").write_text("raise SystemExit('this is no part of behemoth')")
    monkeypatch.chdir(folder)


@pytest.fixture
def workers(tmp_path, folder, monkeypatch):
    (tmp_path / "working.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    for name in ("RANK", "WORLD_SIZE"):  # of a launcher, whose processes they are not
        monkeypatch.setenv(name, "2")
    workers = Workers("working", [str(tmp_path)], count=1, threads=2)
    yield workers
    workers.close()


def said(workers):
    workers.submit(0, {})
    for _ in range(1200):
        for one in workers.wait(0.1):
            return one
    raise AssertionError("nothing came about")


def test_workers_check_files_if_the_process_does_that_hands_out_the_task(workers):
    assert said(workers).fields["checks"] is True
    with unchecked():
        assert said(workers).fields["checks"] is False
    assert said(workers).fields == {"checks": True, "values": ["2", "2", "2", None, None]}
