"""Bench of single-fact edits per second, stacked and one by one with peft, and of evaluation.

    python benches/edit.py RUN [--edits 64] [--steps 40] [--rounds 3] [--threads 2]

RUN is a trained model. The edits are independent LoRA edits of rank 4 of the MLPs of all layers,
each from the unedited model, on the same rows in the same order. The loop with peft is the usual
one: `get_peft_model` once, its factors reset before each edit, one Adam for each. Evaluation
measures the same probes on every edited model, in one pass, or one model after another with the
probes of each in one batch. The usual loop, one probe after another with transformers' `generate`
and a pass that scores one answer, computes a part of that for the first edits only.

The floor is the time that the stacked products alone would take at the rate of one large product.
It counts the operations of matrix products and of attention, which are the same one by one. The
time of one by one divided by the floor is therefore the maximum gain of any stacking.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

import polars as pl
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import machine
from behemoth.corpus.tokens import PADDING, PERIOD
from behemoth.delta.delta import EditDelta
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.methods.lora import Lora
from behemoth.edit.protocol import EditContext
from behemoth.evaluate.frame import evaluate_model
from behemoth.model.labels import IGNORED
from behemoth.plan import EditPlan
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train.run import Run, read_run

_USUAL = 4  # edits that the usual loop evaluates


def with_peft(run: Run, plans: list[EditPlan], method: Lora) -> float:
    """Edit one fact after another; gives the seconds."""
    model = run.load_model(device="cpu")
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.rank,
        target_modules=["dense_h_to_4h", "dense_4h_to_h"],
        lora_dropout=0.0,
    )
    begin = time.perf_counter()
    wrapped = get_peft_model(model, config).eval()
    factors = [p for p in wrapped.parameters() if p.requires_grad]
    start = [p.detach().clone() for p in factors]
    for plan in plans:
        with torch.no_grad():
            for parameter, first in zip(factors, start, strict=True):
                parameter.copy_(first)
        feeder = Feeder(
            [plan], ("answer",), method.edit_rows, method.retain_rows, 0, torch.device("cpu")
        )
        optimiser = torch.optim.Adam(factors, lr=method.learning_rate)
        for _ in range(method.steps):
            (tokens,), (labels,), (places,), _ = feeder.next()
            full = torch.full_like(tokens, IGNORED)
            answer = labels != IGNORED
            row = torch.arange(len(tokens))[:, None].expand_as(labels)
            full[row[answer], places[answer]] = labels[answer]  # where they are predicted
            logits = wrapped(input_ids=tokens).logits
            losses = F.cross_entropy(
                logits.transpose(1, 2), full, ignore_index=IGNORED, reduction="none"
            ).sum(1) / answer.sum(1)
            loss = losses[: feeder.edit_rows].mean() + losses[feeder.edit_rows :].mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(factors, method.clip)
            optimiser.step()
    return time.perf_counter() - begin


def with_generate(run: Run, plans: list[EditPlan], deltas: dict[int, EditDelta]) -> float:
    """Ask one probe after another, before and after each edit; gives the seconds."""
    model = run.load_model(device="cpu").eval()
    begin = time.perf_counter()
    for edit, plan in enumerate(plans):
        columns = plan.probes.select("prompt", "old_answer")
        for state in (nullcontext(), deltas[edit].apply(model)):
            with state, torch.no_grad():
                for prompt, answer in columns.iter_rows():
                    ids = torch.tensor([prompt])
                    model.generate(
                        ids,
                        attention_mask=torch.ones_like(ids),
                        max_new_tokens=len(answer) + 1,
                        do_sample=False,
                        pad_token_id=PADDING,
                        eos_token_id=PERIOD,
                    )
                    whole = torch.tensor([prompt + answer])
                    logits = model(whole).logits[0, len(prompt) - 1 : -1]
                    F.cross_entropy(logits, whole[0, len(prompt) :], reduction="sum").item()
    return time.perf_counter() - begin


def peak() -> float:
    """Operations a second of a product of two matrices of 1,024 x 1,024, the best of ten."""
    matrix = torch.randn(1024, 1024)
    times = []
    for _ in range(11):
        begin = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begin)
    return 2 * 1024**3 / min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--edits", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    machine.note_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine.show()
    run = read_run(arguments.run)
    model = run.load_model(device="cpu")
    request = EditRequest(edits=arguments.edits, independent=True, probes=14)
    plan = compile_plan(run.corpus, request)
    plans = list(plan.singles())
    method = Lora(rank=4, steps=arguments.steps)
    context = EditContext(run.corpus, run=run.directory)
    method.apply(model, plans[:2], context)  # warm
    operations: dict[str, int] = {}
    with FlopCounterMode(display=False) as counter:
        deltas = dict(enumerate(method.apply(model, plans, context)))
    operations["edit"] = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        evaluate_model(model, run.corpus, plan, deltas)
    operations["evaluate"] = counter.get_total_flops()
    rates = []
    times: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        rates.append(peak())
        begin = time.perf_counter()
        found = method.apply(model, plans, context)
        times.setdefault("edit, stacked", []).append(time.perf_counter() - begin)
        times.setdefault("edit, one by one with peft", []).append(with_peft(run, plans, method))
        deltas = dict(enumerate(found))
        begin = time.perf_counter()
        together = evaluate_model(model, run.corpus, plan, deltas)
        times.setdefault("evaluate, one pass", []).append(time.perf_counter() - begin)
        begin = time.perf_counter()
        each = [
            evaluate_model(model, run.corpus, single, {edit: deltas[edit]})
            for edit, single in enumerate(plans)
        ]
        times.setdefault("evaluate, one by one", []).append(time.perf_counter() - begin)
        usual = with_generate(run, plans[:_USUAL], deltas) * len(plans) / _USUAL
        times.setdefault("evaluate, probe by probe", []).append(usual)
        alone = pl.concat(each)
        assert alone["exact_match"].sum() == together["exact_match"].sum()
    probes = len(together) / 2 / len(plans)
    print(f"{len(plans)} edits of {method.steps} steps, {probes:.0f} probes each, "
          f"{arguments.threads} threads, median of {arguments.rounds}")  # fmt: skip
    figures = {}
    for name, seconds in times.items():
        value = statistics.median(seconds)
        figures[f"{name}_edits_per_second"] = len(plans) / value
        print(f"{name:30} {value:8.2f} s  {len(plans) / value:8.1f} edits/s")
    pairs = (
        ("edit", "edit, one by one with peft", "edit, stacked"),
        ("evaluate", "evaluate, one by one", "evaluate, one pass"),
        ("evaluate", "evaluate, probe by probe", "evaluate, one pass"),
    )
    for name, slow, fast in pairs:
        ratio = statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))
        floor = operations[name] / statistics.median(rates)
        alone, stacked = (statistics.median(times[key]) for key in (slow, fast))
        print(
            f"{fast}: {ratio:.2f} times as fast as {slow.partition(', ')[2]}; "
            f"{stacked / floor:.1f} and {alone / floor:.1f} times the floor of {floor:.2f} s"
        )
        figures[f"{slow}_ratio"] = ratio
        figures[f"{name}_over_floor"] = stacked / floor
    machine.record("edit", figures, arguments.note)


if __name__ == "__main__":
    main()
