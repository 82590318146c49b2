"""Run a trainer or the metrics of open-unlearning on a model trained by Behemoth.

    behemoth export RUN --plan PLAN --to tofu --out TOFU
    python examples/open_unlearning.py CLONE RUN TOFU OUT --trainer NPO
    python examples/open_unlearning.py CLONE RUN TOFU OUT --trainer NPO --print
    python examples/open_unlearning.py CLONE RUN TOFU OUT --evaluate TWIN

CLONE is a clone of open-unlearning (https://github.com/locuslab/open-unlearning). Use the Python of
an environment with its requirements: this script needs no other package, not even Behemoth. It
writes the forget set and the retain set to OUT/data. Then it starts `src/train.py` of the clone
with overrides for them. OUT then contains the edited model as a directory of transformers. `--set`
adds an override of Hydra: KEY=VALUE for a key of the configs, ++KEY=VALUE for any other. `--print`
prints the command without running it.

DPO prefers the answers after the edit: refusals in a plan of them, otherwise the new objects. PDU
needs the bound of the retained loss: `--set trainer.method_args.retain_loss_eps=NATS`.

`--evaluate` trains nothing: it takes TOFU's metrics of RUN, or of an exported edit, and before them
those of TWIN, the exported twin, with which some metrics compare. `src/eval.py` runs in OUT, which
then contains TOFU_SUMMARY.json, TOFU_EVAL.json, and the same of the twin in OUT/twin.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Module that contains the blocks of a model, by its `model_type`; `model.layers` for any other.
BLOCKS = {"gpt_neox": "gpt_neox.layers", "gpt2": "transformer.h"}
BOUND = "trainer.method_args.retain_loss_eps"  # of PDU, which has no default for it
ANSWERS = ("answer", "alternate", "paraphrased_answer", "perturbed_answer")
# Metrics besides those of `configs/eval/tofu.yaml`: all but one that downloads a classifier.
METRICS = (
    "exact_memorization", "mia_loss", "mia_min_k", "mia_min_k_plus_plus", "mia_zlib",
    "mia_gradnorm", "mia_reference",
)  # fmt: skip


def split_of(tofu: Path, prefix: str) -> Path:
    """Return the file of an export's split, such as ``forget03.json`` for ``forget``.

    Raises
    ------
    ValueError
        If the folder has no such file or several.
    """
    found = sorted(tofu.glob(f"{prefix}[0-9][0-9].json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"{tofu}: found {names}, allowed: one file {prefix}NN.json")
    return found[0]


def write_split(source: Path, target: Path, end: str = "") -> int:
    """Copy a split, with the space before an answer moved into it; return the number of rows.

    open-unlearning tokenizes a prompt with and without its answer, and takes the difference of the
    two lengths for the answer. If the space were a tag between them, a subword tokenizer would make
    it a token of the prompt alone, and the first token of the answer would have no label.

    Parameters
    ----------
    source, target : Path
        JSON lines with ``question``, ``answer`` and possibly more answers (`ANSWERS`), of which
        one may be a list.
    end : str
        Text after each answer.
    """
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    lines = []
    for row in rows:
        for key in row.keys() & set(ANSWERS):
            several = isinstance(row[key], list)
            row[key] = [f" {one}{end}" for one in row[key]] if several else f" {row[key]}{end}"
        lines.append(json.dumps(row) + "\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(lines), encoding="utf-8")
    return len(rows)


def quoted(value: object) -> str:
    """Return a value as a string of Hydra's grammar of overrides.

    Raises
    ------
    ValueError
        For a quotation mark, a backslash, or ``${``, which Hydra interpolates.
    """
    text = str(value)
    if any(part in text for part in ('"', "\\", "${")):
        raise ValueError(f"got {text!r}, allowed: no quotation mark, backslash or ${{")
    return f'"{text}"'


def steered_block(run: Path) -> str:
    """Return a regular expression for the block that RMU steers: the last but one.

    It is the default of Behemoth's own `rmu`; with one block it is that one.
    """
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    count = config.get("num_hidden_layers", config.get("n_layer"))
    blocks = BLOCKS.get(config["model_type"], "model.layers")
    return f"{blocks}.{max(count - 2, 0)}".replace(".", "[.]")


def model_overrides(run: Path, out: Path) -> list[str]:
    """Return Hydra's overrides for a model and the directory to write to.

    The model config is that of phi-1.5, which sets no attention kernel or system prompt, with the
    paths replaced and the tags emptied: a Behemoth model is not trained on chats.
    """
    tags = [f"{who}_{end}_tag" for who in ("user", "asst") for end in ("start", "end")]
    return [
        "model=phi-1_5",
        f"task_name={quoted(out.name)}",
        f"paths.output_dir={quoted(out)}",
        f"model.model_args.pretrained_model_name_or_path={quoted(run)}",
        f"model.tokenizer_args.pretrained_model_name_or_path={quoted(run)}",
        *(f"model.template_args.{tag}=''" for tag in tags),
    ]


def overrides(run: Path, out: Path, trainer: str) -> list[str]:
    """Return Hydra's overrides of ``unlearn.yaml`` for a run and the splits in ``OUT/data``.

    - No evaluation of open-unlearning runs: it needs the logs of the twin (`evaluations`).
    - Training is in float32 with AdamW of PyTorch: the default, a paged AdamW with bfloat16, needs
      bitsandbytes and a GPU.
    """
    words = [
        *model_overrides(run, out),
        f"trainer={trainer}",
        "~eval",
        "trainer.args.do_eval=false",
        "trainer.args.eval_on_start=false",
        "trainer.args.eval_strategy=no",
        "trainer.args.report_to=none",
        "trainer.args.optim=adamw_torch",
        "trainer.args.bf16=false",
        "trainer.args.bf16_full_eval=false",
    ]
    for part in ("forget", "retain"):
        source = f"data.{part}.TOFU_QA_{part}.args.hf_args"
        file = quoted(out / "data" / f"{part}.json")
        words += [f"{source}.path=json", f"{source}.name=null", f"+{source}.data_files={file}"]
    if trainer == "RMU":
        words.append(f"trainer.method_args.module_regex={quoted(steered_block(run))}")
    elif trainer == "DPO":
        rows = "data.forget.TOFU_QA_forget"
        words += [f"{rows}.handler=QAwithAlternateDataset", f"+{rows}.args.alternate_key=alternate"]
    return words


def command(run: Path, out: Path, trainer: str) -> list[str]:
    """Return the command that trains, to be run in the clone."""
    words = [sys.executable, "src/train.py", "--config-name=unlearn.yaml"]
    return [*words, *overrides(run, out, trainer)]


def write_data(tofu: Path, out: Path, end: str) -> str:
    """Write an export to ``OUT/locuslab/TOFU``; return the number in its names, such as ``03``.

    `load_dataset` prefers a folder of the working directory to a data set of the hub, and
    ``locuslab/TOFU`` is the name in all configs of the metrics.
    """
    number = split_of(tofu, "forget").stem.removeprefix("forget")
    target = out / "locuslab" / "TOFU"
    names = (f"forget{number}_perturbed", f"holdout{number}", "retain_perturbed")
    for name in names:
        source = tofu / f"{name}.json"
        if not source.is_file():
            raise ValueError(f"{tofu}: has no {source.name}, allowed: with it, which metrics read")
        write_split(source, target / source.name, end)
    # `datasets` caches a local data set by its card and its names: the card must know the rows.
    rows = hashlib.sha256(b"".join((target / f"{name}.json").read_bytes() for name in names))
    card = "".join(
        f"- config_name: {name}\n  data_files: {name}.json\n  description: {rows.hexdigest()}\n"
        for name in names
    )
    (target / "README.md").write_text(f"---\nconfigs:\n{card}---\n", encoding="utf-8")
    return number


def evaluations(clone: Path, run: Path, twin: Path, out: Path, number: str) -> list[list[str]]:
    """Return the commands that evaluate the twin and the run, to be run in ``OUT``.

    Model utility is without real authors and world facts, of which no export can have any.
    """
    metrics = "eval.tofu.metrics"
    parts = ("Q_A_Prob_normalised", "Q_A_ROUGE", "Truth_Ratio")
    lacking = [f"{who}_{part}" for who in ("ra", "wf") for part in parts]
    words = [
        "model.model_args.device_map=auto",
        f"+eval/tofu_metrics=[{','.join(METRICS)}]",
        *(f"~{metrics}.model_utility.pre_compute.{name}" for name in lacking),
        f"{metrics}.mia_reference.reference_model_path={quoted(twin)}",
        f"eval.tofu.forget_split=forget{number}",
        f"eval.tofu.holdout_split=holdout{number}",
        "eval.tofu.overwrite=true",
    ]
    start = [sys.executable, str(clone / "src" / "eval.py")]
    logs = f"eval.tofu.retain_logs_path={quoted(out / 'twin' / 'TOFU_EVAL.json')}"
    return [
        [*start, *model_overrides(twin, out / "twin"), *words],
        [*start, *model_overrides(run, out), *words, logs],
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the splits and run the trainer or the metrics; return the exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("clone", type=Path, help="clone of open-unlearning")
    parser.add_argument("run", type=Path, help="a run, or another directory of transformers")
    parser.add_argument("tofu", type=Path, help="export of a plan: behemoth export --to tofu")
    parser.add_argument("out", type=Path, help="directory to write the edited model or metrics to")
    parser.add_argument("--trainer", default="GradDiff", help="name in configs/trainer [GradDiff]")
    parser.add_argument(
        "--evaluate", type=Path, metavar="TWIN", help="take the metrics, beside those of the twin"
    )
    parser.add_argument("--end", default="", help="text after each answer, such as ' .' [none]")
    parser.add_argument(
        "--set", action="append", default=[], help="override of Hydra; may be repeated"
    )
    parser.add_argument("--print", action="store_true", help="print the command and do not run it")
    given = parser.parse_args(arguments)
    run, out = given.run.resolve(), given.out.resolve()
    try:
        if not (given.clone / "src" / "train.py").is_file():
            raise ValueError(
                f"{given.clone}: allowed: a clone of open-unlearning, with src/train.py"
            )
        twin = given.evaluate and given.evaluate.resolve()
        for model in filter(None, (run, twin)):
            if not (model / "config.json").is_file():
                raise ValueError(f"{model}: allowed: a directory of transformers, with config.json")
        if given.trainer == "PDU" and not any(f"{BOUND}=" in word for word in given.set):
            raise ValueError(f"--trainer PDU: allowed: with --set {BOUND}=NATS, the retained bound")
        if twin:
            number = write_data(given.tofu, out, given.end)
            place, commands = out, evaluations(given.clone.resolve(), run, twin, out, number)
        else:
            place, commands = given.clone, [command(run, out, given.trainer)]
            for part in ("forget", "retain"):
                write_split(split_of(given.tofu, part), out / "data" / f"{part}.json", given.end)
    except ValueError as error:
        parser.error(str(error))
    for words in commands:
        words += given.set
        if given.print:
            print(shlex.join(words))
        elif status := subprocess.run(words, cwd=place, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
