"""The one training loop of the tool: budget in seconds, checkpoints, a log of JSON lines."""

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Schedule:
    """How one stage is trained. Progress is the share of the time budget that is used."""

    name: str
    budget_s: float
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.01
    ema_decay: float = 0.0
    """0 keeps no average."""
    flat_share: float = 0.0
    """Share of the budget at the full rate before the cosine begins."""
    warmup_steps: int = 100
    replicas: int = 1
    """Copies that share the weights, each with its own thread and part of the batch. On a CPU two
    single-threaded copies wait for each other once a step, not once an operation."""
    save_every_s: float = 60.0
    log_every: int = 50


@dataclass(slots=True)
class Progress:
    """Where a stage stands; saved in the checkpoint."""

    step: int = 0
    samples: int = 0
    elapsed_s: float = 0.0


LOG_NAME = "log.jsonl"
"""In a work folder: one row every so many steps of each stage."""

LossOf = Callable[[nn.Module, int], Tensor]


def _twin(model: nn.Module) -> nn.Module:
    """A copy whose weights are the same memory but whose gradients are its own."""
    twin = copy.deepcopy(model)
    for theirs, mine in zip(twin.parameters(), model.parameters(), strict=True):
        theirs.data = mine.data
    return twin


def fingerprint(model: nn.Module) -> str:
    """The same for the same weights only, whichever device they are on."""
    sums = [float(weight.double().sum().cpu()) for weight in model.state_dict().values()]
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 where the processor has it; on other machines it is merely slower."""
    return torch.autocast(device.type, dtype=torch.bfloat16)


def rate_at(schedule: Schedule, progress: Progress) -> float:
    """Warm up by steps, stay flat, then fall as a cosine to zero by time."""
    used = min(1.0, progress.elapsed_s / max(schedule.budget_s, 1e-9))
    falling = max(0.0, used - schedule.flat_share) / max(1e-9, 1 - schedule.flat_share)
    warm = min(1.0, (progress.step + 1) / schedule.warmup_steps)
    return schedule.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * falling))


class Stage:
    """A model under training, with its optimiser, average and place in the schedule."""

    def __init__(
        self, model: nn.Module, schedule: Schedule, work_dir: Path, stands_on: str = ""
    ) -> None:
        """Take a model under training.

        Args:
            stands_on: names what the stage was begun on; a checkpoint begun on something else is
                not gone on from.
        """
        self.model = model
        self.stands_on = stands_on
        self.copies = [model, *(_twin(model) for _ in range(schedule.replicas - 1))]
        self.pool = ThreadPoolExecutor(len(self.copies))
        self.schedule = schedule
        self.progress = Progress()
        self.work_dir = work_dir
        self.path = work_dir / f"{schedule.name}.pt"
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay,
            betas=(0.9, 0.99), fused=True,
        )  # fmt: skip
        self.average = copy.deepcopy(model).requires_grad_(False) if schedule.ema_decay else None

    def run(self, loss_of: LossOf) -> nn.Module:
        """Train until the budget is used; returns the averaged model, or the model itself.

        Args:
            loss_of: loss of one copy of the model on the batch of that number; each number is used
                once.
        """
        self.load()
        last_save = tick = time.monotonic()
        loss = None
        while self.progress.elapsed_s < self.schedule.budget_s:
            loss = self._update(loss_of)
            now = time.monotonic()
            self.progress.elapsed_s += now - tick
            tick = now
            if self.progress.step % self.schedule.log_every == 0:
                self._log(float(loss))
                loss = None
            if now - last_save > self.schedule.save_every_s:
                self.save()
                last_save = now
        if loss is not None:
            self._log(float(loss))
        self.save()
        return self.average if self.average is not None else self.model

    def save(self) -> None:
        """Write to a side file, then rename: a kill never leaves half a checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "step": self.progress.step,
            "samples": self.progress.samples,
            "elapsed_s": self.progress.elapsed_s,
            "stands_on": self.stands_on,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def load(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if state.get("stands_on", "") != self.stands_on:
            return
        self.model.load_state_dict(state["model"])
        if state["optimizer"]:  # empty in a stage taken from a finished model
            self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.progress = Progress(state["step"], state["samples"], state["elapsed_s"])

    def _update(self, loss_of: LossOf) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.schedule, self.progress)
        loss = self._gradients(loss_of)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.progress.step += 1
        self.progress.samples += self.schedule.batch_size
        self._follow()
        return loss

    def _gradients(self, loss_of: LossOf) -> Tensor:
        count = len(self.copies)

        def backward(i: int) -> Tensor:
            self.copies[i].zero_grad(set_to_none=True)
            loss = loss_of(self.copies[i], self.progress.step * count + i) / count
            torch.autograd.backward(loss)
            return loss.detach()

        if count == 1:
            return backward(0)
        losses = list(self.pool.map(backward, range(count)))
        mine = [p.grad for p in self.model.parameters() if p.grad is not None]
        for copy_ in self.copies[1:]:
            theirs = [p.grad for p in copy_.parameters() if p.grad is not None]
            torch._foreach_add_(mine, theirs)
        return torch.stack(losses).sum()

    @torch.no_grad()
    def _follow(self) -> None:
        if self.average is None:
            return
        decay = min(self.schedule.ema_decay, (1 + self.progress.step) / (10 + self.progress.step))
        mine: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - decay)

    def _log(self, loss: float) -> None:
        row = {
            "stage": self.schedule.name,
            "step": self.progress.step,
            "samples": self.progress.samples,
            "elapsed_s": round(self.progress.elapsed_s, 1),
            "samples_per_s": round(self.progress.samples / self.progress.elapsed_s, 2),
            "loss": round(loss, 5),
        }
        with (self.work_dir / LOG_NAME).open("a") as log:
            log.write(json.dumps(row) + "\n")
