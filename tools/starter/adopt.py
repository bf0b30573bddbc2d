"""A finished model taken apart again, so that a build goes on from it with no other file kept.

What a build leaves in its work folder is large and stays on one machine. The shipped weights and
the record beside them say all but the optimisers' states, which begin anew.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionModelWithProjection

from tools.starter.autoencoder import Decoder
from tools.starter.clip import ClipSize, SmallClip
from tools.starter.compare import COMPARISON_NAME
from tools.starter.export import TEXT_PROJECTION
from tools.starter.joint import Denoiser
from tools.starter.loop import LOG_NAME, fingerprint
from tools.starter.record import RECORD_NAME, last_rows, read_rows_of


def adopt(model_dir: Path, size: ClipSize, work_dir: Path) -> None:
    """Write every stage's checkpoint, the tokenizer and the log from the model in ``model_dir``.

    Args:
        size: what the model's CLIP was built with.
        work_dir: of a build; checkpoints that lie there are replaced.

    Raises:
        FileNotFoundError: ``model_dir`` is no finished model, or has no record of its training.
    """
    rows = read_rows_of(model_dir / RECORD_NAME)
    shutil.copytree(model_dir / "tokenizer", work_dir / "tokenizer", dirs_exist_ok=True)
    autoencoder = AutoencoderKL.from_pretrained(model_dir / "vae", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(model_dir / "unet", torch_dtype=torch.float32)
    clip = _open_clip(model_dir, size)
    denoiser = Denoiser(unet, clip.text.text_model)
    stages: dict[str, tuple[nn.Module, str]] = {
        "autoencoder": (autoencoder, ""),
        "decoder": (Decoder(autoencoder), fingerprint(autoencoder.encoder)),
        "clip": (clip, ""),
        "unet": (unet, ""),
        "joint": (denoiser, fingerprint(unet)),
        "clip-image": (clip, fingerprint(clip.text.text_model)),
    }
    for row in last_rows(rows):
        name = str(row["stage"])
        if name in stages:
            torch.save(_checkpoint(*stages[name], row), work_dir / f"{name}.pt")
    (work_dir / LOG_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows))
    if (model_dir / COMPARISON_NAME).exists():
        shutil.copy(model_dir / COMPARISON_NAME, work_dir)


def _checkpoint(model: nn.Module, stands_on: str, row: dict[str, Any]) -> dict[str, Any]:
    state = model.state_dict()
    progress = {key: row[key] for key in ("step", "samples", "elapsed_s")}
    return {"model": state, "optimizer": {}, "average": state, "stands_on": stands_on, **progress}


def _open_clip(model_dir: Path, size: ClipSize) -> SmallClip:
    """Both encoders and the text projection; the temperature is learned anew."""
    clip = SmallClip(size, CLIPTokenizer.from_pretrained(model_dir / "tokenizer"))
    text: CLIPTextModelWithProjection = clip.text
    text.text_model.load_state_dict(_weights(model_dir / "text_encoder"))
    projection = load_file(model_dir / TEXT_PROJECTION)["text_projection.weight"]
    text.text_projection.load_state_dict({"weight": projection})
    image: CLIPVisionModelWithProjection = clip.image
    image.load_state_dict(load_file(model_dir / "image_encoder" / "model.safetensors"))
    return clip


def _weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = load_file(folder / "model.safetensors")
    return {key.removeprefix("text_model."): value for key, value in state.items()}
