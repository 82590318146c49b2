"""What every method owes to its callers, looked at: `behemoth methods --check`, and our own tests.

A method of another package is held to it without a clone: a small model is trained for it, and
plans of single edits are made for that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from behemoth.delta.delta import Change, EditDelta
from behemoth.delta.module import ModuleChange
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import KINDS, EditRequest
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import ProgressLike, task

from .protocol import EditContext, EditMethod, answers
from .registry import get_method, method_type
from .stacking import stack_size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["PROMISES", "Bench", "Promise", "check_contract", "check_method", "quick_method"]

_SEED = 5
_QUICK = {"steps": 2, "training_steps": 2, "samples": 256, "facts": 6}
_SMALL: dict[str, Any] = {
    "repeats": 2,
    "same_object": 4,
    "same_relation": 4,
    "regular": 4,
    "probes": 2,
}
_SAME = 1e-6
_STACKED = 1e-5  # of logits: what a delta in float32 rounds


@dataclass(frozen=True)
class Promise:
    """What a method owes, and whether it is kept.

    Attributes
    ----------
    name : str
    broken : str, optional
        What is wrong; none where it is kept.
    """

    name: str
    broken: str | None = None


@dataclass(frozen=True, eq=False)
class Bench:
    """What a method is tried on.

    Attributes
    ----------
    corpus : Corpus
    run : Path
        The run that `model` is of.
    model : nn.Module
        In float64, where two calls differ by rounding, but not by what Adam makes of it.
    cache : Path
        Where methods keep covariances, and deltas are saved to.
    """

    corpus: Corpus
    run: Path
    model: nn.Module
    cache: Path

    @classmethod
    def train(cls, place: Path, progress: ProgressLike = None) -> Bench:
        """Train the model: one short pass over 120 facts, in seconds.

        Parameters
        ----------
        place : Path
            An empty folder.
        progress : callable or Progress, optional
            Who looks on; what it raises stops the work.
        """
        from behemoth.corpus.corpus import Corpus
        from behemoth.corpus.world import World
        from behemoth.train import TrainConfig, train
        from behemoth.train.run import read_run

        corpus = Corpus(World(subjects=60, relations=2, objects=12, seed=1), exposures=4)
        config = TrainConfig(
            model="nano", epochs=1, batch_size=8, block_length=64, tensorboard=False, threads=1
        )
        train(corpus, out=place / "run", config=config, progress=progress)
        model = read_run(place / "run").load_model("cpu").double()
        return cls(corpus, place / "run", model, place / "cache")


def check_method(name: str, *, progress: ProgressLike = None) -> list[Promise]:
    """Hold a method to what all methods owe to their callers, on a small model trained for it.

    It is tried with few steps, where it has such settings, and else as it is by default.

    Parameters
    ----------
    name : str
        Of the registry; a method of another package too, that is installed.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Returns
    -------
    list of Promise
        One for each of `PROMISES`, in their order.

    Raises
    ------
    ArgumentError
        For an unknown name.

    Examples
    --------
    >>> [promise.name for promise in check_method("ft") if promise.broken]
    []
    """
    method = quick_method(name)
    with TemporaryDirectory(prefix="behemoth-check-") as place:
        bench = Bench.train(Path(place), progress)
        return check_contract(name, method, bench, progress=progress)


def quick_method(name: str) -> EditMethod:
    """A method with few steps, as far as it has settings of these names that allow it."""
    kind: Any = method_type(name)
    known = {field.name for field in dataclasses.fields(kind)} if _is_settings(kind) else ()
    settings = {key: value for key, value in _QUICK.items() if key in known}
    with suppress(ArgumentError):
        return get_method(name, settings)
    return get_method(name)


def check_contract(
    name: str,
    method: EditMethod,
    bench: Bench,
    *,
    same: float = _SAME,
    progress: ProgressLike = None,
) -> list[Promise]:
    """Hold a method to what it owes.

    Parameters
    ----------
    name : str
        How it is registered.
    method : EditMethod
    bench : Bench
    same : float
        How far two deltas of one plan may differ, relative to a delta's norm.
    progress : callable or Progress, optional
        Who looks on; what it raises stops the work.

    Returns
    -------
    list of Promise
        One for each of `PROMISES`. What a method raises breaks the promise that it was looked at
        for; where it gives no deltas, all that is said of them is broken as well.
    """
    case = _Case(name, method, bench, same)
    found = []
    with task(progress, "checking", "promises") as step:
        for promise, look in PROMISES.items():
            try:
                look(case)
            except Exception as error:
                kind = "" if isinstance(error, _BrokenError) else f"{type(error).__name__}: "
                found.append(Promise(promise, " ".join(f"{kind}{error}".split())))
            else:
                found.append(Promise(promise))
            step(len(found), len(PROMISES))
    return found


class _BrokenError(Exception):
    """A promise that is not kept: one line for people."""


def _must(kept: bool, otherwise: str) -> None:
    if not kept:
        raise _BrokenError(otherwise)


@dataclass(frozen=True, eq=False)
class _Case:
    """A method on a bench, with the deltas that it gives."""

    name: str
    method: EditMethod
    bench: Bench
    same: float

    @cached_property
    def context(self) -> EditContext:
        bench = self.bench
        return EditContext(corpus=bench.corpus, seed=_SEED, cache=bench.cache, run=bench.run)

    @cached_property
    def plans(self) -> list[EditPlan]:
        """Two single edits of a kind that it can carry out."""
        kinds = [kind for kind in KINDS if kind in self.method.info.kinds]
        _must(bool(kinds), f"info.kinds has none of {', '.join(KINDS)}")
        return _plans(self.bench.corpus, kinds[0])

    @cached_property
    def before(self) -> dict[str, Tensor]:
        """The parameters of the unedited model."""
        return {name: own.detach().clone() for name, own in self.bench.model.named_parameters()}

    @cached_property
    def deltas(self) -> list[EditDelta]:
        """What it gives of both plans, in one call where it stacks."""
        model = self.bench.model
        _ = self.before
        if self.method.info.stacks:
            return list(self.method.apply(model, self.plans, self.context))
        return [
            delta for plan in self.plans for delta in self.method.apply(model, [plan], self.context)
        ]

    def logits(self, times: int = 1) -> Tensor:
        """What the model says at every token of the plans' prompts, so many times over."""
        import torch

        prompts = [row for plan in self.plans for row in plan.training["prompt"]]
        rows = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, prompts)), batch_first=True)
        model: Any = self.bench.model
        with torch.no_grad():
            return model(input_ids=rows.repeat(times, 1)).logits

    def is_unedited(self) -> bool:
        """Whether the model has its own bits."""
        own = self.bench.model.named_parameters()
        return all(value.equal(self.before[name]) for name, value in own)


def _plans(corpus: Corpus, kind: Any) -> list[EditPlan]:
    relation = 0 if kind == "censor" else None
    request = EditRequest(edits=2, kind=kind, relation=relation, **_SMALL)
    return compile_plan(corpus, request).singles()


def _protocol(case: _Case) -> None:
    method = case.method
    _must(isinstance(method, EditMethod), "it has no `info` or no `apply`")
    _must(_is_settings(type(method)), "it is no frozen dataclass, whose fields are its settings")
    said = method.info.name
    _must(said == case.name, f"info.name is {said!r}, and it is registered as {case.name!r}")


def _gives(case: _Case) -> None:
    count = len(case.deltas)
    _must(count == len(case.plans), f"{count} deltas of {len(case.plans)} plans")
    for plan, delta in zip(case.plans, case.deltas, strict=True):
        _must(delta.plan_hash == plan.plan_hash, "a delta has another plan's hash")
        _must(delta.method == case.name, f"a delta says it is of {delta.method!r}")
        _must(delta.seed == _SEED, f"a delta has the seed {delta.seed}, the context {_SEED}")


def _goes_through(case: _Case) -> None:
    for delta in case.deltas:
        _must(delta.failure is None, f"an edit failed: {delta.failure}")
        _must(bool(delta.changes), "a delta without changes and without a failure")


def _leaves(case: _Case) -> None:
    _ = case.deltas
    _must(case.is_unedited(), "the model's parameters are others after `apply`")
    # Of torch.nn, which has no public way to ask.
    hooks = [name for name, own in case.bench.model.named_modules() if own._forward_hooks]
    _must(not hooks, f"forward hooks are left on {', '.join(hooks)}")


def _has_doses(case: _Case) -> None:
    if not case.method.info.doses:
        return
    rival = "other" if case.method.info.forgets() else "new"
    column, steps = f"log_probability_{rival}", answers(case.method).effort().steps
    for delta in case.deltas:
        missing = [name for name in ("step", column) if any(name not in row for row in delta.trace)]
        _must(bool(delta.trace), "an empty trace, and info.doses is true")
        _must(not missing, f"rows of the trace lack {', '.join(missing)}")
        last = delta.trace[-1]["step"]
        _must(0 <= last <= steps, f"the trace ends at step {last}, and effort() says {steps}")


def _applies(case: _Case) -> None:
    model, delta = case.bench.model, case.deltas[0]
    before = case.logits()
    applied = delta.apply(model)
    try:
        own = dict(model.named_parameters())
        moved = {name for name, value in own.items() if not value.equal(case.before[name])}
        same = case.logits().equal(before)
    finally:
        applied.revert()
    _must(not same, "the delta changes nothing of what the model says")
    _must(moved <= set(delta.changes), f"{', '.join(moved - set(delta.changes))} is not named")
    _must(case.is_unedited(), "the model has not its own bits back")
    _must(case.logits().equal(before), "the model does not say again what it said")


def _stands_beside(case: _Case) -> None:
    import torch

    from behemoth.delta.stack import stack_deltas

    model, alone = case.bench.model, list[Any]()
    for delta in case.deltas:
        with delta.apply(model):
            alone.append(case.logits())
    with stack_deltas(model, case.deltas).attached():
        together = case.logits(len(case.deltas))
    apart = float((together - torch.cat(alone)).abs().max())
    _must(apart <= _STACKED, f"beside another delta the model says something else, by {apart:.1e}")


def _is_saved(case: _Case) -> None:
    delta = case.deltas[0]
    place = case.bench.cache / f"delta-{case.name}"
    delta.save(place)
    loaded = EditDelta.load(place)
    _must(loaded.settings == delta.settings, "settings are not what JSON gives back")
    _must(loaded.trace == delta.trace, "the trace is not what JSON gives back")
    same = loaded.changes.keys() == delta.changes.keys() and all(
        getattr(loaded.changes[name], part).equal(tensor)
        for name, change in delta.changes.items()
        for part, tensor in vars(change).items()
    )
    _must(same, "the changes are not what the file gives back")


def _is_alone(case: _Case) -> None:
    alone = case.method.apply(case.bench.model, [case.plans[1]], case.context)[0]
    apart = _distance(alone.changes, case.deltas[1].changes)
    _must(apart <= case.same, f"alone and beside another plan a delta differs by {apart:.1e}")


def _is_first(case: _Case) -> None:
    first = answers(case.method).in_sequence(case.bench.model, case.context)(case.plans[0])
    apart = _distance(first.changes, case.deltas[0].changes)
    _must(apart <= case.same, f"the first of a sequence differs from the same alone by {apart:.1e}")


def _refuses(case: _Case) -> None:
    for kind in KINDS:
        if kind in case.method.info.kinds or kind == "question_refusal":
            continue
        try:
            case.method.apply(case.bench.model, _plans(case.bench.corpus, kind)[:1], case.context)
        except ArgumentError:
            continue
        raise _BrokenError(f"edits of kind {kind} are not refused (`check_kinds` does it)")


def _answers(case: _Case) -> None:
    model, said = case.bench.model, answers(case.method)
    effort = said.effort()
    _must(
        (effort.steps > 0 and effort.rows > 0) != (effort.trainings > 0),
        f"effort() has neither steps of rows nor trainings, or both: {effort}",
    )
    sizes = [said.stack_bytes(model, count) for count in (1, 2, 8)]
    _must(0 < sizes[0] < sizes[1] < sizes[2], f"stack_bytes of 1, 2 and 8 plans are {sizes}")
    one = stack_size(case.method, model) == 1
    _must(one != case.method.info.stacks, "what fits a stack is not what info.stacks says")
    batch = said.for_batch(100)
    _must(type(batch) is type(case.method), "for_batch gives another method")
    more = answers(batch).effort()
    _must(more.rows >= effort.rows, "for_batch takes fewer rows a step")
    _must(more.steps == effort.steps, "for_batch takes another number of steps")


PROMISES: Mapping[str, Callable[[_Case], None]] = {
    "a frozen dataclass with `info` and `apply`, under its name": _protocol,
    "one delta for each plan, in their order": _gives,
    "edits that it is for go through": _goes_through,
    "the model stays as it was": _leaves,
    "the trace is of doses, where `info.doses` says so": _has_doses,
    "the delta applies, changes what it names, and reverts": _applies,
    "deltas that stand side by side do what each does alone": _stands_beside,
    "the delta is saved and loaded": _is_saved,
    "the same delta alone and among others": _is_alone,
    "the same delta at the beginning of a sequence": _is_first,
    "kinds of edits that it is not for are refused": _refuses,
    "what it says of its effort and memory holds together": _answers,
}
"""What is looked at, in words, and by what."""


def _is_settings(kind: Any) -> bool:
    frozen: Any = getattr(kind, "__dataclass_params__", None)
    return frozen is not None and frozen.frozen


def _distance(one: Mapping[str, Change], other: Mapping[str, Change]) -> float:
    """The norm of the difference of two deltas' changes, relative to that of one."""
    if one.keys() != other.keys() or not one:
        return float("inf")
    parts = [
        pair
        for name, change in one.items()
        for pair in zip(_tensors(change), _tensors(other[name]), strict=True)
    ]
    apart = sum(float((a - b).square().sum()) for a, b in parts)
    return (apart / sum(float(b.square().sum()) for _, b in parts)) ** 0.5


def _tensors(change: Change) -> list[Tensor]:
    """What is compared of a change: its product, or what a module answers from."""
    return (
        list(change.parts().values()) if isinstance(change, ModuleChange) else [change.to_dense()]
    )
