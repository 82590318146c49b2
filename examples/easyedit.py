"""EasyEdit's own editors on a run: ROME, MEMIT, EMMET, AlphaEdit or FT, saved as a model.

    PYTHONPATH=EasyEdit python easyedit.py RUN easyedit/easyedit.json OUT --method rome

It needs behemoth[train], datasets, matplotlib and a clone of EasyEdit. RUN is a training run; the
JSON file is its plan, written by `behemoth export RUN --plan PLAN --to easyedit`. OUT receives the
edited model and its tokenizer in Hugging Face's format, which `behemoth evaluate` and `behemoth
study add` read, and the hyperparameters (hparams.json).

Names of modules, layers and covariances are derived from the run; other hyperparameters are those
of EasyEdit's hparams for GPT-2 XL, and `--set` overrides any of them. ROME makes one edit after
another, the others make all in one batch, and `--edit N` makes edit N by itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import behemoth as bh
from behemoth.edit.locate.covariance import covariances
from behemoth.edit.locate.layout import Layout
from behemoth.model.architecture import Architecture
from behemoth.support.errors import ArgumentError

SAMPLES = 100_000  # tokens of the corpus, or as many as it has, for the covariances of keys
RIDGE = 1e-5  # share of a covariance's mean diagonal added to its diagonal: EasyEdit inverts it

_SEARCH = {
    "fact_token": "subject_last",
    "v_num_grad_steps": 20,
    "v_lr": 0.5,
    "v_weight_decay": 0.5,
    "kl_factor": 0.0625,
    "mom2_dataset": "wikipedia",  # the name of the file; the covariances are those of the corpus
    "mom2_n_samples": SAMPLES,
    "mom2_dtype": "float32",
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "rome": _SEARCH
    | {
        "clamp_norm_factor": 4.0,
        "mom2_adjustment": False,
        "context_template_length_params": [[5, 10], [10, 10]],
    },
    "memit": _SEARCH
    | {
        "clamp_norm_factor": 0.75,
        "mom2_adjustment": True,
        "mom2_update_weight": 20_000,
        "layer_selection": "all",
    },
    "emmet": _SEARCH
    | {
        "clamp_norm_factor": 0.75,
        "mom2_adjustment": True,
        "mom2_update_weight": 10_000,
        "layer_selection": "all",
        "update_norm_lambda": 0,
        "emmet_lambda": 0.1,
    },
    "alphaedit": _SEARCH
    | {
        "clamp_norm_factor": 0.75,
        "mom2_adjustment": True,
        "mom2_update_weight": 20_000,
        "layer_selection": "all",
        "nullspace_threshold": 0.02,
        "L2": 10,
    },
    "ft": {
        "num_steps": 25,
        "lr": 5e-4,
        "weight_decay": 0.0,
        "kl_factor": 0.0,
        "norm_constraint": 5e-4,
        "objective_optimization": "prompt_last",
    },
}
"""Hyperparameters by method, as in EasyEdit's hparams/*/gpt2-xl.yaml."""

_NAMES = {"alphaedit": "AlphaEdit"}  # of methods that EasyEdit does not write in capitals


def default_layers(method: str, count: int) -> list[int]:
    """Return the layers to edit of a model with `count` layers.

    They have the published places: the layer of ROME and EMMET below the middle, the band of MEMIT
    and AlphaEdit that ends there, and for FT the layer at two thirds of the depth, as in
    hparams/FT/llama-7b.yaml.
    """
    middle = (count - 1) // 2
    if method == "ft":
        return [count * 21 // 32]
    return [middle] if method in ("rome", "emmet") else list(range(count // 4, middle + 1))


def modules(model: torch.nn.Module) -> dict[str, str]:
    """Return the names of a model's modules as hparams have them, `{}` for the layer's number."""
    architecture = Architecture.of(model)
    block = architecture.block(0)
    template = f"{block.removesuffix('0')}{{}}"

    def within(module: str) -> str:
        return module.replace(block, template, 1)

    written = within(architecture.mlp_out(0))
    # A head that is the embedding has no parameter of its own.
    parameters = dict(model.named_parameters())
    own = f"{architecture.head}.weight" in parameters
    return {
        "rewrite_module_tmp": written,
        "layer_module_tmp": template,
        "mlp_module_tmp": written.rpartition(".")[0],
        "attn_module_tmp": within(architecture.attention_out(0)).rpartition(".")[0],
        "ln_f_module": architecture.final_norm,
        "lm_head_module": architecture.head if own else architecture.embedding,
    }


def hyperparameters(
    method: str, model: torch.nn.Module, settings: dict[str, Any], edits: int = 1
) -> dict[str, Any]:
    """Return the fields of EasyEdit's hyperparameters for a model.

    Parameters
    ----------
    method : {'rome', 'memit', 'emmet', 'alphaedit', 'ft'}
    model : nn.Module
        A model of a family that Behemoth knows.
    settings : dict
        Hyperparameters that replace the published ones.
    edits : int
        Number of edits in a batch.

    Raises
    ------
    ArgumentError
        For a setting that the method does not have.
    """
    count = Architecture.of(model).layers
    found = PUBLISHED[method] | modules(model) | {"layers": default_layers(method, count)}
    if method == "ft":
        # Without the suffix FT changes the bias too.
        found["rewrite_module_tmp"] += ".weight"
    else:
        found |= {"v_loss_layer": count - 1, "stats_dir": "stats"}
    if method != "rome":
        found["batch_size"] = edits
    if method == "alphaedit":
        found["P_loc"] = "null_space_project.pt"  # a file that is not read, see `use_null_space`
    found |= {"alg_name": _NAMES.get(method, method.upper()), "model_name": "", "device": "cpu"}
    for name in settings:
        if name not in found:
            raise ArgumentError.unknown("--set", name, found)
    return found | settings


def easyedit_module(name: str) -> ModuleType:
    """Import a module of EasyEdit without the packages above it, which import every method.

    Raises
    ------
    ModuleNotFoundError
        If EasyEdit is not on PYTHONPATH, or the module needs a package that is not installed.
    """
    for package in ("easyeditor", "easyeditor.models"):
        if package not in sys.modules:
            found = importlib.util.find_spec(package)
            if found is None:
                raise ModuleNotFoundError("EasyEdit is not on PYTHONPATH", name=package)
            sys.modules[package] = importlib.util.module_from_spec(found)  # and not executed
    return importlib.import_module(f"easyeditor.{name}")


def functions(method: str) -> ModuleType:
    """Import the module of EasyEdit that makes the edits of a method."""
    if method == "ft":
        return easyedit_module("models.ft")
    name = _NAMES.get(method, method)
    return easyedit_module(f"models.{method}.{name}_main")


def write_covariances(
    run: bh.Run, model: torch.nn.Module, hparams: dict[str, Any], ridge: float
) -> None:
    """Write the covariances of keys over the run's corpus where EasyEdit looks for Wikipedia's.

    Wikipedia has other words than a run, and EasyEdit reads a file that exists instead of it.
    """
    statistics = easyedit_module("util.runningstats")
    layout, samples = Layout.of(run.config), hparams["mom2_n_samples"]
    folder = Path(hparams["stats_dir"], hparams["model_name"], f"{hparams['mom2_dataset']}_stats")
    for layer, found in covariances(model, run.corpus, hparams["layers"], samples, layout).items():
        moment = statistics.SecondMoment()
        moment.count = found.samples
        moment.mom2 = found.regularised(ridge) * found.samples
        module = hparams["rewrite_module_tmp"].format(layer)
        file = folder / f"{module}_{hparams['mom2_dtype']}_mom2_{samples}.npz"
        statistics.save_cached_state(
            str(file), statistics.CombinedStat(mom2=moment), {"sample_size": samples}
        )


def use_contexts(contexts: bool) -> None:
    """Choose whether the search also uses each prompt after texts that the model generates."""
    # EasyEdit generates them for the first model of a process and keeps them for all others.
    for method in PUBLISHED.keys() - {"ft"}:
        alone: list[Any] = ["{}"] if method == "rome" else [["{}"]]
        functions(method).CONTEXT_TEMPLATES_CACHE = None if contexts else alone


def use_null_space(model: torch.nn.Module, tokenizer: Any, hparams: Any, scratch: str) -> None:
    """Let AlphaEdit project onto the null space of the run's covariances, before the first edit.

    EasyEdit does the same, for models whose names contain those of four families, and otherwise
    leaves the matrices undefined.
    """
    main = functions("alphaedit")
    layers = hparams.layers
    main.P = torch.stack([main.get_project(model, tokenizer, layer, hparams) for layer in layers])
    main.cache_c = torch.zeros_like(main.P)
    main.P_loaded = main.cache_c_new = True
    hparams.P_loc = scratch  # what exists is taken for a file that has been loaded


def make_edits(
    method: str,
    run: bh.Run,
    requests: list[dict[str, str]],
    settings: dict[str, Any],
    *,
    contexts: bool = True,
) -> tuple[Any, Any, dict[str, Any]]:
    """Make edits with the functions that EasyEdit's `BaseEditor` calls.

    Parameters
    ----------
    method : {'rome', 'memit', 'emmet', 'alphaedit', 'ft'}
    run : behemoth.Run
    requests : list of dict
        The edits: ``prompt``, ``subject`` and ``target_new``.
    settings : dict
        Hyperparameters that replace the published ones.
    contexts : bool
        Whether methods other than FT also use each prompt after texts that the model generates.

    Returns
    -------
    model, tokenizer
        The edited model, and the tokenizer.
    hparams : dict
        The hyperparameters used.
    """
    from transformers import AutoTokenizer

    model = run.load_model("cpu").float()
    hparams = hyperparameters(method, model, settings, len(requests))
    # The name under which EasyEdit keeps covariances. It treats names of some families specially.
    hparams["model_name"] = model.config._name_or_path = run.weights_digest()[:16]
    tokenizer = AutoTokenizer.from_pretrained(run.directory)
    # All but FT count tokens from the left, and so does FT's loss at the prompt's last token; its
    # loss on complete targets counts from the right.
    left = hparams.get("objective_optimization") == "target_new"
    tokenizer.padding_side = "left" if left else "right"
    use_contexts(contexts)
    module = functions(method)
    apply = getattr(module, f"apply_{_NAMES.get(method, method)}_to_model")
    kept = getattr(module, f"{hparams['alg_name']}HyperParams")
    with tempfile.TemporaryDirectory() as scratch:
        if "stats_dir" in hparams:
            hparams["stats_dir"] = scratch
        if hparams.get("mom2_adjustment"):
            # AlphaEdit compares eigenvalues with a threshold, the others invert the matrix.
            write_covariances(run, model, hparams, 0.0 if method == "alphaedit" else RIDGE)
        used = kept(**hparams)
        if method == "alphaedit":
            use_null_space(model, tokenizer, used, scratch)
        # ROME makes the first request of a list.
        batches = [[request] for request in requests] if method == "rome" else [requests]
        for batch in batches:
            model, _ = apply(model, tokenizer, batch, used)
    return model, tokenizer, hparams


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, json.loads(value)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description="Edit a run with EasyEdit, by an exported plan.")
    parser.add_argument("run", type=Path, help="training run")
    parser.add_argument("plan", type=Path, help="easyedit.json of `behemoth export --to easyedit`")
    parser.add_argument("out", type=Path, help="directory to write")
    parser.add_argument("--method", choices=sorted(PUBLISHED), required=True)
    parser.add_argument("--edit", type=int, help="number of the only edit to make [all]")
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="KEY=JSON",
        help="a hyperparameter, such as layers=[1] or fact_token='\"last\"'; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--no-contexts", action="store_true", help="no generated texts before prompts"
    )
    given = parser.parse_args()
    run = bh.load(given.run)
    if not isinstance(run, bh.Run):
        parser.error(f"run: got {given.run}, allowed: a finished training run")
    arguments = json.loads(given.plan.read_text(encoding="utf-8"))
    columns = (arguments["prompts"], arguments["subject"], arguments["target_new"])
    requests = [
        {"prompt": prompt, "subject": subject, "target_new": target}
        for prompt, subject, target in zip(*columns, strict=True)
    ]
    if given.edit is not None:
        if not 0 <= given.edit < len(requests):
            parser.error(f"--edit: got {given.edit}, allowed: 0 to {len(requests) - 1}")
        requests = [requests[given.edit]]
    try:
        model, tokenizer, hparams = make_edits(
            given.method, run, requests, dict(given.set), contexts=not given.no_contexts
        )
    except ArgumentError as error:
        parser.error(str(error))
    out: Path = given.out
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "hparams.json").write_text(f"{json.dumps(hparams, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
