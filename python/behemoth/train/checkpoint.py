"""Checkpoints: one folder each, written atomically.

``checkpoints/step-00000120/`` holds ``model.safetensors`` and ``config.json`` (so that
`AutoModelForCausalLM` loads it), ``state.json`` (step, position in the corpus, times, digests of
the files) and ``optimiser.safetensors`` (moments and the states of the random number generators).
It is written under another name, synced and renamed. Checkpoints of the history have no
``optimiser.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from behemoth.model.architectures import FAMILIES
from behemoth.model.device import is_out_of_memory
from behemoth.support.digests import FILES, check, digests, read_sealed, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import (
    as_json,
    remove_folder,
    replacing,
    sweep_folder,
    write_bytes,
    write_tensors,
)

from .errors import TrainError
from .model_source import CONFIG, OPTIMISER, WEIGHTS
from .run import checkpoint_paths, step_of
from .sharding import part_of
from .trained import Trained

_STATE = "state.json"
_RANDOM = "random"


@dataclass(frozen=True)
class State:
    """Position of a run, without its weights.

    Parameters
    ----------
    step : int
        Number of updates done.
    stream : dict
        Output of `BlockStream.state_dict`.
    seconds : float
        Duration of training so far.
    first_loss : float, optional
        Loss of the first report, to which later ones are compared to detect divergence.
    """

    step: int
    stream: dict[str, Any]
    seconds: float
    first_loss: float | None


class Checkpoints:
    """The checkpoints of a run.

    Parameters
    ----------
    directory : Path
    device : torch.device, optional
        Device whose generator draws dropout; the CPU by default.
    """

    def __init__(self, directory: Path, device: torch.device | None = None) -> None:
        self.directory, self._device = directory, device or torch.device("cpu")

    def path(self, step: int) -> Path:
        """Return the path of the checkpoint of a step, which need not exist."""
        return self.directory / f"step-{step:08}"

    def save(
        self, model: PreTrainedModel, trained: Mapping[str, Tensor] | None, state: State
    ) -> Path:
        """Write a checkpoint; without the tensors of `Trained` it cannot be resumed from."""
        path = self.path(state.step)
        with replacing(path) as temporary:
            temporary.mkdir()
            save_model(model, temporary)
            if trained is not None:
                tensors = {**trained, **_random_states(self._device)}
                write_tensors(temporary / OPTIMISER, tensors)
            about = {"resumable": trained is not None, **vars(state)}
            files = digests(temporary, (WEIGHTS, CONFIG, OPTIMISER))
            (temporary / _STATE).write_bytes(as_json(sealed({**about, FILES: files})))
        return path

    def last(self) -> Path | None:
        """Return the newest checkpoint that a run can resume from, or None."""
        found = self._resumable()
        return found[-1] if found else None

    def load(self, path: Path, model: PreTrainedModel, trained: Trained) -> State:
        """Load a checkpoint into a model and its optimiser, and set the random states.

        The generator of a device whose state was not saved, as by a run on another kind of device,
        stays as it is.

        Raises
        ------
        TrainError
            If it is damaged, missing, cannot be read, or holds another model.
        MemoryError, RuntimeError
            If memory runs out.
        """
        if not path.is_dir():
            raise TrainError(
                f"checkpoint {path} is not there: all processes of a run need the disk it is on"
            )
        earlier = [step_of(other) for other in self._resumable() if step_of(other) < step_of(path)]
        hint = f"remove {path} to " + (
            f"resume from step {earlier[-1]}" if earlier else "train again from the first step"
        )
        try:
            state = read_sealed(path / _STATE, "a checkpoint")
            check(path, state.pop(FILES, None), WEIGHTS, OPTIMISER)
            weights = load_file(path / WEIGHTS)
            try:
                fill(model, weights)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise TrainError(
                    f"checkpoint {path} holds another model: {_short(error)}"
                ) from error
            tensors = load_file(path / OPTIMISER)
            trained.load(tensors)
            _set_random_states(tensors, self._device)
            state.pop("resumable")
            return State(**state)
        except CorpusError as error:
            raise TrainError(f"{error}; {hint}") from error
        except TrainError:
            raise
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            if is_out_of_memory(error):
                raise
            # The digests matched: a disk that cannot be read now does not make it damaged.
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise TrainError(f"checkpoint {path} cannot be read: {error}") from error
            raise TrainError(f"checkpoint {path} is damaged; {hint}") from error

    def prune(self, keep: int, history: frozenset[int]) -> None:
        """Remove all but the last `keep` resumable checkpoints; of the history the weights stay.

        So do checkpoints without an optimiser: an earlier history, which may have been longer, has
        kept them.
        """
        resumable = self._resumable()
        for path in resumable[: max(0, len(resumable) - keep)]:
            if step_of(path) in history:
                _drop_optimiser(path)
            else:
                remove_folder(path)
        sweep_folder(self.directory)

    def drop_after(self, step: int) -> None:
        """Remove the checkpoints after a step, of a stretch that a resumed run trains again."""
        sweep_folder(self.directory)  # first: it may bring one back
        for path in self._all():
            if step_of(path) > step:
                remove_folder(path)

    def _all(self) -> list[Path]:
        return list(checkpoint_paths(self.directory).values())

    def _resumable(self) -> list[Path]:
        return [path for path in self._all() if (path / OPTIMISER).is_file()]


def _drop_optimiser(path: Path) -> None:
    """Remove the optimiser state of a checkpoint, and update its record."""
    if not (path / OPTIMISER).is_file():
        return
    # A damaged record stays as it is: `verify` reports it, and training no longer needs it.
    with suppress(CorpusError, OSError):
        state = read_sealed(path / _STATE, "a checkpoint")
        if isinstance(files := state.get(FILES), dict):
            state[FILES] = {name: own for name, own in files.items() if name != OPTIMISER}
        # The record comes first: after a kill in between, the next call removes the file.
        write_bytes(path / _STATE, as_json(sealed({**state, "resumable": False})))
    (path / OPTIMISER).unlink()


def save_model(model: PreTrainedModel, directory: Path) -> None:
    """Write weights and configuration in the format of `AutoModelForCausalLM.from_pretrained`.

    The head has its published name: under that of its module, transformers before 5 found no head,
    and continued with random weights after a warning. The configuration does not name the place
    that the model was loaded from, which means nothing to others.
    """
    stored = _stored_names(model)
    weights = {stored.get(name, name): tensor for name, tensor in _untied(model).items()}
    write_tensors(directory / WEIGHTS, weights, {"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=False))
    config |= {"architectures": [type(model).__name__]}
    config.pop("_name_or_path", None)
    text = json.dumps(config, indent=2, sort_keys=True)
    write_bytes(directory / CONFIG, (text + "\n").encode())


def fill(model: PreTrainedModel, tensors: dict[str, Tensor]) -> None:
    """Load weights written by `save_model`, of this or an earlier version, into a model.

    Raises
    ------
    RuntimeError
        If they belong to another model.
    """
    own, first = model.state_dict(), _first_names(model)
    names = {stored: name for name, stored in _stored_names(model).items()}
    tensors = {names.get(name, name): tensor for name, tensor in tensors.items()}
    given = {first.get(name, name): tensor for name, tensor in tensors.items()}
    every = {name: given.get(first.get(name, name)) for name in own} | tensors
    parts = {
        name: part_of(tensor, own[name]) if name in own else tensor
        for name, tensor in every.items()
        if tensor is not None
    }
    model.load_state_dict(parts)


def _stored_names(model: PreTrainedModel) -> dict[str, str]:
    """Map the names of parameters to their names in files, where these differ."""
    family = FAMILIES.get(model.config.model_type)
    if family is None or family.stored_head is None:
        return {}
    heads = [f"{head}." for head in family.heads]
    return {
        name: f"{family.stored_head}.{name.removeprefix(head)}"
        for name in model.state_dict()
        for head in heads
        if name.startswith(head)
    }


def _untied(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return the weights of a model; shared ones (a tied head) only under their first name."""
    first = _first_names(model)
    return {n: tensor for n, tensor in model.state_dict().items() if first.get(n, n) == n}


def _first_names(model: PreTrainedModel) -> dict[str, str]:
    """Map the name of each parameter to the first name of the same parameter."""
    found: dict[int, str] = {}
    named = model.named_parameters(remove_duplicate=False)
    return {name: found.setdefault(id(parameter), name) for name, parameter in named}


def load_weights(path: Path, model: PreTrainedModel) -> None:
    """Load the weights of a checkpoint into a model.

    Raises
    ------
    CorpusError
        If they are damaged, or belong to another model.
    """
    check(path, read_sealed(path / _STATE, "a checkpoint").get(FILES), WEIGHTS)
    try:
        fill(model, load_file(path / WEIGHTS))
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise CorpusError(f"{path / WEIGHTS} holds another model: {_short(error)}") from None
    except (OSError, SafetensorError):
        raise CorpusError(f"{path / WEIGHTS} is damaged") from None


def history_steps(count: int, steps: int) -> frozenset[int]:
    """Return `count` log-spaced steps from 1 to the last, and 0; fewer if some coincide."""
    if count == 0:
        return frozenset()
    places = [i / (count - 1) if count > 1 else 1.0 for i in range(count)]
    return frozenset({0, *(round(steps**place) for place in places)})


def _short(error: RuntimeError) -> str:
    """Return the first of the reasons that `load_state_dict` lists after its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shorten(lines[min(1, len(lines) - 1)].rstrip("."), 200) if lines else "unknown"


def _random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators of the CPU and of a device."""
    states = {f"{_RANDOM}.cpu": torch.get_rng_state()}
    if device.type == "cuda":  # another GPU than the first has a generator of its own
        states[f"{_RANDOM}.cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_states(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(tensors[f"{_RANDOM}.cpu"])
    if device.type == "cuda" and f"{_RANDOM}.cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"{_RANDOM}.cuda"], device)
