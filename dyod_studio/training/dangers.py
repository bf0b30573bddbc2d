"""The two dangers of learning one subject, measured: overfitting and language drift.

Sec. 3.2 of arXiv:2208.12242: the few pictures may be learned by heart, and their class may shrink
to the subject. B pictures, C x h x w latents.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dyod_studio.errors import BaseModelError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.clip import open_clip
from dyod_studio.training.data import step_generator

FEWEST_TO_SPARE = 5
"""Smaller sets are trained on whole."""


def hold_back(number: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Which pictures are learned from and which are held back, both in their order."""
    num_spared = max(1, int(number * share)) if share and number >= FEWEST_TO_SPARE else 0
    order = torch.randperm(number, generator=step_generator(seed, 0)).tolist()
    return sorted(order[num_spared:]), sorted(order[:num_spared])


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
