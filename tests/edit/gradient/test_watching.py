"""What is looked at beside the rows of an edit: it changes nothing, and is what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from behemoth import Corpus, World
from behemoth.edit.gradient.lines import Lines
from behemoth.edit.protocol import HOLD, Watch
from behemoth.edit.registry import get_method
from behemoth.plan import EditRequest, compile_plan

HELD_OUT = [f"log_probability_{name}_held_out" for name in ("new", "old", "other")]


def watched(method, model, plans, context, **watch):
    return method.apply(model, plans, replace(context, watch=Watch(**watch)))


@pytest.fixture(scope="module")
def worded():
    """A corpus with four wordings of each sentence, one of which is held out."""
    return Corpus(World(40, 2, 12, seed=5), exposures=4, paraphrases=4, held_out=1, base=60)


@pytest.fixture(scope="module")
def batch(worded):
    request = EditRequest(
        edits=3, repeats=1, same_object=2, same_relation=2, regular=2, probes=2, independent=True
    )
    return compile_plan(worded, request)


@pytest.fixture
def singles(batch):
    return batch.singles()


@pytest.fixture
def network(worded):
    torch.manual_seed(1)
    config = GPTNeoXConfig(
        vocab_size=worded.vocabulary_size, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=24, max_position_embeddings=64,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPTNeoXForCausalLM(config).eval()


@pytest.mark.exact
@pytest.mark.parametrize(
    ("name", "settings"),
    [("lora", {"rank": 2, "learning_rate": 3e-2}), ("ft", {"part": "mlp", "learning_rate": 3e-3}),
     ("ft_svd", {"truncation": 2, "learning_rate": 3e-3}), ("npo", {"part": "mlp"})],
)  # fmt: skip
def test_looking_changes_no_edit(name, settings, network, singles, context):
    method = get_method(name, {"steps": 6, **settings})
    without = method.apply(network, singles, context)
    looked = watched(method, network, singles, context)
    for plain, seen in zip(without, looked, strict=True):
        for parameter, change in plain.changes.items():
            assert torch.equal(change.to_dense(), seen.changes[parameter].to_dense())
        assert [row["loss"] for row in plain.trace] == [row["loss"] for row in seen.trace]
        assert not {"norm", "kl", *HELD_OUT} & {key for row in plain.trace for key in row}


@pytest.mark.parametrize("name", ["lora", "ft"])
def test_a_stack_sees_what_one_at_a_time_sees(name, network, singles, context):
    model = network.double()
    settings = {"steps": 6, "learning_rate": 3e-2, "part": "mlp", "retain_rows": 2}
    method = get_method(name, settings)
    for plan, stacked in zip(singles, watched(method, model, singles, context), strict=True):
        (alone,) = watched(method, model, [plan], context)
        assert [set(row) for row in alone.trace] == [set(row) for row in stacked.trace]
        for one, other in zip(alone.trace, stacked.trace, strict=True):
            assert one == pytest.approx(other, rel=1e-6, abs=1e-7)


def test_norm_and_divergence_are_those_of_the_delta(network, singles, context):
    model = network.double()
    every = 100  # bystanders: more than there are
    method = get_method("lora", {"steps": 5, "learning_rate": 3e-2, "rank": 2})
    found = watched(method, model, singles, context, bystanders=every)
    for plan, delta in zip(singles, found, strict=True):
        norms = [row["norm"] ** 2 for row in delta.geometry()]
        last = delta.trace[-1]
        assert last["norm"] == pytest.approx(sum(norms) ** 0.5, rel=1e-6)
        probes = plan.probes.filter(~plan.probes["must_change"])
        shifts = []
        assert len(probes) < every
        for prompt in probes["prompt"].to_list():
            ids = torch.tensor([prompt])
            with torch.no_grad():
                before = model(input_ids=ids).logits[0, -1].log_softmax(-1)
                with delta.apply(model):
                    after = model(input_ids=ids).logits[0, -1].log_softmax(-1)
            shifts.append(float((before.exp() * (before - after)).sum()))
        assert last["kl"] == pytest.approx(sum(shifts) / len(shifts), rel=1e-6) and last["kl"] > 0


def test_held_out_wordings_are_looked_at_until_their_flip_has_held(network, singles, context):
    method = get_method("lora", {"steps": 60, "learning_rate": 3e-2, "retain_rows": 0})
    for plan, delta in zip(singles, watched(method, network, singles, context), strict=True):
        assert {"edited_paraphrase", "edited_held_out"} & set(plan.probes["group"])
        looked = [row for row in delta.trace if HELD_OUT[0] in row]
        above = [row[HELD_OUT[0]] > row[HELD_OUT[1]] for row in looked]
        assert all(row[HELD_OUT[2]] >= row[HELD_OUT[0]] - 1e-5 for row in looked)
        assert looked == delta.trace[: len(looked)]
        assert len(looked) < len(delta.trace)
        assert all(above[-HOLD - 1 :])
        # Not a step longer than that.
        assert not any(all(above[at : at + HOLD + 1]) for at in range(len(above) - HOLD - 1))


def test_one_bystander_and_one_wording_are_what_the_edited_model_says(network, singles, context):
    model = network.double()
    method = get_method("lora", {"steps": 2, "learning_rate": 3e-2, "rank": 2})

    def scores(prompt):
        with torch.no_grad():
            return model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(-1)

    found = watched(method, model, singles, context, bystanders=1, held_out=1)
    for plan, delta in zip(singles, found, strict=True):
        last = delta.trace[-1]
        probes = plan.probes.filter(~plan.probes["must_change"])
        shifts = []
        for prompt in probes["prompt"].to_list():
            before = scores(prompt)
            with delta.apply(model):
                shifts.append(float((before.exp() * (before - scores(prompt))).sum()))
        assert any(last["kl"] == pytest.approx(shift, rel=1e-6) for shift in shifts)
        worded = plan.probes.filter(
            plan.probes["group"].is_in(("edited_paraphrase", "edited_held_out"))
        )
        said = []
        for prompt, [new], [old] in worded.select("prompt", "answer", "old_answer").iter_rows():
            with delta.apply(model):
                own = scores(prompt)
            others = own.clone()
            others[old] = -torch.inf
            said.append([float(own[new]), float(own[old]), float(others.max())])
        traced = [last[name] for name in HELD_OUT]
        assert any(traced == pytest.approx(one, rel=1e-6) for one in said)


def test_a_flip_has_its_norm(network, singles, context):
    method = get_method("lora", {"steps": 60, "learning_rate": 3e-2, "retain_rows": 0})
    for delta in watched(method, network, singles, context, held_out=0):
        above = [row["log_probability_new"] > row["log_probability_old"] for row in delta.trace]
        begins = [at for at in range(len(above)) if above[at] and not (at and above[at - 1])]
        assert begins and all({"norm", "kl"} <= set(delta.trace[at]) for at in begins)
        assert all((delta.trace[at]["norm"] > 0) == (at > 0) for at in begins)
        assert HELD_OUT[0] not in delta.trace[0]


def test_an_edit_that_stops_early_has_both_at_its_end(network, singles, context):
    method = get_method(
        "lora", {"steps": 60, "learning_rate": 3e-2, "retain_rows": 0, "stop_loss": 2.0}
    )
    for delta in watched(method, network, singles, context, held_out=0):
        last = delta.trace[-1]
        assert last["stopped"] and last["step"] < 60
        assert {"norm", "kl"} <= set(last)
        norms = [row["norm"] ** 2 for row in delta.geometry()]
        assert last["norm"] == pytest.approx(sum(norms) ** 0.5, rel=1e-4)


def test_batches_and_no_bystanders_are_not_looked_at(
    batch, singles, network, context, monkeypatch, never
):
    method = get_method("lora", {"steps": 2})
    with monkeypatch.context() as patch:
        patch.setattr(Lines, "logits", never)  # nor is the unedited model asked
        (delta,) = watched(method, network, [batch], context)
    assert not {"norm", *HELD_OUT} & set(delta.trace[-1])
    (delta,) = watched(method, network, singles[:1], context, bystanders=0, held_out=0)
    assert not {"norm", "kl", *HELD_OUT} & set(delta.trace[-1])


def test_plain_gradient_descent_follows_the_gradient(model, plans, context):
    """Without momentum the first step is the clipped gradient times the rate."""
    method = get_method("ft", {"steps": 1, "optimiser": "sgd", "learning_rate": 0.5, "clip": 1e-3})
    (delta,) = method.apply(model, plans[:1], context)
    norm = sum(row["norm"] ** 2 for row in delta.geometry()) ** 0.5
    assert norm == pytest.approx(0.5 * 1e-3, rel=1e-3)
    with pytest.raises(ValueError, match="argument 'optimiser': got rmsprop, allowed: adam, sgd"):
        get_method("ft", {"optimiser": "rmsprop"})


def test_every_token_of_an_old_answer_counts_in_other_wordings_of_a_forgotten_fact(context):
    corpus = Corpus(World(40, 2, 12, seed=5), exposures=4, paraphrases=4, held_out=1, base=10)
    request = EditRequest(edits=3, repeats=1, probes=2, independent=True)
    singles = compile_plan(corpus, request).singles()
    torch.manual_seed(1)
    config = GPTNeoXConfig(
        vocab_size=corpus.vocabulary_size, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=24, max_position_embeddings=64,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPTNeoXForCausalLM(config).eval().double()
    method = get_method("grad_ascent", {"steps": 3, "part": "mlp"})
    places = set()
    for plan, delta in zip(
        singles, watched(method, model, singles, context, held_out=1), strict=True
    ):
        [probe] = (
            plan.probes.filter(plan.probes["group"].is_in(["edited_paraphrase", "edited_held_out"]))
            .head(1)
            .to_dicts()
        )
        old = torch.tensor(probe["old_answer"])
        assert len(old) == 2
        with torch.no_grad(), delta.apply(model):
            ids = torch.tensor([[*probe["prompt"], *old[:-1].tolist()]])
            scores = model(input_ids=ids).logits[0, -len(old) :].log_softmax(-1)
        own = scores.gather(1, old[:, None])[:, 0]
        others = scores.scatter(1, old[:, None], -torch.inf).amax(1)
        weakest = int((own - others).argmin())
        places.add(weakest)
        last = delta.trace[-1]
        found = [last[f"log_probability_{name}_held_out"] for name in ("old_weakest", "other")]
        expected = [float(own[weakest]), float(others[weakest])]
        assert found == pytest.approx(expected, rel=1e-6)
        [at] = [at for at in range(2) if probe["answer"][:at] == probe["old_answer"][:at]][-1:]
        assert last["log_probability_old_held_out"] == pytest.approx(float(own[at]), rel=1e-6)
        new = float(scores[at, probe["answer"][at]])
        assert last["log_probability_new_held_out"] == pytest.approx(new, rel=1e-6)
    assert places == {0, 1}
