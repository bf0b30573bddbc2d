"""ANL: teach Attention-NonLinear modules behind the residual blocks; all else is frozen.

min over theta of E || eps - eps_theta(z_t, t, c) ||^2 with c = phi(x), the CLIP embedding of the
training picture itself: eqs. (7) and (10) of "Transferring pretrained diffusion probabilistic
models"; without c for the unconditional variant of sec. 3.3. B pictures a step, P CLIP numbers.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.datasets.images import prepare, read_image
from dyod_studio.diffusion.masking import mask_images
from dyod_studio.diffusion.sampling import (
    ConditionedPredictor,
    generators_of,
    guided,
    randn_per_image,
    reverse_from_start,
)
from dyod_studio.models.anl import AnlAdapter, AnlShape, conditioned, start_from_base, with_anl
from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel, to_pictures, to_tensor
from dyod_studio.models.clip import Clip, open_clip
from dyod_studio.training.data import (
    Cached,
    TrainingSet,
    batch_indices,
    cached_rows,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import (
    PREVIEW_STEPS,
    Draw,
    beside,
    draw,
    fixed_loss,
    loss_of,
    steady_end,
)
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.registry import PromptedConfig
from dyod_studio.training.run import ArtifactReady, Event, PicturesPrepared, Run

NUM_PREVIEWS = 4
EMBEDDED_AT_ONCE = 32
VIEWS, LEAST_MASKED, MOST_MASKED = 8, 0.1, 0.9
"""Embeddings of a picture: of the whole, then with a rectangle blanked; its side ratio grows evenly
from the least to the most."""


class AnlConfig(PromptedConfig):
    """Settings of ANL."""

    steps: int = Field(1000, ge=1, le=100_000, title="Steps")
    """Optimiser updates. More fits the set closer and takes longer, in proportion."""
    batch_size: int = Field(4, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more memory and time."""
    learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate")
    """Size of one update, at batch 4; 1e-3 suits the starter. Begin with a third of it on larger
    bases, and halve it when the loss jumps."""
    variant: Literal["conditional", "unconditional"] = Field("conditional", title="Variant")
    """Conditional draws after a picture or a text; unconditional needs no CLIP and no picture."""
    rank: int = Field(0, ge=0, le=4096, title="Rank")
    """Inner width of each module's mapping. Fewer parameters below the U-Net's own widths; 0 keeps
    those, as in the paper."""
    width: int = Field(0, ge=0, le=4096, title="Attention width")
    """Width of each module's attention; smaller has fewer parameters, 0 keeps the U-Net's own."""
    starts_from_base: bool = Field(False, title="Start from the base's attention")
    """Begin with the base model's own attention weights wherever the shapes are the same."""
    condition_dropout: float = Field(0.1, ge=0, le=1, title="Condition dropout")
    """Share of pictures that are learned without condition and prompt, so that guidance works."""
    masked_share: float = Field(0.5, ge=0, le=1, title="Masked share")
    """Share of pictures that are learned after a view of them with a part blanked, so that reading
    an example freely leads to pictures of the set; 0 shows each as a whole, as in the paper."""
    prompt: str = Field("", max_length=300, title="Prompt")
    """What is said beside the condition, such as the word of the set's inversion; may be empty."""
    clip: str = Field("", max_length=1000, title="CLIP")
    """Folder of a CLIP for bases that bring none, such as clip-vit-large-patch14; else empty."""


class AnlTask:
    """The modules that are attached to ``base`` and the loss that moves them."""

    def __init__(
        self,
        base: BaseModel,
        adapter: AnlAdapter,
        latents: Cached,
        embeddings: Cached | None,
        config: AnlConfig,
    ) -> None:
        self._base, self._adapter, self._config = base, adapter, config
        self._latents, self._embeddings = latents, embeddings
        with torch.no_grad():
            self._texts = base.encode_prompts(["", config.prompt])

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return list(self._adapter.parameters())

    def learning_rate(self, step: int) -> float:
        return steady_end(self._config, step)

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config, generator = self._config, step_generator(self._config.seed, step)
        rows = batch_indices(len(self._latents), config.batch_size, config.seed, step)
        clean = rows_at(self._latents, rows)
        drawn = draw(clean, self._base.schedule.num_timesteps, generator)
        is_given = torch.rand(len(rows), generator=generator) >= config.condition_dropout
        views = self._views(rows, generator)
        for part in shares(len(rows), num_parts):
            loss = self._loss_at(drawn[part], views[part], is_given[part])
            yield loss * (len(rows[part]) / len(rows))

    def _views(self, rows: Sequence[int], generator: torch.Generator) -> list[int]:
        """The embedding that each picture is learned after: of the whole, or of a masked view."""
        is_masked = torch.rand(len(rows), generator=generator) < self._config.masked_share
        masked = torch.randint(1, VIEWS, (len(rows),), generator=generator)
        views = torch.where(is_masked, masked, 0).tolist()
        return [row * VIEWS + view for row, view in zip(rows, views, strict=True)]

    def _loss_at(self, drawn: Draw, views: Sequence[int], is_given: Tensor) -> Tensor:
        """The modules go on hearing this share's condition until its gradient is computed."""
        if self._embeddings is not None:
            self._adapter.condition_on(rows_at(self._embeddings, views), is_given)
        return loss_of(self._base, drawn, self._texts[is_given.long().to(self._texts.device)])

    def fixed_loss(self) -> float:
        """Loss with each picture's own condition."""
        given = torch.tensor([True])
        return fixed_loss(
            self._base, self._latents, lambda drawn, row: self._loss_at(drawn, [row * VIEWS], given)
        )

    def after_step(self) -> None:
        """The update is all there is."""

    def previews(self) -> list[Image.Image]:
        """New pictures after the first ones of the set, beside those."""
        base, number = self._base, NUM_PREVIEWS
        predict: ConditionedPredictor = base.predict_noise
        if self._embeddings is not None:
            rows = [index % len(self._latents) * VIEWS for index in range(number)]
            predict = conditioned(predict, self._adapter, rows_at(self._embeddings, rows))
        without, texts = (text.expand(number, -1, -1) for text in self._texts.split(1))
        like = torch.empty(number, *base.latent_shape)
        noise = randn_per_image(like, generators_of(range(1, number + 1))).to(base.device)
        steps = reverse_from_start(
            guided(predict, texts, without, self._guidance_scale()),
            None,
            noise,
            base.schedule,
            t0=1.0,
            num_inference_steps=PREVIEW_STEPS,
        )
        *_, latents = steps
        drawn = to_pictures(base.decode_latents(latents))
        if self._embeddings is None:
            return drawn
        own = rows_at(self._latents, [index % len(self._latents) for index in range(number)])
        shown = to_pictures(base.decode_latents(own.to(base.device)))
        return [beside(*pair) for pair in zip(shown, drawn, strict=True)]

    def _guidance_scale(self) -> float:
        """Guidance needs something that it leads towards."""
        has_aim = self._embeddings is not None or self._config.prompt
        return self._base.guidance_scale if has_aim else 1.0

    def state_dict(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self._adapter.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._adapter.load_state_dict(state)


def run(config: AnlConfig, base: BaseModel, dataset: TrainingSet, run: Run) -> Iterator[Event]:
    """Train the modules; the last event names the artifact, their tensors in float32.

    Raises:
        BaseModelError: the conditional variant finds no CLIP.
        InvalidInputError: the prompt is too long.
    """
    clip = open_clip(base, config.clip) if config.variant == "conditional" else None
    base = base.at_resolution(run.adjustments.resolution)
    latents = yield from dataset.prepare_latents(base)
    embeddings = None if clip is None else (yield from prepare_embeddings(dataset, clip))
    adapter, about = start(config, base, clip)
    del clip
    with (
        base.sparing_memory(recompute=run.adjustments.gradient_checkpointing),
        with_anl(base, adapter) as extended,
    ):
        task = AnlTask(extended, adapter, latents, embeddings, config)
        before = task.fixed_loss()
        done = yield from train(task, config, accelerator_for(base), run)
        facts = about | {
            "fixed_loss_before": before,
            "fixed_loss_after": task.fixed_loss(),
            "steps_done": done,
        }
    settings = config.model_dump(mode="json")
    artifact = Artifact("anl", base.ref, base.fingerprint, settings, facts, task.state_dict())
    yield ArtifactReady("anl", save_artifact(artifact, run.run_dir / "anl.safetensors"))


def start(
    config: AnlConfig, base: BaseModel, clip: Clip | None
) -> tuple[AnlAdapter, dict[str, Any]]:
    """Fresh modules, and what an artifact tells of them."""
    shape = AnlShape(0 if clip is None else clip.width, config.rank, config.width)
    adapter = AnlAdapter(base.unet, shape, config.seed)
    return adapter, {
        "num_parameters": adapter.num_parameters,
        "num_copied": start_from_base(adapter, base.unet) if config.starts_from_base else 0,
        "condition_width": shape.condition_width,
        "clip": None if clip is None else clip.name,
        "clip_fingerprint": None if clip is None else clip.fingerprint,
    }


def prepare_embeddings(
    dataset: TrainingSet, clip: Clip
) -> Generator[PicturesPrepared, None, Cached]:
    """Read every view of every picture once; returns (N VIEWS, P) float32 on disk."""
    rows = [[picture.sha256, asdict(picture.crop)] for picture in dataset.pictures]
    key = json.dumps(["clip views", VIEWS, clip.fingerprint, clip.side_px, rows], sort_keys=True)
    path = dataset.cache_dir / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    number = len(dataset.pictures) * VIEWS
    empty = partial(open_memmap, dtype=np.float32, shape=(number, clip.width))
    return cached_rows(path, number, empty, _embedded(dataset, clip), "conditions")


def _embedded(dataset: TrainingSet, clip: Clip) -> Iterator[tuple[int, Cached]]:
    for first in range(0, len(dataset.pictures), EMBEDDED_AT_ONCE):
        batch = dataset.pictures[first : first + EMBEDDED_AT_ONCE]
        images = [prepare(read_image(p.path), p.crop, clip.side_px) for p in batch]
        pixels = to_tensor(images)
        views = [pixels, *(masked_view(pixels, first, view) for view in range(1, VIEWS))]
        embedded = torch.stack([clip.embed_images(view) for view in views], dim=1)
        yield first * VIEWS, embedded.flatten(0, 1).numpy()


def masked_view(pixels: Tensor, first: int, view: int) -> Tensor:
    """The pictures from number ``first`` on with a rectangle blanked, at a place of their own."""
    share = (view - 1) / (VIEWS - 2)
    rate = LEAST_MASKED + share * (MOST_MASKED - LEAST_MASKED)
    seeds = [(first + number) * VIEWS + view for number in range(len(pixels))]
    return mask_images(pixels, rate, generators_of(seeds))
