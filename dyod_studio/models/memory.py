"""Memory of a device: how much there is, what this process holds, how much it may take.

One megabyte is a million bytes. PyTorch is loaded only where a card is asked.
"""

import gc
import shutil
import subprocess
from pathlib import Path

import psutil

MEGABYTE = 1_000_000
MEBIBYTE = 2**20
STATUS = Path("/proc/self/status")
"""Linux keeps the highest resident size there; ``getrusage`` would tell the parent's as well."""


def free_memory_mb(device: str, limit_mb: int | None = None) -> float:
    """Megabytes that a new process could take of ``cpu`` or ``cuda`` at this moment.

    Args:
        limit_mb: the most that a process may hold of a card.
    """
    if device == "cpu":
        return float(psutil.virtual_memory().available) / MEGABYTE
    free = _free_of_card_mb()
    return free if limit_mb is None else min(free, float(limit_mb))


def peak_memory_mb(device: str) -> float:
    """The most that this process has held: resident on the CPU, reserved on the card."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_reserved() / MEGABYTE
    return _peak_resident_mb()


def limit_memory(device: str, limit_mb: int | None) -> None:
    """Let this process take no more than ``limit_mb`` of a card; the CPU knows no such limit."""
    if device != "cuda" or limit_mb is None:
        return
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit_mb * MEGABYTE / total))


def release_memory(device: str) -> None:
    """Give back what nothing refers to any more, and measure the peak of a card anew."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_resident_mb() -> float:
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    memory = psutil.Process().memory_info()
    return float(getattr(memory, "peak_wset", memory.rss)) / MEGABYTE


def _free_of_card_mb() -> float:
    """Asked of the driver's own tool where it is there: PyTorch would take memory to ask."""
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        query = [tool, "-i", "0", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode == 0 and done.stdout.strip().isdecimal():
            return int(done.stdout) * MEBIBYTE / MEGABYTE
    import torch

    return torch.cuda.mem_get_info()[0] / MEGABYTE
