"""Common ground of DreamBooth and Custom Diffusion: a class, its pictures, and a loss of two terms.

E || eps - eps_phi(x_t, t, c("a {token} {class}")) ||^2
    + lambda E || eps' - eps_phi(x'_t', t', c("a {class}")) ||^2
with x' drawn by the frozen base itself: eq. (2) of arXiv:2208.12242, prior preservation. B pictures
a step, C x h x w latents, L tokens of width D.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from dyod_studio.diffusion.sampling import (
    ancestral_steps,
    generators_of,
    guided,
    randn_per_image,
)
from dyod_studio.errors import BaseModelError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.clip import open_clip
from dyod_studio.training.data import (
    Cached,
    batch_indices,
    cached_rows,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import Draw, draw, joined, loss_of, steady_end
from dyod_studio.training.registry import PromptedConfig
from dyod_studio.training.run import PicturesPrepared

SD_WIDTH = 320
"""Channels of Stable Diffusion's U-Net at full resolution; learning rates are given for it."""
PRIOR_SALT = 0x9107
"""Keeps the order of the class pictures apart from that of the set's."""


class SubjectConfig(PromptedConfig):
    """Settings of a method that learns one thing and keeps what the base knows of its class."""

    class_noun: str = Field("", max_length=60, validate_default=True, title="Class noun")
    """What the pictures show, in a word or two that the base model knows, such as dog."""
    prior_weight: float = Field(1.0, ge=0, le=100, title="Prior weight")
    """Weight of the class pictures, lambda; at 0, without them, any dog may become this one."""
    num_class_pictures: int = Field(60, ge=2, le=10_000, title="Class pictures")
    """How many pictures of the class the base draws beforehand; 200 where time allows."""

    @field_validator("class_noun")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise PydanticCustomError("empty", "Say what the pictures show, such as dog")
        return " ".join(value.split())


def learning_rate_of(config: SubjectConfig, base: BaseModel, step: int) -> float:
    """The rate of a step: as asked for on a U-Net as wide as Stable Diffusion's.

    A narrower one sums over fewer inputs, so that an update of the same size moves it less: the
    rate grows in inverse proportion to the width, as arXiv:2203.03466 finds for Adam.
    """
    return steady_end(config, step) * SD_WIDTH / base.unet.config.block_out_channels[0]


class PriorPreservationLoss:
    """The loss of a step, and of a draw.

    Args:
        instances: latents of the set. learned: which of them are learned from.
        classes: latents of class pictures, by the base as it was.
        encode: the two prompts, (2, L, D): of the one thing, and of its class.
    """

    def __init__(
        self,
        base: BaseModel,
        config: SubjectConfig,
        instances: Cached,
        classes: Cached | None,
        learned: Sequence[int],
        encode: Callable[[], Tensor],
    ) -> None:
        self._base, self._config, self._encode = base, config, encode
        self._instances, self._learned = instances, learned
        self._classes = classes if config.prior_weight else None

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        """The loss of each share of a step's batch; see ``TrainTask``."""
        config, generator = self._config, step_generator(self._config.seed, step)
        size, num_timesteps = config.batch_size, self._base.schedule.num_timesteps
        places = batch_indices(len(self._learned), size, config.seed, step)
        clean = rows_at(self._instances, [self._learned[place] for place in places])
        instance = draw(clean, num_timesteps, generator)
        prior = None
        if self._classes is not None:
            rows = batch_indices(len(self._classes), size, config.seed ^ PRIOR_SALT, step)
            prior = draw(rows_at(self._classes, rows), num_timesteps, generator)
        for part in shares(size, num_parts):
            loss = self.of(instance[part], None if prior is None else prior[part])
            yield loss * (len(instance[part]) / size)

    def of(self, instance: Draw, prior: Draw | None = None) -> Tensor:
        """Both terms from one call of the denoiser; each is the mean over its own pictures."""
        texts, number = self._encode(), len(instance)
        if prior is None:
            return loss_of(self._base, instance, texts[:1].expand(number, -1, -1))
        weights = 2 * torch.tensor([1.0, self._config.prior_weight]).repeat_interleave(number)
        conditioning = texts.repeat_interleave(number, dim=0)
        return loss_of(self._base, joined(instance, prior), conditioning, weights)


FEWEST_TO_SPARE = 5
"""Smaller sets are trained on whole."""


def split_holdout(number: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Which pictures are learned from and which are held back, both in their order."""
    num_holdout = max(1, int(number * share)) if share and number >= FEWEST_TO_SPARE else 0
    order = torch.randperm(number, generator=step_generator(seed, 0)).tolist()
    return sorted(order[num_holdout:]), sorted(order[:num_holdout])


@dataclass(frozen=True, slots=True)
class Diversity:
    """Mean distance of two pictures of a class, 0 when all are the same.

    ``measured_by`` is ``clip`` or ``latents``.
    """

    distance: float
    measured_by: str


def diversity(base: BaseModel, latents: Tensor) -> Diversity:
    """Mean pairwise distance of B pictures, given as latents (B, C, h, w), B at least 2.

    Cosine distance of the CLIP embeddings where the base brings a CLIP; else the root mean square
    difference of the latents.
    """
    try:
        clip = open_clip(base)
    except BaseModelError:  # most bases bring none
        return Diversity(_mean_of_pairs(_latent_distances(latents)), "latents")
    embeddings = clip.embed_images(base.decode_latents(latents))
    return Diversity(_mean_of_pairs(1 - embeddings @ embeddings.T), "clip")


def _latent_distances(latents: Tensor) -> Tensor:
    flat = latents.flatten(1).double().cpu()
    return torch.cdist(flat, flat) / flat.shape[1] ** 0.5


def _mean_of_pairs(distances: Tensor) -> float:
    """Mean above the diagonal of (B, B)."""
    number = len(distances)
    return float(distances.triu(diagonal=1).sum()) / (number * (number - 1) / 2)


CLASS_STEPS = 30
"""Denoiser calls of the ancestral sampler for one picture."""
DRAWN_PX = 8 * 256 * 256
"""Pictures are drawn in chunks of about this many pixels, to bound memory."""


def class_latents(
    base: BaseModel, prompt: str, number: int, seed: int, cache_dir: Path
) -> Generator[PicturesPrepared, None, Cached]:
    """Draw ``number`` pictures of ``prompt`` once; returns (number, C, h, w) float32 on disk.

    Picture i depends on ``seed`` and i alone, so fewer of them are the first of more.

    Args:
        base: the frozen base model, without anything attached to it.
        prompt: the class, such as "a dog".
    """
    meaning = _meaning(base, prompt)
    key = [base.fingerprint, base.resolution, prompt, meaning, seed, number, CLASS_STEPS]
    name = hashlib.sha256(json.dumps(["class", *key]).encode()).hexdigest()
    empty = partial(open_memmap, dtype=np.float32, shape=(number, *base.latent_shape))
    chunks = _chunks(base, prompt, number, seed)
    return cached_rows(cache_dir / f"{name[:32]}.npy", number, empty, chunks, "class pictures")


def _chunks(base: BaseModel, prompt: str, number: int, seed: int) -> Iterator[tuple[int, Cached]]:
    size = max(1, DRAWN_PX // base.resolution**2)
    for first in range(0, number, size):
        chosen = range(first, min(first + size, number))
        yield first, draw_class(base, prompt, chosen, seed).cpu().numpy()


@torch.no_grad()
def draw_class(
    base: BaseModel, prompt: str, indices: Sequence[int], seed: int, *, num_steps: int = 0
) -> Tensor:
    """Latents of the class pictures with these indices, (B, C, h, w) float32, by the base as it is.

    Args:
        base: with an adapter attached, what has become of its idea of the class.
        num_steps: denoiser calls for one picture; 0 means ``CLASS_STEPS``.
    """
    generators = generators_of([_seed_of(seed, index) for index in indices])
    like = torch.empty(len(generators), *base.latent_shape)
    latents = randn_per_image(like, generators).to(base.device)
    without, with_class = (
        text.expand(len(latents), -1, -1) for text in base.encode_prompts(["", prompt]).split(1)
    )
    predict = guided(base.predict_noise, with_class, without, base.guidance_scale)
    timesteps = base.schedule.full_timesteps(num_steps or CLASS_STEPS)
    for newest in ancestral_steps(predict, latents, base.schedule, timesteps, generators):
        latents = newest
    return latents


@torch.no_grad()
def _meaning(base: BaseModel, prompt: str) -> str:
    """Vectors that the prompt's tokens stand for: a learned word may be taught anew."""
    vectors = base.text_encoder.get_input_embeddings()(base.token_ids([prompt]))
    return hashlib.sha256(vectors.float().cpu().numpy().tobytes()).hexdigest()


def _seed_of(seed: int, index: int) -> int:
    return (seed * 1_000_003 + index * 6_700_417 + 1) % 2**63
