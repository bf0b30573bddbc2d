"""A method of a few numbers that draws from every random generator: the loop without networks."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from dyod_studio.training.data import shares, step_generator
from dyod_studio.training.loop import train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import Event, Run, RunControl, StepDone

QUICK = {"steps": 12, "batch_size": 4, "checkpoint_every": 4, "preview_every": 6}


class Toy:
    """Two layers with dropout between them, many parameters, noise from Python and NumPy."""

    def __init__(self, config: MethodConfig) -> None:
        self.config = config
        self.parts: list[int] = []
        self.previews_made = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = torch.nn.Sequential(
                torch.nn.Linear(6, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)
            )

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.network.parameters())

    def learning_rate(self, step: int) -> float:
        return self.config.learning_rate / step

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        inputs = torch.randn(
            self.config.batch_size, 6, generator=step_generator(self.config.seed, step)
        )
        shift = random.random() + float(np.random.rand())
        for part in shares(len(inputs), num_parts):
            self.parts.append(len(inputs[part]))
            outputs = self.network(inputs[part])
            yield (outputs - shift).square().mean() * (len(inputs[part]) / len(inputs))

    def after_step(self) -> None:
        """Nothing to hold in bounds."""

    def previews(self) -> list[Image.Image]:
        self.previews_made += 1
        shade = int(torch.randint(256, ()))
        random.random(), np.random.rand(5)
        return [Image.new("L", (4, 4), shade)]

    def state_dict(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)


def config_of(**values: Any) -> MethodConfig:
    return MethodConfig.model_validate({**QUICK, "learning_rate": 0.05, **values})


def events_of(task: Any, run: Run) -> Iterator[Event]:
    return train(task, task.config, Accelerator(cpu=True), run)


def run_toy(
    run_dir: Path, resume_from: Path | None = None, **values: Any
) -> tuple[Toy, list[Event]]:
    """The toy and all events of a run of it."""
    task = Toy(config_of(**values))
    return task, list(events_of(task, Run(run_dir, resume_from)))


def at_step(wanted: int, asked: RunControl, task: Toy) -> Callable[[], RunControl]:
    """What ``Run.asked`` gives when somebody presses a button during step ``wanted``."""
    calls = iter(range(1, task.config.steps + 1))
    return lambda: asked if next(calls) == wanted else RunControl()


def weights(task: Toy) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in task.parameters()])


def losses_of(events: list[Event]) -> dict[int, float]:
    return {event.step: event.loss for event in events if isinstance(event, StepDone)}
