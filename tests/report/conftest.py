"""A study with known effects, and its report, written once."""

import runpy
from pathlib import Path

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
def study(tmp_path_factory, draw, write_study):
    frames = draw(labels=LABELS, settings=SETTINGS, edits=12, durability=True, base=0.02, probes=1)
    return write_study(tmp_path_factory.mktemp("report") / "study", frames)


@pytest.fixture(scope="session")
def report(study):
    from behemoth.report import write_report

    return write_report(study, resamples=50)
