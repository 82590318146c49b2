"""What trials ask of the unedited model: once for all methods, and with the same frames."""

import shutil

import polars as pl
import pytest

from behemoth.evaluate import scores, text_losses
from behemoth.study.trial import laboratory

BOARD = """
name = "board"
[world]
subjects = 20
[corpus]
exposures = "groups:0,8"
order = "bios"
[train]
model = "pico"
steps = 4
block_length = 32
batch_size = 4
[plan]
edits = 3
exposures = [8]
distinct = false
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 1
[measure]
suite = "editing"
[[method]]
name = "ft"
settings = { steps = 2 }
[[method]]
name = "grace"
settings = { steps = 2 }
[[method]]
name = "npo"
settings = { steps = 2 }
plan = { kind = "refusal" }
measure = { suite = "unlearning", twin = true, continued = 2 }
[[method]]
name = "grad_diff"
settings = { steps = 2 }
plan = { kind = "refusal" }
measure = { suite = "unlearning", twin = true, continued = 2 }
[grid]
"""
WORLDS = {
    "tokens": '"world.relations" = [2]\n"world.objects" = [5]',
    "text": '"corpus.grammar" = ["bios-en"]',
}


def frames_of(place):
    return {
        (file.parent.name, file.name): pl.read_parquet(file)
        for file in (place / "trials").glob("*/*.parquet")
    }


@pytest.fixture(scope="module", params=["tokens", pytest.param("text", marks=pytest.mark.slow)])
def board(request, in_process, tmp_path_factory):
    """A board, its directory, and the passes over probes and texts that it made without an edit."""
    text = BOARD + WORLDS[request.param]
    place, passes = tmp_path_factory.mktemp("board") / "study", {"probes": [], "texts": []}
    of_probes, of_texts, states = scores._score_pass, text_losses._known_states, text_losses._states
    before = False

    def probes(model, asked, own, found):
        passes["probes"].append((id(model), asked.fingerprint, own.tobytes()))
        return of_probes(model, asked, own, found)

    def texts(*given):
        nonlocal before
        before = True
        try:
            return of_texts(*given)
        finally:
            before = False

    def of_model(model, tokens, inside):
        if before:
            passes["texts"].append((id(model), tokens.numpy().tobytes()))
        return states(model, tokens, inside)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "_score_pass", probes)
        patch.setattr(text_losses, "_known_states", texts)
        patch.setattr(text_losses, "_states", of_model)
        result, _ = in_process(text, place)
    assert (result.done, result.failed) == (4, 0)
    return text, place, passes


def test_a_board_asks_the_unedited_model_once_for_all_methods(board):
    *_, passes = board
    for made in passes.values():
        assert len(made) == len(set(made)) > 0
    # The probes of both plans, and those to forget once more by themselves; the twin has probes of
    # the second plan, too.
    assert len({asked for _, asked, _ in passes["probes"]}) == 3
    assert len({model for model, _, _ in passes["probes"]}) == 2


@pytest.mark.exact
def test_the_frames_are_those_of_methods_that_ask_for_themselves(board, in_process, tmp_path):
    text, place, _ = board
    alone, shared = tmp_path / "alone", frames_of(place)
    shutil.copytree(place, alone)
    for trial in {trial for trial, _ in shared}:
        shutil.rmtree(alone / "trials" / trial)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laboratory, "Unedited", lambda: None)
        result, _ = in_process(text, alone)
    assert (result.trained, result.carried_out) == (0, 4)
    own = frames_of(alone)
    assert shared.keys() == own.keys() and len(shared) == 4 * 5
    for key, frame in shared.items():
        assert frame.equals(own[key], null_equal=True), key
