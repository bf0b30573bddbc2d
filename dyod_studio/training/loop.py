"""The one training loop. Each method supplies a TrainTask: the trainable part and its loss."""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from dyod_studio.errors import TrainingDivergedError
from dyod_studio.training.checkpoints import restore_checkpoint, save_checkpoint
from dyod_studio.training.config import MethodConfig
from dyod_studio.training.events import CheckpointSaved, Event, PreviewsReady, StepDone


class TrainTask(Protocol):
    """What a method must supply. ``step`` counts from 1 and decides every random draw."""

    def parameters(self) -> Sequence[torch.nn.Parameter]: ...
    def learning_rate(self, step: int) -> float: ...
    def loss(self, step: int) -> Tensor: ...
    def after_step(self) -> None: ...
    def previews(self) -> list[Image.Image]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


def train(
    task: TrainTask,
    config: MethodConfig,
    accelerator: Accelerator,
    run_dir: Path,
    resume_from: Path | None = None,
) -> Iterator[Event]:
    """Run up to ``config.steps`` updates and yield an event after each has been applied.

    The caller owns the loop: it draws the progress bar, writes the database row, and cancels by
    not asking for the next event. Nothing here knows of jobs, threads or pages.

    Args:
        resume_from: a folder named by an earlier ``CheckpointSaved`` of the same run.

    Raises:
        TrainingDivergedError: the loss is not finite. Checkpoints already yielded stay valid.
    """
    optimizer = torch.optim.AdamW(
        task.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0
    )
    done = restore_checkpoint(task, optimizer, resume_from) if resume_from else 0
    prepared = accelerator.prepare(optimizer)
    for step in range(done + 1, config.steps + 1):
        yield _update(task, config, accelerator, prepared, step)
        is_last = step == config.steps
        if is_last or step % config.preview_every == 0:
            yield PreviewsReady(step, _save_previews(task.previews(), run_dir, step))
        if is_last or step % config.checkpoint_every == 0:
            yield CheckpointSaved(step, save_checkpoint(task, optimizer, step, run_dir))


def _update(
    task: TrainTask,
    config: MethodConfig,
    accelerator: Accelerator,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> StepDone:
    started = time.perf_counter()
    rate = task.learning_rate(step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = task.loss(step)
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingDivergedError(
            f"Loss became {value} at step {step}: lower the learning rate (now {rate:g})."
        )
    optimizer.zero_grad(set_to_none=True)
    accelerator.backward(loss)
    optimizer.step()
    task.after_step()
    speed = config.batch_size / (time.perf_counter() - started)
    return StepDone(step, config.steps, value, rate, speed)


def _save_previews(images: list[Image.Image], run_dir: Path, step: int) -> tuple[Path, ...]:
    folder = run_dir / "previews"
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"step_{step:06d}_{index}.png" for index in range(len(images)))
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    return paths
