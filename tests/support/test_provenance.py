"""What a process may use of its machine."""

import os

import pytest

from behemoth.support.provenance import cores


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu.max": "9900000 100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ({"cpu.max": "?"}, 64),
        ({}, 64),
    ],
)
def test_cores_are_those_of_the_container(files, wanted, tmp_path, monkeypatch):
    """On a host of 64 cores, a container of two trained with 64 threads."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert cores(tmp_path) == wanted


def test_cores_are_those_of_the_job(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/a/b\n0::/slurm/job_7/step_0\n",
        "sys/fs/cgroup/slurm/job_7/cpu.max": "400000 100000",
        "sys/fs/cgroup/slurm/job_7/step_0/cpu.max": "max 100000",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "800000",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert cores(tmp_path) == 4
    (tmp_path / "proc/self/cgroup").write_text("4:cpu,cpuacct:/a/b\n")
    assert cores(tmp_path) == 8
