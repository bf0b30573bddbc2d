"""Which machine this is and which device its jobs run on, told without loading torch."""

import os
import platform
import shutil
import socket
import subprocess
from functools import lru_cache
from pathlib import Path

from dyod_studio.settings import Settings

INITIAL_PID_SPACE = "pid:[4026531836]"
"""What Linux calls the process numbers of the machine itself, as opposed to a container's."""


@lru_cache
def host_name() -> str:
    """Where this process's number means something, as the rows of its jobs name it.

    Two containers may bear one machine's name, yet neither sees the processes of the other.
    """
    link = Path("/proc/self/ns/pid")
    space = os.readlink(link) if link.is_symlink() else INITIAL_PID_SPACE
    name = socket.gethostname()
    return name if space == INITIAL_PID_SPACE else f"{name} {space}"


def device_key(settings: Settings) -> str:
    """The device that jobs share: at most one job runs on it at a time."""
    machine = socket.gethostname()
    if settings.device == "cpu" or not (settings.device == "cuda" or _has_card()):
        return f"{machine}/cpu"
    return f"{machine}/cuda:{settings.cuda_visible_devices or '0'}"


def device_name(settings: Settings) -> str:
    """The kind of device, such as a card's name: what was measured on it holds for its like."""
    if device_key(settings).endswith("/cpu"):
        return f"cpu: {_cpu_name()} x {_num_cores()}"
    return f"cuda: {_card_name(settings.cuda_visible_devices.split(',')[0] or '0')}"


@lru_cache
def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _num_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache
def _card_name(index: str) -> str:
    """By the driver's own tool; PyTorch would take memory on the card to answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "card"
    query = [tool, "-i", index, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else "card"


def _has_card() -> bool:
    return shutil.which("nvidia-smi") is not None
