"""How much memory there is, by a file system of its own, and amounts as people write them."""

import pytest
from hypothesis import given, settings, strategies as st

from behemoth.support.errors import ArgumentError
from behemoth.support.memory import available, bytes_of, limit_of


def lay(place, name, text):
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)


def test_what_is_free_is_what_the_machine_or_the_container_has_less(tmp_path):
    assert available(tmp_path) is None
    lay(tmp_path, "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 5000 kB\n")
    assert available(tmp_path) == 5000 * 1024
    lay(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    lay(tmp_path, "sys/fs/cgroup/memory.current", "1000\n")
    assert available(tmp_path) == 5000 * 1024
    lay(tmp_path, "sys/fs/cgroup/memory.max", "4000\n")
    assert available(tmp_path) == 3000
    lay(tmp_path, "sys/fs/cgroup/memory.current", "9000\n")
    assert available(tmp_path) == 0


@pytest.mark.parametrize(
    ("limit", "used", "stat", "row"),
    [
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat",
         "total_inactive_file"),
    ],
)  # fmt: skip
def test_cached_pages_of_files_are_free(limit, used, stat, row, tmp_path):
    """After a corpus was written, they fill a container."""
    lay(tmp_path, f"sys/fs/cgroup/{limit}", "4000\n")
    lay(tmp_path, f"sys/fs/cgroup/{used}", "3900\n")
    lay(tmp_path, f"sys/fs/cgroup/{stat}", f"anon 900\n{row} 2900\nactive_file 100\n")
    assert available(tmp_path) == 3000


@pytest.mark.parametrize(
    ("line", "top", "limit", "used"),
    [
        ("0::", "", "memory.max", "memory.current"),
        ("4:hugetlb,memory:", "memory/", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_a_job_has_the_limits_of_its_group_and_of_those_above_it(line, top, limit, used, tmp_path):
    """On a node of 256 GB, a job of Slurm of 8 GB was given all that was free."""
    lay(tmp_path, "proc/meminfo", "MemAvailable: 5000 kB\n")
    lay(tmp_path, "proc/self/cgroup", f"1:name=systemd:/other\n{line}/slurm/job_7/step_0\n")
    assert available(tmp_path) == 5000 * 1024
    groups = f"sys/fs/cgroup/{top}slurm"
    for name, most in (("", 9000), ("/job_7", 4000), ("/job_7/step_0", "max"), ("/job_8", 10)):
        lay(tmp_path, f"{groups}{name}/{limit}", f"{most}\n")
        lay(tmp_path, f"{groups}{name}/{used}", "1000\n")
    assert available(tmp_path) == 3000
    lay(tmp_path, f"{groups}/job_7/step_0/{limit}", "1500\n")
    assert available(tmp_path) == 500
    # Seen from a container, the folder of its group is the topmost.
    lay(tmp_path, "proc/self/cgroup", f"{line}/../job_8\n")
    assert available(tmp_path) == 5000 * 1024


@given(st.text(max_size=8) | st.from_regex(r"[0-9.eE]{1,6} ?[kKmMgGiIbB]{0,3}", fullmatch=True))
@settings(max_examples=80, derandomize=True, database=None)
def test_an_amount_is_read_or_refused_in_one_line(text):
    try:
        value = bytes_of("--memory", text)
    except ArgumentError as error:
        refusal = str(error)
    else:
        assert value >= 1 and bytes_of("--memory", str(value)) == value
        return
    assert len(refusal.splitlines()) == 1 and "such as 8GB" in refusal


@pytest.mark.parametrize("text", ["", "8G B", "0", "-1GB", "1e99", "many", "8GX", "inf"])
def test_what_is_no_amount(text):
    with pytest.raises(ArgumentError, match="allowed: an amount of memory"):
        bytes_of("--memory", text)


def test_the_limit_is_what_is_given_or_else_what_is_free(monkeypatch):
    monkeypatch.setattr("behemoth.support.memory.available", lambda: 7)
    assert (limit_of(3), limit_of(0), limit_of(None)) == (3, 0, 7)
