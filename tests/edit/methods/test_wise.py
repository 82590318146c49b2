"""WISE: its merge entry by entry, its routing, and shards that fill up and are gone on with."""

import pytest
import torch

from behemoth import ArgumentError
from behemoth.edit.methods import wise
from behemoth.edit.methods.wise import Votes, Wise, _adam, _Training
from behemoth.edit.protocol import EditContext, Stateful
from behemoth.model.threads import threads
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

QUICK = {"layer": 1, "steps": 8, "stop_loss": 0.0}


@pytest.fixture
def model(network):
    return network.double()


@pytest.fixture(scope="module")
def plan(small_corpus):
    request = EditRequest(
        edits=5, seed=1, repeats=1, same_object=2, same_relation=2, regular=2, probes=0
    )
    return compile_plan(small_corpus, request)


def side_of(delta):
    [memory] = delta.of_modules.values()
    return memory


def ties(shards, density):
    votes = Votes.none(shards[0])
    for shard in shards:
        votes = votes.with_one(shard, density)
    return votes.merged()


def merged_by_hand(shards, density):
    """TIES (Yadav et al., 2023, algorithm 1) with lists, an entry at a time."""
    rows = [shard.flatten().tolist() for shard in shards]
    trimmed = []
    for row in rows:
        kept = sorted(range(len(row)), key=lambda n: -abs(row[n]))[: round(density * len(row))]
        trimmed.append([value if n in kept else 0.0 for n, value in enumerate(row)])
    found = []
    for entry in zip(*trimmed, strict=True):
        mass = sum(entry)
        agreeing = [value for value in entry if value and (value > 0) == (mass >= 0)]
        found.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return torch.tensor(found, dtype=shards.dtype).reshape(shards.shape[1:])


@pytest.mark.parametrize("density", [0.2, 0.53, 1.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_ties_is_that_of_the_paper(count, density):
    generator = torch.Generator().manual_seed(count)
    shards = torch.randn(count, 4, 7, generator=generator, dtype=torch.float64)
    shards *= torch.rand(count, 4, 7, generator=generator) < 0.6  # as masks leave them
    torch.testing.assert_close(ties(shards, density), merged_by_hand(shards, density))


def test_disjoint_shards_are_both_there_after_the_merge():
    first, second = torch.zeros(2, 3), torch.zeros(2, 3)
    first[0, 1], second[1, 2] = 0.5, -0.25
    assert torch.equal(ties(torch.stack([first, second]), 0.53), first + second)


def test_every_edited_answer_is_routed_to_the_copy(model, plan, small_corpus):
    from behemoth.edit.batch import edit_rows_of
    from behemoth.edit.memory.tail import inputs_at
    from behemoth.model.labels import IGNORED

    method = Wise(**QUICK)
    [delta] = method.apply(model, [plan], EditContext(small_corpus))
    side = side_of(delta)
    assert delta.trace[-1]["loss"] < delta.trace[0]["loss"]
    rows = edit_rows_of(plan, "answer")
    inputs = inputs_at(model, method.module(model), rows.tokens)
    made = (inputs @ side.change.T).norm(dim=-1)[:, :-1][rows.labels[:, 1:] != IGNORED]
    assert bool((made > side.threshold).all())
    assert float(made.min()) * method.ratio == pytest.approx(float(side.threshold))


def test_a_batch_takes_more_steps_than_a_single_edit(model, plan, small_corpus):
    """By the root of its number of edits, in each shard: 4 and 1 of these 5."""
    context = EditContext(small_corpus)
    [single] = Wise(**QUICK).apply(model, plan.singles()[:1], context)
    assert [row["step"] for row in single.trace] == [*range(9)]
    [batch] = Wise(**QUICK, shard=4).apply(model, [plan], context)
    assert [row["step"] for row in batch.trace] == [*range(17), *range(9)]
    [same] = Wise(**QUICK, batch_growth=0).apply(model, [plan], context)
    assert [row["step"] for row in same.trace] == [*range(9)]


def test_nothing_moves_outside_of_the_mask_or_beyond_the_bound(model, plan, small_corpus):
    [delta] = Wise(**QUICK, mask=0.1, bound=0.02).apply(model, [plan], EditContext(small_corpus))
    change = side_of(delta).change
    other = Wise(**QUICK, mask=0.1, bound=0.02).apply(
        model, [plan], EditContext(small_corpus, seed=1)
    )
    assert not torch.equal(side_of(other[0]).change != 0, change != 0), "a seed has its own mask"
    share = float((change != 0).float().mean())
    assert 0.04 < share < 0.16
    assert float(change.abs().max()) == pytest.approx(0.02)


def test_shards_fill_up_in_their_order(model, plan, small_corpus):
    context = EditContext(small_corpus, seed=3)
    method = Wise(**QUICK, shard=2)
    going = method.in_sequence(model, context)
    assert isinstance(going, Stateful) and going.memory() == {}
    for number, single in enumerate(plan.singles()):
        delta = going(single)
        kept = going.memory()
        shards = [name for name in kept if name.startswith("shard")]
        assert len(shards) == number // 2 + 1 and int(kept["edits"]) == number + 1
    shards = torch.stack([kept[name] for name in shards])
    torch.testing.assert_close(side_of(delta).change, ties(shards, method.density))
    masks = [(shard != 0) for shard in shards]
    assert not torch.equal(masks[0], masks[1]), "each has a mask of its own"
    # A plan of all of them is cut at the same places.
    [whole] = method.apply(model, [plan], context)
    assert side_of(whole).change.shape == shards.shape[1:]
    assert len({row["step"] for row in whole.trace}) < len(whole.trace), "three trainings"


def test_the_mask_of_a_shard_is_drawn_once(model, plan, small_corpus, monkeypatch):
    drawn, draw = [], _Training._mask

    def mask(training, shard, change):
        drawn.append(shard)
        return draw(training, shard, change)

    monkeypatch.setattr(_Training, "_mask", mask)
    going = Wise(**{**QUICK, "steps": 1}, shard=2).in_sequence(
        model, EditContext(small_corpus, seed=3)
    )
    for single in plan.singles():
        going(single)
    assert drawn == [0, 1, 2]


@pytest.mark.exact
def test_a_sequence_goes_on_with_its_memory_in_the_model(model, plan, small_corpus):
    context = EditContext(small_corpus, seed=3)
    method = Wise(**QUICK, shard=3)
    singles = plan.singles()
    whole = method.in_sequence(model, context)
    for single in singles[:3]:
        with whole(single).apply(model):
            pass
    resumed = method.in_sequence(model, context)
    resumed.restore(whole.memory())
    wanted = whole(singles[3])
    # What a memory that is in the model gives takes no part in the training of the next one.
    with wanted.apply(model):
        found = resumed(singles[3])
    for name, tensor in side_of(found).parts().items():
        assert torch.equal(tensor, side_of(wanted).parts()[name]), name


def test_without_retained_rows_there_is_no_margin_to_them(model, compiled, small_corpus):
    plan = compiled(1, seed=1)
    [delta] = Wise(**QUICK).apply(model, [plan], EditContext(small_corpus))
    assert delta.failure is None and float(side_of(delta).change.norm()) > 0


def test_the_loss_has_the_margins_of_the_paper(model, plan, small_corpus):
    """max(0, r - a) + max(0, b - e) + max(0, g + r - e) a pair at a time; a = b / 4, g = b / 2."""
    method = Wise(**QUICK, margin=0.8)
    training = _Training(method, model, plan, EditContext(small_corpus))
    size = training.tail.outputs.shape[1], training.edited.shape[1]
    change = torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # As long as what the matrix gives, so that some of each kind lie on either side of a margin.
    change *= 0.4 * training.scale / (training.looked_at @ change.T).norm(dim=1).mean()

    def lengths(rows):
        return [float((change @ row).norm()) / training.scale for row in rows]

    count = len(training.edited)
    e, r = lengths(training.edited), lengths(training.looked_at[count:])
    a, b, g = 0.2, 0.8, 0.4
    margins = (
        [max(0.0, x - a) for x in r],
        [max(0.0, b - x) for x in e],
        [max(0.0, g + x - y) for x in r for y in e],
    )
    added = training.tail.outputs + training.edited @ change.T
    wanted = float(training.tail.losses(added).mean().detach())
    wanted += sum(sum(values) / len(values) for values in margins)
    assert all(len(set(values)) > 1 for values in margins)
    assert float(training._loss(training.looked_at @ change.T).detach()) == pytest.approx(
        wanted, rel=1e-9
    )


@pytest.mark.parametrize("retain_rows", [0, 64])
def test_margins_are_shares_of_what_the_matrix_gives(model, plan, small_corpus, retain_rows):
    """A matrix that gives four times as much has margins of four times the length."""
    method = Wise(**QUICK, retain_rows=retain_rows)
    matrix = model.get_submodule(method.module(model))
    before = _Training(method, model, plan, EditContext(small_corpus)).scale
    with torch.no_grad():
        for parameter in matrix.parameters():
            parameter.mul_(4)
    assert before > 0
    after = _Training(method, model, plan, EditContext(small_corpus)).scale
    assert after == pytest.approx(4 * before, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask": 0.0}, "argument 'mask': got 0.0, allowed: above 0, to 1"),
        ({"ratio": 1.0}, "argument 'ratio': got 1.0, allowed: between 0 and 1"),
        ({"shard": 0}, "argument 'shard': got 0, allowed: at least 1"),
        ({"margin": -1.0}, "argument 'margin': got -1.0, allowed: above 0"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Wise(**settings)


def test_steps_of_adam_are_those_of_torch():
    entries = torch.randn(37, generator=torch.Generator().manual_seed(0))
    own, theirs = entries.clone(), entries.clone()
    optimiser = torch.optim.Adam([theirs], lr=0.1, fused=True)
    update = _adam(own, 0.1)
    for step in range(4):
        theirs.grad = (theirs + step).sin()
        update((own + step).sin())
        optimiser.step()
        assert torch.equal(own, theirs)


@pytest.mark.parametrize(("small", "used"), [(2**20, 1), (0, 2)])
def test_an_edit_of_little_work_uses_one_thread(
    small, used, model, plan, small_corpus, monkeypatch
):
    seen = []

    def run(self, memory, trace):
        seen.append(torch.get_num_threads())
        return own(self, memory, trace)

    own = _Training.run
    monkeypatch.setattr(_Training, "run", run)
    monkeypatch.setattr(wise, "_SMALL", small)
    with threads(2):
        Wise(**QUICK).apply(model, plan.singles()[:2], EditContext(small_corpus))
        assert torch.get_num_threads() == 2
    assert seen == [used, used]
