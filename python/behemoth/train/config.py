"""The settings of a run, and the defaults of each size of model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import gcd, isfinite
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from behemoth.model.sizes import Size, find_size
from behemoth.support.checks import LARGEST, as_found, flag, path_of
from behemoth.support.errors import ArgumentError, check_keys, renamed
from behemoth.support.fields import made

# Settings that may change when a run is resumed: none of them affects the weights, but for
# `fully_shard`, by rounding, as its blocks are computed otherwise; it is no part of ids of studies.
FREE = (
    "log_interval", "eval_interval", "probe_facts", "checkpoint_interval", "checkpoint_history",
    "tensorboard", "prefetch", "fully_shard",
)  # fmt: skip
# These affect them only by rounding, as the number of processes does, and must match it.
RESUMED = (*FREE, "accumulate")
# Names that are tried for a setting, and are not similar to its own.
_MEANT = {"lr": "learning_rate", "size": "model"}


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    The defaults here are tuned for no size: `default_config` returns those of a size.

    Parameters
    ----------
    model : str
        Size of the model: pico, nano, micro, 14m, 31m, 70m, 160m or 410m of GPT-NeoX, or a size
        of another family such as llama-nano (`behemoth models` lists them).
    epochs : float, optional
        Length of the run in passes over the corpus; 1 unless `steps` or `tokens` is given. Updates
        are rounded down to complete batches, with at least one update: up to a batch of blocks
        of the last pass is skipped.
    steps : int, optional
        Length of the run in updates.
    tokens : int, optional
        Length of the run in tokens, rounded up to complete batches.
    block_length : int
        Tokens per block: what a model sees at a time.
    batch_size : int
        Blocks per update, over all devices.
    accumulate : int
        Number of parts in which each device's share of a batch is computed, one after the other,
        to need less memory; by default 1, and up to 8 for 160m and 410m.
    learning_rate : float
        Peak of the learning rate.
    schedule : {'cosine', 'wsd'}
        After the warm-up: cosine, or constant and then a linear decay.
    warmup : float
        Share of the run in which the learning rate rises.
    decay : float
        Share of the run in which the learning rate falls; only with the schedule wsd.
    final_learning_rate : float
        Learning rate at the end, as a share of the peak.
    weight_decay : float
        Weight decay of the matrices; biases and norms have none.
    beta1 : float
        Decay rate of AdamW's average of gradients.
    beta2 : float
        Decay rate of AdamW's average of their squares.
    clip : float
        Maximum norm of the gradient, 0 for no limit.
    seed : int
        Seed of the initial weights, and of the dropout of a model that has some.
    document_mask : bool
        Restrict attention to each document, and count positions from its start.
    answers_only : bool
        Compute the loss on answers only: after subject and relation, the object and all that
        follows up to the end of its sentence, the period included; in text, objects after a
        subject, each with the next token.
    precision : {'auto', 'fp32', 'bf16'}
        Precision of the matrix products; auto is bf16 on a GPU that has it and on a CPU with AMX,
        and everywhere with `weights` in bf16.
    compile : {'auto', 'on', 'off'}
        torch.compile; auto is on for long runs on a GPU, and off on a CPU, whose own fused
        blocks are faster.
    device : str
        Device: cpu, cuda or one GPU of several, such as cuda:1; auto is cuda if available, else
        cpu.
    threads : int
        CPU threads, 0 for all cores. Weights are bit-identical only for the same number, and on a
        CPU.
    fully_shard : bool
        With several processes, shard weights, gradients and optimiser over them (FSDP2), for
        models too large for one device; slower, with the same results up to rounding.
    vocabulary_multiple : int
        The vocabulary is padded to a multiple of this; 0 for 64 on a GPU and 8 on a CPU. Not with
        `start`, whose model keeps its vocabulary.
    log_interval : int
        Steps between rows of the metrics.
    eval_interval : int
        Steps between measurements of recall; 0 for ten per run.
    probe_facts : int
        Number of facts that recall is measured on during training; at the end it is measured on
        all of them, up to 10,000.
    checkpoint_interval : int
        Steps between checkpoints, of which only the last is kept; 0 for one whenever both 30
        seconds and 100 times the duration of the last save have passed.
    checkpoint_history : int
        Number of checkpoints to keep, at log-spaced steps from the first to the last, and at 0;
        the last step is kept as the run itself.
    tensorboard : bool
        Also write TensorBoard events, if TensorBoard is installed.
    prefetch : int
        Number of batches prepared ahead.
    architecture : mapping, optional
        A config.json of transformers, for the family and dimensions of a model without a named
        size; vocabulary, positions and special tokens come from the corpus, without dropout.
    start : str, optional
        Directory of a model to start from, with a new optimiser: a run, one of its checkpoints,
        or a model saved by transformers. It needs the corpus's tokens, and sets `architecture`.
        It must stay unchanged until the run is finished.
    lora_rank : int, optional
        Train only low-rank changes of this rank to the linear modules of all blocks of the model
        that training starts from; the sum is saved. All parameters by default.
    lora_alpha : float, optional
        Factor of a low-rank change, divided by its rank; the rank by default.
    weights : {'fp32', 'bf16'}
        Type in which the weights of the model that training starts from are kept and saved; with
        bf16 the optimiser has copies in fp32, and the weights are their rounded values.

    Examples
    --------
    >>> from behemoth.train import default_config
    >>> default_config("micro").learning_rate  # of the size, tuned
    0.0025
    >>> default_config("nano", steps=100).steps
    100
    """

    model: str = "nano"
    epochs: float | None = None
    steps: int | None = None
    tokens: int | None = None
    block_length: int = 128
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 3e-3
    schedule: Literal["cosine", "wsd"] = "cosine"
    warmup: float = 0.05
    decay: float = 0.3
    final_learning_rate: float = 0.0
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    seed: int = 0
    document_mask: bool = True
    answers_only: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    device: str = "auto"
    threads: int = 0
    fully_shard: bool = False
    vocabulary_multiple: int = 0
    log_interval: int = 10
    eval_interval: int = 0
    probe_facts: int = 1000
    checkpoint_interval: int = 0
    checkpoint_history: int = 0
    tensorboard: bool = True
    prefetch: int = 4
    architecture: Mapping[str, Any] | None = field(default=None, hash=False)
    start: str | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    weights: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        for name in ("lora_rank", "weights"):
            if self.fully_shard and getattr(self, name) not in (None, "fp32"):
                raise ArgumentError(name, getattr(self, name), "its default with fully_shard")
        if self.start is not None and self.architecture is None:
            raise ArgumentError(
                "architecture", None, "that of the model to start from (default_config)"
            )
        if self.architecture is not None:
            object.__setattr__(self, "architecture", _plain(self.architecture))
        if self.architecture is None:
            find_size(self.model)
        elif self.model != self.size.family:
            raise ArgumentError("model", self.model, f"{self.size.family}, as architecture says")
        for name, read in _READ.items():
            value = getattr(self, name)
            if value is not None or getattr(type(self), name) is not None:
                object.__setattr__(self, name, read(name, value))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ArgumentError.unknown(name, getattr(self, name), choices)
        if not isinstance(self.device, str):
            raise ArgumentError("device", self.device, "the name of a device, such as cpu or cuda")
        if self.lora_alpha is not None and self.lora_rank is None:
            raise ArgumentError("lora_alpha", self.lora_alpha, "only with lora_rank")
        for name in ("lora_rank", "weights"):
            if self.start is None and getattr(self, name) not in (None, "fp32"):
                raise ArgumentError(
                    name, getattr(self, name), "only with a model to start from (start, or --from)"
                )
        for name, allowed in unused(vars(self)).items():
            raise ArgumentError(name, getattr(self, name), allowed)
        given = [name for name in ("epochs", "steps", "tokens") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ArgumentError(given[1], getattr(self, given[1]), f"one of {' and '.join(given)}")
        if self.schedule == "wsd" and self.warmup + self.decay > 1:
            raise ArgumentError("decay", self.decay, f"up to {1 - self.warmup:g} with this warm-up")
        if self.step_tokens > _STEP_TOKENS:
            larger = "batch_size" if self.batch_size >= self.block_length else "block_length"
            raise ArgumentError(
                larger,
                f"{self.batch_size:,} blocks of {self.block_length:,} tokens",
                f"up to {_STEP_TOKENS:,} tokens in an update",
            )
        if self.fully_shard and self.compile == "on":
            raise ArgumentError("compile", "on", "off or auto with fully_shard")
        if self.batch_size % self.accumulate:
            raise ArgumentError(
                "accumulate", self.accumulate, f"a divisor of the batch size {self.batch_size}"
            )

    def total_steps(self, blocks: int) -> int:
        """Return the number of updates of the run, at least one.

        Parameters
        ----------
        blocks : int
            Number of blocks in a pass over the corpus.
        """
        if self.steps is not None:
            return self.steps
        if self.tokens is not None:
            return max(1, -(-self.tokens // (self.batch_size * self.block_length)))
        return max(
            1, round((1 if self.epochs is None else self.epochs) * blocks) // self.batch_size
        )

    @property
    def size(self) -> Size:
        """Family and dimensions of the model."""
        if self.architecture is None:
            return find_size(self.model)
        return Size.of(self.architecture, "architecture")

    @property
    def step_tokens(self) -> int:
        """Number of tokens per update."""
        return self.batch_size * self.block_length

    @property
    def held_tokens(self) -> int:
        """Number of tokens of an update that are in memory at a time, in a single process."""
        return self.held_blocks * self.block_length

    @property
    def held_blocks(self) -> int:
        """Number of blocks of these tokens."""
        return -(-self.batch_size // self.accumulate)


def unused(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return which settings would have no effect beside the others, with where they have one.

    Parameters
    ----------
    settings : mapping
        Fields of `TrainConfig`; one that is missing or has its default is not unused.
    """
    found: dict[str, str] = {}
    schedule = settings.get("schedule", TrainConfig.schedule)
    if schedule != "wsd" and settings.get("decay", TrainConfig.decay) != TrainConfig.decay:
        found["decay"] = "only with the schedule wsd"
    if settings.get("start") is not None and settings.get("vocabulary_multiple"):
        found["vocabulary_multiple"] = "only without a model to start from, which keeps its own"
    if settings.get("weights") == "bf16" and settings.get("precision") == "fp32":
        found["precision"] = "auto or bf16 with weights in bf16, whose products are in bf16"
    return found


# No real setting comes near these limits; a larger value is a mistake, and would lead to a loss of
# NaN, or to a library that ends the process.
_HUGE = 1e9
_STEP_TOKENS = 1 << 31
_MOST = {"threads": 1024, "lora_rank": 1 << 16, "prefetch": 1 << 16, "vocabulary_multiple": 1 << 20,
         "checkpoint_history": 1 << 20}  # fmt: skip
_LEAST = {
    "steps": 1, "tokens": 1, "block_length": 2, "batch_size": 1, "accumulate": 1, "seed": 0,
    "threads": 0, "vocabulary_multiple": 0, "log_interval": 1, "eval_interval": 0,
    "probe_facts": 0, "checkpoint_interval": 0, "checkpoint_history": 0, "prefetch": 0,
    "lora_rank": 1,
}  # fmt: skip
# Minimum and maximum, and whether these two are excluded.
_RANGES = {
    "epochs": (0, _HUGE, True, False), "learning_rate": (0, _HUGE, True, False),
    "warmup": (0, 1, False, False), "decay": (0, 1, False, False),
    "final_learning_rate": (0, 1, False, False), "weight_decay": (0, _HUGE, False, False),
    "beta1": (0, 1, False, True), "beta2": (0, 1, False, True),
    "clip": (0, _HUGE, False, False), "lora_alpha": (0, _HUGE, True, False),
}  # fmt: skip
# Settings whose types say which values they may have.
_HINTS = get_type_hints(TrainConfig)
_FLAGS = [name for name, hint in _HINTS.items() if hint is bool]
_CHOICES = {name: get_args(hint) for name, hint in _HINTS.items() if get_origin(hint) is Literal}


def _whole(name: str, value: object) -> int:
    """Return a setting that is a whole number as an int; numpy's integers pass."""
    least, most = _LEAST[name], _MOST.get(name, LARGEST)
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    is_large = isinstance(value, Integral) and int(value) > most
    end = f" to {most:,}" if name in _MOST or is_large else ""
    raise ArgumentError(name, value, f"a whole number from {least}{end}")


def _number(name: str, value: object) -> float:
    """Return a setting that is a number; numpy's numbers become Python's, others stay as given."""
    low, high, above_low, below_high = _RANGES[name]
    large = False
    if isinstance(value, Real) and not isinstance(value, bool):
        plain = value if isinstance(value, int | float) else float(value)
        large = plain >= high if below_high else plain > high
        small = plain <= low if above_low else plain < low
        if not large and not small and isfinite(plain):
            return plain
    end = f", below {high:g}" if below_high else f" to {high:g}"
    end = "" if high == _HUGE and not large else end
    raise ArgumentError(name, value, f"a number {'above' if above_low else 'from'} {low:g}{end}")


def _plain(architecture: object) -> dict[str, Any]:
    """Return a configuration as its record holds it, with lists, and texts as keys."""
    try:
        if isinstance(architecture, Mapping):
            return json.loads(json.dumps(dict(architecture)))
    except (TypeError, ValueError, RecursionError):
        pass
    allowed = "the content of a config.json, such as config.to_dict()"
    raise ArgumentError("architecture", architecture, allowed)


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_LEAST, _whole), **dict.fromkeys(_RANGES, _number),
    **dict.fromkeys(_FLAGS, flag),
}  # fmt: skip
"""Readers of settings by name, called with the name and the value."""

# Sizes whose defaults were chosen by our own runs.
TUNED = ("nano", "micro", "14m")

# docs/training.md describes the runs that chose those of the tuned sizes. From 31m on the rates are
# Pythia's, with batches sized for the corpora here.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "pico": {"learning_rate": 5e-3, "batch_size": 256},
    "nano": {"learning_rate": 2.5e-3, "batch_size": 256},
    "micro": {"learning_rate": 2.5e-3, "batch_size": 256},
    "14m": {"learning_rate": 2e-3, "batch_size": 256},
    "31m": {"learning_rate": 1e-3, "block_length": 512, "batch_size": 256},
    "70m": {"learning_rate": 1e-3, "block_length": 512, "batch_size": 512},
    "160m": {"learning_rate": 6e-4, "block_length": 512, "batch_size": 512},
    "410m": {"learning_rate": 3e-4, "block_length": 512, "batch_size": 512},
}


_PARTS = 8  # of a process's share of a batch, for large models

# For a model that is trained already; not tuned.
_GOING_ON = {"learning_rate": 3e-4}


def _started(start: object, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings `start` and `architecture` for a model to start from."""
    from .model_source import is_model, read_config, run_of_checkpoint

    place = path_of("start", start, "the directory of a model")
    if settings.get("architecture") is not None:
        raise ArgumentError(
            "architecture", "a configuration", "not together with a model to start from"
        )
    if not is_model(place):
        raise ArgumentError("start", as_found(place), "a model (config.json and safetensors)")
    start = place.resolve()
    if run_of_checkpoint(start) is None and (run := run_of_checkpoint(place)) is not None:
        # Its checkpoints are a link to another disk, where their run would not be found.
        start = run.resolve() / "checkpoints" / place.absolute().name
    return {"start": str(start), "architecture": dict(read_config(place, "start"))}


def default_config(model: str | None = None, **settings: Any) -> TrainConfig:
    """Return the settings of a size of model, with some of them replaced.

    Parameters
    ----------
    model : str, optional
        Size of the model: nano by default; not together with `architecture` or `start`.
    **settings
        Fields of `TrainConfig`.

    Raises
    ------
    ArgumentError
        If a size or setting is unknown, or a value is not allowed.

    Examples
    --------
    >>> default_config("nano", steps=100).total_steps(blocks=10)
    100
    """
    check_keys(settings, [field.name for field in fields(TrainConfig)], meant=_MEANT)
    if (start := settings.get("start")) is not None:
        settings = {**_GOING_ON, **settings, **_started(start, settings)}
    if settings.get("architecture") is not None:
        config = _plain(settings["architecture"])
        if model is not None:
            what = "a configuration" if start is None else "a model to start from"
            raise ArgumentError("model", model, f"none with {what}, which has its own size")
        return made(TrainConfig, {"model": Size.of(config, "architecture").family, **settings})
    model = TrainConfig.model if model is None else model
    size = find_size(model)
    # For other families, those of GPT-NeoX at a similar number of parameters.
    usual = _DEFAULTS[model if size.family == "gpt_neox" else model.rpartition("-")[2]]
    values: dict[str, Any] = {"model": model, **usual, **settings}
    if model in ("160m", "410m") and isinstance(batch_size := values["batch_size"], Integral):
        # Parts that fit on a GPU of 24 GB, if the batch can be divided so.
        values = {"accumulate": gcd(_PARTS, int(batch_size)), **values}
    return made(TrainConfig, values)


def config_of(config: object) -> TrainConfig:
    """Return the settings that an argument `config` stands for: those of a size, given its name.

    Raises
    ------
    ArgumentError
        If it is neither settings, nor the name of a size, nor None.
    """
    if isinstance(config, TrainConfig):
        return config
    if config is None:
        return default_config()
    if not isinstance(config, str):
        allowed = "a TrainConfig, such as default_config('pico', epochs=4), or the name of a size"
        raise ArgumentError("config", config, allowed)
    with renamed(model="config"):
        return default_config(config)
