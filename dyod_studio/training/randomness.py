"""Every random generator of the process: seeded, kept, put back.

What a method draws itself is a function of seed and step (see ``data``); this is for what the
networks draw, such as dropout, from the generators that all share.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Start all generators of the process anew."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)  # the card's as well


def generator_tensors(device: torch.device) -> dict[str, Tensor]:
    """State of PyTorch's generators, as bytes."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def generator_values() -> dict[str, Any]:
    """State of Python's and NumPy's generators, as JSON can hold it."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, gauss],
    }


def restore_generators(
    tensors: dict[str, Tensor], values: dict[str, Any], device: torch.device
) -> None:
    """Put back what :func:`generator_tensors` and :func:`generator_values` gave."""
    version, internal, gauss_next = values["python"]
    random.setstate((version, tuple(internal), gauss_next))
    name, keys, *rest = values["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(tensors["cpu"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)


@contextmanager
def untouched_generators(device: torch.device) -> Iterator[None]:
    """Whatever the block draws, afterwards all generators stand where they stood before it."""
    tensors, values = generator_tensors(device), generator_values()
    try:
        yield
    finally:
        restore_generators(tensors, values, device)
