"""A CLIP: pictures and texts in one space. Condition of ANL, and features to measure with.

Radford et al., arXiv:2103.00020. Shapes: B items, R pixels along one side, P the shared width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from dyod_studio.diffusion.masking import mask_images
from dyod_studio.diffusion.sampling import generators_of
from dyod_studio.errors import BaseModelError, InvalidInputError
from dyod_studio.models.base import BaseModel, to_tensor
from dyod_studio.models.references import fingerprint_of, read_json, weight_files

PROCESSOR = "preprocessor_config.json"
CHUNK = 32
"""Pictures at once: memory, not speed, is the limit."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Both encoders, frozen.

    Args:
        name: how tables and plots call it.
        fingerprint: short hash of the image encoder's weights.
        width: numbers of an embedding (P).
        side_px: pixels along one side of what the image encoder reads.
        mean, std: (3,) of the pixel values in [0, 1] that the image encoder expects.
        project_images: (B, 3, side_px, side_px) to (B, P).
        project_texts: (B, L) token ids to (B, P).
    """

    name: str
    fingerprint: str
    width: int
    side_px: int
    mean: Tensor
    std: Tensor
    tokenizer: Any
    project_images: Callable[[Tensor], Tensor]
    project_texts: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] to (B, P) float32 unit vectors on the CPU."""
        return torch.cat([self._embed(chunk) for chunk in images.split(CHUNK)])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """B texts to (B, P) float32 unit vectors on the CPU; a text that is too long is cut."""
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        )
        return _unit(self.project_texts(tokens.input_ids.to(self.device)))

    def _embed(self, images: Tensor) -> Tensor:
        size = (self.side_px, self.side_px)
        images = images.to(self.device, torch.float32)
        if images.shape[-2:] != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)
        mean, std = (row.view(1, 3, 1, 1).to(self.device) for row in (self.mean, self.std))
        return _unit(self.project_images(((images + 1) / 2 - mean) / std))


def load_clip(folder: Path, name: str, device: torch.device) -> Clip:
    """Load the CLIP that lies in a base model's folder, or a CLIP of its own.

    Args:
        folder: a base model in diffusers layout with ``image_encoder``, ``feature_extractor`` and
            ``text_projection.safetensors``, or what ``CLIPModel.save_pretrained`` writes.

    Raises:
        BaseModelError: the folder holds no CLIP.
    """
    if (folder / "image_encoder" / "config.json").is_file():
        return _load_from_base(folder, name, device)
    is_clip = (folder / "config.json").is_file() and (folder / PROCESSOR).is_file()
    if not is_clip or read_json(folder / "config.json").get("model_type") != "clip":
        raise BaseModelError(
            f"{name} has no CLIP image encoder: give the folder of a CLIP, such as "
            "clip-vit-large-patch14, which fits Stable Diffusion 1.x."
        )
    model = _frozen(CLIPModel, folder, device)
    return Clip(
        name=name,
        fingerprint=_fingerprint(folder),
        width=model.config.projection_dim,
        side_px=model.config.vision_config.image_size,
        **_pixel_statistics(folder / PROCESSOR),
        tokenizer=CLIPTokenizer.from_pretrained(folder, local_files_only=True),
        project_images=lambda pixels: model.get_image_features(pixels).pooler_output,
        project_texts=lambda ids: model.get_text_features(ids).pooler_output,
        device=device,
    )


def _load_from_base(folder: Path, name: str, device: torch.device) -> Clip:
    projection_path = folder / "text_projection.safetensors"
    if not projection_path.is_file():
        raise BaseModelError(
            f"{name} has no text_projection.safetensors: its texts and pictures share no space."
        )
    projection = load_file(projection_path)["text_projection.weight"].float().to(device)
    image = _frozen(CLIPVisionModelWithProjection, folder / "image_encoder", device)
    text = _frozen(CLIPTextModel, folder / "text_encoder", device)
    return Clip(
        name=name,
        fingerprint=_fingerprint(folder / "image_encoder"),
        width=len(projection),
        side_px=image.config.image_size,
        **_pixel_statistics(folder / "feature_extractor" / PROCESSOR),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        project_images=lambda pixels: image(pixels).image_embeds,
        project_texts=lambda ids: text(ids).pooler_output @ projection.T,
        device=device,
    )


def _pixel_statistics(path: Path) -> dict[str, Tensor]:
    values = read_json(path)
    return {"mean": torch.tensor(values["image_mean"]), "std": torch.tensor(values["image_std"])}


def _frozen(network: Any, folder: Path, device: torch.device) -> Any:
    loaded = network.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    return loaded.requires_grad_(False).eval().to(device)


def _fingerprint(folder: Path) -> str:
    return "-".join(fingerprint_of(path) for path in weight_files(folder))


def _unit(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.float(), dim=-1).cpu()


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
