"""The tables of measures in docs/suites.md, generated from the suites.

``python -m behemoth.evaluate.catalogue docs/suites.md`` rewrites them between two markers; a test
compares the file with them. Names and meanings are those in ``suite.json``. The range of each
measure, and which values are better, is declared here for each family of measures; a measure
without a declaration is refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import polars as pl

from behemoth.support.errors import ArgumentError
from behemoth.support.pages import Section, linked

from .suites.run import SUITES

__all__ = ["SECTION", "catalogue"]

_LEVEL = 999  # placeholder for any number of exposures, or of edits made


@dataclass(frozen=True)
class _Read:
    """Range and better values of some measures."""

    range: str
    better: str


_SHARE_HIGH = _Read("0 to 1", "high")
_SHARE_LOW = _Read("0 to 1", "low")
_SHARE_TWIN = _Read("0 to 1", "the twin's; without one, low")
_FROM_LOW = _Read("from 0", "low")
_STEPS = _Read("from 0, or infinite", "high")
_SIZE = _Read("from 0", "neither in itself")

_READ: Mapping[str, Mapping[str, _Read]] = {
    "editing": {
        r"(efficacy|paraphrase|neighbourhood)_magnitude": _Read("-1 to 1", "high"),
        r"efficacy|paraphrase|neighbourhood|score": _SHARE_HIGH,
        r"exact_.*|question_match|portability_.*|validity": _SHARE_HIGH,
        r"damage_.*|leakage.*": _SHARE_LOW,
        r"kl.*": _FROM_LOW,
        r"dose|norm|rank|effective_rank": _SIZE,
        r"seconds|peak_memory": _FROM_LOW,
        r"spectrum_largest": _Read("0 to 1", "neither in itself"),
    },
    "unlearning": {
        r"forget_probability|forget_recall.*|leak_at_\d+": _SHARE_TWIN,
        r"extraction_strength|exact_memorisation": _SHARE_TWIN,
        r"truth_ratio": _Read("from 0", "the twin's"),
        r"retain_.*|model_utility": _SHARE_HIGH,
        r"perplexity_.*": _Read("from 1", "low"),
        r"forget_quality": _SHARE_HIGH,
        r"forget_distance|privacy_.*": _SHARE_LOW,
        r"membership_reference": _Read("0 to 1", "0.5: no information"),
        r"membership_.*": _Read("0 to 1", "the twin's"),
        r"relearning_steps|continued_steps": _STEPS,
        r"recall_.*": _SHARE_LOW,
        r"linear_probe": _SHARE_TWIN,
        r"linear_probe_control": _SHARE_HIGH,
        r"kl_twin_.*|parameters_twin": _FROM_LOW,
    },
    "sequence": {
        r"(hold|efficacy|first|forgotten)_after_.*": _SHARE_HIGH,
        r"lost_after_.*": _SHARE_LOW,
        r"kl_after_.*": _FROM_LOW,
        r"norm_after_.*": _SIZE,
        r"half_life": _Read("from 0", "high"),
    },
    "recall": {
        r"recall.*|valid_object": _SHARE_HIGH,
        r"bits_.*": _Read("from 0", "high"),
    },
}


def catalogue() -> str:
    """Return the measures of all suites as Markdown, one table per suite.

    Raises
    ------
    ArgumentError
        For a measure without a declaration in `_READ`.
    """
    # The list of measures depends on levels of exposures and on checkpoints: use one of each.
    measured: Any = SimpleNamespace(
        plan=SimpleNamespace(
            probes=pl.DataFrame({"group": ["unrelated"], "exposures": [_LEVEL]}),
        ),
        recall=pl.DataFrame({"exposures": [_LEVEL]}),
        edit=SimpleNamespace(checkpoints=(_LEVEL,)),
    )
    lines: list[str] = []
    for suite in SUITES.values():
        lines += [f"### `{suite.name}`", "", f"{suite.about[:1].upper()}{suite.about[1:]}.", ""]
        lines += ["| measure | what it is | numbers | better |", "|---|---|---|---|"]
        for measure in suite.measures(measured):
            name, meaning = (
                text.replace(str(_LEVEL), "N") for text in (measure.name, measure.meaning)
            )
            said = linked(meaning).replace("|", r"\|")
            read = _read(suite.name, name)
            beside = f" (v{measure.version})" if measure.version > 1 else ""
            lines.append(f"| `{name}`{beside} | {said} | {read.range} | {read.better} |")
        lines.append("")
    return "\n".join(lines[:-1])


def _read(suite: str, name: str) -> _Read:
    for pattern, read in _READ[suite].items():
        if re.fullmatch(pattern, name):
            return read
    raise ArgumentError("measure", f"{name} of suite {suite}", "one with its numbers in `_READ`")


SECTION = Section(
    "<!-- measures: written by behemoth.evaluate.catalogue -->",
    "<!-- end of measures -->",
    catalogue,
)
"""Position of the tables in docs/suites.md."""


if __name__ == "__main__":
    SECTION.write(sys.argv[1])
