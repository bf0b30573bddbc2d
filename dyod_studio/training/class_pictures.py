"""Pictures of a class as the frozen base model draws it: what prior preservation holds on to.

x_pr = x(z, c_pr) with the ancestral sampler, sec. 4.2 of arXiv:2208.12242. Only their latents are
kept, since nothing else is trained on. C x h x w latents.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from dyod_studio.diffusion.sampling import (
    ancestral_steps,
    generators_of,
    guided,
    randn_per_image,
)
from dyod_studio.models.base import BaseModel
from dyod_studio.training.data import Cached, cached_rows
from dyod_studio.training.events import PicturesPrepared

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
def draw_class(base: BaseModel, prompt: str, indices: Sequence[int], seed: int) -> Tensor:
    """Latents of the class pictures with these indices, (B, C, h, w) float32, by the base as it is.

    Args:
        base: with an adapter attached, what has become of its idea of the class.
    """
    generators = generators_of([_seed_of(seed, index) for index in indices])
    like = torch.empty(len(generators), *base.latent_shape)
    latents = randn_per_image(like, generators).to(base.device)
    without, with_class = (
        text.expand(len(latents), -1, -1) for text in base.encode_prompts(["", prompt]).split(1)
    )
    predict = guided(base.predict_noise, with_class, without, base.guidance_scale)
    timesteps = base.schedule.full_timesteps(CLASS_STEPS)
    for newest in ancestral_steps(predict, latents, base.schedule, timesteps, generators):
        latents = newest
    return latents


@torch.no_grad()
def _meaning(base: BaseModel, prompt: str) -> str:
    """What the prompt's tokens stand for: a learned word may be taught anew."""
    vectors = base.text_encoder.get_input_embeddings()(base.token_ids([prompt]))
    return hashlib.sha256(vectors.float().cpu().numpy().tobytes()).hexdigest()


def _seed_of(seed: int, index: int) -> int:
    return (seed * 1_000_003 + index * 6_700_417 + 1) % 2**63
