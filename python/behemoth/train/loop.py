"""The training loop: the order of updates, metrics, measurements of recall and checkpoints.

`update` makes the updates, `device` places the computation, and `directory` and `checkpoint` define
the content of a run directory.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from behemoth.corpus.corpus import Corpus
from behemoth.model.build import build_model, padded_vocabulary
from behemoth.model.device import is_out_of_memory
from behemoth.support.digests import unchecked
from behemoth.support.errors import ArgumentError
from behemoth.support.files import write_bytes
from behemoth.support.progress import ProgressLike, task
from behemoth.support.provenance import versions
from behemoth.support.text import error_text

from .checkpoint import Checkpoints, State, history_steps, save_model
from .config import TrainConfig
from .data import BlockStream, DataConfig
from .device import Machine
from .directory import RunDirectory, start_weights
from .dropout import drawing, seed_dropout
from .errors import ElsewhereError, Interrupted, TrainError
from .flops import peak_flops, token_flops, utilisation
from .interrupts import interruptible
from .memory_budget import ROWS, require_recall, require_room
from .metrics import Metrics, write_parquet
from .model_source import GENERATION, generation_of, model_of
from .probing import MOST_FACTS, probed_facts, recall_by_exposures
from .report import Report
from .result import TrainResult
from .run import RunRecord, step_of
from .schedule import learning_rate
from .sharding import Whole
from .started import corpora_of_start
from .update import Updater

# A loss does not recover once it is twice its first value and at least 2 nats above it. The second
# condition is for models that know the corpus already: their loss begins near 0.
_DIVERGED = 2.0
_DIVERGED_NATS = 2.0
# Without a fixed interval, checkpoints are so far apart that writing them takes at most a hundredth
# of the time.
_CHECKPOINT_SECONDS = 30.0
_CHECKPOINT_SHARE = 0.01


def _begun(
    corpus: Corpus, config: TrainConfig, machine: Machine, vocabulary: int | None
) -> PreTrainedModel:
    """Return the model before the first step: initialised from the seed, or loaded from `start`."""
    if config.start is None:
        multiple = config.vocabulary_multiple or (64 if machine.device.type == "cuda" else 8)
        try:
            return build_model(
                config.size,
                vocabulary or padded_vocabulary(corpus.vocabulary_size, multiple),
                seed=config.seed,
                block_length=config.block_length,
                end_of_document=corpus.end_of_document,
                padding=corpus.padding,
            )
        except ArgumentError as error:
            raise error.within("architecture") from None
        except Exception as error:
            if config.architecture is None or is_out_of_memory(error):
                raise
            # Settings of the configuration that only transformers knows.
            raise ArgumentError(
                "architecture",
                f"settings that transformers refuses ({error_text(error)[:200]})",
                "the config.json of a model that transformers makes",
            ) from error
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[config.weights]
    source = model_of(Path(config.start), corpus, "start", warns=machine.main)
    model = source.load_model("cpu", dtype)
    positions = model.config.max_position_embeddings
    if config.block_length > positions:
        raise ArgumentError("block_length", config.block_length, f"up to {positions}, as the model")
    width = config.size.width
    if config.lora_rank is not None and config.lora_rank > width:
        allowed = f"up to {width}, the width of the model, which no change of it exceeds"
        raise ArgumentError("lora_rank", config.lora_rank, allowed)
    return model


def _generation(corpus: Corpus, config: TrainConfig) -> bytes:
    """Return the ``generation_config.json`` of the model in `start`, or that of the tokens."""
    given = None if config.start is None else generation_of(Path(config.start))
    if given is not None:
        return given
    end, text = corpus.end_of_document, corpus.text_settings
    if text is None or text.tokenizer is None:
        first, padding = end, corpus.padding
    else:
        first, padding = (text.tokenizer.special(name) for name in ("bos_token", "pad_token"))
    ids = {"bos_token_id": first, "eos_token_id": end,
           "pad_token_id": end if padding is None else padding}  # fmt: skip
    return GenerationConfig(**ids).to_json_string().encode()


class _Stretch:
    """The steps since the last report: sums of their losses and norms, and their start time.

    Updates without a label have no loss, and are counted apart.

    Parameters
    ----------
    stream : BlockStream
        Stream that counts the seconds spent waiting for data.
    device : torch.device
        Device of the sums, which only a report synchronises with.
    step : int
        Number of updates done before.
    """

    def __init__(self, stream: BlockStream, device: torch.device, step: int) -> None:
        self.losses = torch.zeros((), device=device)
        self.norms = torch.zeros((), device=device)
        self.labelled = torch.zeros((), device=device)
        self.began, self.waited, self.first = time.perf_counter(), stream.wait_seconds, step

    def add(self, loss: Tensor, norm: Tensor, labelled: bool | Tensor) -> None:
        """Add the loss and the gradient norm of an update, and whether it has labels."""
        self.losses += loss
        self.norms += norm
        self.labelled += labelled


class Loop:
    """Trains a run from its first step or its last checkpoint to the end.

    Parameters
    ----------
    corpus : Corpus
    config : TrainConfig
    machine : Machine
    directory : RunDirectory
    progress : callable or Progress, optional
    memory : int, optional
        See `behemoth.train.train`.
    vocabulary : int, optional
        Number of rows of the embedding of a run that is resumed. By default it follows from
        `vocabulary_multiple`, whose default depends on the device.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        machine: Machine,
        directory: RunDirectory,
        progress: ProgressLike,
        memory: int | None = None,
        vocabulary: int | None = None,
    ) -> None:
        self.corpus, self.config, self.machine = corpus, config, machine
        self.directory, self.progress = directory, progress
        # What is refused, is refused before the processes compute together, and by all of them.
        with machine.agreement.together():
            data = DataConfig(
                block_length=config.block_length,
                batch_size=machine.micro_batch(config),
                document_mask=config.document_mask,
                answers_only=config.answers_only,
                prefetch=config.prefetch,
            )
            # One process of each machine compares the shards with their digests.
            stream = self._stream(data) if machine.local_rank == 0 else None
        # Not nested: a process that leaves an outer block early would answer for the inner one.
        with machine.agreement.together():
            if stream is None:
                with unchecked():
                    stream = self._stream(data)
            self.stream = stream
            self.steps = config.total_steps(self.stream.blocks)
            self.rows = ROWS
            if machine.device.type == "cpu":
                processes, here = machine.world_size, machine.local_world_size
                require_room(config, corpus.vocabulary_size, processes, memory, here)
                facts = min(MOST_FACTS, corpus.world.num_facts)
                self.rows = require_recall(config, corpus.vocabulary_size, facts, memory, here)
            self.generation = _generation(corpus, config)
            self.model = _begun(corpus, config, machine, vocabulary)
        size, rows = config.size, self.model.config.vocab_size
        shared = machine.shares(config)
        self.whole = Whole(self.model, machine, shared=shared)
        if not shared:  # otherwise no device needs room for the complete model
            nn.Module.to(self.model, machine.device)
        self.token_flops = token_flops(size, rows, config.block_length)
        self.compiled = machine.compiles(config, self.token_flops * self.steps * config.step_tokens)
        self.update = Updater(self.model, config, machine, compiled=self.compiled)
        self.checkpoints = Checkpoints(directory.path / "checkpoints", machine.device)
        self.history = history_steps(config.checkpoint_history, self.steps)
        self.eval_interval = config.eval_interval or max(1, -(-self.steps // 10))
        self.facts = probed_facts(corpus, config.probe_facts) if config.probe_facts else None
        self.recall: dict[int, float] = {}
        self.step = 0
        self.seconds = 0.0
        self.first_loss: float | None = None
        self.loss: float | None = None
        self.save_seconds = 0.0
        self.late_signal: int | None = None

    def _stream(self, data: DataConfig) -> BlockStream:
        machine = self.machine
        return BlockStream(
            self.corpus,
            data,
            rank=machine.rank,
            world_size=machine.world_size,
            pin_memory=machine.device.type == "cuda",
            progress=self.progress if machine.main else None,
        )

    def train(self) -> TrainResult:
        """Train to the end; a signal after the last step is kept in `late_signal`."""
        with drawing(self.machine.device):  # a resumed run restores its own state
            seed_dropout(self.machine.device, self.config.seed, self.machine.rank)
            self._resume()
            return self._train()

    def _train(self) -> TrainResult:
        config, machine, steps = self.config, self.machine, self.steps
        peak = peak_flops(machine.device, machine.dtype) if machine.main else None
        last_save, saved_step = time.perf_counter(), -1
        micro = iter(self.stream)
        self.model.train()
        steps_task = task(self.progress, "training", "steps")
        # A run stopped at this step skipped it.
        again = self.step > 0 and self._measures(self.step) and self.facts is not None
        metrics_file = self._metrics(measures=again)
        with interruptible() as interrupted, metrics_file as metrics, steps_task as tell:
            if self.step == 0:
                self._save_history()
            if again:
                self._probe(metrics, self.facts)
            stretch = _Stretch(self.stream, machine.device, self.step)
            while self.step < steps:
                rate = learning_rate(config, self.step, steps)
                stretch.add(*self.update(micro, rate))
                self.step += 1
                step = self.step
                logged = step % config.log_interval == 0 or step == steps
                probes = self._measures(step)
                due = machine.main and self._save_due(time.perf_counter() - last_save)
                # Read once: a signal that arrives later counts for the next step.
                signal_number, save_vote = machine.agreement.vote(
                    interrupted.signal_number or 0, int(due)
                )
                stops = signal_number > 0 and step < steps
                interval = config.checkpoint_interval
                # Votes cast before the last checkpoint arrive with a delay, and were for that one.
                save_vote = save_vote if step > saved_step + machine.agreement.delay else 0
                saves = (step % interval == 0 if interval else save_vote > 0) and step < steps
                if not (logged or probes or saves or step in self.history or stops):
                    continue
                # From here on time may be spent on something other than training.
                report = self._report(stretch, rate, peak)
                if machine.main:
                    metrics.add(
                        "train", step, tokens=report.tokens, seconds=self.seconds,
                        loss=report.loss, learning_rate=rate, gradient_norm=report.gradient_norm,
                        tokens_per_second=report.tokens_per_second, wait_share=report.wait_share,
                        mfu=report.mfu,
                    )  # fmt: skip
                # All processes reach these branches at the same steps.
                if step in self.history and step < steps:
                    self._save_history()
                if saves or stops:
                    self._save()
                    last_save, saved_step = time.perf_counter(), step
                if probes and self.facts is not None and not stops:
                    self._probe(metrics, self.facts)
                if machine.main:
                    tell(step, steps, replace(report, recall=self.recall))
                if stops:
                    if machine.main:
                        self.directory.update(status="stopped")
                    # Launchers end all processes when the first one ends.
                    machine.agreement.end()
                    raise Interrupted(f"checkpoint at step {step} of {steps} saved", signal_number)
                stretch = _Stretch(self.stream, machine.device, step)
            result = self._finish(metrics)
        self.late_signal = interrupted.signal_number
        return result

    def _measures(self, step: int) -> bool:
        """Whether recall is measured after a step; `_finish` measures it after the last one."""
        return step % self.eval_interval == 0 and step < self.steps

    def _report(self, stretch: _Stretch, rate: float, peak: float | None) -> Report:
        """Report the steps since the last report, and stop the run if the loss has diverged.

        Parameters
        ----------
        stretch : _Stretch
        rate : float
            Learning rate of the last update.
        peak : float or None
            Peak rate of the device in FLOPs per second; None in all but the first process.
        """
        machine, step_tokens = self.machine, self.config.step_tokens
        count = self.step - stretch.first
        loss = None
        if labelled := int(stretch.labelled):  # in all processes the same
            loss = float(machine.total(stretch.losses / labelled)) / machine.world_size
        norm = float(stretch.norms) / count
        seconds = time.perf_counter() - stretch.began
        self.seconds += seconds
        if loss is not None:
            self._check(loss, norm)
        self.loss = loss
        tokens_per_second = count * step_tokens / seconds
        rate_of_flops = tokens_per_second * self.token_flops / machine.world_size
        return Report(
            step=self.step,
            steps=self.steps,
            tokens=self.step * step_tokens,
            loss=loss,
            learning_rate=rate,
            gradient_norm=norm,
            tokens_per_second=tokens_per_second,
            wait_share=(self.stream.wait_seconds - stretch.waited) / seconds,
            mfu=None if peak is None else utilisation(rate_of_flops, peak),
            seconds_left=(self.steps - self.step) * step_tokens / tokens_per_second,
        )

    def _check(self, loss: float, norm: float) -> None:
        """Stop the run if the loss has diverged or the gradient is not finite."""
        first = loss if self.first_loss is None else self.first_loss
        # Comparisons with NaN are false, so the condition tests for a good loss.
        if norm < float("inf") and loss < max(_DIVERGED * first, first + _DIVERGED_NATS):
            self.first_loss = first
            return
        if self.machine.main:
            self.directory.update(status="diverged")
        self.machine.agreement.end()  # launchers end all processes when the first one ends
        if not self.machine.main:
            raise ElsewhereError("the loss diverged; the first process of the run says more")
        last = self.checkpoints.last()
        hint = "there is no checkpoint" if last is None else f"the last good checkpoint is {last}"
        raise TrainError(
            f"the loss diverged: {loss:.4g} at step {self.step}, after {first:.4g} at the "
            f"start (learning_rate {self.config.learning_rate:g}, gradient norm {norm:.3g}); "
            f"{hint}"
        )

    def _save_due(self, since: float) -> bool:
        return since > max(_CHECKPOINT_SECONDS, self.save_seconds / _CHECKPOINT_SHARE)

    def _state(self) -> State:
        # The stream counts the batches taken from it, which are those trained on.
        return State(self.step, self.stream.state_dict(), self.seconds, self.first_loss)

    def _save(self) -> None:
        began = time.perf_counter()
        model, main = self.whole.model(), self.machine.main
        tensors = self.update.trained.tensors(kept=main)
        if main:
            self.checkpoints.save(model, tensors, self._state())
            self.checkpoints.prune(1, self.history)
        self.save_seconds = time.perf_counter() - began
        self.machine.wait()

    def _save_history(self) -> None:
        if self.step not in self.history:
            return
        model = self.whole.model()
        if self.machine.main and not self.checkpoints.path(self.step).exists():
            self.checkpoints.save(model, None, self._state())
        self.machine.wait()

    def _resume(self) -> None:
        """Load the last checkpoint, or start from the first step."""
        machine, main = self.machine, self.machine.main
        if main and self.directory.record() is None:
            self.directory.begin(self.corpus, self._record())
        last = self.checkpoints.last() if main else None
        # Other processes may see an older state of a shared disk.
        step = machine.agreement.tell(-1 if last is None else step_of(last))
        if step >= 0:
            place = self.checkpoints.path(step)
            # Without a saved state of this device, masks would be those of the first steps.
            seed_dropout(machine.device, self.config.seed, machine.rank, step)
            state = self.checkpoints.load(place, self.model, self.update.trained)
            # Checkpoints of earlier versions lack the length, which was checked against the record.
            length = {"block_length": self.config.block_length}
            self.stream.load_state_dict({**length, **state.stream})
            if not main:  # the saved random state is that of the first process
                seed_dropout(machine.device, self.config.seed, machine.rank, state.step)
            self.step, self.seconds, self.first_loss = state.step, state.seconds, state.first_loss
        if main:
            # Weights of a lost stretch may not be those of the run: `accumulate` may change.
            self.checkpoints.drop_after(step)
            self.directory.update(status="running")

    def _record(self) -> RunRecord:
        corpus, config, machine = self.corpus, self.config, self.machine
        return RunRecord(
            status="running",
            config=config,
            spec_hash=corpus.spec_hash,
            spec=corpus.spec,
            directory=None if corpus.directory is None else str(corpus.directory.absolute()),
            versions=versions("behemoth", "torch", "transformers", "accelerate"),
            device=str(machine.device),
            device_name=machine.name,
            # Beside weights in bf16, products are in bf16 whatever the machine would choose.
            precision="bf16" if config.weights == "bf16" else machine.precision,
            compiled=self.compiled,
            threads=machine.threads,
            world_size=machine.world_size,
            vocabulary=corpus.vocabulary_size,
            vocabulary_padded=self.model.config.vocab_size,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            parameters_without_embedding=config.size.parameters,
            steps=self.steps,
            start_weights=start_weights(config),
            start_corpora=corpora_of_start(config),
        )

    @contextmanager
    def _metrics(self, *, measures: bool) -> Generator[Any]:
        if not self.machine.main:
            yield None
            return
        path, tensorboard = self.directory.path, self.config.tensorboard
        with Metrics(path, tensorboard, self.step, measures=measures) as metrics:
            yield metrics

    def _probe(self, metrics: Metrics, facts: Any) -> None:
        with self.whole.placed() as model:
            if self.machine.main:
                frame = recall_by_exposures(model, self.corpus, facts, self.rows)
                self.recall = dict(zip(frame["exposures"], frame["recall"], strict=True))
                for row in frame.iter_rows(named=True):
                    metrics.add("recall", self.step, **row)
        self.machine.wait()

    def _finish(self, metrics: Metrics) -> TrainResult:
        """Measure recall, and write the files of a finished run."""
        tokens = self.steps * self.config.step_tokens
        result = TrainResult(
            run=str(self.directory.path),
            steps=self.steps,
            tokens=tokens,
            seconds=self.seconds,
            tokens_per_second=tokens / self.seconds if self.seconds else 0.0,
            loss=self.loss,
            recall={},
        )
        self._probe(metrics, probed_facts(self.corpus))
        model = self.whole.model()
        if not self.machine.main:
            self.machine.agreement.end()
            record = self.directory.record()
            told = None if record is None else record.result
            return result if told is None else replace(told, run=result.run)
        result = replace(result, recall=self.recall)
        save_model(model, self.directory.path)
        write_bytes(self.directory.path / GENERATION, self.generation)
        self.directory.write_tokenizer(self.corpus)
        write_parquet(self.directory.path)
        self.directory.update(status="finished", result=result)
        self.checkpoints.prune(0, self.history)
        self.machine.agreement.end()
        return result
