"""Runs a command on a Ray cluster of two nodes, each a set of processes on this machine.

``python nodes.py TASK WORDS...`` kills the second node, and all that runs on it, as soon as it is
at a task of that name; with ``-`` it stays. Nothing of the cluster is left.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path


def main(task, words):
    # Workers of Ray are nice to all else by 15, and on a busy machine never have their turn.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Nor are they to end because others fill the memory.
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    import ray
    from ray.cluster_utils import Cluster
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    own = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**own, "include_dashboard": False})
    second = cluster.add_node(**own)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    assert sum(node["Alive"] for node in ray.nodes()) == 2
    # Workers take long to start, and one node would be done before the other has any.
    warm = ray.remote(num_cpus=1)(lambda: __import__("behemoth").World)
    ray.get([
        warm.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node in (node["NodeID"] for node in ray.nodes())
    ])  # fmt: skip
    killed = threading.Event()
    if task != "-":
        watch = threading.Thread(target=kill, args=(cluster, second, task, killed), daemon=True)
        watch.start()
    from behemoth.cli.main import main as behemoth

    try:
        return behemoth(words)
    finally:
        sys.stdout = sys.stderr  # where Ray says what it has to say of nodes
        sys.stderr.write(f"{1 if killed.is_set() else 2} nodes at the end\n")
        ray.shutdown()
        cluster.shutdown()


def kill(cluster, node, task, killed):
    raylet = node.all_processes["raylet"][0].process.pid
    while True:
        workers = children(raylet)
        if any(title.startswith(f"ray::{task}") for title in workers.values()):
            break
        time.sleep(0.005)
    os.kill(raylet, signal.SIGKILL)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    killed.set()
    cluster.remove_node(node, allow_graceful=False)


def children(parent):
    """Processes that a process has started, and those have, and what they call themselves."""
    known = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            about = (place / "stat").read_text().rpartition(")")[2].split()
            title = (place / "cmdline").read_text().split("\0")[0]
            known[int(place.name)] = (int(about[1]), title)
        except (OSError, ValueError):
            continue
    found, more = {}, {parent}
    while more:
        more = {pid for pid, (above, _) in known.items() if above in more}
        found |= {pid: known[pid][1] for pid in more}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
