"""What a small model learns from text: recall against exposures, asked in four ways.

    python examples/text_recall.py OUT                   # needs behemoth[train,report]
    python examples/text_recall.py OUT --subjects 64 --tokens 100_000    # a quick look

It makes a byte-level BPE for `bios-en`, writes biographies of 2,000 people, most of whom are seldom
mentioned and a few often, trains `nano` on them, and asks for their facts: in statements that were
written, in statements that were held out, in questions about people whom questions were about in
training, and in the same questions about people whom none was about. OUT gets the corpus, the run,
recall.parquet, recall.csv and recall.svg; run again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

import behemoth as bh

LEVELS = (16, 32, 64, 128, 256, 512)  # exposures of the facts of people who are often mentioned
PEOPLE = 16  # at each of these levels
SELDOM = 2  # exposures of all other facts

STATEMENT, QUESTION = (pl.col("template") == name for name in ("statement", "text_question"))
WAYS = {
    "statement": STATEMENT & ~pl.col("held_out"),
    "statement held out": STATEMENT & pl.col("held_out"),
    "question": QUESTION & ~pl.col("held_out") & pl.col("seen"),
    "question, of others": QUESTION & ~pl.col("held_out") & ~pl.col("seen"),
}
COLORS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00")


def exposures(world: bh.World) -> np.ndarray:
    """How often each fact about a person is written."""
    levels = np.full(world.num_subjects, SELDOM, np.uint32)
    often = np.repeat(np.array(LEVELS, np.uint32), PEOPLE)[: world.num_subjects]
    levels[: len(often)] = often
    return np.repeat(levels, world.num_relations)


def measured(run: bh.Run, corpus: bh.Corpus) -> pl.DataFrame:
    """Ask about those who are often mentioned, and as many others, in all wordings."""
    world = corpus.world
    people = min(world.num_subjects, PEOPLE * (len(LEVELS) + 1))
    facts = np.arange(people * world.num_relations)
    return bh.recall(run.load_model(), corpus, facts=facts)


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """A row for each way of asking and level: share of exact answers, and the probes it is of."""
    parts = [
        frame.filter(of_way)
        .group_by("exposures")
        .agg(
            pl.lit(way).alias("way"),
            pl.col("exact_match").mean().alias("recall"),
            pl.col("log_probability").exp().mean().alias("probability"),
            pl.len().alias("probes"),
        )
        for way, of_way in WAYS.items()
    ]
    return pl.concat(parts).sort("way", "exposures")


def chart(table: pl.DataFrame, title: str) -> Any:
    """Recall against exposures, a line for each way of asking."""
    ways = list(WAYS)
    color = alt.Color(
        "way:N",
        scale=alt.Scale(domain=ways, range=list(COLORS)),
        legend=alt.Legend(title="asked by", orient="bottom", columns=2),
    )
    base = alt.Chart(table, title=title).encode(
        x=alt.X(
            "exposures:Q",
            scale=alt.Scale(type="log", base=2),
            title="exposures of a fact in the corpus",
        ),
        y=alt.Y("recall:Q", scale=alt.Scale(domain=[0, 1]), title="share recalled (exact match)"),
        color=color,
    )
    lines = alt.layer(base.mark_line(), base.mark_point(filled=True))
    return lines.properties(width=420, height=260)


def main() -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(
        description="Recall against exposures of a small model trained on text."
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--subjects", type=int, default=2_000)
    parser.add_argument("--vocabulary", type=int, default=2_048)
    parser.add_argument("--tokens", type=lambda text: int(float(text)), default=None)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = out / "bpe"
    if not (tokenizer / "tokenizer.json").exists():
        bh.train_tokenizer("bios-en", tokenizer, vocabulary=arguments.vocabulary)
    world = bh.Grammar.named("bios-en").world(subjects=arguments.subjects)
    corpus = bh.Corpus(
        world,
        exposures=exposures(world),
        nested_exposures=0,
        questions=bh.Questions(subjects=0.5, sentences=0.2),
        grammar="bios-en",
        tokenizer=tokenizer,
    )
    corpus.write(out / "corpus")
    config = bh.default_config(
        "nano",
        tokens=arguments.tokens,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        threads=arguments.threads,
        eval_interval=1_000_000,
    )
    bh.train(out / "corpus", out=out / "run", config=config)
    run = bh.load(out / "run")
    assert isinstance(run, bh.Run)
    frame = measured(run, corpus)
    frame.write_parquet(out / "recall.parquet")
    table = summary(frame)
    table.write_csv(out / "recall.csv")
    title = f"nano on bios-en: {arguments.subjects:,} people, {corpus.count_tokens():,} tokens"
    chart(table, title).save(out / "recall.svg")


if __name__ == "__main__":
    main()
