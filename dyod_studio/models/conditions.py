"""What ANL modules hear: pictures and texts in the one space of a CLIP.

c = phi(x) of eq. (6) in "Transferring pretrained diffusion probabilistic models", with its masked
sampling (sec. 3.3) and texts in the place of pictures. B results, P the CLIP's width.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from dyod_studio.diffusion.masking import mask_images
from dyod_studio.diffusion.sampling import generators_of
from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.clip import Clip, load_clip
from dyod_studio.models.pixels import to_tensor

MASK_SALT = 0x5EED_3A5C
"""Keeps the mask that a seed draws apart from the noise that it draws."""


def open_clip(base: BaseModel, folder: str = "", fingerprint: str | None = None) -> Clip:
    """The CLIP that conditions ``base``: the one in its own folder, or one of its own.

    Args:
        folder: of a CLIP; empty for the base model's own.
        fingerprint: of the CLIP that is wanted; None for whichever lies there.

    Raises:
        BaseModelError: there is none.
        InvalidInputError: another one lies there.
    """
    path = Path(folder) if folder else base.path
    if path is None:
        raise BaseModelError(f"{base.ref} has no folder to load a CLIP from: give one.")
    clip = load_clip(path, path.name if folder else base.ref, base.device)
    if fingerprint is not None and clip.fingerprint != fingerprint:
        raise InvalidInputError(
            f"The CLIP in {path} is not the one that the ANL was trained with: put that one back."
        )
    return clip


def condition_embeddings(
    clip: Clip,
    seeds: Sequence[int],
    *,
    images: Sequence[Image.Image] = (),
    texts: Sequence[str] = (),
    mask_rate: float = 0.0,
    text_weight: float = 0.5,
) -> Tensor:
    """One condition for each seed: (B, P) unit vectors on the CPU, the same in any batch.

    Seed number i takes picture i and text i, beginning anew when there are fewer of them.

    Args:
        images: any size; the middle square is read.
        mask_rate: side ratio of the rectangle that is blanked in the picture, in [0, 1), at a
            place that the seed decides.
        text_weight: share of the text, in [0, 1], where there are pictures as well.

    Raises:
        InvalidInputError: neither picture nor text, or a number out of range.
    """
    if not images and not texts:
        raise InvalidInputError("Give a condition picture or a condition text.")
    if not 0 <= text_weight <= 1:
        raise InvalidInputError(f"text_weight must lie in [0, 1], got {text_weight}.")
    if not texts:
        return _of_images(clip, images, seeds, mask_rate)
    distinct = clip.embed_texts(texts)
    of_texts = distinct[torch.arange(len(seeds)) % len(texts)]
    if not images:
        return of_texts
    of_images = _of_images(clip, images, seeds, mask_rate)
    return functional.normalize(torch.lerp(of_images, of_texts, text_weight), dim=-1)


def _of_images(
    clip: Clip, images: Sequence[Image.Image], seeds: Sequence[int], mask_rate: float
) -> Tensor:
    size = (clip.side_px, clip.side_px)
    squares = to_tensor([ImageOps.fit(image.convert("RGB"), size) for image in images])
    chosen = squares[torch.arange(len(seeds)) % len(images)]
    generators = generators_of([seed ^ MASK_SALT for seed in seeds])
    return clip.embed_images(mask_images(chosen, mask_rate, generators))
