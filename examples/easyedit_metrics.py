"""EasyEdit's `BaseEditor` on a run: each edit by itself, measured by EasyEdit's own metrics.

    export PYTHONPATH=EasyEdit
    python examples/easyedit_metrics.py RUN easyedit/easyedit.json OUT.json --method rome

It takes the run, the JSON file and the hyperparameters of `easyedit.py`, and the packages that
`import easyeditor` needs. OUT.json receives what `BaseEditor.edit` returns: accuracies of each edit
before and after it, on its prompt, in other wordings, and of the facts that must stay. It prints
their means.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from easyedit import (
    MEMORIES,
    PUBLISHED,
    RIDGE,
    functions,
    hyperparameters,
    setting,
    use_contexts,
    use_null_space,
    write_covariances,
)

import behemoth as bh

METHODS = sorted(PUBLISHED.keys() - set(MEMORIES))


def measured(
    method: str, run: bh.Run, arguments: dict[str, Any], settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """Make each edit by itself with `BaseEditor.edit`, and return its metrics, one dict per edit.

    Parameters
    ----------
    method : {'alphaedit', 'emmet', 'ft', 'memit', 'rome'}
    run : behemoth.Run
    arguments : dict
        The contents of ``easyedit.json``.
    settings : dict
        Hyperparameters that replace the published ones.
    """
    import easyeditor
    from transformers import AutoTokenizer

    model = run.load_model("cpu").float()
    tokenizer = AutoTokenizer.from_pretrained(run.directory)
    tokenizer.padding_side = "right"  # tokens of prompts are counted from the left
    hparams = hyperparameters(method, model, settings)
    name = run.weights_digest()[:16]
    hparams["model_name"] = model.config._name_or_path = name
    use_contexts(False)
    with tempfile.TemporaryDirectory() as scratch:
        if "stats_dir" in hparams:
            hparams["stats_dir"] = scratch
        if hparams.get("mom2_adjustment"):
            write_covariances(run, model, hparams, 0.0 if method == "alphaedit" else RIDGE)
        used = getattr(functions(method), f"{hparams['alg_name']}HyperParams")(**hparams)
        if method == "alphaedit":
            use_null_space(model, tokenizer, used, scratch)
        # `BaseEditor` chooses the classes of model and tokenizer by a name; or it takes both.
        used.model_name = (model, tokenizer)
        editor = easyeditor.BaseEditor.from_hparams(used)
        used.model_name = editor.model_name = name
        given = {key: value for key, value in arguments.items() if value}
        found, _, _ = editor.edit(**given, sequential_edit=False, verbose=False)
    return found


def accuracies(metrics: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, list[float]]]:
    """Yield the name and the values of each accuracy in nested metrics."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from accuracies(value, f"{within}{name}.")
        elif name.endswith("_acc"):
            yield f"{within}{name}", np.atleast_1d(value).astype(float).tolist()


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description="EasyEdit's metrics of its edits of a run.")
    parser.add_argument("run", type=Path, help="training run")
    parser.add_argument("json", type=Path, help="easyedit.json of `behemoth export --to easyedit`")
    parser.add_argument("out", type=Path, help="JSON file to write")
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument(
        "--set", type=setting, action="append", default=[], metavar="KEY=JSON",
        help="a hyperparameter, such as layers=[1] or fact_token='\"last\"'; repeatable",
    )  # fmt: skip
    given = parser.parse_args()
    run = bh.load(given.run)
    if not isinstance(run, bh.Run):
        parser.error(f"run: got {given.run}, allowed: a finished training run")
    arguments = json.loads(given.json.read_text(encoding="utf-8"))
    edits = measured(given.method, run, arguments, dict(given.set))
    text = json.dumps(edits, indent=1, default=lambda array: np.asarray(array).tolist())
    given.out.write_text(f"{text}\n", encoding="utf-8")
    means: dict[str, list[float]] = {}
    for edit in edits:
        for name, values in accuracies(edit):
            means.setdefault(name, []).extend(values)
    for name, values in means.items():
        print(f"{name:<40} {np.mean(values):.4f} ({len(values)})")


if __name__ == "__main__":
    main()
