"""One .safetensors file in the original Stable Diffusion layout, loaded without a network.

Such a file holds weights only. Shapes, noise schedule and tokenizer come from
``assets/single_file``, or from a folder of the file's own name beside it.
"""

import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from torch.nn import functional
from transformers import CLIPTokenizer

from dyod_studio.errors import BaseModelError
from dyod_studio.models.references import read_json

SHIPPED_DIR = Path(__file__).parents[2] / "assets" / "single_file"
MERGES_FILE = "merges.txt.gz"
START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 77
SD1_KEY = "cond_stage_model.transformer."
SD2_KEY = "cond_stage_model.model."
UNET_KEY, VAE_KEY = "model.diffusion_model.", "first_stage_model."
XL_KEY = "conditioner.embedders."
UNET_INPUT_KEY = "model.diffusion_model.input_blocks.0.0.weight"
LATENT_CHANNELS = 4
PREDICTION_OF_NAME = {"epsilon": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction"}
SD2_EPSILON_SIZE = 64
"""Latent cells a side of Stable Diffusion 2.x without v-prediction, which was made at 512 px."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a safetensors file."""

    family: str
    metadata: dict[str, str]


def load_single_file(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return a StableDiffusionPipeline in float32 on the CPU, and its scheduler's configuration.

    Raises:
        BaseModelError: the file is damaged, or no Stable Diffusion 1.x or 2.x.
    """
    from diffusers import StableDiffusionPipeline  # slow to import, and folders do without

    header = read_header(path)
    shipped = SHIPPED_DIR / header.family
    own = path.with_suffix("")
    config_dir = own if (own / "unet" / "config.json").is_file() else shipped
    pipeline = StableDiffusionPipeline.from_single_file(
        str(path),
        config=str(config_dir),
        tokenizer=_tokenizer(config_dir, header.family),
        local_files_only=True,
        dtype=torch.float32,
    )
    scheduler = read_json(config_dir / "scheduler" / "scheduler_config.json")
    if config_dir == shipped:
        scheduler["prediction_type"] = _prediction_type(path, header, pipeline.unet)
        if header.family == "sd2" and scheduler["prediction_type"] == "epsilon":
            pipeline.unet.register_to_config(sample_size=SD2_EPSILON_SIZE)
    return pipeline, scheduler


def read_header(path: Path) -> Header:
    """Return which Stable Diffusion the file holds.

    Raises:
        BaseModelError: it is damaged, or neither 1.x nor 2.x.
    """
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            metadata = file.metadata() or {}
            has_input = UNET_INPUT_KEY in keys
            channels = file.get_slice(UNET_INPUT_KEY).get_shape()[1] if has_input else 0
    except (SafetensorError, OSError) as exc:
        raise BaseModelError(f"{path.name!r} is no whole safetensors file: {exc}.") from exc

    def has(start: str) -> bool:
        return any(key.startswith(start) for key in keys)

    if channels != LATENT_CHANNELS or not has(VAE_KEY) or has(XL_KEY):
        raise BaseModelError(
            f"{path.name!r} is not a whole Stable Diffusion 1.x or 2.x text-to-image model in the "
            "original layout (text encoder, U-Net and autoencoder in one file)."
        )
    for start, family in ((SD1_KEY, "sd1"), (SD2_KEY, "sd2")):
        if has(start):
            return Header(family, metadata)
    raise BaseModelError(f"{path.name!r} holds no text encoder of Stable Diffusion 1.x or 2.x.")


def clip_tokenizer(pad_token: str = END) -> CLIPTokenizer:
    """Return CLIP's own tokenizer: 49,408 tokens, byte-level pairs, 77 positions."""
    with gzip.open(SHIPPED_DIR / MERGES_FILE, "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file]
    letters = _byte_letters()
    joined = ("".join(pair) for pair in merges)
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *joined, START, END]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(
        vocab=vocabulary, merges=merges, pad_token=pad_token, model_max_length=MAX_LENGTH
    )


def predicts_noise(unet: UNet2DConditionModel) -> bool:
    """Whether a U-Net predicts noise and not v, told from what it does.

    At the last timestep the latents are all but pure noise, so a network that predicts noise hands
    its input back; one that predicts v, which is then minus the clean latents, does not.
    """
    config = unet.config
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, config.in_channels, 16, 16, generator=generator)
    conditioning = torch.zeros(1, MAX_LENGTH, config.cross_attention_dim)
    with torch.no_grad():
        output = unet(noise, 999, encoder_hidden_states=conditioning).sample
    return functional.cosine_similarity(output.flatten(), noise.flatten(), dim=0).item() > 0.5


def _prediction_type(path: Path, header: Header, unet: UNet2DConditionModel) -> str:
    """Prediction type named by the file or a .yaml beside it; an unnamed 2.x is tried."""
    stated = header.metadata.get("modelspec.prediction_type", "")
    if stated in PREDICTION_OF_NAME:
        return PREDICTION_OF_NAME[stated]
    beside = path.with_suffix(".yaml")
    if beside.is_file():
        text = beside.read_text(encoding="utf-8", errors="replace")
        return "v_prediction" if re.search(r"parameterization:\s*[\"']?v\b", text) else "epsilon"
    if header.family == "sd1" or predicts_noise(unet):
        return "epsilon"
    return "v_prediction"


def _tokenizer(config_dir: Path, family: str) -> CLIPTokenizer:
    own = config_dir / "tokenizer"
    if own.is_dir():
        return CLIPTokenizer.from_pretrained(own, local_files_only=True)
    return clip_tokenizer(pad_token="!" if family == "sd2" else END)


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + index for index in range(256 - len(printable))]
    return [chr(code) for code in printable + others]
