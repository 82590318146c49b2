"""EasyEdit's own editors on a run: ROME, MEMIT, EMMET, AlphaEdit or FT, saved as a model.

    export PYTHONPATH=EasyEdit
    python examples/easyedit.py RUN easyedit/easyedit.json OUT --method rome
    python examples/easyedit.py RUN easyedit/easyedit.json OUT --method grace --plan PLAN

It needs the extra `train` (in a clone of Behemoth, pip install '.[train]'), datasets, matplotlib
and a clone of EasyEdit. RUN is a training run; the JSON file is its plan, written by `behemoth
export RUN --plan PLAN --to easyedit`. OUT receives the edited model and its tokenizer in Hugging
Face's format, which `behemoth evaluate` and `behemoth study add` read, and the hyperparameters
(hparams.json).

Names of modules, layers and covariances are derived from the run; other hyperparameters are those
of EasyEdit's hparams for GPT-2 XL, and `--set` overrides any of them. ROME makes one edit after
another, the others make all in one batch, and `--edit N` makes edit N by itself.

GRACE and WISE change no weights: they wrap a module, and make one edit after another. With them OUT
receives what `behemoth evaluate` would write of the wrapped model (frame.parquet, for the plan of
`--plan`) and the tensors of the memory (memory.safetensors).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file

import behemoth as bh
from behemoth.edit.locate.covariance import covariances
from behemoth.edit.locate.layout import Layout
from behemoth.evaluate import evaluate_pair
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
    "grace": {
        "n_iter": 200, "edit_lr": 1.0, "eps": 1.0, "dist_fn": "euc", "val_init": "cold",
        "val_train": "sgd", "val_reg": None, "reg": "early_stop", "replacement": "replace_last",
        "eps_expand": "coverage", "num_pert": 8, "dropout": 0.0,
    },
    "wise": {
        "n_iter": 70, "edit_lr": 1.0, "mask_ratio": 0.2, "norm_constraint": 1.0, "alpha": 5.0,
        "beta": 20.0, "gamma": 10.0, "act_ratio": 0.88, "save_freq": 500, "merge_freq": 1000,
        "merge_alg": "ties", "densities": 0.53, "weights": 1.0,
        "objective_optimization": "only_label", "retrieve": True, "replay": False,
    },
}  # fmt: skip
"""Hyperparameters by method, as in EasyEdit's hparams/*/gpt2-xl.yaml; WISE's for Llama 2."""
MEMORIES = ("grace", "wise")  # methods that wrap a module

_NAMES = {"alphaedit": "AlphaEdit"}  # of methods that EasyEdit does not write in capitals


def default_layers(method: str, count: int) -> list[int]:
    """Return the layers to edit of a model with `count` layers.

    They have the published places: the layer of ROME and EMMET below the middle, the band of MEMIT
    and AlphaEdit that ends there, and for FT, GRACE and WISE one layer at the same share of the
    depth: layer 21 of 32, 35 of 48 and 27 of 32.
    """
    middle = (count - 1) // 2
    if method in ("ft", *MEMORIES):
        layer, of = {"ft": (21, 32), "grace": (35, 48), "wise": (27, 32)}[method]
        return [count * layer // of]
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
    method : {'rome', 'memit', 'emmet', 'alphaedit', 'ft', 'grace', 'wise'}
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
    architecture = Architecture.of(model)
    count = architecture.layers
    layers = default_layers(method, count)
    found = PUBLISHED[method] | modules(model) | {"layers": layers}
    if method in MEMORIES:
        # EasyEdit evaluates the name as Python.
        name = re.sub(r"[.](\d+)[.]", r"[\1].", architecture.mlp_out(layers[0]))
        found = PUBLISHED[method] | {"inner_params": [f"{name}.weight"]}
        edits = 1
    elif method == "ft":
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
    for method in PUBLISHED.keys() - {"ft", *MEMORIES}:
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


def wrap(
    method: str,
    run: bh.Run,
    requests: list[dict[str, str]],
    settings: dict[str, Any],
    *,
    contexts: bool = True,
) -> tuple[Any, dict[str, torch.Tensor], dict[str, Any]]:
    """Make edits one after another in a model one of whose modules EasyEdit wraps.

    Parameters
    ----------
    method : {'grace', 'wise'}
    run : behemoth.Run
    requests : list of dict
        The edits: ``prompt``, ``target_new`` and for WISE ``loc_prompt``, a text that must stay.
    settings : dict
        Hyperparameters that replace the published ones.
    contexts : bool
        Whether WISE also uses each prompt after texts that the model generates.

    Returns
    -------
    model
        The model with the wrapped module.
    memory : dict of str to Tensor
        GRACE's ``keys``, ``values`` and ``epsilons``; WISE's ``change`` of its copy of the matrix,
        and ``activation``, the smallest of the edits.
    hparams : dict
        The hyperparameters used.
    """
    from transformers import AutoTokenizer

    model = run.load_model("cpu").float()
    hparams = hyperparameters(method, model, settings)
    # WISE has a special case for names with "gpt2", whose matrices are transposed.
    hparams["model_name"] = (
        f"{model.config.model_type.replace('_', '')}-{run.weights_digest()[:16]}"
    )
    tokenizer = AutoTokenizer.from_pretrained(run.directory)
    tokenizer.padding_side = "left"
    main = functions(method)
    if method == "wise":
        texts = easyedit_module("models.wise.utils")
        texts.CONTEXT_TEMPLATES_CACHE = None if contexts else ["{}"]
    used = {"grace": "GraceHyperParams", "wise": "WISEHyperParams"}[method]
    own = getattr(main, used)(**hparams)
    own.sequential_edit = True  # otherwise every edit of WISE begins with a new memory
    np.random.seed(0)  # noqa: NPY002  # WISE draws its mask by it
    torch.manual_seed(0)  # the first values of GRACE
    for request in requests:
        getattr(main, f"apply_{method}_to_model")(model, tokenizer, [request], own)
    adapter = model.get_submodule(re.sub(r"\[(\d+)\]", r".\1", hparams["inner_params"][0][:-7]))
    if method == "grace":
        # An input is looked up at its last token, as after `GRACE.generate`.
        adapter.register_forward_pre_hook(lambda module, _: setattr(module, "key_id", -1))
        memory = {name: getattr(adapter, name) for name in ("keys", "values", "epsilons")}
    else:
        least = torch.tensor(adapter.editing_mean_act.min_act())
        memory = {"change": adapter.new_weight - adapter.original_layer.weight, "activation": least}
    memory = {name: each.detach().clone().contiguous() for name, each in memory.items()}
    return model, memory, hparams


def staying(arguments: dict[str, Any]) -> list[str]:
    """Return a text for each edit that must stay: its first locality prompt, with the answer."""
    found: list[str] = []
    for edit in range(len(arguments["prompts"])):
        texts = [
            f"{each['prompt'][edit][0]} {each['ground_truth'][edit][0]}"
            for each in arguments["locality_inputs"].values()
            if each["prompt"][edit]
        ]
        if not texts:
            raise ArgumentError("json", f"edit {edit} without locality prompts", "edits with one")
        found.append(texts[0])
    return found


def requests_of(arguments: dict[str, Any], method: str) -> list[dict[str, str]]:
    """Return the edits of an export as EasyEdit's functions take them."""
    columns = (arguments["prompts"], arguments["subject"], arguments["target_new"])
    requests = [
        {"prompt": prompt, "subject": subject, "target_new": target}
        for prompt, subject, target in zip(*columns, strict=True)
    ]
    if method == "wise":
        for request, text in zip(requests, staying(arguments), strict=True):
            request["loc_prompt"] = text
    return requests


def evaluated(run: bh.Run, model: Any, plan: bh.EditPlan, method: str) -> pl.DataFrame:
    """Return the evaluation of a wrapped model, one prompt at a time: see `evaluate_pair`.

    The wrappers take means over a batch, or one place for all of its rows.
    """
    if method == "grace" and plan.probes["answer"].list.len().max() != 1:
        raise ArgumentError("plan", "answers of several tokens", "answers of one for GRACE")
    before = run.load_model("cpu").float()
    return evaluate_pair(
        before, model, run.corpus, plan, method=f"EasyEdit {method.upper()}", run=run.name,
        seed=run.seed, batch_size=1,
    )  # fmt: skip


def setting(text: str) -> tuple[str, Any]:
    """Parse KEY=JSON."""
    name, _, value = text.partition("=")
    return name, json.loads(value)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description="Edit a run with EasyEdit, by an exported plan.")
    parser.add_argument("run", type=Path, help="training run")
    parser.add_argument("json", type=Path, help="easyedit.json of `behemoth export --to easyedit`")
    parser.add_argument("out", type=Path, help="directory to write")
    parser.add_argument("--method", choices=sorted(PUBLISHED), required=True)
    parser.add_argument("--plan", type=Path, help="the plan itself, for grace and wise")
    parser.add_argument("--edit", type=int, help="number of the only edit to make [all]")
    parser.add_argument(
        "--set", type=setting, action="append", default=[], metavar="KEY=JSON",
        help="a hyperparameter, such as layers=[1] or fact_token='\"last\"'; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--no-contexts", action="store_true", help="no generated texts before prompts"
    )
    given = parser.parse_args()
    if given.method in MEMORIES and given.plan is None:
        parser.error(f"--plan: got nothing, allowed: the plan, for --method {given.method}")
    if given.method in MEMORIES and given.edit is not None:
        allowed = f"none for --method {given.method}, which is evaluated on the complete plan"
        parser.error(f"--edit: got {given.edit}, allowed: {allowed}")
    run = bh.load(given.run)
    if not isinstance(run, bh.Run):
        parser.error(f"run: got {given.run}, allowed: a finished training run")
    arguments = json.loads(given.json.read_text(encoding="utf-8"))
    try:
        requests = requests_of(arguments, given.method)
    except ArgumentError as error:
        parser.error(str(error))
    if given.edit is not None:
        if not 0 <= given.edit < len(requests):
            parser.error(f"--edit: got {given.edit}, allowed: 0 to {len(requests) - 1}")
        requests = [requests[given.edit]]
    out: Path = given.out
    settings, contexts = dict(given.set), not given.no_contexts
    try:
        if given.method in MEMORIES:
            plan = bh.EditPlan.load(given.plan)
            if len(plan) != len(requests):
                allowed = f"the plan of {given.json}, of {len(requests)}"
                parser.error(f"--plan: got {given.plan}, of {len(plan)} edits, allowed: {allowed}")
            model, memory, hparams = wrap(given.method, run, requests, settings, contexts=contexts)
            frame = evaluated(run, model, plan, given.method)
            out.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(out / "frame.parquet")
            save_file(memory, out / "memory.safetensors")
        else:
            model, tokenizer, hparams = make_edits(
                given.method, run, requests, settings, contexts=contexts
            )
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)
    except ArgumentError as error:
        parser.error(str(error))
    (out / "hparams.json").write_text(f"{json.dumps(hparams, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
