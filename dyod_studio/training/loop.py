"""The one training loop. Each method supplies a TrainTask: the trainable part and its loss."""

import logging
import math
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from dyod_studio.disk import write_beside_and_rename
from dyod_studio.errors import InvalidInputError, OutOfMemoryError, TrainingDivergedError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.memory import peak_memory_mb, release_memory
from dyod_studio.training.oom_fallbacks import is_out_of_memory, micro_batch
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import (
    CheckpointSaved,
    Event,
    PreviewsFailed,
    PreviewsReady,
    Run,
    RunControl,
    StepDone,
)
from dyod_studio.training.run_state import RunState, seed_everything, untouched_generators

LONGEST_WINDOW = 1000
"""Most steps that a checkpoint's loss is the mean of; fewer when checkpoints are closer."""

log = logging.getLogger(__name__)


class TrainTask(Protocol):
    """Interface of a method's training. ``step`` counts from 1 and decides every random draw.

    ``losses`` yields the loss of each share of the step's batch, weighted so that their sum is the
    mean over the whole batch; at most ``batch_size`` shares, the same draws whatever their number.
    """

    def parameters(self) -> Sequence[torch.nn.Parameter]: ...
    def learning_rate(self, step: int) -> float: ...
    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]: ...
    def after_step(self) -> None: ...
    def previews(self) -> list[Image.Image]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


def train(
    task: TrainTask, config: MethodConfig, accelerator: Accelerator, run: Run
) -> Generator[Event, None, int]:
    """Run up to ``config.steps`` updates, yield an event after each, return how many are made.

    The caller owns the loop: it draws the progress bar, writes the database row, and cancels by
    not asking for the next event. Nothing here knows of jobs, threads or pages.

    Raises:
        TrainingDivergedError: loss or weights are not finite. Checkpoints yielded stay valid.
        OutOfMemoryError: a step does not fit; the next fallback may.
        StorageFullError: a checkpoint could not be written; earlier ones stay valid.
    """
    if run.finish_only and run.resume_from is None:
        raise InvalidInputError("There is no checkpoint to finish from: choose another run.")
    run.run_dir.mkdir(parents=True, exist_ok=True)
    seed_everything(config.seed)
    training = _Training(task, config, accelerator, run)
    if not run.finish_only:
        yield from training.steps()
    return training.state.step


def accelerator_for(base: BaseModel) -> Accelerator:
    """Gradients are scaled where the U-Net computes in float16, and they would vanish."""
    return Accelerator(
        cpu=base.device.type == "cpu",
        mixed_precision="fp16" if base.dtype == torch.float16 else "no",
    )


class _Training:
    """One run's loop: the update, and what follows it."""

    def __init__(
        self, task: TrainTask, config: MethodConfig, accelerator: Accelerator, run: Run
    ) -> None:
        self._task, self._config, self._accelerator, self._run = task, config, accelerator, run
        optimizer = torch.optim.AdamW(
            task.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0
        )
        window: deque[float] = deque(maxlen=min(config.checkpoint_every, LONGEST_WINDOW))
        self.state = RunState(
            task, optimizer, accelerator.device, accelerator.scaler, losses=window
        )
        if run.resume_from is not None:
            self.state.restore(run.resume_from)
        self._optimizer = accelerator.prepare(optimizer)
        self._last_saved = self.state.step

    def steps(self) -> Iterator[Event]:
        for step in range(self.state.step + 1, self._config.steps + 1):
            yield self._update(step)
            control = self._run.control()
            previews: tuple[Path, ...] = ()
            if self._wants_previews(step, control):
                event = self._make_previews(step)
                yield event
                previews = event.paths if isinstance(event, PreviewsReady) else ()
            if self._is_due(step) or control.save_now or control.pause:
                yield self._save(previews, is_kept=control.save_now)

    def _is_due(self, step: int) -> bool:
        return step == self._config.steps or step % self._config.checkpoint_every == 0

    def _wants_previews(self, step: int, control: RunControl) -> bool:
        if control.sample_now:
            return True
        is_time = self._is_due(step) or step % self._config.preview_every == 0
        return self._run.adjustments.previews and (is_time or control.save_now)

    def _update(self, step: int) -> StepDone:
        started = time.perf_counter()
        rate = self._task.learning_rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        try:
            loss = self._backward(step, rate)
            self._optimizer.step()
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            self._give_up(step, exc)
        self._task.after_step()
        self.state.step = step
        self.state.losses.append(loss)
        speed = self._config.batch_size / (time.perf_counter() - started)
        memory = peak_memory_mb(self.state.device.type)
        return StepDone(step, self._config.steps, loss, rate, speed, memory)

    def _backward(self, step: int, rate: float) -> float:
        """The batch's loss; its gradient is left in the parameters."""
        parts = []
        num_parts = min(self._run.adjustments.accumulation, self._config.batch_size)
        for loss in self._task.losses(step, num_parts):
            parts.append(loss.item())
            if not math.isfinite(parts[-1]):
                raise TrainingDivergedError(
                    f"Loss became {parts[-1]} at step {step}: lower the learning rate "
                    f"(now {rate:g}) and {self._how_to_go_on()}."
                )
            self._accelerator.backward(loss)
        return math.fsum(parts)

    def _how_to_go_on(self) -> str:
        if self._last_saved == 0:
            return "train again"
        return f"go on from the checkpoint of step {self._last_saved}, or an earlier one"

    def _give_up(self, step: int, exc: BaseException) -> NoReturn:
        """Let go of the activations that the traceback holds, to make room for another attempt."""
        self._optimizer.zero_grad(set_to_none=True)
        traceback.clear_frames(exc.__traceback__)
        adjustments = self._run.adjustments
        size = micro_batch(self._config.batch_size, adjustments.accumulation)
        raise OutOfMemoryError(
            f"Step {step} did not fit into memory with {size} of {self._config.batch_size} "
            "pictures at a time: lower the batch size, or free memory.",
            step,
        ) from exc

    def _make_previews(self, step: int) -> PreviewsReady | PreviewsFailed:
        """Previews are a convenience: whatever goes wrong is told, and the run goes on."""
        device = self.state.device
        try:
            with untouched_generators(device):
                images = self._task.previews()
            return PreviewsReady(step, _save_previews(images, self._run.run_dir, step))
        except Exception as exc:  # memory, disk, or a bug: none of them may end the run
            log.exception("The previews of step %d failed.", step)
            lines = str(exc).strip().splitlines() or [""]
            traceback.clear_frames(exc.__traceback__)
            reason = f"{type(exc).__name__}: {lines[0]}"
        release_memory(device.type)
        return PreviewsFailed(step, reason)

    def _save(self, previews: Sequence[Path], *, is_kept: bool) -> CheckpointSaved:
        path = self.state.save(
            self._run.run_dir,
            adjustments=self._run.adjustments.as_dict(),
            previews=previews,
            is_kept=is_kept,
        )
        self._last_saved = self.state.step
        return CheckpointSaved(self.state.step, path, self.state.mean_loss)


def _save_previews(images: list[Image.Image], run_dir: Path, step: int) -> tuple[Path, ...]:
    folder = run_dir / "previews"
    paths = tuple(folder / f"step_{step:06d}_{index}.png" for index in range(len(images)))
    for image, path in zip(images, paths, strict=True):
        with write_beside_and_rename(path) as partial:
            image.save(partial, format="PNG")
    return paths
