"""Plot the recall of a finished run against exposures, as SVG or PNG.

python examples/plot_recall.py RUN recall.svg     # in a clone: pip install '.[report]'
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import altair as alt
import polars as pl


def chart(record: dict) -> alt.Chart:
    """Return a chart of recall by exposures from a ``run.json``."""
    recall = record["result"]["recall"]
    frame = pl.DataFrame(
        {"exposures": [int(key) for key in recall], "recall": list(recall.values())}
    )
    scale, axis = alt.Scale(type="log", base=2), alt.Axis()
    if 0 in frame["exposures"]:  # facts that are never written have no place on such an axis
        scale = alt.Scale(type="symlog", constant=1)
        values = frame["exposures"].to_list()
        axis = alt.Axis(values=values, labelOverlap="greedy", labelSeparation=6)
    base = alt.Chart(frame, title=f"{record['config']['model']}: facts recalled").encode(
        x=alt.X("exposures", scale=scale, axis=axis, title="exposures of a fact in the corpus"),
        y=alt.Y("recall", scale=alt.Scale(domain=[0, 1]), title="share recalled (exact match)"),
    )
    return (
        base.mark_line(color="#0072B2") + base.mark_point(color="#0072B2", filled=True)
    ).properties(width=420, height=240)


if __name__ == "__main__":
    run, out = Path(sys.argv[1]), sys.argv[2]
    chart(json.loads((run / "run.json").read_text(encoding="utf-8"))).save(out, scale_factor=2)
