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
