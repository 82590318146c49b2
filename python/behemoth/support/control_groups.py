"""The control groups of this process, by which Linux limits containers and jobs of a cluster."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

__all__ = ["group_folders"]


def group_folders(controller: str, root: Path) -> list[Path]:
    """Return the folders of the control groups of this process: its own, then those above it.

    A limit of any of them applies. A container usually sees its own group as the topmost; a job of
    Slurm or systemd sees the groups of the whole machine.

    Parameters
    ----------
    controller : str
        What is limited, such as ``memory``, in version 1; empty in version 2.
    root : Path
        Root of the file system.
    """
    top = root / "sys/fs/cgroup" / controller
    try:
        lines = (root / "proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return [top]
    for number, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        own = PurePosixPath(path.lstrip("/"))
        # A group above the topmost that is seen here begins with "..".
        if number.isdigit() and controller in controllers.split(",") and ".." not in own.parts:
            return [top / name for name in (own, *own.parents)]
    return [top]
