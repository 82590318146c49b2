"""`edit --sequential`: sums at checkpoints, that go on where they were stopped, bit by bit."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch

from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.delta.delta import EditDelta
from behemoth.edit import sequential
from behemoth.edit.apply import edit
from behemoth.edit.methods import wise
from behemoth.edit.methods.alphaedit import AlphaEdit
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.grace import Grace
from behemoth.edit.methods.lora import Lora
from behemoth.edit.protocol import EditContext, answers
from behemoth.edit.record import FailedEdit, read_edit
from behemoth.edit.sequential import Sums, checkpoints_of
from behemoth.evaluate import evaluate_suite
from behemoth.evaluate.suites.sequence import count_held
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train.run import read_run

LORA = {"steps": 3, "rank": 2, "edit_rows": 1, "retain_rows": 1}
EMMET = {"steps": 3, "samples": 500, "prefixes": 0, "kept": 1}
ALPHA = {**EMMET, "energy": 0.5, "damping": 0.01}


@pytest.fixture(scope="module")
def plan():
    corpus = Corpus(World(120, 3, 10), exposures=2)
    bare = {"repeats": 1, "same_object": 2, "same_relation": 0, "regular": 2, "probes": 1}
    return compile_plan(corpus, EditRequest(edits=5, independent=True, **bare))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(sequential, "SAVED_EVERY", 2)


def in_order(trained, plan, out, method="lora", settings=LORA, **more):
    return edit(trained, plan, method, out, settings=settings, sequential=True, **more)


def dense(delta):
    changes = {name: change.to_dense() for name, change in delta.of_parameters.items()}
    parts = {
        f"{name}:{part}": tensor
        for name, change in delta.of_modules.items()
        for part, tensor in change.parts().items()
    }
    return changes | parts


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_checkpoints():
    assert checkpoints_of(None, 1) == (1,)
    assert checkpoints_of(None, 250) == (1, 10, 100, 250)
    assert checkpoints_of(None, 100) == (1, 10, 100)
    assert checkpoints_of([3, 2, 3], 5) == (2, 3, 5)
    assert checkpoints_of("all", 3) == (1, 2, 3) and checkpoints_of("all", 1) == (1,)
    with pytest.raises(ArgumentError, match="argument 'checkpoint_at': got 6, allowed: 1 to 5"):
        checkpoints_of([6], 5)
    for wrong in ([0], [True], [1.5], ["1"], 1, "1"):
        with pytest.raises(ArgumentError, match="argument 'checkpoint_at': got"):
            checkpoints_of(wrong, 5)


def test_sums_at_checkpoints_are_those_of_the_edits_in_turn(trained, plan, tmp_path):
    done = in_order(trained, plan, tmp_path / "e", checkpoint_at=[1, 3])
    assert (done.sequential, done.edits, done.failed) == (True, 5, [])
    assert repr(done).endswith("5 edits one after another by lora)")
    record = read_edit(tmp_path / "e")
    assert record.checkpoints == (1, 3, 5)
    assert not (tmp_path / "e" / "points").exists(), "nothing is to be gone on with"
    sums = dict(record.sums())
    assert equal(dense(record.deltas()[None]), dense(sums[5]))
    # The same by hand: each edit's delta on the model with the ones before it.
    run = read_run(trained)
    model = run.load_model("cpu")
    context = EditContext(run.corpus, run=run.directory)
    total, applied = {}, []
    for number, single in enumerate(plan.as_batch(run.corpus).singles()):
        [delta] = Lora(**LORA).apply(model, [single], context)
        for name, change in dense(delta).items():
            total[name] = total.get(name, 0) + change
        applied.append(delta.apply(model))
        if number + 1 in sums:
            for name, change in dense(sums[number + 1]).items():
                torch.testing.assert_close(change, total[name], rtol=1e-3, atol=1e-5)


@pytest.fixture(
    scope="module",
    params=[
        ("lora", LORA),
        ("alphaedit", ALPHA),
        ("ultraedit", {}),
        ("grace", {"steps": 2}),
        ("wise", {"steps": 2, "shard": 2}),
    ],
    ids=lambda param: param[0],
)
def unstopped(request, trained, plan, tmp_path_factory):
    """A method, its settings, and the record of what it makes where nothing stops it."""
    out = tmp_path_factory.mktemp("unstopped") / "edit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequential, "SAVED_EVERY", 2)
        in_order(trained, plan, out, *request.param, checkpoint_at=[3])
    return *request.param, read_edit(out)


@pytest.mark.exact
@pytest.mark.parametrize("stopped", [1, 3, 4])
def test_a_stopped_one_goes_on_to_the_same_bits(trained, plan, tmp_path, unstopped, stopped):
    method, settings, whole = unstopped

    class StoppedError(Exception):
        pass

    def stop(moment):
        if moment.done == stopped:
            raise StoppedError

    with pytest.raises(StoppedError):
        in_order(
            trained, plan, tmp_path / "parts", method, settings, checkpoint_at=[3], progress=stop
        )
    made = []
    done = in_order(
        trained, plan, tmp_path / "parts", method, settings, checkpoint_at=[3],
        progress=lambda moment: made.append(moment.done),
    )  # fmt: skip
    assert done.present == stopped - 1
    assert done.edits_per_second == pytest.approx((5 - done.present) / done.seconds)
    assert made[0] == stopped, "the edit that was stopped is made again, and none before it"
    parts = read_edit(tmp_path / "parts")
    for (_, one), (_, other) in zip(whole.sums(), parts.sums(), strict=True):
        assert equal(dense(one), dense(other))
    assert equal(dense(whole.deltas()[None]), dense(parts.deltas()[None]))


@pytest.mark.exact
@pytest.mark.parametrize("broken", [(), (3,), (0, 1, 2, 3, 4)])
def test_a_memory_is_computed_once_for_many_edits(trained, plan, tmp_path, monkeypatch, broken):
    """Its sums are those of the deltas of all edits, each in the model while the next is made."""
    settings = {"steps": 2, "shard": 2}
    run = read_run(trained)
    singles = plan.as_batch(run.corpus).singles()
    train, facts = wise._Training.run, [single.plan_hash for single in singles]

    def fails(self, memory, trace):
        train(self, memory, trace)
        return "a loss of nan" if facts.index(self.plan_hash) in broken else None

    begin = wise._Training.__init__

    def noted(self, method, model, own, context):
        begin(self, method, model, own, context)
        self.plan_hash = own.plan_hash

    monkeypatch.setattr(wise._Training, "__init__", noted)
    monkeypatch.setattr(wise._Training, "run", fails)
    model = run.load_model("cpu")
    delta_of = wise.Wise(**settings).in_sequence(model, EditContext(run.corpus))
    one_by_one = {}
    with ExitStack() as applied:
        for number, single in enumerate(singles):
            delta = delta_of(single)
            applied.enter_context(delta.apply(model))
            if delta.failure is None:
                one_by_one[number + 1] = dense(delta)
            else:
                one_by_one[number + 1] = one_by_one.get(number, {})
    sides = []
    side = wise._Memory.side
    monkeypatch.setattr(
        wise._Memory, "side", lambda self, method: sides.append(self.edits) or side(self, method)
    )
    done = in_order(trained, plan, tmp_path / "e", "wise", settings, checkpoint_at=[3])
    assert len(done.failed) == len(broken)
    made = np.cumsum([number not in broken for number in range(5)])
    assert sides == [int(made[end - 1]) for end in (2, 3, 4, 5) if made[end - 1]]
    for end, found in read_edit(tmp_path / "e").sums():
        assert equal(dense(found), one_by_one[end])


def test_the_model_has_its_own_bits_back_and_failures_are_named(
    trained, plan, tmp_path, monkeypatch
):
    models = []
    apply = Lora.apply

    def broken(self, model, plans, context):
        models.append(model)
        deltas = apply(self, model, plans, context)
        if plans[0].edits["edit"].item() == 2:
            return [replace(delta, changes={}, failure="a loss of nan") for delta in deltas]
        return deltas

    monkeypatch.setattr(Lora, "apply", broken)
    done = in_order(trained, plan, tmp_path / "e")
    assert done.failed == [FailedEdit(2, "a loss of nan")]
    assert read_edit(tmp_path / "e").failed == (FailedEdit(2, "a loss of nan"),)
    fresh = dict(read_run(trained).load_model("cpu").named_parameters())
    for name, parameter in models[-1].named_parameters():
        assert torch.equal(parameter, fresh[name]), name


def test_a_memory_leaves_the_model_when_the_sequence_is_stopped(
    trained, plan, tmp_path, monkeypatch
):
    models = []
    going = Grace.in_sequence

    def seen(self, model, context):
        models.append(model)
        return going(self, model, context)

    def stop(moment):
        if moment.done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Grace, "in_sequence", seen)
    with pytest.raises(KeyboardInterrupt):
        in_order(trained, plan, tmp_path / "e", "grace", {"steps": 2}, progress=stop)
    assert all(not module._forward_hooks for module in models[0].modules())


def test_the_suite_of_a_sequence_asks_its_memory(trained, plan, tmp_path):
    in_order(trained, plan, tmp_path / "e", "grace", {"steps": 30, "learning_rate": 0.3})
    found = {
        taken.name: taken for taken in evaluate_suite(tmp_path / "e", "sequence", plan).measures
    }
    assert found["norm_after_5"].missing == "an edit that changed weights"
    assert found["efficacy_after_5"].found.value > 0.5


def test_what_does_not_go_together_is_refused(trained, plan, tmp_path):
    with pytest.raises(ArgumentError, match="argument 'single': got True"):
        in_order(trained, plan, tmp_path / "e", single=True)
    with pytest.raises(ArgumentError, match="argument 'checkpoint_at'"):
        edit(trained, plan, "lora", tmp_path / "e", checkpoint_at=[1])
    with pytest.raises(ArgumentError, match="argument 'adapter': got True"):
        in_order(trained, plan, tmp_path / "e", adapter=True)
    assert not (tmp_path / "e").exists()


def test_keys_are_remembered_by_layer(network, compiled, small_corpus):
    from behemoth.edit.protocol import EditContext, Stateful

    context = EditContext(small_corpus)
    method = AlphaEdit(layers=(1,), **EMMET)
    going = method.in_sequence(network, context)
    assert isinstance(going, Stateful)
    plan = compiled(2, seed=1)
    going(plan)
    kept = going.memory()
    tokens = plan.training.filter(role="edit").unique("edit")["answer"].list.len().sum()
    assert kept["1"].shape == (tokens, 24)
    again = method.in_sequence(network, context)
    again.restore(kept)
    assert torch.equal(again.memory()["1"], kept["1"])


@pytest.mark.exact
@pytest.mark.parametrize(("method", "settings"), [("lora", LORA), ("ultraedit", {})])
def test_one_killed_between_its_last_checkpoint_and_the_edit_goes_on(
    trained, plan, tmp_path, monkeypatch, method, settings
):
    in_order(trained, plan, tmp_path / "whole", method, settings)
    save = EditDelta.save

    def killed(self, directory):
        if directory.name == "delta":
            raise KeyboardInterrupt
        save(self, directory)

    with monkeypatch.context() as patch:
        patch.setattr(EditDelta, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            in_order(trained, plan, tmp_path / "e", method, settings)
    in_order(trained, plan, tmp_path / "e", method, settings)
    whole, parts = (read_edit(tmp_path / name).deltas()[None] for name in ("whole", "e"))
    assert equal(dense(whole), dense(parts))
    assert not (tmp_path / "e" / "points").exists()


def test_what_a_sequence_remembers_may_be_lost_and_not_damaged(trained, plan, tmp_path):
    def stop(moment):
        if moment.done == 5:
            raise KeyboardInterrupt

    for name in ("lost", "damaged"):
        with pytest.raises(KeyboardInterrupt):
            in_order(trained, plan, tmp_path / name, "ultraedit", {}, progress=stop)
        [memory] = (tmp_path / name).rglob("memory.safetensors")
        if name == "lost":
            memory.unlink()
        else:
            memory.write_bytes(memory.read_bytes()[:20])
    made = []
    in_order(
        trained, plan, tmp_path / "lost", "ultraedit", {},
        progress=lambda moment: made.append(moment.done),
    )  # fmt: skip
    assert made[0] <= 1, "what cannot be gone on with is begun anew"
    with pytest.raises(CorpusError, match=r"memory\.safetensors is damaged; force=True"):
        in_order(trained, plan, tmp_path / "damaged", "ultraedit", {})
    in_order(trained, plan, tmp_path / "damaged", "ultraedit", {}, force=True)
    assert read_edit(tmp_path / "damaged").complete


@pytest.mark.parametrize("failing", [{0}, {0, 1, 2, 3, 4}])
def test_a_sequence_whose_first_edits_fail_can_be_asked(
    trained, plan, tmp_path, monkeypatch, failing
):
    apply = Lora.apply

    def broken(self, model, plans, context):
        deltas = apply(self, model, plans, context)
        if plans[0].edits["edit"].item() in failing:
            return [replace(delta, changes={}, failure="a loss of nan") for delta in deltas]
        return deltas

    monkeypatch.setattr(Lora, "apply", broken)
    done = in_order(trained, plan, tmp_path / "e")
    assert [row.edit for row in done.failed] == sorted(failing)
    sums = dict(read_edit(tmp_path / "e").sums())
    assert sums[1].failure == "a loss of nan"
    assert (sums[5].failure is None) == (len(failing) < 5)
    if len(failing) == 5:
        with pytest.raises(ArgumentError, match=r"whose edits all failed: all 5 edits failed, the"):
            evaluate_suite(tmp_path / "e", "sequence", plan)
        return
    found = evaluate_suite(tmp_path / "e", "sequence", plan)
    assert found.failed_edits == 1
    assert count_held(read_edit(tmp_path / "e"), plan)[1] == 4
    missing = {taken.name: taken.missing for taken in found.measures}
    assert missing["norm_after_1"] == "an edit that changed weights"
    assert missing["hold_after_1"] is None and found["hold_after_1"] == 0
    assert missing["kl_after_1"] is not None, "the unedited model, which is no harmless edit"


def test_a_sequence_of_one_edit(trained, plan, tmp_path):
    one = plan.singles()[0]
    in_order(trained, one, tmp_path / "e")
    assert read_edit(tmp_path / "e").checkpoints == (1,)
    names = [taken.name for taken in evaluate_suite(tmp_path / "e", "sequence", one).measures]
    assert names[0] == "hold_after_1" and names[-1] == "half_life"


def test_an_edit_that_changes_nothing_is_no_failure(trained, plan, tmp_path, monkeypatch):
    apply = Lora.apply

    def idle(self, model, plans, context):
        return [replace(delta, changes={}) for delta in apply(self, model, plans, context)]

    monkeypatch.setattr(Lora, "apply", idle)
    assert in_order(trained, plan, tmp_path / "e").failed == []
    assert read_edit(tmp_path / "e").deltas()[None].failure is None


@pytest.mark.parametrize("method", [Emmet(**EMMET, layers=(1,)), Lora(**LORA)])
def test_a_sum_is_of_edits_on_what_the_earlier_ones_left(network, compiled, small_corpus, method):
    plans, context = [compiled(1, seed=1), compiled(2, seed=2)], EditContext(small_corpus)
    alone = [method.apply(network, [plan], context)[0] for plan in plans]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    delta_of, sums = answers(method).in_sequence(network, context), Sums(network, {})
    for plan in plans:
        delta = delta_of(plan)
        assert delta.failure is None
        sums.add(delta.changes)
    assert not equal(dense(alone[1]), dense(delta))
    tokens = torch.tensor([plans[0].training["prompt"][0].to_list()])
    with torch.no_grad():
        twice, changes = network(input_ids=tokens).logits, sums.changes()
        sums.restore()
        assert equal(before, network.state_dict())
        with EditDelta(changes, "sum", {}, "0", 0).apply(network):
            once = network(input_ids=tokens).logits
    torch.testing.assert_close(once, twice, rtol=1e-4, atol=1e-4)
