"""The Ray engine: with a stand-in for Ray, and a real cluster where there is one."""

import sys
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from behemoth import ArgumentError
from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.work.ray import RayEngine
from behemoth.study.work.run import run_study


def test_a_study_on_a_cluster(fake_ray, tiny, finished, tmp_path):
    study = Study.parse(tiny.replace("[0, 1]", "[0]"))
    result = run_study(study, tmp_path / "s", engine="ray", threads=1)
    assert (result.done, result.failed, result.trained) == (4, 0, 1)
    assert fake_ray.calls == ["init", "shutdown"]
    assert fake_ray.options == [{"num_cpus": 1, "num_gpus": 0, "max_retries": 3}]


def test_slots(fake_ray, tmp_path):
    assert RayEngine(tmp_path, None, 2).slots == 2
    assert RayEngine(tmp_path, 3, 1).slots == 3
    fake_ray.cluster_resources = lambda: {"CPU": 64.0, "GPU": 2.0}
    assert RayEngine(tmp_path, None, 1).slots == 2
    assert fake_ray.options[-1]["num_gpus"] == 1
    assert RayEngine(tmp_path, 8, 1).slots == 8
    assert fake_ray.options[-1]["num_gpus"] == 0.25


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


def test_without_ray(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ArgumentError,
        match=r"argument 'engine': got ray, allowed: local; ray where",
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
