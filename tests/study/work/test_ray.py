"""The Ray engine: with a stand-in for Ray, and a real cluster where there is one."""

import os
import sys
from os import fspath
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from behemoth import ArgumentError
from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.work import ray
from behemoth.study.work.engine import Performed, perform
from behemoth.study.work.ray import RayEngine
from behemoth.study.work.run import run_study
from behemoth.support.digests import checks, unchecked
from behemoth.support.process import LAUNCHED
from behemoth.support.progress import silent


def test_a_study_on_a_cluster(fake_ray, tiny, finished, tmp_path):
    study = Study.parse(tiny.replace("[0, 1]", "[0]"))
    result = run_study(study, tmp_path / "s", engine="ray", threads=1)
    assert (result.done, result.failed, result.trained) == (4, 0, 1)
    assert fake_ray.calls == ["init", "shutdown"]
    assert fake_ray.options == [{"num_cpus": 1, "num_gpus": 0, "max_retries": 3}]


def test_slots(fake_ray, tmp_path):
    assert RayEngine(tmp_path, None, 2).slots == 2
    assert RayEngine(tmp_path, 3, 1).slots == 3
    fake_ray.nodes = nodes({"CPU": 64.0, "GPU": 2.0})
    assert RayEngine(tmp_path, None, 1).slots == 2
    assert fake_ray.options[-1]["num_gpus"] == 1
    assert RayEngine(tmp_path, 8, 1).slots == 8
    assert fake_ray.options[-1]["num_gpus"] == 0.25


def nodes(*resources):
    """What Ray says of nodes with these resources, after one that has left the cluster."""
    gone = {"Alive": False, "Resources": {"CPU": 1000.0, "GPU": 8.0}}
    return lambda: [gone, *({"Alive": True, "Resources": each} for each in resources)]


@pytest.mark.parametrize("workers", range(1, 20))
def test_as_many_tasks_have_a_share_of_a_gpu_as_there_are_workers(fake_ray, tmp_path, workers):
    """Each has its share of one GPU: 3 with 2/3 of 2 GPUs are 2 at once, and one that waits."""
    fake_ray.nodes = nodes({"CPU": 64.0, "GPU": 2.0})
    assert RayEngine(tmp_path, workers, 1).slots == workers
    share = round(fake_ray.options[-1]["num_gpus"] * 10_000)  # in Ray's smallest parts
    assert 2 * (10_000 // share) >= workers
    assert workers < 3 or 2 * (10_000 // share) < workers + 2  # and no smaller than it must be


def test_a_node_has_room_for_what_fits_on_it(fake_ray, tmp_path):
    fake_ray.nodes = nodes({"CPU": 3.0}, {"CPU": 3.0}, {"CPU": 1.0}, {})
    assert RayEngine(tmp_path, None, 2).slots == 2
    fake_ray.nodes = nodes({"CPU": 64.0}, {"CPU": 5.0, "GPU": 4.0}, {"CPU": 1.0, "GPU": 4.0})
    assert RayEngine(tmp_path, None, 2).slots == 2
    assert fake_ray.options[-1]["num_gpus"] == 1


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([{"CPU": 4.0}, {"CPU": 8.0}], "up to 8, the maximum cores of a node of the cluster"),
        (
            [{"CPU": 64.0}, {"CPU": 8.0, "GPU": 1.0}],
            "up to 8, the maximum cores of a node with a G",
        ),
    ],
)
def test_threads_that_no_node_has_cores_for_are_refused(fake_ray, tmp_path, resources, said):
    """Ray would wait for such a node for good."""
    fake_ray.nodes = nodes(*resources)
    with pytest.raises(ArgumentError, match=f"argument 'threads': got 9, allowed: {said}"):
        RayEngine(tmp_path, None, 9)
    assert fake_ray.calls == ["init", "shutdown"]
    assert RayEngine(tmp_path, None, 8).slots == 1


def test_the_time_of_work_leaves_waiting_out(fake_ray, tiny, tmp_path, monkeypatch):
    """Tasks are handed in whether there is room for them or not."""
    monkeypatch.setattr(
        "behemoth.study.work.ray.perform",
        lambda *_: Performed("done", seconds=100.0),
    )
    study = Study.parse(tiny.replace("[0, 1]", "[0]"))
    result = run_study(study, tmp_path / "s", engine="ray", threads=1)
    assert (result.trained, result.carried_out) == (1, 4)
    assert result.working_seconds == pytest.approx(500.0)


def test_what_is_carried_out_says_what_it_took(tmp_path):
    failed = perform(fspath(tmp_path / "nothing"), {"kind": "?"}, silent)
    assert failed.status is None and failed.seconds is not None and failed.seconds >= 0
    assert failed.event(3).seconds == failed.seconds


def test_a_task_that_dies_is_a_unit_that_failed(fake_ray, tmp_path):
    def get(task):
        raise RuntimeError("the worker died\nunexpectedly")

    fake_ray.get = get
    engine = RayEngine(tmp_path, None, 1)
    assert engine.wait(0) == []
    engine.submit(0, SimpleNamespace(to_dict=dict))
    (event,) = engine.wait(0)
    assert (event.kind, event.reason) == ("failed", "RuntimeError: the worker died unexpectedly")
    engine.submit(0, SimpleNamespace(to_dict=dict))
    engine.close()
    assert fake_ray.calls[-2:] == ["cancel", "shutdown"]


def test_tasks_check_files_if_the_process_does_that_hands_them_out(fake_ray, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(ray, "perform", lambda *_: checks())
    engine = RayEngine(tmp_path, None, 1)
    engine._task = SimpleNamespace(remote=lambda *given: sent.append(given))
    engine.submit(0, SimpleNamespace(to_dict=dict))
    with unchecked():
        engine.submit(0, SimpleNamespace(to_dict=dict))
    assert [ray._carry_out(*given) for given in sent] == [True, False]


def test_tasks_do_not_join_the_processes_of_a_launcher(fake_ray, tmp_path, monkeypatch):
    """Ray starts on a node with what a launcher has set there."""
    for name in LAUNCHED:
        monkeypatch.setenv(name, "2")
    monkeypatch.setattr(ray, "perform", lambda *_: [os.environ.get(name) for name in LAUNCHED])
    assert ray._carry_out(fspath(tmp_path), {}, 1, checked=True) == [None] * len(LAUNCHED)


def test_without_ray(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ArgumentError,
        match=r"argument 'engine': got ray, allowed: local; ray if it is installed",
    ):
        RayEngine(tmp_path, None, 1)


@pytest.fixture(scope="module")
def short(tiny, in_process, tmp_path_factory):
    """Two models with two trials each, and where one process has carried them out."""
    head, _, rest = tiny.partition('[[method]]\nname = "grad_ascent"')
    text = head + rest[rest.index("[grid]") :]
    out = tmp_path_factory.mktemp("studies") / "here"
    in_process(text, out)
    return text, out


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", [None, "_carry_out"], ids=["whole", "a node lost"])
def test_two_nodes_find_what_one_process_finds(on_nodes, short, tmp_path, task):
    (tmp_path / "study.toml").write_text(short[0])
    out = tmp_path / "s"
    ran = on_nodes(task, "study", "run", tmp_path / "study.toml", "--out", out, "--engine", "ray",
                   "--threads", "1", "--json")  # fmt: skip
    report = ran.json()
    assert (report["done"], report["failed"], report["trained"]) == (4, 0, 2)
    for name, keys in {"edits": [], "probes": ["probe", "stage"]}.items():
        mine, theirs = (
            getattr(Results.open(place), name).collect().sort("trial", "edit", *keys)
            for place in (out, short[1])
        )
        assert_frame_equal(
            mine.select(~pl.selectors.contains("seconds")),
            theirs.select(~pl.selectors.contains("seconds")),
            abs_tol=1e-4,
        )
