"""Run a trainer of open-unlearning on a model trained by Behemoth.

    behemoth export RUN --plan PLAN --to tofu --out TOFU
    python examples/open_unlearning.py CLONE RUN TOFU OUT --trainer NPO
    python examples/open_unlearning.py CLONE RUN TOFU OUT --trainer NPO --print

CLONE is a clone of open-unlearning (https://github.com/locuslab/open-unlearning). Use the Python of
an environment with its requirements: this script needs no other package, not even Behemoth. It
writes the forget set and the retain set to OUT/data. Then it starts `src/train.py` of the clone
with overrides for them. OUT then contains the edited model as a directory of transformers. `--set`
adds an override of Hydra: KEY=VALUE for a key of the configs, ++KEY=VALUE for any other. `--print`
prints the command without running it.

DPO prefers the answers after the edit: refusals in a plan of them, otherwise the new objects. PDU
needs the bound of the retained loss: `--set trainer.method_args.retain_loss_eps=NATS`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Module that contains the blocks of a model, by its `model_type`; `model.layers` for any other.
BLOCKS = {"gpt_neox": "gpt_neox.layers", "gpt2": "transformer.h"}
BOUND = "trainer.method_args.retain_loss_eps"  # of PDU, which has no default for it


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
        JSON lines with ``question`` and ``answer``, and ``alternate`` if they have one.
    end : str
        Text after each answer.
    """
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    lines = []
    for row in rows:
        answers = {key: f" {row[key]}{end}" for key in ("answer", "alternate") if key in row}
        lines.append(json.dumps({"question": row["question"], **answers}) + "\n")
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


def overrides(run: Path, out: Path, trainer: str) -> list[str]:
    """Return Hydra's overrides of ``unlearn.yaml`` for a run and the splits in ``OUT/data``.

    - The model config is that of phi-1.5, which sets no attention kernel or system prompt, with the
      paths replaced and the tags emptied: a Behemoth model is not trained on chats.
    - No evaluation of open-unlearning runs: they need its data sets and logs of a retained model.
    - Training is in float32 with AdamW of PyTorch: the default, a paged AdamW with bfloat16, needs
      bitsandbytes and a GPU.
    """
    model, template = "model.model_args", "model.template_args"
    words = [
        "model=phi-1_5",
        f"trainer={trainer}",
        f"task_name={quoted(out.name)}",
        f"paths.output_dir={quoted(out)}",
        f"{model}.pretrained_model_name_or_path={quoted(run)}",
        f"model.tokenizer_args.pretrained_model_name_or_path={quoted(run)}",
        *(f"{template}.{who}_{end}_tag=''" for who in ("user", "asst") for end in ("start", "end")),
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


def command(run: Path, out: Path, trainer: str, more: Sequence[str] = ()) -> list[str]:
    """Return the command that trains, to be run in the clone."""
    words = [sys.executable, "src/train.py", "--config-name=unlearn.yaml"]
    return [*words, *overrides(run, out, trainer), *more]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the splits and run the trainer; return its exit status."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("clone", type=Path, help="clone of open-unlearning")
    parser.add_argument("run", type=Path, help="a run, or another directory of transformers")
    parser.add_argument("tofu", type=Path, help="export of a plan: behemoth export --to tofu")
    parser.add_argument("out", type=Path, help="directory to write the edited model to")
    parser.add_argument("--trainer", default="GradDiff", help="name in configs/trainer [GradDiff]")
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
        if not (run / "config.json").is_file():
            raise ValueError(f"{run}: allowed: a directory of transformers, with config.json")
        if given.trainer == "PDU" and not any(f"{BOUND}=" in word for word in given.set):
            raise ValueError(f"--trainer PDU: allowed: with --set {BOUND}=NATS, the retained bound")
        words = command(run, out, given.trainer, given.set)
        for part in ("forget", "retain"):
            write_split(split_of(given.tofu, part), out / "data" / f"{part}.json", given.end)
    except ValueError as error:
        parser.error(str(error))
    if given.print:
        print(shlex.join(words))
        return 0
    return subprocess.run(words, cwd=given.clone, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
