"""A network that follows drawn lines, trained on pairs made of the set's own pictures.

E || eps - eps_phi(x_t, t, c(caption), lines) ||^2 over the network of ``models.control`` beside the
frozen base, arXiv:2302.05543, sec. 3.3. The lines are those of each picture as a hand might have
drawn them, other ones at each step; half of the captions are left out, so that the drawing alone
must be enough. B pictures a step, C x h x w latents, R pixels along one side.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.datasets.lines import any_style, lines_of, mean_agreement
from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.control import (
    Control,
    ControlNetwork,
    NetworkKind,
    as_hint,
    new_control,
)
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.whole_unet import SMALL, to_store
from dyod_studio.training.data import (
    Cached,
    TrainingSet,
    batch_indices,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import (
    Draw,
    EncodedCaptions,
    beside,
    draw_noisy,
    loss_of,
    preview_config,
    steady_end,
)
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import ArtifactReady, Event, Run
from dyod_studio.training.subjects import SD_WIDTH, split_holdout

LARGE_COPY_SHARE = 0.05
"""Of the rate, for the copy of a large U-Net: 1e-5, as the paper's authors use."""
NUM_JUDGED = 16
"""Held-back pictures whose lines are drawn from at the end."""
NUM_PREVIEWS = 4

log = logging.getLogger(__name__)


class ControlConfig(MethodConfig):
    """Settings of a network that follows lines."""

    steps: int = Field(800, ge=1, le=100_000, title="Steps")
    """Optimiser updates. It follows nothing for hundreds of them, then all at once."""
    batch_size: int = Field(8, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more time."""
    learning_rate: float = Field(2e-4, gt=0, le=1, title="Learning rate")
    """Size of one update at the width of Stable Diffusion; narrower models take more, in
    proportion, and the copy of a large model a twentieth of it."""
    network: Literal["auto", "controlnet", "t2i-adapter"] = Field("auto", title="Network")
    """A control net follows closer; a T2I-Adapter is far smaller and runs once a picture. auto
    takes the adapter for a base above 100 million parameters."""
    caption_dropout: float = Field(0.5, ge=0, le=1, title="Caption dropout")
    """Share of pictures that are learned without their caption, so that the lines are enough."""
    held_back: float = Field(0.1, ge=0, le=0.5, title="Held back")
    """Share of the pictures that only tell how well lines are followed; none below 5 pictures."""

    def network_for(self, num_unet_parameters: int) -> NetworkKind:
        """The network that is trained for a base of this size."""
        if self.network == "auto":
            return "controlnet" if num_unet_parameters < SMALL else "t2i-adapter"
        return self.network


class ControlTask:
    """The network's loss on the set's pictures with their lines and captions."""

    def __init__(
        self,
        base: BaseModel,
        control: ControlNetwork,
        latents: Cached,
        pixels: Cached,
        captions: Sequence[str],
        config: ControlConfig,
    ) -> None:
        self._base, self._control, self._config = base, control, config
        self._latents, self._pixels, self._captions = latents, pixels, captions
        self.learned, self.holdout = split_holdout(len(latents), config.held_back, config.seed)
        is_large = base.num_unet_parameters >= SMALL and control.kind == "controlnet"
        self._share = LARGE_COPY_SHARE if is_large else 1.0

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return list(self._control.network.parameters())

    def learning_rate(self, step: int) -> float:
        width = self._base.unet.config.block_out_channels[0]
        warm_up = min(1.0, step / 20)
        return steady_end(self._config, step) * warm_up * self._share * SD_WIDTH / width

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config, generator = self._config, step_generator(self._config.seed, step)
        places = batch_indices(len(self.learned), config.batch_size, config.seed, step)
        rows = [self.learned[place] for place in places]
        clean, number = rows_at(self._latents, rows), self._base.schedule.num_timesteps
        drawn = draw_noisy(clean, number, generator)
        is_captioned = torch.rand(len(rows), generator=generator) >= config.caption_dropout
        lines = self._lines(rows, int(torch.randint(2**31, (), generator=generator)))
        for part in shares(len(rows), num_parts):
            texts = self._texts.rows(rows[part], is_captioned[part].tolist())
            loss = self._loss_at(drawn[part], lines[part], texts)
            yield loss * (len(rows[part]) / len(rows))

    def _loss_at(self, drawn: Draw, lines: Tensor, texts: Tensor) -> Tensor:
        with self._control.steering(self._base.unet, Control(lines)):
            return loss_of(self._base, drawn, texts)

    def _lines(self, rows: Sequence[int], seed: int) -> Tensor:
        """Lines of pictures as hands might have drawn them: (B, 3, R, R)."""
        random = np.random.default_rng(seed)
        return as_hint([lines_of(self._picture(row), any_style(random), random) for row in rows])

    def _picture(self, row: int) -> Image.Image:
        return Image.fromarray(np.asarray(self._pixels[row]))

    @cached_property
    def _texts(self) -> EncodedCaptions:
        return EncodedCaptions(self._base, self._captions)

    def after_step(self) -> None:
        """Nothing follows a step."""

    def figures(self) -> dict[str, float]:
        """How far pictures that were held back are followed by their lines alone.

        ``followed`` is the edge agreement of what is drawn from a picture's lines with that
        picture; ``by_chance`` the same from the lines of another one, which is what a network that
        follows nothing reaches.
        """
        judged = self.holdout[:NUM_JUDGED]
        if len(judged) < 2:
            return {}
        true = [self._picture(row) for row in judged]
        drawn = self._drawn(judged)
        others = drawn[1:] + drawn[:1]
        return {
            "followed": mean_agreement(drawn, true),
            "by_chance": mean_agreement(others, true),
        }

    def _drawn(self, rows: Sequence[int]) -> list[Image.Image]:
        """One picture from the lines of each picture, without a word."""
        with self._at_rest():
            model = CustomisedModel(self._base, control=self._control)
            return [
                model.sample("prompt", [seed], preview_config("", control=self._hint(row)))[0]
                for seed, row in enumerate(rows, start=1)
            ]

    def _hint(self, row: int) -> Control:
        return Control(as_hint([lines_of(self._picture(row))]))

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        network = self._control.network
        network.eval()
        try:
            yield
        finally:
            network.train()

    def previews(self) -> list[Image.Image]:
        """Lines of some pictures, those held back first, and what is drawn from them."""
        rows = [*self.holdout, *self.learned][:NUM_PREVIEWS]
        lines = [lines_of(self._picture(row)) for row in rows]
        shown = [
            Image.fromarray((255 * (1 - each)).astype(np.uint8)).convert("RGB") for each in lines
        ]
        return [beside(*pair) for pair in zip(shown, self._drawn(rows), strict=True)]

    def state_dict(self) -> dict[str, Tensor]:
        return self._control.tensors()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._control.network.load_state_dict(state)


def run(config: ControlConfig, base: BaseModel, dataset: TrainingSet, run: Run) -> Iterator[Event]:
    """Learn to follow lines; the last event names the artifact."""
    base = base.at_resolution(run.adjustments.resolution)
    latents = yield from dataset.prepare_latents(base)
    pixels = yield from dataset.prepare_pixels(base.resolution)
    captions = [base.cut_prompt(picture.caption) for picture in dataset.pictures]
    control = new_control(base, config.network_for(base.num_unet_parameters), config.seed)
    with base.sparing_memory(recompute=run.adjustments.gradient_checkpointing):
        if run.adjustments.gradient_checkpointing and control.kind == "controlnet":
            control.network.enable_gradient_checkpointing()
        task = ControlTask(base, control, latents, pixels, captions, config)
        done = yield from train(task, config, accelerator_for(base), run)
        facts = _facts(task, control, done)
    tensors, stored_as = to_store(control.tensors())
    settings, facts = config.model_dump(mode="json"), facts | {"stored_as": stored_as}
    artifact = Artifact("control", base.ref, base.fingerprint, settings, facts, tensors)
    path = run.run_dir / "control.safetensors"
    save_artifact(artifact, path, {"dyod.stored_as": stored_as})
    yield ArtifactReady("control", path)


def _facts(task: ControlTask, control: ControlNetwork, done: int) -> dict[str, Any]:
    """Facts about the run, written to the log as well."""
    figures = task.figures()
    if figures:
        log.info(
            "Lines of pictures held back are followed by %.2f, by chance %.2f.",
            figures["followed"], figures["by_chance"],
        )  # fmt: skip
    return {
        **figures,
        **control.facts(),
        "num_parameters": sum(weight.numel() for weight in task.parameters()),
        "num_held_back": len(task.holdout),
        "steps_done": done,
    }
