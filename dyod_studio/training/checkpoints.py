"""The whole state of a run in one folder: trained weights, optimiser, step.

Every random draw of a run is a function of its seed and the step (see ``data``), and so is the
learning rate; nothing else has to be kept for a run to go on as if it had never stopped.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

KEPT_CHECKPOINTS = 2


class HasState(Protocol):
    """The trainable part of a run."""

    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


def save_checkpoint(
    task: HasState, optimizer: torch.optim.Optimizer, step: int, run_dir: Path
) -> Path:
    """Write ``run_dir/checkpoints/step_NNNNNN``, complete or not at all; older ones are dropped."""
    folder = run_dir / "checkpoints" / f"step_{step:06d}"
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_contiguous(task.state_dict()), partial / "task.safetensors")
    save_file(_optimizer_tensors(optimizer), partial / "optimizer.safetensors")
    (partial / "state.json").write_text(json.dumps({"step": step}), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    for old in sorted(folder.parent.glob("step_??????"))[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old)
    return folder


def restore_checkpoint(task: HasState, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    """Load what :func:`save_checkpoint` wrote and return the number of finished steps."""
    task.load_state_dict(load_file(folder / "task.safetensors"))
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(json.loads((folder / "state.json").read_text(encoding="utf-8"))["step"])


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    named = {
        f"{index}.{name}": value for index, row in state.items() for name, value in row.items()
    }
    return _contiguous({name: torch.as_tensor(value) for name, value in named.items()})


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
