"""Frames of a study with effects that are known, in the schema of `behemoth.study.Results`."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import polars as pl

from behemoth.study.results import INDEX, MODELS
from behemoth.study.schemas import EDITS, RETENTION

LEVELS = (1, 4, 16, 64, 256)
OBJECTS = 50
OF_STUDY = ("model", "rotation", "swap", "load")  # of a model, and not in its record
LACKING = ("dose_low", "dose_held_out", "dose_held_out_low", "reached_held_out")
GROUPS = ("same_object", "same_relation", "same_subject", "unrelated")


def draw(
    *,
    worlds=3,
    inits=1,
    levels=LEVELS,
    edits=60,
    labels=("lora rank 1",),
    settings=None,
    slope=-0.15,
    through_margin=0.0,
    damage=0.02,
    limit=60,
    base=0.08,
    scatter=0.2,
    rotations=1,
    sizes=("nano",),
    probes=3,
    durability=False,
    kind="flip",
    already=0.0,
    loads=(1.0,),
    by_load=0.0,
    bend=0.0,
    wander=0.0,
    by_total=0.0,
    noise="exponential",
    seed=0,
):
    """Draw frames: (world, init) clusters, of which each has an intercept of its own.

    slope: log hazard ratio per doubling with the margin held fixed; through_margin: the part that
    goes through the margin (which grows by one nat a doubling); scatter: standard deviation of
    the clusters' intercepts, wander: of their slopes; damage: growth of KL per doubling, nats;
    already: share of edits that need no step; loads: of the models of each cluster, by_load: change
    of the slope per doubling of it; bend: change of the slope per doubling; by_total: log hazard
    ratio per doubling of the subject's exposures, which then are those of its four facts, and
    differ between rotations; noise: of log doses.
    """
    random = np.random.default_rng(seed)
    tables = {name: [] for name in ("edits", "probes", "recall", "retention", "models")}
    settings = settings or {}
    wandered = {}
    for size, world, init, load in (
        (s, w, i, x) for s in sizes for w in range(worlds) for i in range(inits) for x in loads
    ):
        intercept = random.normal(0, scatter)
        own_slope = slope + by_load * math.log2(load)
        if wander:
            own_slope += wandered.setdefault((world, init), random.normal(0, wander))
        for rotation in range(rotations):
            model = f"{size}-{world}-{init}-{rotation}" + (f"-{load}" if len(loads) > 1 else "")
            own = {
                "model": model,
                "size": size,
                "world": f"world-{world}" + (f"-{load}" if len(loads) > 1 else ""),
                "world_seed": world,
                "seed": init,
                "rotation": rotation,
            }
            parameters = int({"nano": 2_300, "micro": 8_000}[size] / load)
            tables["recall"].append(_recall(random, levels, own, parameters))
            tables["models"].append(_model(own, parameters, tables["recall"][-1]))
            for place, label in enumerate(labels):
                about = {
                    "trial": f"{model}-{place}",
                    "label": label,
                    "method": "lora",
                    "family": "fine-tuning",
                    "settings": "{}",
                    "rank": None,
                    "part": None,
                    "optimiser": None,
                    "retain_rows": None,
                    **settings.get(label, {}),
                    **own,
                }
                table = _edits(
                    random,
                    levels,
                    edits,
                    own_slope,
                    through_margin,
                    limit,
                    base * 2.0**place,
                    intercept,
                    rotation,
                    kind,
                    already,
                    bend,
                    by_total,
                    noise,
                )
                tables["edits"].append(_with(table, about))
                if probes:
                    renamed = {
                        ("method_rank" if key == "rank" else key): value
                        for key, value in about.items()
                    }
                    tables["probes"].append(
                        _with(_probes(random, table, levels, probes, damage), renamed)
                    )
                if durability:
                    tables["retention"].append(_with(_retention(random, table), about))
    empty = {
        "retention": pl.DataFrame(
            schema={
                "trial": pl.String,
                **RETENTION,
                "label": pl.String,
                "size": pl.String,
                "world": pl.String,
                "seed": pl.Int64,
            }
        )
    }
    frames = {
        name: pl.concat(parts).lazy() if parts else empty[name].lazy()
        for name, parts in tables.items()
        if parts or name in empty
    }
    seconds = dict.fromkeys(pl.concat(tables["edits"])["trial"].unique(), 30.0)
    costs = dict.fromkeys(seconds, (2.5e9, 3 * 2**20))
    return SimpleNamespace(**frames, edit_seconds=seconds, edit_costs=costs, failures=[],
                           without_retention=[], pooled={})  # fmt: skip


def _with(table, about):
    types = {"rank": pl.Int64, "method_rank": pl.Int64, "part": pl.String,
             "optimiser": pl.String, "retain_rows": pl.Int64}  # fmt: skip
    return table.with_columns(
        pl.lit(value, dtype=types.get(name)).alias(name) for name, value in about.items()
    )


def _edits(
    random,
    levels,
    each,
    slope,
    through,
    limit,
    base,
    intercept,
    rotation,
    kind,
    already,
    bend,
    by_total,
    noise,
):
    count = each * len(levels)
    fact = np.arange(count)
    # Rotation k moves every fact k levels on: twins of one and the same fact.
    exposures = np.array(levels)[(fact + rotation) % len(levels)]
    doublings = np.log2(exposures)
    margin = doublings + random.normal(0, 1.5, count)
    curve = bend * (doublings - doublings.mean()) ** 2 / 2
    rate = base * np.exp(slope * doublings + curve + through * margin + intercept)
    total = exposures + 40 * (1 + fact // 4 % 7)
    if by_total:
        total = np.bincount(fact // 4, exposures)[fact // 4]
        rate *= (total / total.mean()) ** (by_total / math.log(2))
    if noise == "exponential":
        dose = np.ceil(random.exponential(1 / rate))
    else:
        dose = np.ceil(random.lognormal(0, 0.6, count) / rate)
    if already:
        dose[random.random(count) < already] = 0
    reached = dose <= limit
    success = random.random(count) < np.where(reached, 0.95, 0.1)
    return pl.DataFrame(
        {
            "edit": pl.Series(fact, dtype=pl.UInt32),
            "fact": pl.Series(fact, dtype=pl.UInt64),
            "subject": pl.Series(fact // 4, dtype=pl.UInt64),
            "relation": pl.Series(fact % 4, dtype=pl.UInt32),
            "old_object": pl.Series(fact % 7, dtype=pl.UInt32),
            "new_object": pl.Series(fact % 7 + 1, dtype=pl.UInt32),
            "exposures": pl.Series(exposures, dtype=pl.UInt64),
            "subject_exposures": pl.Series(total, dtype=pl.UInt64),
            "recency": random.random(count) / (exposures + 1),
            "known": random.random(count) < 1 / (1 + np.exp(-(doublings - 2))),
            "margin": margin,
            "dose_kind": kind,
            "dose": pl.Series(np.minimum(dose, limit), dtype=pl.UInt32),
            "reached": reached,
            "limit": pl.Series(np.full(count, limit), dtype=pl.UInt32),
            "norm_at_flip": np.where(reached, 0.2 * np.sqrt(dose), np.nan),
            "kl_at_flip": np.where(reached, 0.01 * dose, np.nan),
            "failure": pl.Series([None] * count, dtype=pl.String),
            "efficacy": reached.astype(float),
            "success": success.astype(float),
            "norm": 1 + 0.05 * doublings + random.normal(0, 0.1, count),
            "effective_rank": 1 + random.random(count),
        }
    ).with_columns(
        pl.lit(False).alias("link"),
        *(pl.lit(None, EDITS[name]).alias(name) for name in LACKING),
    )


def _probes(random, edits, levels, each, damage):
    parts = []
    for number, group in enumerate(GROUPS):
        for copy in range(each):
            own = np.array(levels)[random.integers(0, len(levels), edits.height)]
            doublings = np.log2(edits["exposures"].to_numpy())
            kl = np.exp(random.normal(-3 - number, 0.5, edits.height)) + damage * doublings
            known = random.random(edits.height) < 1 / (1 + np.exp(-(np.log2(own) - 2)))
            lost = random.random(edits.height) < 0.02 + 0.1 * damage * doublings
            parts.append(
                edits.select(
                    "edit",
                    pl.col("exposures").alias("edit_exposures"),
                    pl.col("known").alias("edit_known"),
                    "failure",
                    pl.lit("after").alias("stage"),
                    pl.lit(False).alias("must_change"),
                    pl.lit(group).alias("group"),
                    pl.Series("probe", np.full(edits.height, copy), dtype=pl.UInt32),
                    pl.Series("fact", random.integers(0, 10**6, edits.height), dtype=pl.UInt64),
                    pl.Series("exposures", own, dtype=pl.UInt64),
                    pl.Series("known", known),
                    pl.Series("exact_match", known & ~lost),
                    pl.Series("kl", kl),
                    pl.Series("old_match", known & ~lost),
                )
            )
    return _spoken(pl.concat([*parts, _dependents(edits), _held_out(edits)]))


def _spoken(probes):
    """Both stages of probes, with words and probabilities: right answers are <fact>, others not."""
    changes = pl.col("must_change")
    after = probes.with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).over("edit").alias("probe"),
        pl.col("fact").alias("subject"),
        pl.lit(0, dtype=pl.UInt32).alias("relation"),
        pl.lit(False).alias("link"),
        pl.lit("default").alias("template"),
        pl.lit(1, dtype=pl.UInt32).alias("wording"),
        (pl.col("group") == "edited_held_out").alias("held_out"),
        pl.when("exact_match").then(pl.format("<{}>", "fact")).otherwise(pl.lit("<&>"))
        .alias("generated"),
        pl.lit(-0.5).alias("log_probability_old"),
        pl.lit(-1.0).alias("log_probability_true"),
        pl.when(changes).then(-1.0).alias("log_probability_new"),
    )  # fmt: skip
    before = after.with_columns(
        pl.lit("before").alias("stage"),
        pl.col("known").alias("old_match"),
        (pl.col("known") & ~changes).alias("exact_match"),
        pl.lit(-0.1).alias("log_probability_old"),
        pl.when("known").then(pl.format("<{}>", "fact")).otherwise(pl.lit("<&>"))
        .alias("generated"),
    )  # fmt: skip
    return pl.concat([after, before])


def _held_out(edits):
    """A held-out wording of each edited fact: two thirds show the edit."""
    random = np.random.default_rng(8)
    shown = random.random(edits.height) < 2 / 3
    return _dependents(edits).with_columns(
        pl.lit("edited_held_out").alias("group"),
        pl.Series("exact_match", shown),
        pl.Series("old_match", ~shown),
    )


def _dependents(edits):
    """A fact of each edit that follows from it: a third follow, a third stay, a third are lost."""
    random = np.random.default_rng(7)  # its own, so that no other draw moves
    place = random.integers(0, 3, edits.height)
    return edits.select(
        "edit",
        pl.col("exposures").alias("edit_exposures"),
        pl.col("known").alias("edit_known"),
        "failure",
        pl.lit("after").alias("stage"),
        pl.lit(True).alias("must_change"),
        pl.lit("subject_nested").alias("group"),
        pl.lit(0, dtype=pl.UInt32).alias("probe"),
        "fact",
        "exposures",
        pl.Series("known", random.random(edits.height) < 0.8),
        pl.Series("exact_match", place == 0),
        pl.lit(0.5).alias("kl"),
        pl.Series("old_match", place == 1),
    )


def _recall(random, levels, own, parameters, each=80):
    exposures = np.repeat(levels, each)
    middle = 3.0 if parameters < 5_000 else 1.5
    share = 1 / (1 + np.exp(-1.2 * (np.log2(exposures) - middle)))
    log_probability = np.log(share * 0.98 + (1 - share) / OBJECTS)
    table = pl.DataFrame(
        {
            "fact": pl.Series(np.arange(len(exposures)), dtype=pl.UInt64),
            "exposures": pl.Series(exposures, dtype=pl.UInt64),
            "objects": pl.Series(np.full(len(exposures), OBJECTS), dtype=pl.UInt32),
            "exact_match": random.random(len(exposures)) < share,
            "log_probability": log_probability,
        }
    )
    load = len(exposures) * math.log2(OBJECTS) / (2 * parameters)
    return _with(table, {**own, "parameters": parameters, "load": load})


def _model(own, parameters, recall):
    bits = recall.height * math.log2(OBJECTS)
    row = {
        **own,
        "parameters": parameters,
        "parameters_without_embedding": parameters // 2,
        "facts": recall.height,
        "facts_per_object": recall.height / OBJECTS,
        "bits": bits,
        "load": bits / (2 * parameters),
        "recall": float(recall["exact_match"].mean()),
        "steps": 400,
        "tokens": 7_200_000,
        "seconds": 61.5,
        "loss": 2.1,
        "device": "cpu",
    }
    return pl.DataFrame([row], schema=MODELS)


def _retention(random, edits):
    parts = []
    rate = 0.02 + 0.01 * np.log2(edits["exposures"].to_numpy())
    gone = random.exponential(1 / rate)
    for step in (0, 1, 2, 4, 8, 16, 32, 64):
        margin = gone - step
        parts.append(
            edits.select(
                pl.lit(step, dtype=pl.UInt32).alias("step"),
                "edit",
                "fact",
                "exposures",
                pl.Series("kept", gone > step),
                pl.Series("margin", margin),
            )
        )
    return pl.concat(parts)


def write(path, frames, *, primary, name="frequency", question=None):
    """Write frames as a study's directory that `Results.open` reads."""
    question = question or "Does the frequency of a fact decide how well it can be edited?"
    models = frames.models.collect()
    edits = frames.edits.collect()
    keys = ["trial", "model", "label", "method", "family", "rank", "part", "rotation"]
    trials = edits.select(*keys).unique(maintain_order=True)
    about = {
        "format_version": _format(),
        "name": name,
        "question": question,
        "primary": primary,
        "methods": [],
        "models": [{"id": model} for model in models["model"]],
        "trials": [
            {
                "id": row["trial"],
                "model": row["model"],
                "plan": "plan",
                "label": row["label"],
                "method": row["method"],
                "family": row["family"],
                "rotation": row["rotation"],
                "settings": {key: row[key] for key in ("rank", "part") if row["part"]},
                "measure": {},
            }
            for row in trials.iter_rows(named=True)
        ],
    }
    named = {row["id"]: row for row in about["trials"]}
    _json(path / "study.json", about)
    (path / "study.toml").write_text(
        f'name = "{name}"\nquestion = "{question}"\n[primary]\nmeasure = "{primary["measure"]}"\n'
        f'method = "{primary["method"]}"\n[grid]\n"world.seed" = [0, 1, 2]\n'
    )
    recall = frames.recall.collect()
    for row in models.iter_rows(named=True):
        place = path / "models" / row["model"]
        place.mkdir(parents=True)
        own = recall.filter(pl.col("model") == row["model"])
        own.select(
            "fact",
            pl.lit(0, dtype=pl.UInt64).alias("subject"),
            pl.lit(0, dtype=pl.UInt32).alias("relation"),
            pl.lit(0, dtype=pl.UInt32).alias("object"),
            "exposures",
            "objects",
            "exact_match",
            pl.lit(True).alias("valid_object"),
            pl.lit(1, dtype=pl.UInt32).alias("rank"),
            "log_probability",
        ).write_parquet(place / "recall.parquet")
        _json(
            place / "model.json",
            {
                "format_version": _format(),
                "id": row["model"],
                "status": "done",
                **{key: row[key] for key in row if key not in OF_STUDY},
                "training_seconds": row["seconds"],
                "seconds": {"train": row["seconds"], "recall": 1.0},
            },
        )
    index = {*INDEX, "method_rank"} - {"trial"}
    for trial in trials["trial"]:
        place = path / "trials" / trial
        place.mkdir(parents=True)
        for kind in ("edits", "probes", "retention"):
            frame = getattr(frames, kind).collect()
            own = frame.filter(pl.col("trial") == trial)
            if own.height:
                own.drop(index & set(own.columns)).write_parquet(place / f"{kind}.parquet")
        _json(
            place / "trial.json",
            {
                "format_version": _format(),
                **named[trial],
                "status": "done",
                "reason": None,
                "seconds": {"edit": 4.0, "evaluate": 1.0},
                "flops": 2.5e9,
                "memory": 3 * 2**20,
            },
        )


def _format():
    from behemoth.study.file.identity import FORMAT

    return FORMAT


def _json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
