"""Recall of a small model trained on text, by exposures and in four kinds of probes.

    python examples/text_recall.py OUT                   # in a clone: pip install '.[train,report]'
    python examples/text_recall.py OUT --subjects 64 --tokens 100_000    # a quick look

It trains a byte-level BPE for `bios-en`, writes biographies of 2,000 people, most of them mentioned
rarely and a few often, and trains `nano` on them. It then measures recall of their facts in four
ways: in statements of the corpus, in held-out statements, in questions about people with questions
in the corpus, and in the same questions about people without any. OUT receives the corpus, the run,
recall.parquet, recall.csv and recall.svg; a second call resumes a stopped run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

import behemoth as bh

LEVELS = (16, 32, 64, 128, 256, 512)  # exposures of the facts of frequently mentioned people
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
    """Return the number of exposures of each fact about a person."""
    levels = np.full(world.num_subjects, SELDOM, np.uint32)
    often = np.repeat(np.array(LEVELS, np.uint32), PEOPLE)[: world.num_subjects]
    levels[: len(often)] = often
    return np.repeat(levels, world.num_relations)


def measured(run: bh.Run, corpus: bh.Corpus) -> pl.DataFrame:
    """Measure recall for the frequently mentioned people and 16 others, in all wordings."""
    world = corpus.world
    people = min(world.num_subjects, PEOPLE * (len(LEVELS) + 1))
    facts = np.arange(people * world.num_relations)
    return bh.recall(run.load_model(), corpus, facts=facts)


def summary(frame: pl.DataFrame) -> pl.DataFrame:
    """Return exact-match recall, probability and number of probes, by way and exposures."""
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
    """Return a chart of recall against exposures, one line for each way."""
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
    """Run the example."""
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
