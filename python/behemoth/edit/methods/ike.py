"""IKE: demonstrations and the new fact are prepended to every prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from behemoth.corpus.tokens import PERIOD
from behemoth.delta.context import Context, positions_of
from behemoth.delta.delta import EditDelta
from behemoth.edit.bounds import Bounds, at_least, check_values
from behemoth.edit.outcome import delta_of
from behemoth.edit.protocol import ALL_KINDS, EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Choice, Searched
from behemoth.model.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.plan.edit_plan import EditPlan

__all__ = ["InContextEditing"]

Tokens = tuple[int, ...]
Nearest = Literal["last", "first", "anywhere"]

_NEAR = {"same_relation": 0, "same_object": 1, "new_object": 2, "regular": 3}


@dataclass(frozen=True)
class InContextEditing:
    """In-context knowledge editing (Zheng et al., 2023, section 3).

    The context of an edit is a list of demonstrations and then the new fact, as sentences of the
    corpus. A demonstration states a fact of the plan's retained rows with another object of its
    relation, followed by a second sentence: that fact in the same words (copy) or in others
    (update), with the stated object, or another retained fact (retain), with its own object. No
    fact is in two demonstrations: one would contradict the other.

    Attributes
    ----------
    demonstrations : int
        Maximum number of demonstrations of an edit; fewer if the plan has too few retained facts or
        the model has no room.
    copy : int
        Copies in each round of demonstrations; rounds repeat.
    update : int
        Updates in each round.
    retain : int
        Retained facts in each round, spread between the others.
    nearest : {'last', 'first', 'anywhere'}
        Where the demonstrations nearest to the edit are: just before the new fact, at the start,
        or in random order.
    room : int, optional
        Positions of the model that are reserved for the prompt; by default half of them.
    """

    demonstrations: int = 32
    copy: int = 1
    update: int = 3
    retain: int = 4
    nearest: Nearest = "last"
    room: int | None = None

    usual: ClassVar[str] = "before every prompt"
    published: ClassVar[str] = "before every prompt, with the 32 nearest facts of a training set"
    searched: ClassVar[Searched] = {
        # What the paper varies: their number, without one of the kinds, and their order. Without
        # all three kinds there are none, as there would be with a number of 0.
        "demonstrations": Choice((2, 4, 8, 16, 32)),
        "copy": Choice((0, 1)),
        "update": Choice((0, 3)),
        "retain": Choice((0, 4)),
        "nearest": Choice(get_args(Nearest)),
    }
    bounds: ClassVar[Bounds] = {
        "room": at_least(1), "demonstrations": at_least(0), "copy": at_least(0),
        "update": at_least(0), "retain": at_least(0),
    }  # fmt: skip
    info: ClassVar[MethodInfo] = MethodInfo(
        name="ike",
        family="in-context",
        source="Zheng et al. 2023, arXiv 2305.12740",
        changes="no weights: sentences that the model reads before each prompt",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # nothing is optimised
    )

    def __post_init__(self) -> None:
        check_values(self)

    def low_rank(self) -> bool:
        """Return false: the change is one of what the model reads."""
        return False

    def effort(self) -> Effort:
        """Return one step with the sentences of the context; nothing is optimised."""
        return Effort(1, 2 * self.demonstrations + 1)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes of each context's tokens, and of their keys and values in attention."""
        architecture = Architecture.of(model)
        kept = 8 * architecture.layers * architecture.width
        return count * (8 + kept) * max(1, self._most(model))

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of the contexts' tokens."""
        return 8 * len(plans) * max(1, self._most(model))

    def context_tokens(self, model: nn.Module) -> int:
        """Return the maximum number of tokens of a context."""
        return self._most(model)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one context for each plan."""
        check_kinds(self, plans)
        return [self.delta(model, plan, _facts(plan), context) for plan in plans]

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable whose contexts have the facts of all earlier edits, while they fit."""
        return _Sequence(self, model, context)

    def delta(
        self, model: nn.Module, plan: EditPlan, facts: Sequence[Tokens], context: EditContext
    ) -> EditDelta:
        """Return the delta of a plan whose context has these facts: its own and earlier ones."""
        import torch

        said = [token for fact in facts for token in fact]
        most, failure = self._most(model), None
        if len(said) > most:
            failure = f"no room: {len(said)} tokens of facts for {most} positions of the model"
        else:
            said = [*self._shown(plan, most - len(said), context), *said]
        where = Architecture.of(model).stream
        tokens = torch.tensor(said, device=next(model.parameters()).device)
        return delta_of(self, plan, context, {where: Context(tokens)}, failure)

    def _most(self, model: nn.Module) -> int:
        """Return the maximum number of tokens of a context."""
        # The context of an earlier edit needs no positions: this one replaces it.
        positions = positions_of(model)
        return positions - (positions // 2 if self.room is None else min(self.room, positions))

    def _shown(self, plan: EditPlan, room: int, context: EditContext) -> list[int]:
        """Return the tokens of the demonstrations that fit, in their order."""
        kinds = self._kinds()
        if not self.demonstrations or not kinds:
            return []
        shown = _Demonstrations(plan, context)
        found: list[Tokens] = []
        for kind in islice(cycle(kinds), self.demonstrations):
            made = shown.next(kind)
            if made is None or len(made) > room:
                break
            room -= len(made)
            found.append(made)
        if self.nearest == "last":
            found.reverse()
        elif self.nearest == "anywhere":
            found = shown.shuffled(found)
        return [token for made in found for token in made]

    def _kinds(self) -> list[str]:
        """Return the kinds of successive demonstrations, which repeat: by default as published.

        Copies come first among the changed facts, and retained ones are spread between these.
        """
        changed = ["copy"] * self.copy + ["update"] * self.update
        spread = [(place / len(changed), kind) for place, kind in enumerate(changed)]
        spread += [((place + 0.5) / self.retain, "retain") for place in range(self.retain)]
        return [kind for _, kind in sorted(spread, key=lambda one: one[0])]


class _Sequence:
    """Return the deltas of a sequence, each with all facts so far."""

    def __init__(self, method: InContextEditing, model: nn.Module, context: EditContext) -> None:
        self.method, self.model, self.context = method, model, context
        self.facts: list[Tokens] = []

    def __call__(self, plan: EditPlan) -> EditDelta:
        check_kinds(self.method, [plan])
        grown = [*self.facts, *_facts(plan)]
        delta = self.method.delta(self.model, plan, grown, self.context)
        if delta.failure is None:
            self.facts = grown
        self.context.progress(1, 1)
        return delta

    def memory(self) -> dict[str, Tensor]:
        """Return the facts so far: int64 [n, maximum tokens], -1 beyond their ends."""
        import torch

        if not self.facts:
            return {}
        facts = torch.full((len(self.facts), max(map(len, self.facts))), -1)
        for row, fact in enumerate(self.facts):
            facts[row, : len(fact)] = torch.tensor(fact)
        return {"facts": facts}

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the facts of earlier edits by these."""
        rows = memory["facts"].tolist() if memory else []
        self.facts = [tuple(token for token in row if token >= 0) for row in rows]


class _Demonstrations:
    """Demonstrations of a plan's retained facts, each of which is used once.

    The facts are in random order, sorted by their role in the plan with the nearest to the edits
    first.
    """

    def __init__(self, plan: EditPlan, context: EditContext) -> None:
        import numpy as np
        import polars as pl

        from behemoth.corpus.templates import EDIT, STATEMENT

        self._random = np.random.default_rng(context.seed_of(plan))
        stay = plan.training.filter(pl.col("role") != "edit").unique("fact", maintain_order=True)
        stay = stay[self._random.permutation(len(stay))]
        role = pl.col("role").replace_strict(_NEAR, default=len(_NEAR), return_dtype=pl.Int64)
        facts = stay.sort(role, maintain_order=True)["fact"]
        self._left: list[int] = []
        self._worded: dict[int, list[dict[str, Any]]] = {}
        self._objects: dict[int, list[list[int]]] = {}
        if facts.is_empty():
            return
        templates: set[Any] = set(plan.training.filter(pl.col("role") == "edit")["template"])
        if EDIT.name in templates:
            # No corpus is written with it, and it states new objects only.
            templates = templates - {EDIT.name} | {STATEMENT.name}
        asked = context.corpus.probes(np.sort(facts.to_numpy()), sorted(templates))
        for row in asked.filter(~pl.col("held_out")).iter_rows(named=True):
            self._worded.setdefault(row["fact"], []).append(row)
            objects = self._objects.setdefault(row["relation"], [])
            if row["answer"] not in objects:
                objects.append(row["answer"])
        self._left = [fact for fact in facts if fact in self._worded]

    def next(self, kind: str) -> Tokens | None:
        """Return a fact with another object, then a sentence of this kind; None if none is left."""
        fact = next(filter(self._others, self._left), None)
        if fact is None:
            return None
        self._left.remove(fact)
        first = self._pick(self._worded[fact])
        answer = self._pick(self._others(fact))
        stated = _sentence(first, answer)
        if kind == "copy":
            return (*stated, *stated)
        if kind == "update":
            other = [row for row in self._worded[fact] if row["prompt"] != first["prompt"]]
            return (*stated, *_sentence(self._pick(other or [first]), answer))
        if not self._left:
            return None
        stays = min(self._left, key=lambda known: self._farness(fact, known))
        self._left.remove(stays)
        asked = self._pick(self._worded[stays])
        return (*stated, *_sentence(asked, asked["answer"]))

    def _farness(self, fact: int, known: int) -> tuple[bool, bool]:
        """Return whether another fact differs in relation, and whether it differs in object."""
        one, other = self._worded[fact][0], self._worded[known][0]
        return one["relation"] != other["relation"], one["answer"] != other["answer"]

    def _others(self, fact: int) -> list[list[int]]:
        """Return the objects of a fact's relation other than its own."""
        rows = self._worded.get(fact, [])
        own = [row["answer"] for row in rows]
        return [said for row in rows[:1] for said in self._objects[row["relation"]]
                if said not in own]  # fmt: skip

    def shuffled(self, made: Sequence[Tokens]) -> list[Tokens]:
        """Return demonstrations in random order."""
        return [made[place] for place in self._random.permutation(len(made))]

    def _pick(self, choice: Sequence[Any]) -> Any:
        return choice[int(self._random.integers(len(choice)))]


def _facts(plan: EditPlan) -> list[Tokens]:
    """Return each edit's new fact, in its first wording."""
    import polars as pl

    first: dict[int, Tokens] = {}
    for row in plan.training.filter(pl.col("role") == "edit").iter_rows(named=True):
        first.setdefault(row["edit"], _sentence(row, row["answer"]))
    return list(first.values())


def _sentence(row: Mapping[str, Any], answer: Sequence[int]) -> Tokens:
    """Return the sentence of a row with an answer, with a period unless it is a grammar's text."""
    from behemoth.corpus.templates import FORMS

    end = (PERIOD,) if FORMS[row["template"]].ends_in_period else ()
    return (*row["prompt"], *answer, *end)
