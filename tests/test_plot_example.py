"""The chart of recall against exposures has a place for every number of exposures."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "plot_recall.py"


@pytest.mark.parametrize(("keys", "scale"), [((0, 1, 2, 64), "symlog"), ((1, 2, 64), "log")])
def test_facts_that_are_never_written_do_not_collapse_the_axis(keys, scale):
    pytest.importorskip("altair")
    chart = runpy.run_path(str(EXAMPLE))["chart"]
    recall = {str(key): min(1.0, key / 8) for key in keys}
    made = chart({"config": {"model": "nano"}, "result": {"recall": recall}}).to_dict()
    assert {layer["encoding"]["x"]["scale"]["type"] for layer in made["layer"]} == {scale}
    assert [row["exposures"] for row in next(iter(made["datasets"].values()))] == list(keys)
