"""Starts commands in several processes, as `torchrun` does, but from one that has loaded torch.

``python launcher.py`` reads a JSON line for each command: its words, with ``{rank}`` for the number
of a process, how many processes, a folder for what they write, and perhaps the step at whose
checkpoint the first is killed, or for how long they wait for each other and what the first is slow
at. It answers with a line of their ids when they are under way, and one of their exit codes.
Loading torch takes seconds; a fork takes none.
"""

import json
import os
import signal
import socket
import sys
import time
from datetime import timedelta
from pathlib import Path

_PATIENCE = 240.0


def main():
    from behemoth.support.process import prepare

    prepare()
    import accelerate
    import torch.distributed.fsdp
    import torch.distributed.tensor

    import behemoth.recall
    import behemoth.train.start

    assert accelerate and torch and behemoth.recall and behemoth.train.start
    for line in sys.stdin:
        job = json.loads(line)
        with socket.socket() as kept:
            # Bound to the end: no other program is given this port before they listen on it.
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind(("127.0.0.1", 0))
            port = kept.getsockname()[1]
            pids = [start(rank, port, job) for rank in range(job["processes"])]
            say(pids)
            say(wait(pids))


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def start(rank, port, job):
    pid = os.fork()
    if pid:
        return pid
    count = job["processes"]
    if count > 1:
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count),
            LOCAL_WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        )  # fmt: skip
    out = Path(job["out"])
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        file = os.open(out / f"{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream.fileno())
    if rank == 0 and job["killed_at"] is not None:
        kill_at(job["killed_at"])
    if job["patience"] is not None:
        hurry(job["patience"])
        if rank == 0:
            dawdle(job["patience"] + 1, job["slow"])
    code = 99
    try:
        from behemoth.cli.main import main

        sys.argv = ["behemoth", *(word.replace("{rank}", str(rank)) for word in job["words"])]
        code = main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def kill_at(step):
    """End this process as `kill -9` does, when it has saved the checkpoint of a step."""
    from behemoth.train.checkpoint import Checkpoints

    save = Checkpoints.save

    def saved(self, model, optimiser, state):
        save(self, model, optimiser, state)
        if state.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoints.save = saved


def hurry(seconds):
    """Have the processes wait for each other no longer where they average gradients.

    From the second step on: before that, each of them starts for as long as the machine lets it.
    """
    import torch.distributed as dist

    from behemoth.train.update import Updater

    update = Updater.__call__

    def updated(*words):
        made = update(*words)
        dist.group.WORLD.set_timeout(timedelta(seconds=seconds))
        return made

    Updater.__call__ = updated


def dawdle(seconds, slow):
    """Take so long for measurements of recall or checkpoints."""
    from behemoth.train import loop
    from behemoth.train.checkpoint import Checkpoints
    from behemoth.train.update import Updater

    def late(function):
        def called(*words):
            time.sleep(seconds)
            return function(*words)

        return called

    if "probe" in slow:
        loop.recall_by_exposures = late(loop.recall_by_exposures)
    if "save" in slow:
        Checkpoints.save = late(Checkpoints.save)
    if "update" in slow:
        Updater.__call__ = late(Updater.__call__)


def wait(pids):
    """Exit codes of processes; those that outlive their time are killed."""
    codes, until = {}, time.monotonic() + _PATIENCE
    while len(codes) < len(pids):
        for pid in pids:
            if pid not in codes:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    codes[pid] = os.waitstatus_to_exitcode(status)
                elif time.monotonic() > until:
                    os.kill(pid, 9)
        time.sleep(0.02)
    return [codes[pid] for pid in pids]


if __name__ == "__main__":
    main()
