"""The whole state of a run, saved into a checkpoint and restored from it.

Trained weights, optimiser, step, the losses that its mean is made of, every random generator, the
gradient scaler where there is one, and the preview pictures. Learning rate and order of the
pictures are functions of seed and step (see ``data``), so the step keeps them.
"""

import json
import math
import random
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dyod_studio.errors import TrainingDivergedError
from dyod_studio.training.checkpoints import drop_old_checkpoints, new_checkpoint, read_state


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


class HasState(Protocol):
    """The trainable part of a run."""

    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


class HasScale(Protocol):
    """A gradient scaler of mixed precision; its state is a few numbers."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


@dataclass
class RunState:
    """State that changes while a run goes on.

    Args:
        step: finished updates. losses: of the last steps; their mean is a checkpoint's loss.
    """

    task: HasState
    optimizer: torch.optim.Optimizer
    device: torch.device
    scaler: HasScale | None = None
    step: int = 0
    losses: deque[float] = field(default_factory=deque)

    @property
    def mean_loss(self) -> float:
        return math.fsum(self.losses) / len(self.losses)

    def save(
        self,
        run_dir: Path,
        *,
        adjustments: dict[str, Any],
        previews: Sequence[Path] = (),
        is_kept: bool = False,
    ) -> Path:
        """Write a checkpoint, complete or not at all, and drop old ones.

        Raises:
            TrainingDivergedError: a weight is not finite; such a state is never saved.
            StorageFullError: the disk took no more; older checkpoints are as they were.
        """
        tensors = {
            "task": _contiguous(self.task.state_dict()),
            "optimizer": _optimizer_tensors(self.optimizer),
            "random": generator_tensors(self.device),
        }
        self._check_finite(tensors)
        with new_checkpoint(run_dir, self.step) as (partial, folder):
            for name, values in tensors.items():
                save_file(values, partial / f"{name}.safetensors")
            (partial / "previews").mkdir()
            for path in previews:
                shutil.copyfile(path, partial / "previews" / path.name)
            written = self._values() | {"adjustments": adjustments, "is_kept": is_kept}
            (partial / "state.json").write_text(json.dumps(written), encoding="utf-8")
        drop_old_checkpoints(run_dir)
        return folder

    def restore(self, folder: Path) -> None:
        """Load what :meth:`save` wrote; the run goes on as if it had never stopped."""
        values = read_state(folder)
        self.task.load_state_dict(load_file(folder / "task.safetensors"))
        self._restore_optimizer(load_file(folder / "optimizer.safetensors"))
        restore_generators(
            load_file(folder / "random.safetensors"), values["generators"], self.device
        )
        if self.scaler is not None and values["scaler"] is not None:
            self.scaler.load_state_dict(values["scaler"])
        self.step = values["step"]
        self.losses.clear()
        self.losses.extend(values["losses"])

    def _values(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "loss": self.mean_loss,
            "losses": list(self.losses),
            "saved_at": time.time(),
            "generators": generator_values(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def _check_finite(self, parts: dict[str, dict[str, Tensor]]) -> None:
        for part in ("task", "optimizer"):
            for name, tensor in parts[part].items():
                if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                    raise TrainingDivergedError(
                        f"{name} of the {part} is not finite after step {self.step}: lower the "
                        "learning rate and go on from the last checkpoint."
                    )

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    named = {
        f"{index}.{name}": value for index, row in state.items() for name, value in row.items()
    }
    return _contiguous({name: torch.as_tensor(value) for name, value in named.items()})


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
