"""Peak memory of this process, as the record of an edit states it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["peak_memory"]

_STATUS = Path("/proc/self/status")


def peak_memory(device: torch.device, status: Path = _STATUS) -> int | None:
    """Return the peak bytes of this process so far: of tensors on a GPU, else of resident memory.

    The peak is not reset before an edit, as that would falsify it for whatever else watches the
    process. `behemoth edit` is a process of its own, so that its peak is that of the edits and of
    loading the model; several edits made by one Python process have the largest peak so far.

    Parameters
    ----------
    device : torch.device
        Device of the model.
    status : Path
        Status of the process in Linux' file system ``proc``.

    Returns
    -------
    int or None
        None if the system does not report it.
    """
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        text = status.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return None if found is None else 1024 * int(found[1])
