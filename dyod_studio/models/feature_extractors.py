"""Feature extractors: a CLIP, a DINOv2, an Inception-v3, each behind one interface.

Shapes: B pictures, D features. The features of CLIP and DINOv2 have a root mean square of 1, so
that the kernel of KID sees the cosine of two pictures.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel

from dyod_studio.errors import BaseModelError
from dyod_studio.models.base import BaseModel, fit, to_tensor
from dyod_studio.models.clip import PROCESSOR, Clip, load_clip
from dyod_studio.models.references import HUB_ID, fingerprint_of, read_json, weight_files

OWN = "base"
"""The base model's own CLIP image encoder."""
QUARTERS = "base-quarters"
"""The same, on each quarter of a picture alone: it sees what is blurred."""
INCEPTION = "inception"
Family = Literal["clip", "dino", "inception"]
HUB_FILES = ("*.json", "*.txt", "*.safetensors")


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """Frozen, on its device.

    Args:
        name: how every table and plot calls it.
        key: of its weights; features are kept on disk by it.
        embed: B pictures of any square size to (B, D) float32 on the CPU.
        embed_texts: texts in the same space; None where it knows no texts.
        classify: (B, D) features to (B, K) probabilities; None where it knows no classes.
        note: why this one serves in the place of another; empty when it is the one asked for.
    """

    name: str
    key: str
    family: Family
    embed: Callable[[Sequence[Image.Image]], Tensor]
    embed_texts: Callable[[Sequence[str]], Tensor] | None = None
    classify: Callable[[Tensor], Tensor] | None = None
    note: str = ""


def open_extractor(ref: str, base: BaseModel, starter_dir: Path) -> FeatureExtractor:
    """The extractor of that name; where it cannot be had, the base's own CLIP, with a note.

    Args:
        ref: ``base``, ``base-quarters``, ``inception``, a folder or hub id of a CLIP or a DINOv2.
        starter_dir: its CLIP serves for a base model that has none.
    """
    if ref in (OWN, QUARTERS):
        own = _own(base, starter_dir)
        return own if ref == OWN else _in_quarters(own)
    try:
        return _open_inception(base.device) if ref == INCEPTION else _open_folder(ref, base.device)
    except BaseModelError as exc:
        own = _own(base, starter_dir)
        return replace(own, note=f"{exc} {own.name} was used instead. {own.note}".strip())


def _own(base: BaseModel, starter_dir: Path) -> FeatureExtractor:
    path = base.path
    if path is not None and (path / "image_encoder" / "config.json").is_file():
        return _of_clip(load_clip(path, f"CLIP of {base.ref}", base.device))
    clip = load_clip(starter_dir, "CLIP of starter", base.device)
    note = f"{base.ref} has no CLIP image encoder, so the starter's was used."
    return replace(_of_clip(clip), note=note)


def _in_quarters(own: FeatureExtractor) -> FeatureExtractor:
    """The features of the four quarters side by side: four times as many numbers, no texts."""

    def embed(images: Sequence[Image.Image]) -> Tensor:
        parts = [[_quarter(image, place) for image in images] for place in range(4)]
        return torch.cat([own.embed(part) for part in parts], dim=1)

    name, key = f"{own.name}, in quarters", f"{own.key}-quarters"
    return FeatureExtractor(name, key, "clip", embed, note=own.note)


def _quarter(image: Image.Image, place: int) -> Image.Image:
    width, height = image.width // 2, image.height // 2
    left, top = place % 2 * width, place // 2 * height
    return image.crop((left, top, left + width, top + height))


def _open_folder(ref: str, device: torch.device) -> FeatureExtractor:
    folder = _folder_of(ref)
    kind = read_json(folder / "config.json").get("model_type")
    try:
        if kind == "clip":
            return _of_clip(load_clip(folder, ref, device))
        if kind in ("dinov2", "dinov2_with_registers"):
            return _of_dino(folder, ref, device)
    except (OSError, ValueError, KeyError, SafetensorError) as exc:
        raise BaseModelError(f"The extractor {ref!r} cannot be loaded: {exc}.") from exc
    raise BaseModelError(f"{ref!r} holds a {kind or 'network without a name'}, no CLIP or DINOv2.")


def _folder_of(ref: str) -> Path:
    path = Path(ref).expanduser()
    if path.is_dir():
        return path
    if not HUB_ID.fullmatch(ref):
        raise BaseModelError(f"There is no extractor {ref!r}.")
    from httpx import HTTPError
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(ref, allow_patterns=list(HUB_FILES)))
    except (OSError, HTTPError) as exc:
        raise BaseModelError(f"The extractor {ref!r} is neither here nor within reach.") from exc


def _of_clip(clip: Clip) -> FeatureExtractor:
    scale = math.sqrt(clip.width)

    def embed(images: Sequence[Image.Image]) -> Tensor:
        return clip.embed_images(to_tensor([fit(image, clip.side_px) for image in images])) * scale

    def embed_texts(texts: Sequence[str]) -> Tensor:
        return clip.embed_texts(texts) * scale

    return FeatureExtractor(clip.name, f"clip-{clip.fingerprint}", "clip", embed, embed_texts)


def _of_dino(folder: Path, name: str, device: torch.device) -> FeatureExtractor:
    """The class token of the last layer, as in the measure of DreamBooth (its DINO)."""
    network: Any = AutoModel.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    network.requires_grad_(False).eval().to(device)
    config = read_json(folder / PROCESSOR)
    side = _side_of(config)
    mean, std = (
        torch.tensor(config[name]).view(1, 3, 1, 1) for name in ("image_mean", "image_std")
    )

    @torch.no_grad()
    def embed(images: Sequence[Image.Image]) -> Tensor:
        pixels = (to_tensor([fit(image, side) for image in images]) + 1) / 2
        tokens = network(((pixels - mean) / std).to(device)).last_hidden_state[:, 0]
        return normalize(tokens.float(), dim=1).cpu() * math.sqrt(tokens.shape[1])

    key = "-".join(fingerprint_of(path) for path in weight_files(folder))
    return FeatureExtractor(name, f"dino-{key}", "dino", embed)


def _side_of(config: dict[str, Any]) -> int:
    for name in ("crop_size", "size"):
        size = config.get(name)
        if isinstance(size, dict):
            return int(next(iter(size.values())))
        if isinstance(size, int):
            return size
    return 224


def _open_inception(device: torch.device) -> FeatureExtractor:
    """torch-fidelity's Inception-v3, for whoever has installed that library.

    Raises:
        BaseModelError: the library or its weights cannot be had.
    """
    try:
        library = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
        network = library.FeatureExtractorInceptionV3(INCEPTION, ["2048"])
    except ImportError as exc:
        raise BaseModelError(
            "Inception-v3 comes with the library torch-fidelity, which is not installed."
        ) from exc
    except (OSError, RuntimeError) as exc:
        raise BaseModelError("The weights of Inception-v3 are not within reach.") from exc
    network = network.to(device)

    @torch.no_grad()
    def embed(images: Sequence[Image.Image]) -> Tensor:
        pixels = (to_tensor(images) + 1) * 127.5
        return network(pixels.round().to(torch.uint8).to(device))[0].float().cpu()

    def classify(features: Tensor) -> Tensor:
        return (features.float() @ network.fc.weight.T.float().cpu()).softmax(dim=1)

    name = "Inception-v3 (torch-fidelity)"
    return FeatureExtractor(name, "inception-2015-12-05", "inception", embed, None, classify)
