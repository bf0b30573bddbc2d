"""A word to start from, for a set whose user names none: the one the base itself explains it by.

Of some everyday nouns, the one under which the frozen base denoises the pictures with the least
error, on the same noises for all: the diffusion classifier of arXiv:2303.16203. W words, n draws.
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

from dyod_studio.diffusion.sampling import generators_of, randn_per_image
from dyod_studio.models.base import BaseModel
from dyod_studio.training.data import Cached, cached_rows, rows_at
from dyod_studio.training.events import PicturesPrepared

WORDS = (
    "face", "person", "hand", "animal", "dog", "cat", "bird", "fish", "insect", "flower",
    "tree", "leaf", "fruit", "food", "bread", "cake", "drink", "bottle", "cup", "plate",
    "house", "building", "room", "chair", "table", "lamp", "clock", "car", "bicycle", "boat",
    "plane", "train", "shoe", "hat", "shirt", "dress", "bag", "ring", "glasses", "tool",
    "knife", "toy", "doll", "ball", "book", "paper", "phone", "machine", "symbol", "sign",
    "icon", "pattern", "texture", "drawing", "painting", "photo", "landscape", "water", "stone",
    "star",
)  # fmt: skip
"""What sets are of. Only those that are one token of a base's vocabulary are tried on it."""
NUM_DRAWS = 24
"""Pictures that the words are tried on; the order of the best few settles at about a dozen."""
LEAST_NOISE = 0.2
"""Share of the timesteps that is left out: nearly clean pictures need no words."""
CELLS_AT_ONCE = 32 * 16 * 16
"""Words are tried in batches of about this many latent cells, to bound memory."""


def first_word(
    base: BaseModel, latents: Cached, cache_dir: Path
) -> Generator[PicturesPrepared, None, str]:
    """The word of :data:`WORDS` that suits the set best; empty where the base knows none of them.

    Every word is tried once for the same pictures and base, then its losses are read from disk.

    Args:
        base: frozen, with nothing attached to it.
        latents: (N, C, h, w) of the set.
    """
    words = known_words(base)
    if not words:
        return ""
    shown = hashlib.sha256(latents.tobytes()).hexdigest()
    key = json.dumps(["words", base.fingerprint, base.resolution, words, NUM_DRAWS, shown])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    empty = partial(open_memmap, dtype=np.float32, shape=(NUM_DRAWS, len(words)))
    rows = _losses(base, latents, words)
    path = cache_dir / f"{name}.npy"
    losses = yield from cached_rows(path, NUM_DRAWS, empty, rows, "trials of first words")
    return words[int(losses.mean(axis=0).argmin())]


def known_words(base: BaseModel) -> list[str]:
    """Those of :data:`WORDS` that the base reads as one token."""
    ids = base.tokenizer(list(WORDS), add_special_tokens=False).input_ids
    return [word for word, tokens in zip(WORDS, ids, strict=True) if len(tokens) == 1]


@torch.no_grad()
def _losses(base: BaseModel, latents: Cached, words: Sequence[str]) -> Iterator[tuple[int, Cached]]:
    """One row (1, W) a draw: a picture, a noise and a timestep, the same for every word."""
    conditioning = base.encode_prompts(words)
    size = max(1, CELLS_AT_ONCE // (base.latent_shape[1] * base.latent_shape[2]))
    for number in range(NUM_DRAWS):
        clean = rows_at(latents, [number * len(latents) // NUM_DRAWS])
        noise = randn_per_image(clean, generators_of([number])).to(base.device)
        share = LEAST_NOISE + (1 - LEAST_NOISE) * (number + 0.5) / NUM_DRAWS
        t = torch.tensor([int(share * base.schedule.num_timesteps)], device=base.device)
        clean = clean.to(base.device)
        noisy = base.schedule.add_noise(clean, noise, t)
        target = base.schedule.target(clean, noise, t)
        errors = [
            _errors(base.denoise(*_repeated(noisy, t, len(part)), part), target)
            for part in conditioning.split(size)
        ]
        yield number, torch.cat(errors).unsqueeze(0).cpu().numpy()


def _repeated(noisy: Tensor, t: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return noisy.expand(count, -1, -1, -1), t.expand(count)


def _errors(output: Tensor, target: Tensor) -> Tensor:
    """(W,) mean squared errors."""
    return (output.float() - target).square().flatten(1).mean(dim=1)
