"""Checks of the contract of edit methods: `behemoth methods --check`, and the project's own tests.

A method of another package is checked without a clone of this repository: a small model is trained
for it, and plans of single edits are compiled for that model. A smaller one of another family with
other names, whose embedding is its head, is trained for the last promise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from behemoth.delta.delta import Change, EditDelta
from behemoth.delta.module import ModuleChange
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import KINDS, EditRequest
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import ProgressLike, task
from behemoth.support.text import error_text, plural_text

from .errors import MethodError
from .guarded import NOT_FROZEN, check_deltas, check_is_method, is_frozen
from .protocol import EditContext, EditMethod, MethodInfo, answers
from .registry import check_concrete, get_method, method_type, setting_names
from .stacking import stack_size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["PROMISES", "Promise", "TinyRun", "check_contract", "check_method", "quick_method"]

_SEED = 5
_QUICK = {"steps": 2, "training_steps": 2, "samples": 256, "facts": 6}
_SMALL: dict[str, Any] = {
    "repeats": 2, "same_object": 4, "same_relation": 4, "regular": 4, "probes": 2,
}  # fmt: skip
# A Llama of two layers, whose two heads share one of keys and values.
_ELSEWHERE = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 128, "tie_word_embeddings": True,
}  # fmt: skip
_SAME = 1e-6
_STACKED = 1e-5  # difference of logits: rounding of a float32 delta


@dataclass(frozen=True)
class Promise:
    """A clause of the contract, and whether a method keeps it.

    Attributes
    ----------
    name : str
    broken : str, optional
        What is wrong; None if the promise is kept.
    """

    name: str
    broken: str | None = None


@dataclass(frozen=True, eq=False)
class TinyRun:
    """The corpus, run and model that a method is checked on.

    Attributes
    ----------
    corpus : Corpus
    run : Path
        The run that `model` is from.
    model : nn.Module
        In float64, in which two calls differ by rounding, but not by the amplification of Adam.
    cache : Path
        Directory for the methods' covariances and for saved deltas.
    elsewhere : callable, optional
        Returns the same of a model of another family; without it, nothing is checked there.
    """

    corpus: Corpus
    run: Path
    model: nn.Module
    cache: Path
    elsewhere: Callable[[], TinyRun] | None = None

    @classmethod
    def train(cls, place: Path, progress: ProgressLike = None) -> TinyRun:
        """Train the model: one pass over 120 facts, which takes seconds.

        That of another family is trained when it is asked for.

        Parameters
        ----------
        place : Path
            An empty directory.
        progress : callable or Progress, optional
            Receiver of progress reports; an error that it raises stops the work.
        """
        from behemoth.corpus.corpus import Corpus
        from behemoth.corpus.world import World
        from behemoth.train import TrainConfig, train
        from behemoth.train.run import read_run

        corpus = Corpus(World(subjects=60, relations=2, objects=12, seed=1), exposures=4)

        def trained(place: Path, **model: Any) -> TinyRun:
            config = TrainConfig(
                epochs=1, batch_size=8, block_length=64, tensorboard=False, threads=1, **model
            )
            train(corpus, out=place / "run", config=config, progress=progress)
            loaded = read_run(place / "run").load_model("cpu").double()
            return cls(corpus, place / "run", loaded, place / "cache")

        other = partial(trained, place / "elsewhere", model="llama", architecture=_ELSEWHERE)
        return replace(trained(place, model="nano"), elsewhere=other)


def check_method(method: EditMethod | str, *, progress: ProgressLike = None) -> list[Promise]:
    """Check a method against the contract of all methods, on small models trained for the check.

    Parameters
    ----------
    method : EditMethod or str
        A method, which need not be registered and is checked with its own settings; or the name of
        one, also of another installed package, which is checked with few steps if it has such
        settings, and otherwise with its defaults.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    list of Promise
        One for each of `PROMISES`, in their order. A broken promise that the others build on, such
        as that `apply` returns deltas, is the last of the list: the others cannot be checked.

    Raises
    ------
    ArgumentError
        For an unknown name, and for an object that is no method.
    MethodError
        If the method is of another package and cannot be imported.

    Examples
    --------
    >>> [promise.name for promise in check_method("ft") if promise.broken]
    []
    """
    if isinstance(method, str):
        name, method = method, quick_method(method)
    else:
        check_is_method(method)
        name = method.info.name
    with TemporaryDirectory(prefix="behemoth-check-") as place:
        tiny = TinyRun.train(Path(place), progress)
        return check_contract(name, method, tiny, progress=progress)


def quick_method(name: str) -> EditMethod:
    """Return a method with few steps, as far as it has settings of these names that allow it."""
    kind: Any = method_type(name)
    has_all = isinstance(getattr(kind, "info", None), MethodInfo) and hasattr(kind, "apply")
    if isinstance(kind, type) and not (has_all and is_frozen(kind)):
        # Which is a promise that the check reports as broken.
        check_concrete(name, kind)
        return kind()
    with suppress(ArgumentError):
        known = setting_names(name)
        return get_method(name, {key: _QUICK[key] for key in _QUICK if key in known})
    return get_method(name)


def check_contract(
    name: str,
    method: EditMethod,
    tiny: TinyRun,
    *,
    same: float = _SAME,
    progress: ProgressLike = None,
) -> list[Promise]:
    """Check a method against the contract.

    Parameters
    ----------
    name : str
        Name under which it is registered.
    method : EditMethod
    tiny : TinyRun
    same : float
        Maximum difference of two deltas of one plan, relative to a delta's norm.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    list of Promise
        One for each of `PROMISES`, up to one that the others build on and that is broken. An
        exception breaks the promise that was being checked.
    """
    case = _Case(name, method, tiny, same)
    found = []
    with task(progress, "checking", "promises") as step:
        for number, (promise, look) in enumerate(PROMISES.items(), 1):
            # Before it is checked: the first one makes the edits, which takes longest.
            step(number, len(PROMISES), f"{number} of {len(PROMISES)} promises: {promise}")
            try:
                look(case)
            except Exception as error:
                kind = "" if isinstance(error, _BrokenError) else f"{type(error).__name__}: "
                found.append(Promise(promise, " ".join(f"{kind}{error}".split())))
                if isinstance(error, _FundamentalError):
                    break
            else:
                found.append(Promise(promise))
    return found


class _BrokenError(Exception):
    """A promise that is not kept; the message is one line."""


class _FundamentalError(_BrokenError):
    """A promise that is not kept and that the others build on: they would only repeat the cause."""


def _must(kept: bool, otherwise: str) -> None:
    if not kept:
        raise _BrokenError(otherwise)


def _need(kept: bool, otherwise: str) -> None:
    if not kept:
        raise _FundamentalError(otherwise)


@dataclass(frozen=True, eq=False)
class _Case:
    """A method on a tiny run, with the deltas that it returns."""

    name: str
    method: EditMethod
    tiny: TinyRun
    same: float

    @cached_property
    def context(self) -> EditContext:
        tiny = self.tiny
        return EditContext(corpus=tiny.corpus, seed=_SEED, cache=tiny.cache, run=tiny.run)

    @cached_property
    def plans(self) -> list[EditPlan]:
        """Two single edits of a kind that it can carry out."""
        kinds = [kind for kind in KINDS if kind in self.method.info.kinds]
        _must(bool(kinds), f"info.kinds has none of {', '.join(KINDS)}")
        return _plans(self.tiny.corpus, kinds[0])

    @cached_property
    def before(self) -> dict[str, Tensor]:
        """The parameters of the unedited model, those of several names under each."""
        own = self.tiny.model.named_parameters(remove_duplicate=False)
        return {name: value.detach().clone() for name, value in own}

    @cached_property
    def deltas(self) -> list[EditDelta]:
        """The deltas of both plans, from one call if the method stacks."""
        model = self.tiny.model
        _ = self.before
        if self.method.info.stacks:
            return list(self.method.apply(model, self.plans, self.context))
        return [
            delta for plan in self.plans for delta in self.method.apply(model, [plan], self.context)
        ]

    def logits(self, times: int = 1) -> Tensor:
        """Return the logits at every token of the plans' prompts, repeated `times` times."""
        import torch

        prompts = [row for plan in self.plans for row in plan.training["prompt"]]
        rows = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, prompts)), batch_first=True)
        model: Any = self.tiny.model
        with torch.no_grad():
            return model(input_ids=rows.repeat(times, 1)).logits

    def is_unedited(self) -> bool:
        """Return whether the model's parameters are bit by bit those of the unedited model."""
        own = self.tiny.model.named_parameters()
        return all(value.equal(self.before[name]) for name, value in own)


def _plans(corpus: Corpus, kind: Any) -> list[EditPlan]:
    relation = 0 if kind == "censor" else None
    request = EditRequest(edits=2, kind=kind, relation=relation, **_SMALL)
    return compile_plan(corpus, request).singles()


def _protocol(case: _Case) -> None:
    method = case.method
    _need(isinstance(method, EditMethod), "it has no `info` or no `apply`")
    _need(isinstance(method.info, MethodInfo), "its `info` is no MethodInfo")
    _must(is_frozen(type(method)), f"it is {NOT_FROZEN}, whose fields are its settings")
    said = method.info.name
    _must(said == case.name, f"info.name is {said!r}, but it is registered as {case.name!r}")


def _gives(case: _Case) -> None:
    try:
        deltas: list[Any] = case.deltas
    except _BrokenError as error:
        raise _FundamentalError(str(error)) from error
    except Exception as error:
        raise _FundamentalError(error_text(error)) from error
    count = len(deltas)
    _need(count == len(case.plans), f"{plural_text(count, 'delta')} for {len(case.plans)} plans")
    for delta in deltas:
        _need(isinstance(delta, EditDelta), f"{type(delta).__name__} in place of an EditDelta")
    for plan, delta in zip(case.plans, case.deltas, strict=True):
        _must(delta.plan_hash == plan.plan_hash, "a delta has another plan's hash")
        _must(delta.method == case.name, f"a delta names the method {delta.method!r}")
        _must(delta.seed == _SEED, f"a delta has the seed {delta.seed}, the context {_SEED}")


def _goes_through(case: _Case) -> None:
    for delta in case.deltas:
        _need(delta.failure is None, f"an edit failed: {delta.failure}")
        _need(bool(delta.changes), "a delta without changes and without a failure")


def _leaves(case: _Case) -> None:
    _ = case.deltas
    _need(case.is_unedited(), "the model's parameters have changed after `apply`")
    # torch.nn has no public interface for this.
    hooks = [name for name, own in case.tiny.model.named_modules() if own._forward_hooks]
    _must(not hooks, f"forward hooks are left on {', '.join(hooks)}")


def _has_doses(case: _Case) -> None:
    if not case.method.info.doses:
        return
    rival = "other" if case.method.info.forgets() else "new"
    column, steps = f"log_probability_{rival}", answers(case.method).effort().steps
    for delta in case.deltas:
        missing = [name for name in ("step", column) if any(name not in row for row in delta.trace)]
        _must(bool(delta.trace), "an empty trace, but info.doses is true")
        _must(not missing, f"rows of the trace lack {', '.join(missing)}")
        last = delta.trace[-1]["step"]
        _must(0 <= last <= steps, f"the trace ends at step {last}, but effort() states {steps}")


def _applies(case: _Case) -> None:
    model, delta = case.tiny.model, case.deltas[0]
    try:
        check_deltas(case.method, model, case.deltas)
    except MethodError as error:
        raise _FundamentalError(str(error)) from error
    before = case.logits()
    applied = delta.apply(model)
    try:
        own = dict(model.named_parameters(remove_duplicate=False))
        moved = {name for name, value in own.items() if not value.equal(case.before[name])}
        # A head that is the embedding moves under both names, of which the delta needs one.
        named = {id(own[name]) for name in delta.changes if name in own}
        unnamed = {name for name in moved if id(own[name]) not in named}
        same = case.logits().equal(before)
    finally:
        applied.revert()
    _must(not same, "the delta does not change the model's logits")
    _must(not unnamed, f"{', '.join(unnamed)} is not named")
    _must(case.is_unedited(), "the model's parameters are not restored bit by bit")
    _must(case.logits().equal(before), "the model's logits are not restored")


def _stands_beside(case: _Case) -> None:
    import torch

    from behemoth.delta.stack import stack_deltas

    model, alone = case.tiny.model, list[Any]()
    for delta in case.deltas:
        with delta.apply(model):
            alone.append(case.logits())
    with stack_deltas(model, case.deltas).attached():
        together = case.logits(len(case.deltas))
    apart = float((together - torch.cat(alone)).abs().max())
    _must(apart <= _STACKED, f"stacked with another delta, logits differ by {apart:.1e}")


def _is_saved(case: _Case) -> None:
    delta = case.deltas[0]
    place = case.tiny.cache / f"delta-{case.name}"
    delta.save(place)
    loaded = EditDelta.load(place)
    _must(loaded.settings == delta.settings, "settings are changed by saving as JSON")
    _must(loaded.trace == delta.trace, "the trace is changed by saving as JSON")
    same = loaded.changes.keys() == delta.changes.keys() and all(
        getattr(loaded.changes[name], part).equal(tensor)
        for name, change in delta.changes.items()
        for part, tensor in vars(change).items()
    )
    _must(same, "the changes differ after saving and loading")


def _is_alone(case: _Case) -> None:
    alone = case.method.apply(case.tiny.model, [case.plans[1]], case.context)[0]
    apart = _distance(alone.changes, case.deltas[1].changes)
    _must(apart <= case.same, f"alone and with another plan, a delta differs by {apart:.1e}")


def _is_first(case: _Case) -> None:
    first = answers(case.method).in_sequence(case.tiny.model, case.context)(case.plans[0])
    apart = _distance(first.changes, case.deltas[0].changes)
    _must(apart <= case.same, f"the first of a sequence differs from itself alone by {apart:.1e}")


def _refuses(case: _Case) -> None:
    for kind in KINDS:
        if kind in case.method.info.kinds or kind == "question_refusal":
            continue
        try:
            case.method.apply(case.tiny.model, _plans(case.tiny.corpus, kind)[:1], case.context)
        except ArgumentError:
            continue
        raise _BrokenError(f"edits of kind {kind} are not refused (`check_kinds` does it)")


def _answers(case: _Case) -> None:
    model, said = case.tiny.model, answers(case.method)
    effort = said.effort()
    _must(
        (effort.steps > 0 and effort.rows > 0) != (effort.trainings > 0),
        f"effort() has neither steps of rows nor trainings, or both: {effort}",
    )
    sizes = [said.stack_bytes(model, count) for count in (1, 2, 8)]
    _must(0 < sizes[0] < sizes[1] < sizes[2], f"stack_bytes of 1, 2 and 8 plans are {sizes}")
    one = stack_size(case.method, model) == 1
    _must(one != case.method.info.stacks, "the stack size contradicts info.stacks")
    batch = said.for_batch(100, 2)
    _must(type(batch) is type(case.method), "for_batch returns another method")
    more = answers(batch).effort()
    _must(more.rows >= effort.rows, "for_batch has fewer rows per step")
    _must(more.steps == effort.steps, "for_batch has another number of steps")


def _holds_elsewhere(case: _Case) -> None:
    if case.tiny.elsewhere is None:
        return
    other = replace(case, tiny=case.tiny.elsewhere())
    kind = type(other.tiny.model).__name__
    for look in (_gives, _goes_through, _leaves, _applies, _stands_beside, _is_alone):
        try:
            look(other)
        except Exception as error:
            told = str(error) if isinstance(error, _BrokenError) else error_text(error)
            raise _BrokenError(f"with {kind}: {told}") from error


PROMISES: Mapping[str, Callable[[_Case], None]] = {
    "a frozen dataclass with `info` and `apply`, under its name": _protocol,
    "one delta for each plan, in their order": _gives,
    "edits that it is for go through": _goes_through,
    "the model stays as it was": _leaves,
    "the trace is of doses, if `info.doses` is true": _has_doses,
    "the delta applies, changes what it names, and reverts": _applies,
    "stacked deltas do what each does alone": _stands_beside,
    "the delta is saved and loaded": _is_saved,
    "the same delta alone and among others": _is_alone,
    "the same delta at the beginning of a sequence": _is_first,
    "kinds of edits that it is not for are refused": _refuses,
    "its statements about effort and memory are consistent": _answers,
    "the same for a model of another family, with tied embeddings": _holds_elsewhere,
}
"""The promises, each with the function that checks it."""


def _distance(one: Mapping[str, Change], other: Mapping[str, Change]) -> float:
    """Return the norm of the difference of two deltas' changes, relative to that of `other`."""
    if one.keys() != other.keys() or not one:
        return float("inf")
    parts = [
        pair
        for name, change in one.items()
        for pair in zip(_tensors(change), _tensors(other[name]), strict=True)
    ]
    apart = sum(float((a - b).square().sum()) for a, b in parts)
    size = sum(float(b.square().sum()) for _, b in parts)
    if size == 0:  # a change that is all zeros
        return 0.0 if apart == 0 else float("inf")
    return (apart / size) ** 0.5


def _tensors(change: Change) -> list[Tensor]:
    """Return the tensors that are compared: the dense change, or the parts of a module change."""
    return (
        list(change.parts().values()) if isinstance(change, ModuleChange) else [change.to_dense()]
    )
