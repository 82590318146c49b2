"""lm-evaluation-harness: a folder of tasks, each a YAML file with its JSON lines.

All tasks have the type ``multiple_choice`` and the tag ``behemoth``, so that ``--tasks behemoth``
runs them all; documents are probes, each once, and ``acc`` is the mean over them. Three tasks
compare two answers, as Behemoth's metrics of the same names do, with the wrong one first: on a tie
the harness chooses the first, and these metrics are 0. Two tasks choose among all objects of a
relation, if there are at most 128:

- ``behemoth_edited``: edited facts in all wordings, with the answer that is right after the edit;
- ``behemoth_kept``: facts that must stay.

Of independent edits, no task asks about facts that another edit changes or puts in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from behemoth.evaluate.metrics import KEPT, NEIGHBOURS, PARAPHRASED
from behemoth.support.errors import ArgumentError
from behemoth.support.files import write_bytes
from behemoth.support.progress import Advance, ProgressLike, task

from .planned import Planned
from .protocol import Bridge
from .records import save_lines

_MOST = 128  # objects to choose among
_EDITED = ("edited", *PARAPHRASED, "edited_question")


@dataclass(frozen=True)
class _Task:
    """A task: its probes, and the answers to choose among for each, the right one last."""

    name: str
    groups: tuple[str, ...]
    must_change: bool | None
    choices: Callable[[Planned, pl.DataFrame], Iterator[list[str]]]


def _pair(wrong: str, right: str) -> Callable[[Planned, pl.DataFrame], Iterator[list[str]]]:
    def choices(planned: Planned, frame: pl.DataFrame) -> Iterator[list[str]]:
        for own in planned.asked(frame):
            found = getattr(own, wrong), getattr(own, right)
            yield [] if None in found or found[0] == found[1] else list(found)

    return choices


def _objects(planned: Planned, frame: pl.DataFrame) -> Iterator[list[str]]:
    """Yield all objects of each probe's relation; none if too many, or if a refusal is right."""
    counts = [row["objects"] for row in planned.corpus.world.relation_table]
    few = [counts[relation] <= _MOST for relation in frame["relation"]]
    words = planned.words(frame.filter(pl.Series(few, dtype=pl.Boolean)), _MOST)
    for own, is_few in zip(planned.asked(frame), few, strict=True):
        every = next(words) if is_few else []
        there = own.answer in every
        yield [*(word for word in every if word != own.answer), own.answer] if there else []


_TASKS = (
    _Task("efficacy", ("edited",), None, _pair("old_answer", "answer")),
    _Task("paraphrase", PARAPHRASED, None, _pair("old_answer", "answer")),
    _Task("neighbourhood", NEIGHBOURS, False, _pair("new_answer", "old_answer")),
    _Task("edited", _EDITED, True, _objects),
    _Task("kept", KEPT, False, _objects),
)


def _write(planned: Planned, out: Path, progress: ProgressLike) -> None:
    with task(progress, "exporting", "probes") as step:
        for own in _TASKS:
            frame = _probes(planned, own)
            if not any(own.choices(planned, frame)):
                continue
            save_lines(_documents(planned, own, frame, step), out / f"{own.name}.jsonl")
            write_bytes(out / f"{own.name}.yaml", _yaml(own.name).encode())


def _probes(planned: Planned, own: _Task) -> pl.DataFrame:
    # The tasks are of one model, in which all edits are made.
    together = planned.plan.together(planned.corpus).probes["probe"].implode()
    frame = planned.probes.filter(
        pl.col("group").is_in(own.groups) & pl.col("probe").is_in(together)
    )
    if own.must_change is not None:
        frame = frame.filter(pl.col("must_change") == own.must_change)
    return frame


def _documents(
    planned: Planned, own: _Task, frame: pl.DataFrame, step: Advance
) -> Iterator[dict[str, Any]]:
    rows = zip(frame["probe"], planned.asked(frame), own.choices(planned, frame), strict=True)
    for number, (probe, asked, choices) in enumerate(rows):
        if choices:
            yield {
                "probe": probe,
                "group": asked.group,
                "prompt": asked.prompt,
                "choices": choices,
                "label": len(choices) - 1,
            }
        step(number + 1, frame.height)


def _yaml(name: str) -> str:
    return f"""\
task: behemoth_{name}
tag: behemoth
dataset_path: json
dataset_kwargs:
  data_files:
    test: {name}.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: label
target_delimiter: ""
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


def _check(planned: Planned) -> None:
    if planned.plan.probes.is_empty():
        raise ArgumentError("plan", "a plan without probes", "a plan with probes")


FORMAT = Bridge(
    "lm-eval",
    _write,
    tuple(f"{own.name}.{suffix}" for own in _TASKS for suffix in ("jsonl", "yaml")),
    check=_check,
)
