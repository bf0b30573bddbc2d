"""One door for every base model: the starter, a folder, a single file, an id on the hub.

Weights are read from safetensors only; nothing is ever unpickled.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection
from transformers.utils import logging as transformers_logging

from dyod_studio.errors import BaseModelError
from dyod_studio.models.base import (
    DEFAULT_GUIDANCE_SCALE,
    BaseModel,
    freeze,
    schedule_from_config,
)
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.references import (
    WEIGHT_FOLDERS,
    WEIGHT_SUFFIX,
    BaseLocation,
    check_folder,
    fetch_index,
    fingerprint_of,
    locate_base,
    read_json,
    unreachable,
    weight_files,
)
from dyod_studio.models.single_file import load_single_file


class CastLinear(nn.Linear):
    """A linear layer that casts its weights to its input's dtype."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight.to(input.dtype), _cast(self.bias, input))


class CastConv2d(nn.Conv2d):
    """A convolution that casts its weights to its input's dtype."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight.to(input.dtype), _cast(self.bias, input))


CASTING = {nn.Linear: CastLinear, nn.Conv2d: CastConv2d}


def store_weights_in(module: nn.Module, storage: torch.dtype, compute: torch.dtype) -> None:
    """Keep the linear and convolution weights in ``storage``, everything else in ``compute``."""
    nn.Module.to(module, dtype=compute)  # diffusers' own would warn of nothing
    if storage == compute:
        return
    for layer in module.modules():
        if type(layer) in CASTING:
            layer.to(dtype=storage)
            layer.__class__ = CASTING[type(layer)]


def _cast(bias: Tensor | None, like: Tensor) -> Tensor | None:
    return None if bias is None else bias.to(like.dtype)


GUIDANCE_KEY = "_guidance_scale"
"""In a folder's model_index.json: the guidance scale that suits this base."""
HALF_VARIANT = "fp16"
HUB_FILES = (
    "model_index.json",
    "scheduler/*.json",
    "tokenizer/*",
    "*/config.json",
    *(f"{part}/*{WEIGHT_SUFFIX}*" for part in (*WEIGHT_FOLDERS, "image_encoder")),
)


@dataclass(slots=True)
class _Parts:
    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: dict[str, Any]
    image_encoder: Any = None
    guidance_scale: float = DEFAULT_GUIDANCE_SCALE


def load_base(
    ref: str, *, starter_dir: Path, device: torch.device, dtype: DtypePolicy
) -> BaseModel:
    """Load a frozen base model onto the device.

    Args:
        ref: ``starter``, a folder in diffusers layout, a .safetensors file or a hub id.
        dtype: precision of the U-Net; autoencoder and text encoder use float32.

    Raises:
        BaseModelError: it is missing, pickled, incomplete, damaged or of another kind.
    """
    path = _path_of(locate_base(ref, starter_dir))
    _silence_progress_bars()
    parts = _read_parts(ref, path)
    freeze(parts.text_encoder, parts.unet, parts.vae, parts.image_encoder)
    store_weights_in(parts.unet, dtype.storage, dtype.compute)
    for module in (parts.text_encoder, parts.unet, parts.vae, parts.image_encoder):
        if module is not None:
            module.to(device)
    return BaseModel(
        ref=ref,
        fingerprint=fingerprint_of(path),
        tokenizer=parts.tokenizer,
        text_encoder=parts.text_encoder,
        unet=parts.unet,
        vae=parts.vae,
        schedule=schedule_from_config(parts.scheduler),
        device=device,
        dtype=dtype.compute,
        guidance_scale=parts.guidance_scale,
        image_encoder=parts.image_encoder,
        path=path,
    )


def _silence_progress_bars() -> None:
    """The libraries' bars would mix with the studio's own on standard error."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def _path_of(location: BaseLocation) -> Path:
    return location.path or _download(location.ref)


def _download(hub_id: str) -> Path:
    """Fetch what is needed of a hub model into the hub's own cache."""
    from httpx import HTTPError
    from huggingface_hub import snapshot_download

    fetch_index(hub_id)
    skipped: tuple[str, ...]
    for skipped in (("*.non_ema.*", f"*.{HALF_VARIANT}.*"), ("*.non_ema.*",)):
        try:
            folder = snapshot_download(
                hub_id, allow_patterns=list(HUB_FILES), ignore_patterns=list(skipped)
            )
        except (OSError, HTTPError) as exc:
            raise BaseModelError(unreachable(hub_id)) from exc
        if weight_files(Path(folder) / "unet"):
            break
    check_folder(Path(folder), f"The base model {hub_id!r}")
    return Path(folder)


def _read_parts(ref: str, path: Path) -> _Parts:
    try:
        return _read_folder(path) if path.is_dir() else _read_file(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as exc:
        first_line = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        raise BaseModelError(f"The base model {ref!r} cannot be loaded: {first_line}") from exc


def _read_folder(folder: Path) -> _Parts:
    index = read_json(folder / "model_index.json")
    has_image_encoder = (folder / "image_encoder" / "config.json").is_file()
    return _Parts(
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        text_encoder=_read_network(CLIPTextModel, folder / "text_encoder"),
        unet=_read_network(UNet2DConditionModel, folder / "unet"),
        vae=_read_network(AutoencoderKL, folder / "vae"),
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        image_encoder=(
            _read_network(CLIPVisionModelWithProjection, folder / "image_encoder")
            if has_image_encoder
            else None
        ),
        guidance_scale=float(index.get(GUIDANCE_KEY, DEFAULT_GUIDANCE_SCALE)),
    )


def _read_network(network: Any, folder: Path) -> Any:
    names = [file.name for file in weight_files(folder)]
    is_half_only = all(f".{HALF_VARIANT}" in name for name in names)
    return network.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        variant=HALF_VARIANT if is_half_only else None,
    )


def _read_file(path: Path) -> _Parts:
    pipeline, scheduler = load_single_file(path)
    return _Parts(
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        unet=pipeline.unet,
        vae=pipeline.vae,
        scheduler=scheduler,
    )
