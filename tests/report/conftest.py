"""A study with known effects, and its report, written once."""

import os
import runpy
import sys
from pathlib import Path

import filelock
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")
pytest.importorskip("vl_convert", reason="the report's packages are not installed")

synthetic = runpy.run_path(str(Path(__file__).parents[1] / "study" / "synthetic.py"))
LABELS = ("lora, rank 1, mlp", "lora, rank 16, mlp", "ft </script> & <b>")
SETTINGS = {
    LABELS[0]: {"rank": 1, "part": "mlp"},
    LABELS[1]: {"rank": 16, "part": "mlp"},
    LABELS[2]: {"rank": None, "part": "both"},
}
PRIMARY = {"measure": "ed50", "method": LABELS[0]}


@pytest.fixture
def page_rows():
    """Cells of a table of a page by method, without the first: page_rows(page, start of a row)."""

    def page_rows(page, first):
        lines = page.read_text(encoding="utf-8").splitlines()
        start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
        rows = {}
        for line in lines[start + 2 :]:
            if not line.startswith("|"):
                break
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows[name.strip("`")] = cells
        return rows

    return page_rows


@pytest.fixture(scope="session")
def draw():
    return synthetic["draw"]


@pytest.fixture(scope="session")
def write_study():
    """Write frames as a study: write_study(path, frames) -> path."""

    def write_study(path, frames, primary=PRIMARY):
        path.mkdir(parents=True)
        synthetic["write"](path, frames, primary=primary)
        return path

    return write_study


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of all processes of this test run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def study(shared, draw, write_study):
    place = shared / "synthetic" / "study"
    with filelock.FileLock(shared / "synthetic.lock"):
        if not place.exists():
            frames = draw(
                labels=LABELS, settings=SETTINGS, edits=12, durability=True, base=0.02, probes=1
            )
            write_study(place, frames)
    return place


@pytest.fixture(scope="session")
def report(shared, study):
    from behemoth.report import write_report

    with filelock.FileLock(shared / "synthetic.lock"):
        file = study / "report" / "report.html"
        return file if file.exists() else write_report(study, resamples=50)


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Run a script as a program, in this process: run_script(path, *words) -> (code, out, err)."""

    def run_script(path, *words):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, words)])
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run_script
