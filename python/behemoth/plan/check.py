"""What can be refused of a request before any facts are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behemoth.support.errors import ArgumentError

from .prompts import Prompts
from .structure import Structure

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

    from .request import EditRequest

__all__ = ["check_repeats", "check_request"]


def check_request(corpus: Corpus, request: EditRequest) -> None:
    """Refuse a request that no plan on a corpus can have, before any facts are chosen.

    Raises
    ------
    ArgumentError
    """
    request, structure = request.carried_out, Structure(corpus.world)
    structure.targets(request)
    Prompts(corpus, structure, request)
    check_repeats(request)


def check_repeats(request: EditRequest) -> None:
    """Refuse more wordings to train each fact in than the mixture has rows for them.

    Not in `Prompts`: plans of earlier versions, which leave such wordings out, are evaluated.
    """
    if request.trained_wordings > request.edit_rows:
        name = "wordings" if request.edit_sentences is None else "edit_sentences"
        allowed = f"up to {request.edit_rows}, as often as each fact is trained (repeats)"
        raise ArgumentError(name, request.trained_wordings, allowed)
