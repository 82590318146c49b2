"""EasyEdit: ``easyedit.json``, the arguments of ``BaseEditor.edit`` for all edits of a plan.

Wang et al., 2023 (arXiv 2308.07269). Lists have one item per edit. ``locality_inputs`` has, for
each group of probes that must stay, a list of prompts per edit, or null if the edit has no such
probe; ``portability_inputs`` has the same for what follows from an edit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from behemoth.evaluate.metrics import KEPT
from behemoth.plan.groups import FOLLOWING
from behemoth.support.files import write_bytes
from behemoth.support.progress import ProgressLike, task

from .planned import Asked, Planned, bare, rewordings
from .protocol import Bridge

_FILE = "easyedit.json"


def _write(planned: Planned, out: Path, progress: ProgressLike) -> None:
    if (out / _FILE).exists():
        return
    edits: list[dict[str, Any]] = []
    probes: list[list[Asked]] = []
    with task(progress, "exporting", "edits") as step:
        for edit, asked in planned.edits():
            edits.append(
                {
                    "prompts": edit.prompt,
                    "subject": edit.subject,
                    "target_new": bare(edit.new),
                    "ground_truth": bare(edit.old),
                    "rephrase_prompts": next(iter(rewordings(edit, asked)), None),
                }
            )
            probes.append(asked)
            step(len(edits), len(planned.plan))
    arguments: dict[str, Any] = {
        name: [edit[name] for edit in edits] for name in (edits[0] if edits else ())
    }
    if not any(arguments.get("rephrase_prompts", ())):
        arguments.pop("rephrase_prompts", None)
    arguments["locality_inputs"] = _inputs(probes, KEPT, lambda own: not own.must_change)
    arguments["portability_inputs"] = _inputs(probes, FOLLOWING, lambda own: own.must_change)
    text = json.dumps(arguments, ensure_ascii=False, indent=1)
    write_bytes(out / _FILE, f"{text}\n".encode())


def _inputs(
    probes: Sequence[Sequence[Asked]], groups: Sequence[str], counts: Callable[[Asked], bool]
) -> dict[str, dict[str, list[list[str] | None]]]:
    found = {}
    for group in groups:
        own = [[one for one in asked if one.group == group and counts(one)] for asked in probes]
        if any(own):
            found[group] = {
                "prompt": [[one.prompt for one in some] or None for some in own],
                "ground_truth": [[bare(one.answer) for one in some] or None for some in own],
            }
    return found


FORMAT = Bridge(
    "easyedit",
    _write,
    (_FILE,),
    check=lambda planned: planned.check_text("easyedit"),
)
