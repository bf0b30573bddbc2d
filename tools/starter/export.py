"""Weights to a folder in diffusers layout: half precision, in shards."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPTextModel

from tools.starter.clip import IMAGE_PX, SmallClip
from tools.starter.unet import make_scheduler

SHARD_SIZE = "13MB"
GUIDANCE_SCALE = 2.0
"""What the studio uses when the user gives none; small bases burn out at Stable Diffusion's 7.5."""
TEXT_PROJECTION = "text_projection.safetensors"


@dataclass(frozen=True, slots=True)
class Parts:
    """The trained parts."""

    autoencoder: AutoencoderKL
    clip: SmallClip
    unet: UNet2DConditionModel
    tokenizer_dir: Path


def write_pipeline(parts: Parts, out: Path) -> None:
    """Write all that ``StableDiffusionPipeline.from_pretrained`` needs, and the text projection."""
    write_clip(parts.clip, out)
    write_part(parts.autoencoder, out / "vae")
    write_part(parts.unet, out / "unet")
    shutil.copytree(parts.tokenizer_dir, out / "tokenizer", dirs_exist_ok=True)
    make_scheduler().save_pretrained(out / "scheduler")
    CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_PX}, crop_size={"height": IMAGE_PX, "width": IMAGE_PX},
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    ).save_pretrained(out / "feature_extractor")  # fmt: skip
    (out / "model_index.json").write_text(json.dumps(_index(), indent=2) + "\n")


def write_part(model: AutoencoderKL | UNet2DConditionModel, folder: Path) -> None:
    """Write one part in place of what lies in ``folder``; ``model`` keeps its precision."""
    model.to("cpu", memory_format=torch.contiguous_format)
    config = {name: value for name, value in model.config.items() if name != "_name_or_path"}
    half = type(model).from_config(config)
    half.load_state_dict(model.state_dict())
    shutil.rmtree(folder, ignore_errors=True)
    half.half().save_pretrained(folder, max_shard_size=SHARD_SIZE)


def write_clip(clip: SmallClip, out: Path) -> None:
    """Write both encoders; the text projection lies beside them, for the shared space."""
    for name in ("text_encoder", "image_encoder"):
        shutil.rmtree(out / name, ignore_errors=True)
    text_encoder_of(clip).half().save_pretrained(out / "text_encoder")
    image = type(clip.image)(clip.image.config)
    image.load_state_dict(clip.image.state_dict())
    image.half().save_pretrained(out / "image_encoder")
    projection = clip.text.text_projection.weight.detach().half().contiguous()
    save_file({"text_projection.weight": projection}, out / TEXT_PROJECTION)


def text_encoder_of(clip: SmallClip) -> CLIPTextModel:
    """A copy of the text encoder without its projection, as the pipeline wants it."""
    text = CLIPTextModel(clip.text.config)
    text.load_state_dict(_text_state(clip, text))
    return text.eval()


def read_text_projection(folder: Path) -> Tensor:
    """(D, width): pooled text states times its transpose lie in the image encoder's space."""
    weights: dict[str, Tensor] = load_file(folder / TEXT_PROJECTION)
    return weights["text_projection.weight"].float()


def _text_state(clip: SmallClip, text: CLIPTextModel) -> dict[str, Tensor]:
    """Name the weights as the model without projection does."""
    wanted = text.state_dict().keys()
    state = clip.text.state_dict()
    plain = {key.removeprefix("text_model."): value for key, value in state.items()}
    return {key: plain[key.removeprefix("text_model.")] for key in wanted}


def _index() -> dict[str, object]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "_guidance_scale": GUIDANCE_SCALE,
        "feature_extractor": ["transformers", "CLIPImageProcessorPil"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
