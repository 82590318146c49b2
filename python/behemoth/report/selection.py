"""Selection of the methods in charts, because a chart of sixteen curves is not readable."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from behemoth.study.analysis.summary import Summary

__all__ = ["MOST", "drawn_methods"]

MOST = 8
"""Number of methods up to which all are drawn."""


def drawn_methods(summary: Summary) -> tuple[Summary, str]:
    """Omit from the charts the methods that were run in some of the clusters only.

    For a study with more than `MOST` methods, only the methods with the most clusters are drawn,
    which are its main arms; the tables contain all methods.

    Returns
    -------
    (Summary, str)
        The summary with the frames of charts restricted to these methods, and a sentence on it,
        empty if all are drawn.
    """
    table = summary.methods
    if table.height <= MOST:
        return summary, ""
    main = table.filter(pl.col("clusters") == pl.col("clusters").max())["label"]
    if main.len() == table.height:
        return summary, ""
    frames = {
        name: frame.filter(pl.col("label").is_in(main.implode()))
        for name, frame in vars(summary).items()
        if isinstance(frame, pl.DataFrame) and "label" in frame.columns
    }
    mediations = {key: parts for key, parts in summary.mediations.items() if key[0] in set(main)}
    said = (
        f"The figures show the {main.len()} methods that were run in all "
        f"{table['clusters'].max()} clusters; the tables also have the other "
        f"{table.height - main.len()}."
    )
    return replace(summary, **frames, mediations=mediations), said
