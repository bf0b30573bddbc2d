"""A training method of one file: it learns the mean latents of a set, and adds them to the noise.

Its record stands in the test; docs/adding-a-method.md explains both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from dyod_studio.models.artifacts import Artifact, Attachment, Hook, changed_outputs, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.training.data import TrainingSet, batch_indices, rows_at, shares
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import ArtifactReady, Event, Run

KIND = "mean-shift"


class ToyConfig(MethodConfig):
    """Settings of the toy."""

    learning_rate: float = 0.1
    scale: float = 1.0
    """How far a latent is moved."""


class ToyTask:
    """One number for each channel of the latents."""

    def __init__(self, config: ToyConfig, latents: Any) -> None:
        self._config, self._latents = config, latents
        self._shift = nn.Parameter(torch.zeros(latents.shape[1]))

    def parameters(self) -> Sequence[nn.Parameter]:
        return [self._shift]

    def learning_rate(self, step: int) -> float:
        return self._config.learning_rate

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        size = self._config.batch_size
        indices = batch_indices(len(self._latents), size, self._config.seed, step)
        means = rows_at(self._latents, indices).float().mean(dim=(2, 3))
        for part in shares(size, num_parts):
            yield (self._shift - means[part]).square().mean() * len(means[part]) / size

    def after_step(self) -> None:
        """Nothing to hold in bounds."""

    def previews(self) -> list[Image.Image]:
        return []

    def state_dict(self) -> dict[str, Tensor]:
        return {"shift": self._shift.detach()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._shift.copy_(state["shift"])


def run(config: ToyConfig, base: BaseModel, dataset: TrainingSet, run: Run) -> Iterator[Event]:
    """Train, then save the one part."""
    latents = yield from dataset.prepare_latents(base)
    task = ToyTask(config, latents)
    yield from train(task, config, accelerator_for(base), run)
    settings = config.model_dump(mode="json")
    part = Artifact(KIND, base.ref, base.fingerprint, settings, {}, task.state_dict())
    yield ArtifactReady(KIND, save_artifact(part, run.run_dir / "part.safetensors"))


def attach(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Add the learned numbers to what the U-Net predicts."""
    (part,) = parts
    unet = attachment.base.unet
    shift = part.config["scale"] * part.tensors["shift"].reshape(1, -1, 1, 1)

    def hook(path: str, strength: float) -> Hook:
        return lambda layer, inputs, output: output + strength * shift

    layers = {"conv_out": unet.conv_out}
    attachment.stack.enter_context(changed_outputs(layers, hook, attachment.strength))
