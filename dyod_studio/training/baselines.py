"""Baselines of the other methods: tuning all layers, and the same U-Net from scratch.

min over phi of E || eps - eps_phi(z_t, t, c) ||^2 over every weight of the U-Net, which begins as
the base's own ("Tuning-All") or random ("ScratchDiff"): the baselines of "Transferring pretrained
diffusion probabilistic models", sec. 4. c is a prompt, the same for all pictures.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.whole_unet import load_unet, to_store, unet_tensors, with_own_unet
from dyod_studio.training.data import (
    Cached,
    TrainingSet,
    batch_indices,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import draw, fixed_loss, loss_of, preview_config, steady_end
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.registry import PromptedConfig
from dyod_studio.training.run import ArtifactReady, Event, Run

PREVIEW_SEEDS = (1, 2, 3, 4)


class FullFinetuneConfig(PromptedConfig):
    """Settings of tuning all layers."""

    kind: ClassVar[str] = "full-finetune"
    is_from_scratch: ClassVar[bool] = False

    steps: int = Field(1000, ge=1, le=100_000, title="Steps")
    """Optimiser updates. A small set is learned by heart when there are too many."""
    batch_size: int = Field(4, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more memory and time."""
    learning_rate: float = Field(1e-5, gt=0, le=1, title="Learning rate")
    """Size of one update: 1e-5 for Stable Diffusion, 1e-4 for the starter."""
    checkpoint_every: int = Field(500, ge=1, title="Checkpoint every")
    """Steps between saved states; each takes twelve bytes a weight, 10 GB for Stable Diffusion."""
    prompt: str = Field("", max_length=300, title="Prompt")
    """What is said of every picture, such as a photo of a shoe; may be empty."""
    prompt_dropout: float = Field(0.1, ge=0, le=1, title="Prompt dropout")
    """Share of pictures that are learned without the prompt, so that guidance works."""


class ScratchConfig(FullFinetuneConfig):
    """Settings of training from random weights."""

    kind: ClassVar[str] = "scratch"
    is_from_scratch: ClassVar[bool] = True

    steps: int = Field(10_000, ge=1, le=100_000, title="Steps")
    """Optimiser updates. It never saw a picture before: ten times as many are few."""
    learning_rate: float = Field(1e-4, gt=0, le=1, title="Learning rate")
    """Size of one update; random weights bear more than trained ones."""


class BaselineTask:
    """All weights of the U-Net of ``base`` and the loss that moves them."""

    def __init__(self, base: BaseModel, latents: Cached, config: FullFinetuneConfig) -> None:
        self._base, self._latents, self._config = base, latents, config
        with torch.no_grad():
            self._texts = base.encode_prompts(["", config.prompt])

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return list(self._base.unet.parameters())

    def learning_rate(self, step: int) -> float:
        return steady_end(self._config, step)

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config, generator = self._config, step_generator(self._config.seed, step)
        rows = batch_indices(len(self._latents), config.batch_size, config.seed, step)
        drawn = draw(rows_at(self._latents, rows), self._base.schedule.num_timesteps, generator)
        is_stated = torch.rand(len(rows), generator=generator) >= config.prompt_dropout
        texts = self._texts[is_stated.long().to(self._texts.device)]
        for part in shares(len(rows), num_parts):
            loss = loss_of(self._base, drawn[part], texts[part])
            yield loss * (len(drawn[part]) / len(rows))

    def fixed_loss(self) -> float:
        """Loss on fixed pictures, noises and timesteps, with the prompt."""
        texts = self._texts[1:]
        return fixed_loss(
            self._base, self._latents, lambda drawn, _: loss_of(self._base, drawn, texts)
        )

    def after_step(self) -> None:
        """The update is all there is."""

    def previews(self) -> list[Image.Image]:
        prompt = self._config.prompt
        guidance_scale = None if prompt else 1.0  # guidance needs something that it leads towards
        reverse = preview_config(prompt, guidance_scale)
        return CustomisedModel(self._base).sample("prompt", PREVIEW_SEEDS, reverse)

    def state_dict(self) -> dict[str, Tensor]:
        return unet_tensors(self._base.unet)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        load_unet(self._base.unet, state)


def run(
    config: FullFinetuneConfig, base: BaseModel, dataset: TrainingSet, run: Run
) -> Iterator[Event]:
    """Train; the last event names the artifact, a U-Net in the layout of ``models.whole_unet``.

    Raises:
        InvalidInputError: the prompt is too long.
    """
    base = base.at_resolution(run.adjustments.resolution)
    latents = yield from dataset.prepare_latents(base)
    seed = config.seed if config.is_from_scratch else None
    with (
        with_own_unet(base, seed) as learner,
        learner.sparing_memory(recompute=run.adjustments.gradient_checkpointing),
    ):
        task = BaselineTask(learner, latents, config)
        before = task.fixed_loss()
        done = yield from train(task, config, accelerator_for(learner), run)
        facts = _facts(task, before, done)
        tensors, stored_as = to_store(task.state_dict())
        artifact = Artifact(
            config.kind,
            base.ref,
            base.fingerprint,
            config.model_dump(mode="json"),
            facts | {"stored_as": stored_as},
            tensors,
        )
        path = run.run_dir / f"{config.kind}.safetensors"
        save_artifact(artifact, path, {"dyod.stored_as": stored_as})
    yield ArtifactReady(config.kind, path)


def _facts(task: BaselineTask, before: float, done: int) -> dict[str, Any]:
    return {
        "fixed_loss_before": before,
        "fixed_loss_after": task.fixed_loss(),
        "num_parameters": sum(weight.numel() for weight in task.parameters()),
        "steps_done": done,
    }
