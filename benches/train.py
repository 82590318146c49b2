"""Bench of training: tokens per second of behemoth, transformers.Trainer and LitGPT.

    python benches/train.py                                    # nano, micro, 31m on the CPU
    python benches/train.py --models nano --rounds 1           # a quick look
    python benches/train.py --litgpt /tmp/litgpt/bin/python    # an environment with litgpt

All train the same architecture on the same tokens in the same batches and order, with AdamW, a
cosine schedule, clipping and the same precision, and attention that crosses documents; behemoth's
own default, documents masked, is measured as well. Each run is a separate process; they take turns,
so that a drift of the machine's clock affects all of them. The measured time is that between the
ends of optimiser steps, from the end of the warm-up to the last, without loading, compiling and
saving. Processor time, which is less affected by a busy machine, is shown too; it is reliable with
`--threads 1`, where no thread spins while it waits for another. It asserts no times. If there is a
GPU, behemoth's own rate and MFU on it are measured as well; if there is none, or LitGPT is not
installed, it prints a note.

The floor is the time that a step's matrix products alone would take at the rate of one large
product of the same precision, which each run of behemoth measures when it has trained. It counts
the operations of the forward and the backward pass, and of attention the half that a causal mask
leaves; it does not count what is computed once more to save memory. How many times the floor a side
takes is shown for those that attend across documents: with documents masked, less is computed.

LitGPT needs an older huggingface-hub than transformers 5, and therefore a separate environment:
``uv venv DIR && uv pip install --python DIR litgpt``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOALS = {"trainer": 1.3, "litgpt": 1.0}  # behemoth : other, at least
WARM_UP = 4  # steps that are not counted
GPU_RUNS = (("31m", 256, 1), ("160m", 256, 2))  # size, blocks of a batch, parts of a batch


# What runs in a process of its own: one side, once. Each gives steps done with the time then.


def behemoth_side(job: dict[str, Any]) -> dict[str, Any]:
    """`behemoth.train` from the spec, with metrics and all else that its users get."""
    import torch

    from behemoth.train import default_config, train
    from behemoth.train.flops import peak_flops

    ends: list[tuple[int, float, float]] = []
    mfus: list[float] = []

    def report(moment: Any) -> None:
        report = moment.details
        ends.append((report.step, time.perf_counter(), time.process_time()))
        if report.mfu is not None:
            mfus.append(report.mfu)

    config = default_config(
        job["model"],
        steps=job["steps"],
        block_length=job["block_length"],
        batch_size=job["batch_size"],
        precision=job["precision"],
        device=job["device"],
        threads=job["threads"],
        log_interval=WARM_UP,
        eval_interval=10**9,
        probe_facts=0,
        tensorboard=False,
        document_mask=job["side"] == "masked",
        **job.get("settings", {}),
    )
    train(job["spec"], out=Path(job["out"]) / "run", config=config, progress=report)
    dtype = torch.bfloat16 if job["precision"] == "bf16" else torch.float32
    return {
        "ends": ends,
        "mfu": statistics.median(mfus[1:]) if mfus[1:] else None,
        "versions": "",
        "peak": peak_flops(torch.device(job["device"]), dtype),
    }


def trainer_side(job: dict[str, Any]) -> dict[str, Any]:
    """`transformers.Trainer` over a map-style dataset of the shards, in their order."""
    import torch
    import transformers
    from torch.utils.data import Dataset, SequentialSampler

    from behemoth import Corpus
    from behemoth.model.build import build_model
    from behemoth.model.sizes import find_size
    from behemoth.train.data import BlockDataset

    corpus = Corpus.open(job["corpus"])
    blocks = BlockDataset(corpus, job["block_length"])

    class Rows(Dataset):
        def __len__(self) -> int:
            return len(blocks)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            block = blocks[index]
            return {"input_ids": block, "labels": block}

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, dataset: Any = None) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    ends: list[tuple[int, float, float]] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append((len(ends) + 1, time.perf_counter(), time.process_time()))

    arguments = transformers.TrainingArguments(
        output_dir=job["out"],
        per_device_train_batch_size=job["batch_size"],
        max_steps=job["steps"],
        learning_rate=1e-3,
        warmup_steps=2,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        bf16=job["precision"] == "bf16",
        use_cpu=True,
        save_strategy="no",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = InOrder(
        model=build_model(find_size(job["model"]), job["vocabulary"]),
        args=arguments,
        train_dataset=Rows(),
        callbacks=[Clock()],
    )
    trainer.train()
    return {"ends": ends, "versions": f"transformers {transformers.__version__}"}


def litgpt_side(job: dict[str, Any]) -> dict[str, Any]:
    """`litgpt.pretrain` over the mapped shards, in their order."""
    from importlib import metadata

    import litgpt.pretrain
    import numpy as np
    import torch
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.config import Config
    from litgpt.data import DataModule
    from torch.utils.data import DataLoader, Dataset

    length, batch_size, shape = job["block_length"], job["batch_size"], job["shape"]
    tokens = np.memmap(Path(job["corpus"]) / "tokens" / "00000.bin", dtype=job["dtype"], mode="r")

    class Rows(Dataset):
        def __len__(self) -> int:
            return (len(tokens) - 1) // length

        def __getitem__(self, index: int) -> torch.Tensor:
            row = tokens[index * length : (index + 1) * length + 1]  # one more: labels are shifted
            return torch.from_numpy(row.astype(np.int64))

    ends: list[tuple[int, float, float]] = []

    class Clocked(DataLoader):
        def __iter__(self) -> Any:
            for batch in super().__iter__():
                # The steps before this batch are done.
                ends.append((len(ends), time.perf_counter(), time.process_time()))
                yield batch

    class Tokens(DataModule):
        def connect(self, tokenizer: Any = None, batch_size: int = 1, **_: Any) -> None:
            self.batch_size = batch_size

        def train_dataloader(self) -> DataLoader:
            return Clocked(Rows(), batch_size=batch_size)

        def val_dataloader(self) -> DataLoader:
            return DataLoader(Rows(), batch_size=batch_size)

    # It would pickle the loader at the end; saving is not measured on any side.
    litgpt.pretrain.save_checkpoint = lambda *_: None
    config = Config(
        name=job["model"],
        block_size=length,
        vocab_size=job["vocabulary"],
        padded_vocab_size=job["vocabulary"],
        n_layer=shape["layers"],
        n_embd=shape["width"],
        n_head=shape["heads"],
        intermediate_size=shape["hidden"],
        rotary_percentage=0.25,
    )
    litgpt.pretrain.setup(
        model_name=job["model"],
        model_config=config,
        out_dir=Path(job["out"]),
        precision="bf16-mixed" if job["precision"] == "bf16" else "32-true",
        data=Tokens(),
        train=TrainArgs(
            save_interval=None,
            log_interval=10,
            global_batch_size=batch_size,
            micro_batch_size=batch_size,
            max_tokens=job["steps"] * batch_size * length,
            max_norm=1.0,
            lr_warmup_steps=2,
            tie_embeddings=False,
        ),
        eval=EvalArgs(
            interval=10**9, max_iters=1, initial_validation=False, final_validation=False
        ),
        optimizer={
            "class_path": "torch.optim.AdamW",
            "init_args": {"lr": 1e-3, "betas": [0.9, 0.95], "weight_decay": 0.01},
        },
        devices=1,
        logger_name="csv",
    )
    return {"ends": ends, "versions": f"litgpt {metadata.version('litgpt')}"}


def work(job: dict[str, Any]) -> None:
    """Run one side and print what it measured as the last line."""
    if job["side"] in ("behemoth", "masked"):
        from behemoth.support.process import prepare  # as `behemoth train` does

        prepare()
    import torch

    run: Callable[[dict[str, Any]], dict[str, Any]] = {
        "behemoth": behemoth_side,
        "masked": behemoth_side,
        "trainer": trainer_side,
        "litgpt": litgpt_side,
    }[job["side"]]
    torch.set_num_threads(job["threads"])
    print(json.dumps(run(job)), flush=True)
    os._exit(0)  # what a library leaves running at its exit is not measured here


# What the bench itself does.


def counted_flops(name: str, vocabulary: int, block_length: int) -> float:
    """Operations of training on one token, as torch counts them; see the floor above."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from behemoth.model.build import build_model
    from behemoth.model.sizes import find_size

    model = build_model(find_size(name), vocabulary).train()
    # The products one by one: the kernels of attention compute scores again when they go back.
    model.set_attn_implementation("eager")
    tokens = torch.zeros(1, block_length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens, labels=tokens).loss.backward()
    attention = counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0)
    return (counter.get_total_flops() - attention / 2) / block_length


def measure(job: dict[str, Any], python: str) -> dict[str, Any]:
    """Run one side in a process of its own; its messages are shown only if it fails."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [python, __file__, "--work", json.dumps(job | {"out": out})],
            capture_output=True,
            text=True,
            check=False,
            cwd=out,
        )
    if done.returncode != 0:
        sys.exit(f"{job['side']} {job['model']}: exit code {done.returncode}\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    first, *_, last = [end for end in found["ends"] if end[0] >= WARM_UP]
    steps, seconds, processor = (b - a for a, b in zip(first, last, strict=True))
    tokens = steps * job["batch_size"] * job["block_length"]
    return found | {"rate": tokens / seconds, "processor_rate": tokens / processor}


def has_litgpt(python: str) -> bool:
    """Whether an interpreter can import LitGPT."""
    return subprocess.run([python, "-c", "import litgpt"], capture_output=True).returncode == 0


def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every size, the sides in turns."""
    from dataclasses import asdict

    import behemoth as bh
    from behemoth.model.build import padded_vocabulary
    from behemoth.model.sizes import find_size
    from behemoth.support.provenance import cores

    pythons = dict.fromkeys(("behemoth", "masked", "trainer"), sys.executable)
    skipped: list[str] = []
    if has_litgpt(options.litgpt):
        pythons["litgpt"] = options.litgpt
    else:
        skipped.append(f"LitGPT: {options.litgpt} has no litgpt")
    versions: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        world = bh.World(subjects=10_000, relations=4, objects=100, seed=0)
        corpus = bh.Corpus(world, exposures=20, shard_bytes=1 << 28)
        directory = Path(place) / "corpus"
        corpus.write(directory, probes=0)
        spec = Path(place) / "spec.toml"
        spec.write_text(corpus.spec_toml, encoding="utf-8")
        for name in options.models.split(","):
            job = {
                "model": name,
                "shape": asdict(find_size(name)),
                "vocabulary": padded_vocabulary(corpus.vocabulary_size, 8),
                "corpus": str(directory),
                "spec": str(spec),
                "dtype": str(corpus.dtype),
                "block_length": options.block_length,
                "batch_size": options.batch_size,
                "steps": options.steps,
                "precision": options.precision,
                "device": "cpu",
                "threads": options.threads or cores(),
            }
            rates: dict[str, list[tuple[float, float]]] = {side: [] for side in pythons}
            peaks: list[float] = []
            for _ in range(options.rounds):
                for side, python in pythons.items():
                    found = measure(job | {"side": side}, python)
                    rates[side].append((found["rate"], found["processor_rate"]))
                    versions[side] = found["versions"]
                    peaks += [found["peak"]] if side == "behemoth" else []
            flops = counted_flops(name, job["vocabulary"], options.block_length)
            peak = statistics.median(peaks)
            rows.append({"model": name, "rates": rates, "flops_per_token": flops, "peak": peak})
        gpu = on_gpu(spec, options, skipped)
    return {
        "rows": rows,
        "gpu": gpu,
        "versions": versions,
        "skipped": skipped,
        "precision": options.precision,
        "batch": f"{options.batch_size} x {options.block_length} tokens",
        "steps": options.steps,
        "threads": options.threads or cores(),
    }


def on_gpu(spec: Path, options: argparse.Namespace, skipped: list[str]) -> list[dict[str, Any]]:
    """Measure behemoth alone on a GPU, if there is one."""
    import torch

    from behemoth.support.provenance import cores

    if not torch.cuda.is_available():
        skipped.append("tokens/s and MFU on a GPU: there is none here")
        return []
    rows = []
    for name, batch_size, accumulate in GPU_RUNS:
        job = {
            "side": "behemoth",
            "model": name,
            "spec": str(spec),
            "block_length": 512,
            "batch_size": batch_size,
            "steps": 10 * options.steps,
            "precision": "bf16",
            "device": "cuda",
            "threads": cores(),
            "settings": {"accumulate": accumulate, "compile": "on"},
        }
        found = [measure(job, sys.executable) for _ in range(options.rounds)]
        rows.append(
            {
                "model": name,
                "device": torch.cuda.get_device_name(),
                "rate": statistics.median(row["rate"] for row in found),
                "mfu": statistics.median(row["mfu"] for row in found),
            }
        )
    return rows


def over_floor(row: dict[str, Any]) -> dict[str, float]:
    """How many times the floor each side takes that attends across documents."""
    return {
        side: row["peak"] / row["flops_per_token"] / statistics.median(rate for rate, _ in found)
        for side, found in row["rates"].items()
        if side != "masked"
    }


def show(results: dict[str, Any]) -> None:
    """Print the table, ratios first."""
    versions = results["versions"]
    print("| model | behemoth : other | by processor time | goal | behemoth | other | other is |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in results["rows"]:
        rates = {
            side: [statistics.median(column) for column in zip(*found, strict=True)]
            for side, found in row["rates"].items()
        }
        own, processor = rates["behemoth"]
        for other in [side for side in rates if side != "behemoth"]:
            rate, other_processor = rates[other]
            goal = f"{GOALS[other]:.1f}" if other in GOALS else ""
            name = versions[other] or "behemoth, documents masked (its default)"
            print(
                f"| {row['model']} | {own / rate:.2f} | {processor / other_processor:.2f} "
                f"| {goal} | {own:,.0f} | {rate:,.0f} | {name} |"
            )
    print(
        f"\nTokens a second on the CPU: {results['threads']} threads, {results['precision']}, "
        f"batches of {results['batch']}, medians of "
        f"{len(results['rows'][0]['rates']['behemoth'])} rounds of {results['steps']} steps.\n"
    )
    print("| model | operations a token | a second, of a large product | times the floor |")
    print("| --- | --- | --- | --- |")
    for row in results["rows"]:
        times = ", ".join(
            f"{versions[side] or 'behemoth'} {ratio:.1f}" for side, ratio in over_floor(row).items()
        )
        print(f"| {row['model']} | {row['flops_per_token']:.3g} | {row['peak']:.3g} | {times} |")
    print()
    if results["gpu"]:
        print("| model | MFU | tokens/s | 3.6 billion tokens in | GPU |")
        print("| --- | --- | --- | --- | --- |")
    for row in results["gpu"]:
        print(
            f"| {row['model']} | {row['mfu']:.0%} | {row['rate']:,.0f} "
            f"| {3.6e9 / row['rate'] / 60:.0f} min | {row['device']}, bf16 |"
        )


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="nano,micro,31m", help="sizes [nano,micro,31m]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measurement [3]")
    parser.add_argument("--steps", type=int, default=24, help="optimiser steps of a run [24]")
    parser.add_argument("--batch-size", type=int, default=16, help="blocks of a batch [16]")
    parser.add_argument("--block-length", type=int, default=512, help="tokens of a block [512]")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="[bf16]")
    parser.add_argument("--threads", type=int, default=0, help="0 for all cores [0]")
    parser.add_argument("--litgpt", default=sys.executable, help="an interpreter with litgpt")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--json", action="store_true", help="print one JSON object instead")
    kept.add_argument("--note", default="", help="kept with the figures in history.jsonl")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(json.loads(options.work))
        return
    results = bench(options)
    if options.json:
        print(json.dumps(results))
        return
    show(results)
    for line in results["skipped"]:
        print(f"skipped: {line}  ")
    import machine  # not above: LitGPT's interpreter has no behemoth

    machine.show()
    figures = {
        f"{row['model']}_{side}_tokens_per_second": statistics.median(rate for rate, _ in found)
        for row in results["rows"]
        for side, found in row["rates"].items()
    }
    for row in results["rows"]:
        figures[f"{row['model']}_operations_per_token"] = row["flops_per_token"]
        figures[f"{row['model']}_peak_operations_per_second"] = row["peak"]
        figures |= {
            f"{row['model']}_{side}_over_floor": ratio for side, ratio in over_floor(row).items()
        }
    figures |= {f"{row['model']}_gpu_tokens_per_second": row["rate"] for row in results["gpu"]}
    machine.record("train", figures, options.note)


if __name__ == "__main__":
    main()
