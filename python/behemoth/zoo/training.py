"""The trainings of a zoo: its models and their twins, in this process or in several."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.grammar import Grammar
from behemoth.corpus.spec import Groups, Questions
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.fields import made
from behemoth.support.files import replacing, write_bytes
from behemoth.support.memory import limit_of, limit_text
from behemoth.support.progress import Advance
from behemoth.support.provenance import cores
from behemoth.support.text import bytes_text
from behemoth.support.workers import WORKER, Workers, WorkersError, too_many_workers
from behemoth.train import train
from behemoth.train.config import TrainConfig, default_config
from behemoth.train.memory_budget import require_room, step_bytes
from behemoth.train.run import read_run

from .card import model_card
from .record import CARD, ZooModel
from .sizes import ZooSize

__all__ = ["Trainer", "Training", "carry_out_all", "workers_for"]

_OWN = "islanders"


@dataclass(frozen=True)
class Training:
    """The training of a model, or of its twin.

    Attributes
    ----------
    model : ZooModel
    twin : bool
    """

    model: ZooModel
    twin: bool

    @property
    def path(self) -> str:
        """Its run, within the zoo."""
        return f"{'twins' if self.twin else 'models'}/{self.model.name}"


@dataclass(frozen=True)
class Trainer:
    """Trains the models of a zoo.

    Attributes
    ----------
    place : Path
        The zoo.
    size : ZooSize
    memory : int, optional
        Limit in bytes on the memory of a training; by default what is free.
    """

    place: Path
    size: ZooSize
    memory: int | None

    def to_json(self) -> str:
        """Return what `from_json` makes an equal one of, in another process."""
        return json.dumps({**asdict(self), "place": str(self.place.resolve())})

    @classmethod
    def from_json(cls, text: str) -> Trainer:
        """Return the trainer that a text describes."""
        fields = json.loads(text)
        size = made(ZooSize, fields["size"])
        return cls(Path(fields["place"]), size, fields["memory"])

    def corpus(self, world: int) -> Corpus:
        """Return the spec of the corpus of a world, from which models are trained."""
        size = self.size
        grammar = _grammar(size.grammar)
        return Corpus(
            grammar.world(size.subjects, seed=world),
            grammar=grammar,
            exposures=Groups(list(size.exposures)),
            questions=Questions(0.5, 0.1),
        )

    def config(self, model: str, seed: int) -> TrainConfig:
        """Return the settings of training."""
        size = self.size
        # One thread, so that the weights are equal bit by bit on machines with more.
        settings: dict[str, Any] = {
            "steps": size.steps, "batch_size": size.batch_size, "block_length": size.block_length,
            "learning_rate": size.learning_rate, "seed": seed, "threads": 1,
            "tensorboard": False, "device": "cpu",
        }  # fmt: skip
        return default_config(model, **settings)

    def carry_out(self, training: Training) -> None:
        """Train, write the card, and measure a model's recall of all facts."""
        model, run = training.model, self.place / training.path
        corpus = self.corpus(model.world)
        source = corpus
        plan = EditPlan.load(self.place / "plans" / f"w{model.world}", corpus)
        if training.twin:
            source = corpus.without(plan.edits["fact"].to_numpy())
        train(source, out=run, config=self.config(model.model, model.seed), memory=self.memory)
        card = model_card(model, source, plan, twin=training.twin)
        write_bytes(run / CARD, card.encode())
        file = self.place / "recall" / f"{model.name}.parquet"
        if not training.twin and not file.is_file():
            from behemoth.recall.facts import recall

            frame = recall(read_run(run).load_model("cpu"), corpus, device="cpu")
            with replacing(file) as temporary:
                frame.write_parquet(temporary)


def carry_out_all(trainer: Trainer, trainings: list[Training], workers: int, step: Advance) -> None:
    """Carry out trainings in several processes, or one after the other in this one.

    Parameters
    ----------
    trainer : Trainer
    trainings : list of Training
    workers : int
        Number of processes; with 1, it is this one.
    step : callable
        Called with the number of finished trainings, and with that of all.

    Raises
    ------
    CorpusError
        If a worker fails; it names the run, and the other trainings are stopped.
    """
    if workers == 1:
        for done, training in enumerate(trainings, 1):
            trainer.carry_out(training)
            step(done, len(trainings))
        return
    place, waiting, done = trainer.place, list(reversed(trainings)), 0
    running: dict[int, Training] = {}
    pool = Workers("behemoth.zoo.worker", [trainer.to_json()], workers, threads=1)
    try:
        while waiting or running:
            for slot in range(len(pool)):
                if waiting and slot not in running:
                    running[slot] = waiting.pop()
                    pool.submit(slot, asdict(running[slot]))
            for said in pool.wait(1.0):
                if said.kind == "failed":
                    run = place / running[said.slot].path
                    raise CorpusError(f"{run}: {said.fields['reason']}")
                if said.kind == "done":
                    del running[said.slot]
                    done += 1
                    step(done, len(trainings))
    except WorkersError as error:
        raise CorpusError(f"{place}: {error}") from None
    finally:
        pool.close()


def workers_for(trainer: Trainer, trainings: int, workers: int | None) -> tuple[int, int | None]:
    """Divide the memory of a trainer among processes.

    Parameters
    ----------
    trainer : Trainer
        Its memory is that of all trainings at a time.
    trainings : int
    workers : int, optional
        Number of processes; by default one per core, or fewer if they would not fit.

    Returns
    -------
    workers : int
    memory : int or None
        Bytes that a training may use besides its process.

    Raises
    ------
    ArgumentError
        If a model does not fit, or as many at a time as were asked for.
    """
    size = trainer.size
    vocabulary = trainer.corpus(0).vocabulary_size
    configs = [trainer.config(model, 0) for model in size.models]
    most = min(trainings, cores() if workers is None else workers)
    free = limit_of(trainer.memory)
    if free is None:
        return most, trainer.memory
    block = size.batch_size * size.block_length
    most_of_one = max(step_bytes(config, vocabulary, block) for config in configs)
    try:
        for config in configs:
            require_room(config, vocabulary, memory=trainer.memory)
    except ArgumentError as error:
        if trainer.memory is None or error.path != ("batch_size",):
            raise
        # The batch is the size's own, so only the memory can be another.
        allowed = f"{bytes_text(most_of_one)} or more for size {size.name}"
        raise ArgumentError("memory", bytes_text(trainer.memory), allowed) from None
    each = WORKER + most_of_one
    fit = max(1, free // each)
    if workers is not None and fit < most:
        need, there = f"{bytes_text(each)} of memory", limit_text(free, trainer.memory)
        raise too_many_workers(workers, need, there, fit)
    count = min(most, fit)
    return count, trainer.memory if count == 1 else free // count - WORKER


def _grammar(name: str) -> Grammar:
    if name != _OWN:
        return Grammar.named(name)
    file = resources.files("behemoth.zoo") / f"{name}.toml"
    return Grammar(f"{name}.toml", file.read_text(encoding="utf-8"))
