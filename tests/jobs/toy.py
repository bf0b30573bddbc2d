"""A toy method for the real training loop: it learns one vector, and dawdles where it is told to.

Everything else is real: the loop, its checkpoints, the ladder, the job that runs it.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator
from PIL import Image
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from dyod_studio.jobs import training as training_job
from dyod_studio.requests.part_kinds import PART_KINDS
from dyod_studio.requests.part_records import PartKind, TrainingMethod
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job
from dyod_studio.training import run_state
from dyod_studio.training.data import step_generator
from dyod_studio.training.loop import train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import ArtifactReady, Event, Run

NOBODY_HAS = 1 << 50
"""Bytes that no allocator gives."""


class ToyConfig(MethodConfig):
    """Settings of the toy."""

    width: int = Field(4, ge=1)
    dawdles_at: str = ""
    """``step``, ``preview`` or ``checkpoint``: takes ``dawdle_s`` longer, touches ``marker``."""
    dawdle_s: float = 0.0
    marker: str = ""
    fits: int = 1000
    """Pictures at once that memory has room for."""
    diverges_at: int = 0


class ToyTask:
    """A vector that is drawn to noise, some of it from the process's own generator."""

    def __init__(self, config: ToyConfig) -> None:
        self._config = config
        self._vector = torch.nn.Parameter(torch.zeros(config.width))

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return [self._vector]

    def learning_rate(self, step: int) -> float:
        return self._config.learning_rate

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config = self._config
        if config.batch_size / num_parts > config.fits:
            torch.empty(NOBODY_HAS, dtype=torch.uint8)
        if step > 1:
            dawdle(config, "step")
        noise = torch.randn(config.width, generator=step_generator(config.seed, step))
        own = torch.randn(config.width)
        for _ in range(num_parts):
            loss = (self._vector - noise - own).square().mean() / num_parts
            yield loss * float("nan") if step == config.diverges_at else loss

    def after_step(self) -> None:
        """Nothing to hold in bounds."""

    def previews(self) -> list[Image.Image]:
        dawdle(self._config, "preview")
        shade = int(self._vector.detach().abs().sum() * 10) % 256
        return [Image.new("RGB", (8, 8), (shade, 0, 0))]

    def state_dict(self) -> dict[str, Tensor]:
        return {"vector": self._vector.detach()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._vector.copy_(state["vector"])


def run(config: ToyConfig, base: object, dataset: object, run: Run) -> Iterator[Event]:
    """Learn the vector; the artifact is the vector alone."""
    task = ToyTask(config)
    yield from train(task, config, Accelerator(cpu=True), run)
    path = run.run_dir / "vae.safetensors"
    save_file(task.state_dict(), path)
    yield ArtifactReady("vae", path)


def dawdle(config: ToyConfig, part: str) -> None:
    if config.dawdles_at == part:
        Path(config.marker).touch()
        time.sleep(config.dawdle_s)


METHOD = TrainingMethod("tests.jobs.toy:ToyConfig", "Toy", "", num_pictures="", cost="")
KIND = PartKind("toy", "Toy", attach="", method=METHOD)


def load_toys(*_: object) -> tuple[Any, Any]:
    base = SimpleNamespace(
        ref="toy",
        fingerprint="toy",
        own_resolution=64,
        resolution_multiple=8,
        device=torch.device("cpu"),
    )
    return base, SimpleNamespace(pictures=[None])


def full_after(num_files: int) -> Callable[[dict[str, Tensor], Path], None]:
    """Write files as ever, but find no free block half way through the one after these."""
    written: list[Path] = []

    def write(tensors: dict[str, Tensor], path: Path) -> None:
        save_file(tensors, path)
        written.append(path)
        if len(written) > num_files:
            os.truncate(path, path.stat().st_size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return write


def retry(jobs: JobRepository, job_id: int, start_step: int) -> Job:
    """Queue the same settings again, from a checkpoint."""
    job = jobs.get(job_id)
    start = {"continues_job_id": job_id, "start_step": start_step}
    return jobs.add(job.project_id, job.kind, job.config, job.num_steps, **start)


def train_toy(settings: Any, storage: Any, job: Any) -> None:
    """The work of a real job, with writing made slow where the settings say so."""
    PART_KINDS["toy"] = KIND
    training_job.load_inputs = load_toys
    config = ToyConfig.model_validate(job.config)

    def slowly(tensors: dict[str, Tensor], path: Path) -> None:
        save_file(tensors, path)
        dawdle(config, "checkpoint")

    run_state.save_file = slowly
    training_job.train_job(settings, storage, job)
