"""Apply a plan to a run with a method, and save the changes as deltas: `behemoth edit`.

Each delta is written completely or not at all, so an interrupted call resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from behemoth.edit.protocol import check_kinds
from behemoth.model.device import find_device
from behemoth.plan.edit_plan import EditPlan, PlanWarning
from behemoth.support.checks import flag, path_of, whole_number
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.notices import warn_caller
from behemoth.support.progress import ProgressLike
from behemoth.train.run import Run, read_model_source

from .cache import cache_place
from .guarded import check_is_method
from .protocol import EditMethod, answers, settings_of
from .record import EditRecord, FailedEdit, count_failed, read_edit, source_of, told_edits
from .registry import get_method, method_type
from .sequential import checkpoints_of
from .settings import is_table_of_file, read_settings, settings_in
from .traced import at_traced_place
from .tuned import kind_of_world
from .work import write_edit

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["Edited", "edit"]


@dataclass(frozen=True, eq=False)
class Edited:
    """The result of `edit`; usable as a path, that of the edit directory.

    Attributes
    ----------
    out, run, plan_hash, method, settings, seed, single
        The arguments of the call.
    edits : int
        Number of edits in the plan.
    failed : list of FailedEdit
    present : int
        Number of deltas that existed before the call; for edits made one after another, the number
        of edits that earlier calls made.
    seconds : float
        Duration of this call, without loading the model.
    edits_per_second : float
        Throughput of this call; 0 if all deltas existed before.
    place : str, optional
        Where in the model the method edits. None for methods without such a place, and if all
        deltas existed before.
    sequential : bool
        Whether the edits were made one after another.
    """

    out: str
    run: str
    plan_hash: str
    method: str
    settings: dict[str, Any]
    seed: int
    single: bool
    edits: int
    failed: list[FailedEdit]
    present: int
    seconds: float
    edits_per_second: float
    place: str | None = None
    sequential: bool = False

    def __fspath__(self) -> str:
        return self.out

    @property
    def record(self) -> EditRecord:
        """The record of the directory, as `behemoth.load` returns it."""
        return read_edit(self.out)

    def load_model(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        edit: int | None = None,
    ) -> PreTrainedModel:
        """Load the edited model; see `EditRecord.load_model`."""
        return self.record.load_model(device, dtype, edit=edit)

    def __repr__(self) -> str:
        count = count_failed(self.failed, self.edits)
        failed = f", {count:,} failed" if count else ""
        told = told_edits(self.edits, self.single, self.method, self.sequential)
        return f"Edited({self.out!r}, {told}{failed})"

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            f"Edit {self.out}",
            {
                "run": self.run,
                "edits": told_edits(self.edits, self.single, self.method, self.sequential),
                "settings": ", ".join(f"{name}={value}" for name, value in self.settings.items()),
                "place": self.place or "",
                "seed": self.seed,
                "failed": count_failed(self.failed, self.edits),
            },
        )


def edit(
    run: str | PathLike[str],
    plan: EditPlan | str | PathLike[str],
    method: EditMethod | str,
    out: str | PathLike[str] | None = None,
    *,
    corpus: str | PathLike[str] | None = None,
    settings: Mapping[str, object] | str | PathLike[str] | None = None,
    single: bool = False,
    sequential: bool = False,
    checkpoint_at: Sequence[int] | Literal["all"] | None = None,
    seed: int = 0,
    stack: int = 64,
    adapter: bool = False,
    force: bool = False,
    cache: str | PathLike[str] | None = None,
    device: torch.device | str | None = None,
    memory: int | None = None,
    progress: ProgressLike = None,
) -> Edited:
    """Apply a method and write its deltas; resume if the directory is unfinished.

    Parameters
    ----------
    run : path
        A finished training run, or a model written by transformers' ``save_pretrained``.
    plan : EditPlan or path
    method : EditMethod or str
        A method, or the name of one.
    out : path
        Directory to write the differences to, which has to be given.
    corpus : path, optional
        For a model that is not a training run: the corpus directory or spec the plan was made from.
    settings : mapping or path, optional
        Settings of a method given by name: values of the types of its fields (no strings for
        numbers), a file of settings as written by `behemoth tune` or what `behemoth.load` returns
        of it, or ``tuned:tokens``, ``tuned:text`` or ``tuned:world``: `tuned_settings`, the last
        for the kind of world of the run's corpus. If a method edits at a place and the settings do
        not name one, it uses the best place that tracing found in the run
        (`behemoth.evaluate.trace` with ``save``), if the run was traced.
    single : bool
        Make each edit by itself, from the same unedited model, many at a time if the method
        stacks; by default the complete plan is one batch.
    sequential : bool
        Make the edits one after another in the order of the plan, each on the model that the
        earlier ones left. Of a plan of independent edits, a sequence and a batch leave out the
        retained facts that another edit changes or puts in doubt (`EditPlan.as_batch`); a
        `PlanWarning` says so if an edit has none left.
    checkpoint_at : sequence of int or 'all', optional
        For a sequence: the numbers of edits after which the sum of their changes is saved, for
        `evaluate_suite`, or ``"all"``, which saves a sum for each edit. By default 1, 10, 100 and
        so on; always after the last edit.
    seed : int
        Seed of the method's draws.
    stack : int
        Maximum number of single edits at a time; fewer if memory does not suffice.
    adapter : bool
        Also write each delta as a PEFT adapter.
    force : bool
        Overwrite an existing edit, whether it is the same, another or damaged.
    cache : path, optional
        Directory in which methods keep covariances and networks for later calls. By default they
        are computed once per call, and if single edits are made in several stacks, kept in a
        temporary folder (see ``tempfile``; ``TMPDIR`` chooses its place), which is removed.
    device : optional
        By default a GPU if one is available.
    memory : int, optional
        Bytes of CPU memory that may be used in addition to what the process already uses. Fewer
        single edits are made at a time to fit; a call that does not fit even so is refused
        beforehand. By default the free memory of the machine or the container.
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    Edited
        It does not tell whether the edits hold: `behemoth.evaluate.shortfall` says so of its
        `record` and the plan, if the method has doses, in the words of the command `edit`.

    Raises
    ------
    ArgumentError
        Before any work: for a plan of another corpus, a method that cannot carry it out, an unknown
        method or setting, an `out` of another kind.
    CorpusError
        If `out` contains another edit.
    MethodError
        If the method of another package cannot be imported, raises an exception, or returns
        another number of deltas than plans or one that does not fit the model. It is a
        RuntimeError, and the method's exception is its cause.

    Examples
    --------
    >>> import behemoth as bh
    >>> plan = bh.plan("run", edits=2, independent=True, repeats=2, probes=1)
    >>> settings = {"rank": 1, "steps": 2}
    >>> bh.edit("run", plan, method="lora", out="edit", settings=settings, single=True)
    Edited('edit', 2 single edits by lora)
    >>> bh.load("edit").deltas()[0]
    EditDelta(lora, 6 parameters)
    """
    single, sequential = flag("single", single), flag("sequential", sequential)
    adapter, force = flag("adapter", adapter), flag("force", force)
    stack = whole_number("stack", stack, 1)
    seed = whole_number("seed", seed)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    if isinstance(method, str):
        method_type(method)  # refuses an unknown name before anything else is asked for
    if out is None:
        allowed = "a directory for the differences (`load_model` of the result applies them)"
        raise ArgumentError("out", None, allowed)
    place = path_of("out", out)
    kept = None if cache is None else cache_place(cache)
    if device is not None:
        find_device(device)
    with renamed(directory="run"):
        if corpus is not None and not isinstance(corpus, str | PathLike):
            raise ArgumentError("corpus", corpus, "a path, which the record of the edit names")
        source = read_model_source(run, corpus)
    world = kind_of_world(source.corpus.grammar)
    method = _resolve_method(method, settings, source.directory, world)
    plan = EditPlan.of(plan)
    _warn_of_batch(plan, single, sequential)
    checkpoints = _checkpoints(single, sequential, checkpoint_at, len(plan))
    if adapter:
        _check_adapter(method, sequential)
    plan.check(source.corpus)
    check_kinds(method, [plan])
    record = EditRecord(
        directory=place,
        run=source_of(run),
        spec_hash=source.corpus.spec_hash,
        plan_hash=plan.plan_hash,
        method=method.info.name,
        settings=settings_of(method),
        seed=seed,
        single=single,
        edits=tuple(plan.edits["edit"]),
        checkpoints=checkpoints,
        corpus=None if corpus is None or isinstance(source, Run) else source_of(corpus),
        weights=source.weights_digest(),
    )
    written = write_edit(
        record, source, plan, method,
        stack=stack, adapter=adapter, force=force, cache=kept, device=device, memory=memory,
        progress=progress,
    )  # fmt: skip
    record = written.record
    return Edited(
        out=fspath(out),
        run=fspath(run),
        plan_hash=record.plan_hash,
        method=record.method,
        settings=record.settings,
        seed=seed,
        single=single,
        edits=len(plan),
        failed=list(record.failed),
        present=len(plan) - written.edits if sequential else len(record.keys) - written.deltas,
        seconds=written.seconds,
        edits_per_second=written.edits / written.seconds if written.seconds > 0 else 0.0,
        place=record.place if written.deltas else None,
        sequential=sequential,
    )


def _resolve_method(
    method: EditMethod | str,
    settings: Mapping[str, object] | str | PathLike[str] | None,
    run: Path,
    world: str,
) -> EditMethod:
    if not isinstance(method, str):
        check_is_method(method)
        if settings is not None:
            raise ArgumentError("settings", settings, "none for a method that already has settings")
        return method
    if in_file := isinstance(settings, str | PathLike):
        settings = read_settings(settings, method, world)
    elif isinstance(settings, Mapping) and is_table_of_file(settings):
        in_file, settings = True, settings_in(settings, method, "a table")
    if isinstance(settings, Mapping | None):  # `get_method` refuses anything else
        settings = at_traced_place(method, settings, run)
    return get_method(method, settings, text=in_file)


def _checkpoints(
    single: bool, sequential: bool, requested: Sequence[int] | Literal["all"] | None, edits: int
) -> tuple[int, ...]:
    if not sequential:
        if requested is not None:
            raise ArgumentError("checkpoint_at", requested, "only for a sequence of edits")
        return ()
    if single:
        raise ArgumentError("single", True, "not with sequential edits")
    return checkpoints_of(requested, edits)


def _warn_of_batch(plan: EditPlan, single: bool, sequential: bool) -> None:
    """Warn if edits that are each meant for their own model are made together."""
    if plan.request.independent and len(plan) > 1 and not (single or sequential):
        warn_caller(
            f"each of the {len(plan):,} edits of this plan is meant for its own model, but all are "
            "made in one batch; `single` makes each by itself",
            PlanWarning,
        )


def _check_adapter(method: EditMethod, sequential: bool) -> None:
    if sequential:
        raise ArgumentError("adapter", True, "false for a sequence, whose sum is of full rank")
    if not answers(method).low_rank():
        raise ArgumentError(
            "adapter",
            f"true for {method.info.name}",
            "false, or a method with changes of low rank, such as lora",
        )
