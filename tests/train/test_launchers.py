"""What starts several processes: torchrun, accelerate, and Slurm's srun in the recipe's script."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "examples" / "slurm" / "train.sbatch"
SETTINGS = (
    "--block-length", "32", "--batch-size", "8", "--threads", "1", "--no-tensorboard",
    "--log-interval", "1", "--device", "cpu", "--precision", "fp32",
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def spec(small, tmp_path):
    (tmp_path / "spec.toml").write_text(small.spec_toml)
    return tmp_path / "spec.toml"


def losses(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"]


# With --cpu accelerate starts its processes by MPI, and without that one alone.
@pytest.mark.parametrize(
    "launcher",
    [
        ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
        ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
         "--mixed_precision", "no", "--dynamo_backend", "no"],
    ],
    ids=["torchrun", "accelerate"],
)  # fmt: skip
def test_behemoth_is_what_they_start(spec, small, config, tmp_path, launcher):
    from behemoth.train import train

    settings = {"log_interval": 1, "batch_size": 8, "device": "cpu", "precision": "fp32"}
    train(small, out=tmp_path / "one", config=config(steps=6, **settings))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *launcher, "-m", "behemoth", "train", spec, "--out",
         tmp_path / "two", "--steps", "6", *SETTINGS, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    assert json.loads(done.stdout)["steps"] == 6
    assert json.loads((tmp_path / "two" / "run.json").read_text())["world_size"] == 2
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)


OFTEN = """
    import atexit, gc, os, signal, sys, time
    import torch.distributed as dist
    from behemoth import ArgumentError, Corpus
    from behemoth.train import default_config, train
    from behemoth.train.errors import ElsewhereError, Interrupted, TrainError

    spec, out, own = sys.argv[1:]

    def say(*words):  # in one piece: torchrun's processes write to one pipe, without buffers
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())

    atexit.register(lambda: say("at its end:", dist.is_initialized()))
    if own == "own":
        dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])

    def one(name, progress=None, **settings):
        settings = {"steps": 2, "batch_size": 4, **settings}
        config = default_config("pico", block_length=32, threads=1, tensorboard=False,
            log_interval=1, device="cpu", precision="fp32", **settings)
        try:
            said = train(Corpus.from_spec(spec), out=f"{out}/{name}", config=config,
                progress=progress).steps
        except (ArgumentError, TrainError, Interrupted, ZeroDivisionError) as error:
            said = type(error).__name__
        say(rank, name, said, dist.is_initialized())

    def stop(moment):
        if rank == 0 and moment.done == 1:
            os.kill(os.getpid(), signal.SIGUSR1)

    def fail(moment):
        # After the last step the other waits for files. Before, it waits for gradients in the
        # group, where the caller's own limit holds.
        if own == "none" or moment.done == moment.total:
            1 / rank

    def held():
        gc.collect()
        return len(os.listdir("/dev/fd"))

    one("first")
    after_one = held()
    one("first", seed=1)
    one("diverged", steps=50, learning_rate=1e4, warmup=0, clip=0.0)
    one("uneven", batch_size=5)
    one("stopped", stop, steps=50)
    one("second")
    # A thread may still hold a stream, which is one; five exchanges left open are 25.
    assert held() < after_one + 5, (held(), after_one)
    if own == "own":
        dist.barrier()
    one("alone", fail)
    if own == "own":
        # The second one has ended its run while the first, and the group, are still there.
        freed, until = f"{out}/freed", time.monotonic() + 100
        if rank:
            open(freed, "x").close()
        while not os.path.exists(freed):
            assert time.monotonic() < until, "the second one waits"
            time.sleep(0.1)
        dist.destroy_process_group()
    else:
        one("after")
"""


@pytest.mark.parametrize("own", ["own", "none"])
def test_a_process_may_train_more_than_once(spec, tmp_path, own):
    (tmp_path / "often.py").write_text(textwrap.dedent(OFTEN))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone",
         "--nproc-per-node", "2", tmp_path / "often.py", spec, tmp_path / "runs", own],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # What ends in all of them separates none.
    wanted = {
        "0 first 2 True", "1 first 2 True",
        "0 first ArgumentError True", "1 first ElsewhereError True",
        "0 diverged TrainError True", "1 diverged ElsewhereError True",
        "0 uneven ArgumentError True", "1 uneven ArgumentError True",
        "0 stopped Interrupted True", "1 stopped Interrupted True",
        "0 second 2 True", "1 second 2 True",
    }  # fmt: skip
    # One that fails alone leaves the others, which would wait for it; not the caller's group.
    there = own == "own"
    wanted |= {f"0 alone ZeroDivisionError {there}", f"1 alone ElsewhereError {there}"}
    if own == "none":
        wanted |= {"0 after TrainError False", "1 after TrainError False"}
    assert set(done.stdout.splitlines()) == wanted | {"at its end: False"}
    for name in ("first", "second"):
        assert json.loads((tmp_path / "runs" / name / "run.json").read_text())["world_size"] == 2


# It starts tasks as Slurm does, with its variables, and hands a signal on to all of them.
SRUN = """
    import os, signal, subprocess, sys

    count = int(os.environ["SLURM_NTASKS"])
    tasks = [
        subprocess.Popen(sys.argv[1:], env=os.environ | {
            "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task),
        })
        for task in range(count)
    ]
    signal.signal(signal.SIGUSR1, lambda number, _: [task.send_signal(number) for task in tasks])
    sys.exit(max(task.wait() for task in tasks))
"""
SCONTROL = """
    import os, sys

    if sys.argv[1] == "show":
        print("127.0.0.1\\nnode2")
    else:
        with open(os.environ["REQUEUED"], "a") as file:
            file.write(" ".join(sys.argv[1:]) + "\\n")
"""
BEHEMOTH = """
    import sys
    from behemoth.cli.main import main

    sys.exit(main())
"""


def test_the_recipe_for_slurm_is_requeued_until_it_is_done(spec, tmp_path):
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("behemoth", BEHEMOTH)):
        file = bin_ / name
        file.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {
        "PATH": f"{bin_}:{os.environ['PATH']}", "REQUEUED": str(tmp_path / "requeued"),
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
    }  # fmt: skip
    run = tmp_path / "run"

    def start():
        return subprocess.Popen(
            ["bash", RECIPE, spec, run, "--steps", "300", "--checkpoint-interval", "1", *SETTINGS],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    with start() as job:
        until = time.monotonic() + 300
        while not list(run.glob("checkpoints/step-*")):
            assert time.monotonic() < until and job.poll() is None, job.communicate()
            time.sleep(0.05)
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGUSR1)  # srun
        out, err = job.communicate(timeout=300)
    assert job.returncode == 128 + signal.SIGUSR1, err
    assert out == ""
    assert "saved; run the same command again to resume" in err
    assert (tmp_path / "requeued").read_text() == f"requeue {os.getpid()}\n"
    with start() as job:
        out, err = job.communicate(timeout=600)
    assert job.returncode == 0, err
    assert json.loads(out)["steps"] == 300
    assert (tmp_path / "requeued").read_text().count("\n") == 1
    assert len(losses(run)) == 300
