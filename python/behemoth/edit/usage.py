"""Peak memory of a stretch of work, as the record of an edit states it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["PeakMemory"]

_PROCESS = Path("/proc/self")


class PeakMemory:
    """The peak from now on: on a GPU of its tensors, else resident memory of the process.

    Both include the model. Resident memory also includes libraries, and what the process has freed
    but kept.

    Parameters
    ----------
    device : torch.device
        Device of the model.
    process : Path
        Folder of the process in Linux' file system ``proc``.
    """

    def __init__(self, device: torch.device, process: Path = _PROCESS) -> None:
        import torch

        self._device, self._process, self._known = device, process, True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            (process / "clear_refs").write_text("5")  # the peak is the present size again
        except OSError:  # no Linux, or not allowed: an earlier peak of the process would be stated
            self._known = False

    def bytes(self) -> int | None:
        """Return the peak in bytes; None if the system does not report it."""
        import torch

        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        if not self._known:
            return None
        try:
            status = (self._process / "status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return None if found is None else 1024 * int(found[1])
