import json
import re
import shutil

import pytest

import behemoth as bh
from behemoth.delta.delta import EditDelta
from behemoth.evaluate import shortfall


def words_of(trained, plan, out, *others):
    return ("edit", trained, "--plan", plan, "--method", "lora", "--set", "steps=2", "--out", out,
            *others)  # fmt: skip


def test_the_report(run, trained, plan, tmp_path):
    out = tmp_path / "e"
    report = run(*words_of(trained, plan, out, "--set", "rank=2", "--single", "--json")).json()
    assert list(report) == [
        "out", "run", "plan_hash", "method", "settings", "seed", "single", "edits", "failed",
        "present", "seconds", "edits_per_second", "place", "sequential",
    ]  # fmt: skip
    assert (report["method"], report["edits"], report["single"]) == ("lora", 2, True)
    assert report["settings"]["rank"] == 2 and report["settings"]["steps"] == 2
    assert sorted(path.name for path in (out / "deltas").iterdir()) == ["00000", "00001"]
    again = run(*words_of(trained, plan, out, "--set", "rank=2", "--single", "--json")).json()
    assert again["present"] == 2


def test_for_people(run, trained, plan, tmp_path):
    ran = run(*words_of(trained, plan, tmp_path / "e", "--adapter", "--seed", "1e1"))
    assert ran.code == 0
    assert f"{tmp_path / 'e'}: 2 edits in one batch by lora" in ran.out
    assert f"next: behemoth evaluate {tmp_path / 'e'} --plan {plan} --out FRAME" in ran.err
    words = ("--method", "grad_ascent", "--set", "steps=1", "--out", tmp_path / "u")
    ran = run("edit", trained, "--plan", plan, *words)
    assert f"--plan {plan} --suite unlearning --twin TWIN --out DIR" in ran.err
    assert (tmp_path / "e" / "adapter" / "adapter_config.json").is_file()
    assert json.loads((tmp_path / "e" / "edit.json").read_text())["seed"] == 10


def test_tuned_settings_are_given_by_a_word(run, trained, plan, tmp_path):
    from behemoth import edit
    from behemoth.edit import tuned_settings

    words = ("edit", trained, "--plan", plan, "--method", "ultraedit", "--set", "tuned:tokens")
    report = run(*words, "--out", tmp_path / "e", "--json").json()
    tuned = tuned_settings("ultraedit", "tokens").settings
    assert report["settings"].items() >= tuned.items()
    done = edit(trained, plan, "ultraedit", tmp_path / "f", settings="tuned:tokens")
    assert done.settings == report["settings"]
    # Of the kind of the run's own world, of which only the run can tell.
    words = (*words[:-1], "tuned:world", "--out", tmp_path / "g", "--json")
    assert run(*words).json()["settings"] == done.settings


def test_a_batch_of_independent_edits_is_warned_of(run, trained, plan, tmp_path):
    joint = tmp_path / "joint"
    assert run("plan", trained, "--edits", 2, "--repeats", 2, "--out", joint).code == 0
    warning = "behemoth: warning: each of the 2 edits of this plan is meant for its own model"
    assert warning in run(*words_of(trained, plan, tmp_path / "e")).err
    for name, others in (("single", ["--single"]), ("sequential", ["--sequential"])):
        assert "is meant for" not in run(*words_of(trained, plan, tmp_path / name, *others)).err
    assert "is meant for" not in run(*words_of(trained, joint, tmp_path / "b")).err


def test_edits_whose_retained_facts_all_go_are_warned_of(run, trained, tmp_path):
    plan, few = tmp_path / "plan", ("--same-object", 0, "--same-relation", 0, "--regular", 1)
    words = ("--edits", 60, "--repeats", 1, "--probes", 1, *few, "--independent", "--litgpt")
    warning = r"behemoth: warning: \d+ of 60 edits have no retained facts left: those of their own"
    assert re.search(warning, run("plan", trained, *words, "--out", plan).err)
    words = ("--method", "lora", "--set", "steps=1", "--set", "rank=1", "--out", tmp_path / "e")
    ran = run("edit", trained, "--plan", plan, *words, "--sequential")
    assert re.search(warning, ran.err) and not ran.code


def test_single_edits_of_a_joint_plan_are_warned_of(run, trained, plan, tmp_path):
    joint, one = tmp_path / "joint", tmp_path / "one"
    assert run("plan", trained, "--edits", 2, "--repeats", 2, "--out", joint).code == 0
    assert run("plan", trained, "--edits", 1, "--repeats", 2, "--out", one).code == 0
    warning = "behemoth: warning: each of the 2 edits was made by itself, with its part of a train"
    assert warning in run(*words_of(trained, joint, tmp_path / "e", "--single")).err
    for number, words in enumerate(
        [(plan, "--single"), (one, "--single"), (joint, "--sequential")]
    ):
        made = run(*words_of(trained, words[0], tmp_path / f"{number}", words[1]))
        assert made.code == 0 and "by itself" not in made.err


def test_edits_short_of_their_goal_are_warned_of(run, trained, tmp_path):
    plan, warning = tmp_path / "plan", "behemoth: warning: the old answer is still"
    assert run("plan", trained, "--most-frequent", 2, "--out", plan).code == 0
    words = ("edit", trained, "--plan", plan, "--method", "lora", "--single", "--set")
    ran = run(*words, "learning_rate=1e-9", "--out", tmp_path / "e")
    said = f"{warning} likelier than the new one in 2 of 2 edits; see `behemoth tune lora`"
    assert said in " ".join(ran.err.split())
    told = shortfall(bh.load(tmp_path / "e"), bh.load(plan))
    assert told == "the old answer is still likelier than the new one in 2 of 2 edits"
    ran = run(*words, "learning_rate=1e-9", "--out", tmp_path / "e", "--json")
    assert ran.json()["edits"] == 2 and said in " ".join(ran.err.split())
    model = tmp_path / "model"  # of another origin, which cannot be tuned on
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(trained / name, model / name)
    words_there = ("edit", model, "--corpus", trained / "spec.toml", *words[2:])
    ran = run(*words_there, "learning_rate=1e-9", "--out", tmp_path / "there")
    there = said.replace("tune", "methods")
    assert there in " ".join(ran.err.split())
    ran = run(*words, "learning_rate=1e-2", "--set", "steps=30", "--out", tmp_path / "f")
    assert ran.code == 0 and "old answer" not in ran.err
    assert shortfall(bh.load(tmp_path / "f"), bh.load(plan)) is None
    with pytest.raises(
        bh.ArgumentError, match=r"^argument 'edit': got a PosixPath, allowed: what "
    ):
        shortfall(tmp_path / "f", bh.load(plan))


def test_a_sequence_that_loses_its_edits_is_warned_of(run, trained, tmp_path, monkeypatch):
    from behemoth.evaluate.suites import sequence

    plan = tmp_path / "plan"
    words = ("--most-frequent", 4, "--relation", 0, "--repeats", 2, "--probes", 1)
    assert run("plan", trained, *words, "--out", plan).code == 0
    words = ("edit", trained, "--plan", plan, "--sequential", "--set", "steps=1", "--method")
    warning = "warning: after the last edit the model gives the new answers of 0 of 4 edits"
    lost = ("lora", "--set", "learning_rate=1", "--out", tmp_path / "e")
    for _ in range(2):  # of a sequence that is there as well
        ran = run(*words, *lost)
        assert ran.code == 0 and warning in " ".join(ran.err.split())
    ran = run(*words, *lost, "--json")
    assert ran.json()["edits"] == 4 and warning in " ".join(ran.err.split())
    monkeypatch.setattr(sequence, "count_held", lambda *_: (2, 4))
    assert "after the last edit" not in run(*words, *lost).err
    # Of what forgets the old answers are asked for.
    forgets = ("grad_ascent", "--out", tmp_path / "u")
    monkeypatch.setattr(sequence, "count_held", lambda *_: (1, 4))
    warning = "after the last edit the model still gives the old answers of 3 of 4 known facts"
    assert warning in " ".join(run(*words, *forgets).err.split())
    monkeypatch.setattr(sequence, "count_held", lambda *_: (0, 0))  # it knew none
    assert "after the last edit" not in run(*words, *forgets).err


def test_edits_of_methods_without_doses_that_do_not_hold_are_warned_of(
    run, trained, tmp_path, monkeypatch
):
    from behemoth.evaluate.suites import sequence

    plan = tmp_path / "plan"
    assert run("plan", trained, "--most-frequent", 2, "--repeats", 2, "--out", plan).code == 0
    words = ("edit", trained, "--plan", plan, "--method", "ultraedit")
    told = "the model gives the new answers of 0 of 2 edits"
    for how, when in (((), "after the batch"), (("--single",), "after each edit by itself")):
        ran = run(*words, *how, "--set", "learning_rate=1e-9", "--out", tmp_path / when)
        assert ran.code == 0 and f"warning: {when} {told}" in " ".join(ran.err.split())
    monkeypatch.setattr(sequence, "count_held", lambda *_: (1, 2))
    assert "the new answers of" not in run(*words, *how, "--out", tmp_path / "f").err


def test_unlearning_short_of_its_goal_is_warned_of(run, trained, plan, tmp_path):
    out = tmp_path / "e"
    words = ("edit", trained, "--plan", plan, "--method", "npo", "--set", "steps=1", "--out", out)
    assert "old answer" not in run(*words).err  # this model knows hardly anything
    delta = EditDelta.load(out / "delta")
    for row in delta.trace:
        row["log_probability_other"] = row["log_probability_old"] - 1
    delta.save(out / "delta")
    said = "the old answer is still the likeliest, on average over 2 edits; see `behemoth tune npo`"
    assert said in " ".join(run(*words).err.split())


def test_settings_that_were_tuned_are_not_answered_with_advice_to_tune(run, trained, tmp_path):
    plan, best = tmp_path / "plan", tmp_path / "best.toml"
    assert run("plan", trained, "--most-frequent", 2, "--out", plan).code == 0
    settings = 'name = "lora"\n[settings]\nlearning_rate = 1e-9\n'
    tuning = (
        '[tuning]\nobjective = "editing"\ntrials = 3\nseconds = 1.0\nrows = 64\nscore = 0.5\n'
        "default_score = 0.4\n"
    )
    words = ("edit", trained, "--plan", plan, "--method", "lora", "--single", "--set", best)
    for text, advised in ((settings, True), (settings + tuning, False)):
        best.write_text(text)
        error = " ".join(run(*words, "--out", tmp_path / f"{advised}").err.split())
        assert "the old answer is still likelier than the new one in 2 of 2 edits" in error
        assert ("see `behemoth tune lora`" in error) == advised


def test_it_says_where_it_edits(run, trained, plan, tmp_path):
    words = ["edit", trained, "--plan", plan, "--method", "rome", "--set", "steps=1"]
    words += ["--set", "samples=500"]
    told = "layer 1 of 2 (published: the subject's last token, layer 17 of 48)"
    ran = run(*words, "--out", tmp_path / "e")
    assert f"edited at the prompt's last token, {told}" in ran.out
    other = run(*words, "--set", "token=subject", "--set", "layers=0", "--out", tmp_path / "f",
                "--json").json()  # fmt: skip
    assert other["place"].startswith("the subject's last token, layer 0 of 2 (published: ")


def test_slow_edits_are_told_in_seconds(capsys):
    from types import SimpleNamespace

    from behemoth.cli.edit import _show

    made = {"out": "e", "edits": 1, "method": "mend", "place": None, "failed": []}
    done = SimpleNamespace(**made, sequential=False, single=True, edits_per_second=1 / 96)
    for rate, told in ((1 / 96, "96.0 s per edit"), (0.99, "1.0 s"), (1.5, "1.5 edits/s")):
        done.edits_per_second = rate
        _show(done)  # type: ignore[arg-type]
        assert told in capsys.readouterr().out
    done.edits_per_second = 0.0  # all of them were there
    _show(done)  # type: ignore[arg-type]
    assert capsys.readouterr().out.strip() == "e: 1 single edit by mend"


def test_when_all_edits_fail_the_run_failed(run, trained, plan, tmp_path):
    words = words_of(trained, plan, tmp_path / "e", "--set", "learning_rate=1e30", "--single")
    ran = run(*words)
    assert ran.code == 1
    assert "edit 0 failed: loss" in ran.err and "edit 1 failed: loss" in ran.err
    assert "next: " not in ran.err  # there is nothing to evaluate
    words = words_of(trained, plan, tmp_path / "b", "--set", "learning_rate=1e30")
    ran = run(*words)
    assert ran.code == 1 and "the batch failed: loss" in ran.err and "next: " not in ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--method lora --out e", "argument '--plan': got nothing, allowed: a plan directory"),
        ("--plan PLAN --out e", "argument '--method': got nothing, allowed: a method"),
        ("--plan PLAN --method lora", "argument '--out': got nothing, allowed: a directory"),
        (
            "--plan PLAN --method lorra --out e",
            "argument '--method': got lorra (did you mean lora?), allowed: ft",
        ),
        ("--plan PLAN --method lora --set rank --out e", "argument '--set': got rank, allowed: "),
        (
            "--plan PLAN --method lora --set rnk=1 --out e",
            "argument 'rnk': got an unknown setting of lora (did you mean rank?), allowed: s",
        ),
        ("--plan PLAN --method lora --set rank=0 --out e", "argument 'rank': got 0, allowed"),
        ("--plan PLAN --method lora --seed x --out e", "argument '--seed': got x, allowed"),
        ("--plan PLAN --method lora --stack 0 --out e", "argument '--stack': got 0, allowed"),
        (
            "--plan nothing --method lora --out e",
            "argument '--plan': got nothing, which does not exist, allowed: a plan",
        ),
        ("--plan PLAN --method refusal --out e", "argument '--plan': got edits of kind remap"),
    ],
)
def test_errors(run, trained, plan, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [str(plan) if word == "PLAN" else word for word in words.split()]
    assert message in run("edit", trained, *given).refused(2)
    assert not (tmp_path / "e").exists()


def test_a_run_that_is_none(run, plan, tmp_path):
    assert "argument 'RUN': got" in run(*words_of(tmp_path, plan, tmp_path / "e")).refused(2)


def test_another_edit_is_not_written_over(run, trained, plan, tmp_path):
    run(*words_of(trained, plan, tmp_path / "e"))
    message = run(*words_of(trained, plan, tmp_path / "e", "--seed", 3)).refused(1)
    assert "holds another edit (seed); --force replaces it" in message
    assert run(*words_of(trained, plan, tmp_path / "e", "--seed", 3, "--force")).code == 0


def test_it_says_how_to_go_on(run, trained, plan, tmp_path, monkeypatch):
    from behemoth.edit.methods.lora import Lora

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(EditDelta, "save", stop)
    ran = run(*words_of(trained, plan, tmp_path / "e", "--single"))
    assert ran.code == 130
    assert f"stopped: run the same command again to resume {tmp_path / 'e'}" in ran.err
    monkeypatch.setattr(Lora, "apply", stop)
    ran = run(*words_of(trained, plan, tmp_path / "nothing"))
    assert ran.code == 130
    assert "stopped: run the same command again, which starts over" in ran.err
