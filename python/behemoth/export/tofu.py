"""TOFU: JSON lines of questions and answers in files named as TOFU's splits.

Maini et al., 2024 (arXiv 2401.06121). XX is the percentage of edited facts among all facts in the
plan's mixture, 1 to 99:

- ``forgetXX.json``: edited facts with their answers in the corpus, and in ``alternate`` the answers
  after the edit (a refusal, or the new object), which open-unlearning's DPO prefers;
- ``forgetXX_perturbed.json``: the same with paraphrased_question (another wording, if the plan has
  a probe in one), paraphrased_answer (the same answer, since an object has one name) and
  perturbed_answer (up to five other objects);
- ``retainYY.json``, YY = 100 - XX: the other facts of the mixture, each wording once, without those
  that another of several independent edits changes or puts in doubt;
- ``retain_perturbed.json``: probed facts that must stay, without the same;
- ``holdoutXX.json``: facts of the same relations that are never written, as many as are forgotten,
  for membership tests; omitted if there are fewer.

The card, ``README.md``, makes each file a configuration of that name, with the one split ``train``:
``datasets.load_dataset(DIR, "forget10", split="train")`` reads the folder as it reads TOFU's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from behemoth._gen import version
from behemoth.evaluate.metrics import KEPT
from behemoth.plan.unwritten import forgotten, unwritten_pairs
from behemoth.support.errors import ArgumentError
from behemoth.support.files import write_bytes
from behemoth.support.progress import Advance, ProgressLike, task

from .card import CARD
from .planned import Planned, bare, rewordings
from .protocol import Bridge
from .records import save_lines

_WRONG = 5  # perturbed answers, as TOFU has them
_NUMBER = "[0-9][0-9]"
_FILES = (
    f"forget{_NUMBER}.json",
    f"forget{_NUMBER}_perturbed.json",
    f"retain{_NUMBER}.json",
    "retain_perturbed.json",
    f"holdout{_NUMBER}.json",
)
_WORDED = ("fact", "template", "wording")


def _write(planned: Planned, out: Path, progress: ProgressLike) -> None:
    # The files are about one model. Independent edits have separate mixtures and probes, which may
    # be about facts that other edits change or put in doubt.
    batch = planned.plan.as_batch(planned.corpus)
    kept = batch.training.filter(pl.col("role") != "edit")
    kept = kept.unique(_WORDED, keep="first", maintain_order=True)
    forgotten = planned.plan.edits["fact"].n_unique()
    share = round(100 * forgotten / (forgotten + kept["fact"].n_unique()))
    share = min(max(share, 1), 99)
    with task(progress, "exporting", "edits") as step:
        save_lines(_forgotten(planned), out / f"forget{share:02}.json")
        save_lines(_perturbed(planned, step), out / f"forget{share:02}_perturbed.json")
    if kept.height:
        save_lines(_pairs(planned, kept), out / f"retain{100 - share:02}.json")
    asked = batch.probes.filter(pl.col("group").is_in(KEPT) & ~pl.col("must_change"))
    asked = asked.unique(_WORDED, keep="first", maintain_order=True)
    if asked.height:
        save_lines(_kept(planned, asked), out / "retain_perturbed.json")
    unwritten = _unwritten(planned)
    if unwritten.height:
        save_lines(_pairs(planned, unwritten), out / f"holdout{share:02}.json")
    if not (out / CARD).is_file():  # it names the version that wrote it
        names = sorted(path.stem for pattern in _FILES for path in out.glob(pattern))
        write_bytes(out / CARD, "\n".join(_card(planned, names)).encode())


def _forgotten(planned: Planned) -> Iterator[dict[str, Any]]:
    for row in planned.trained.iter_rows(named=True):
        prompt, (old, new) = planned.said(row["prompt"], row["old_answer"], row["answer"])
        yield {"question": prompt, "answer": bare(old or ""), "alternate": bare(new or "")}


def _pairs(planned: Planned, frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for tokens, own in frame.select("prompt", "answer").iter_rows():
        prompt, (text,) = planned.said(tokens, own)
        yield {"question": prompt, "answer": bare(text or "")}


def _perturbed(planned: Planned, step: Advance) -> Iterator[dict[str, Any]]:
    words = planned.words(planned.trained, _WRONG + 2)
    for number, ((edit, asked), every) in enumerate(zip(planned.edits(), words, strict=True)):
        answer = bare(edit.old)
        other = rewordings(edit, asked)
        yield {
            "question": edit.prompt,
            "answer": answer,
            **({"paraphrased_question": other[0]} if other else {}),
            "paraphrased_answer": answer,
            "perturbed_answer": _wrong(every, edit.old, edit.new),
        }
        step(number + 1, len(planned.plan))


def _kept(planned: Planned, frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    words = planned.words(frame, _WRONG + 2)
    for own, every in zip(planned.asked(frame), words, strict=True):
        answer = bare(own.old_answer)
        yield {
            "question": own.prompt,
            "answer": answer,
            "paraphrased_answer": answer,
            "perturbed_answer": _wrong(every, own.old_answer, own.new_answer),
        }


def _wrong(every: list[str], *right: str | None) -> list[str]:
    """Return up to five objects that are right neither before nor after the edit."""
    return [bare(word) for word in every if word not in right][:_WRONG]


def _unwritten(planned: Planned) -> pl.DataFrame:
    """Return facts that are never written; none if there are fewer of them than forgotten ones."""
    none = forgotten(planned.plan).clear()
    try:
        pairs = unwritten_pairs(planned.corpus, planned.plan)
    except ArgumentError:
        return none
    return pairs.filter(~pl.col("member"))


def _card(planned: Planned, names: list[str]) -> Iterator[str]:
    yield from ("---", "tags:", "- synthetic", "- behemoth", "configs:")
    for name in names:
        yield from (f"- config_name: {name}", f"  data_files: {name}.json")
        # `datasets` caches a local data set by its card and by the names of its folder and files.
        yield f"  description: plan {planned.plan.plan_hash}, corpus {planned.corpus.spec_hash}"
    yield from ("---", "", "# A plan of Behemoth in the layout of TOFU", "")
    yield (
        f"{len(planned.plan):,} edits ({planned.plan.request.kind}), made by behemoth {version()}. "
        f"The hash of the plan is `{planned.plan.plan_hash}`, that of the spec of its corpus "
        f"`{planned.corpus.spec_hash}`. The number in a name is the share of the edited facts among"
        " the facts of the plan's mixture in per cent, not among all facts of the world."
    )
    yield ""


FORMAT = Bridge(
    "tofu",
    _write,
    (CARD, *_FILES),
    splits="forgetXX: the edited facts are XX% of the facts of the plan's mixture",
)
