"""The loss of a trainer of open-unlearning and its gradients, on rows and changes that are given.

    PYTHONPATH=CLONE/src python open_unlearning_losses.py RUN PLACE

It runs in the environment of open-unlearning, so it imports nothing of Behemoth. PLACE has
``given.json`` (trainer, method_args and rows) and ``changes.safetensors``, what is added to the
run's parameters, and receives ``loss.json`` and ``gradients.safetensors``.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from trainer import TRAINER_REGISTRY
from transformers import AutoModelForCausalLM, TrainingArguments


def inputs_of(rows):
    """Rows of equal length as the trainers expect them."""
    tokens, labels = torch.tensor(rows["tokens"]), torch.tensor(rows["labels"])
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": labels}


def main():
    """Write the loss and its gradients."""
    run, place = map(Path, sys.argv[1:])
    given = json.loads((place / "given.json").read_text())
    changes = load_file(str(place / "changes.safetensors"))
    before = AutoModelForCausalLM.from_pretrained(run, torch_dtype=torch.float64)
    before.eval()
    after = copy.deepcopy(before)
    parameters = dict(after.named_parameters())
    # The head of GPT-NeoX has another name in this version of transformers.
    parameters["lm_head.weight"] = after.get_output_embeddings().weight
    with torch.no_grad():
        for name, change in changes.items():
            parameters[name].add_(change)

    class Quiet(TRAINER_REGISTRY[given["trainer"]]):
        """The trainer without its log, whose numbers are of a training that has begun."""

        def log(self, _):
            pass

    arguments = TrainingArguments(
        output_dir=str(place / "trainer"), use_cpu=True, report_to="none", save_strategy="no"
    )
    trainer = Quiet(model=before, args=arguments, **given["method_args"])
    rows = {name: inputs_of(each) for name, each in given["rows"].items()}
    forget = rows["forget"]
    if "alternate" in rows:
        forget = {"original": rows["forget"], "alternate": rows["alternate"]}
    loss = trainer.compute_loss(after, {"forget": forget, "retain": rows["retain"]})
    gradients = torch.autograd.grad(loss, [parameters[name] for name in changes])
    found = {name: each.contiguous() for name, each in zip(changes, gradients, strict=True)}
    save_file(found, str(place / "gradients.safetensors"))
    more = {"preferences": trainer.preferences} if given["trainer"] == "PDU" else {}
    (place / "loss.json").write_text(json.dumps({"loss": loss.item(), **more}))


if __name__ == "__main__":
    main()
