"""Which methods are drawn: a chart of sixteen curves shows none of them."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from behemoth.study.analysis.summary import Summary

__all__ = ["MOST", "drawn_methods"]

MOST = 8
"""Methods that are drawn without asking: a palette has no more colours that are told apart."""


def drawn_methods(summary: Summary) -> tuple[Summary, str]:
    """Leave out of the charts what was carried out in some of the clusters only.

    Of a study of more than `MOST` methods those are drawn that all clusters have, which are its
    main arms; the tables have all.

    Returns
    -------
    (Summary, str)
        With the frames that charts are drawn from cut to these methods, and a sentence on it,
        empty where all are drawn.
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
        f"Drawn are the {main.len()} methods that were carried out in all "
        f"{table['clusters'].max()} clusters; the other {table.height - main.len()} are in the "
        "tables."
    )
    return replace(summary, **frames, mediations=mediations), said
