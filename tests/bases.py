"""Tiny base models with the real structure and random weights, saved in diffusers layout.

Each builder writes one folder that ``StableDiffusionPipeline.from_pretrained`` loads, always with
the same weights for the same seed. A U-Net forward takes a few milliseconds.
"""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

TEXT = (
    "a an the of in on and with photo picture image rendering drawing painting icon style good bad "
    "small large clean dark bright cropped close up my one nice cool weird depiction shoe toy head "
    "cat dog heart face apple house red blue green yellow white black object thing person plain "
    "background emoji animal flower car hand star round square"
)
WORDS = TEXT.split()
"""Each is one token of the tiny tokenizer; any other text falls into shorter pieces."""

SD_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
PLAIN_DOWN, PLAIN_UP = "DownBlock2D", "UpBlock2D"


def sd15_shaped(folder: Path, *, seed: int = 0, layers_per_block: int = 2) -> Path:
    """Write a base built like Stable Diffusion 1.5: 64 px, f = 8, epsilon prediction.

    Args:
        layers_per_block: 2 as in the original; with 1 its networks take about half the time.
    """
    return _save(
        folder,
        seed=seed,
        tokenizer_files=write_tokenizer(folder / "tokenizer", pad_token="<|endoftext|>"),
        text={"hidden_act": "quick_gelu", "num_hidden_layers": 2},
        unet={
            "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, PLAIN_DOWN),
            "up_block_types": (PLAIN_UP, CROSS_UP, CROSS_UP, CROSS_UP),
            "block_out_channels": (16, 32, 32, 32),
            "layers_per_block": layers_per_block,
            "attention_head_dim": 4,
        },
        vae={"block_out_channels": (8, 8, 16, 16), "layers_per_block": layers_per_block},
        prediction_type="epsilon",
    )


def sd21_shaped(folder: Path, *, seed: int = 0) -> Path:
    """Write a base built like Stable Diffusion 2.1: v-prediction, OpenCLIP's penultimate layer.

    As in the original, the text encoder simply leaves its last layer out, uses exact GELU and pads
    with "!"; the U-Net projects linearly and counts its heads level by level.
    """
    return _save(
        folder,
        seed=seed,
        tokenizer_files=write_tokenizer(folder / "tokenizer", pad_token="!"),
        text={"hidden_act": "gelu", "num_hidden_layers": 3},
        unet={
            "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, PLAIN_DOWN),
            "up_block_types": (PLAIN_UP, CROSS_UP, CROSS_UP, CROSS_UP),
            "block_out_channels": (16, 32, 32, 32),
            "layers_per_block": 2,
            "attention_head_dim": (2, 4, 4, 4),
            "use_linear_projection": True,
        },
        vae={"block_out_channels": (8, 8, 16, 16), "layers_per_block": 2},
        prediction_type="v_prediction",
    )


def starter_shaped(folder: Path, *, seed: int = 0) -> Path:
    """Write a base built like the starter: 32 px, f = 4, three levels, a CLIP of 16 numbers."""
    _write_shared_space(folder, seed, text_width=24, shared_width=16)
    return _save(
        folder,
        seed=seed,
        tokenizer_files=write_tokenizer(folder / "tokenizer", pad_token="<|endoftext|>"),
        text={"hidden_act": "quick_gelu", "num_hidden_layers": 2, "projection_dim": 16},
        unet={
            "down_block_types": (PLAIN_DOWN, CROSS_DOWN, CROSS_DOWN),
            "up_block_types": (CROSS_UP, CROSS_UP, PLAIN_UP),
            "block_out_channels": (16, 32, 32),
            "layers_per_block": 1,
            "attention_head_dim": 4,
        },
        vae={"block_out_channels": (8, 16, 16), "layers_per_block": 1, "scaling_factor": 1.0},
        prediction_type="v_prediction",
        has_image_encoder=True,
    )


def _write_shared_space(folder: Path, seed: int, *, text_width: int, shared_width: int) -> None:
    """What joins texts and pictures: the text projection and how pixels are normalised."""
    generator = torch.Generator().manual_seed(seed)
    projection = torch.randn(shared_width, text_width, generator=generator)
    (folder / "feature_extractor").mkdir(parents=True)
    save_file({"text_projection.weight": projection}, folder / "text_projection.safetensors")
    statistics = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    path = folder / "feature_extractor" / "preprocessor_config.json"
    path.write_text(json.dumps(statistics), encoding="utf-8")


def write_tokenizer(folder: Path, *, pad_token: str, words: Sequence[str] = WORDS) -> Path:
    """Write vocab.json, merges.txt and their configuration: byte-level CLIP BPE."""
    vocabulary, merges = byte_level_bpe(words)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad_token,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def byte_level_bpe(words: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return a vocabulary in CLIP's order (bytes, bytes</w>, merges, specials) and its merges."""
    letters = list(_byte_letters())
    merges = _learn_merges([[*word[:-1], word[-1] + "</w>"] for word in words])
    joined = dict.fromkeys("".join(pair) for pair in merges)
    specials = ["<|startoftext|>", "<|endoftext|>"]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *joined, *specials]
    return {token: index for index, token in enumerate(tokens)}, merges


def _learn_merges(words: list[list[str]]) -> list[tuple[str, str]]:
    """Join the most frequent pair, the alphabetically first of equals, until words are whole."""
    merges = []
    while counts := Counter(pair for pieces in words for pair in pairwise(pieces)):
        left, right = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append((left, right))
        words = [_join_pair(pieces, left, right) for pieces in words]
    return merges


def _join_pair(pieces: list[str], left: str, right: str) -> list[str]:
    joined: list[str] = []
    for piece in pieces:
        if piece == right and joined and joined[-1] == left:
            joined[-1] = left + right
        else:
            joined.append(piece)
    return joined


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte in CLIP's byte-level BPE."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + index for index in range(256 - len(printable))]
    return [chr(code) for code in printable + others]


def _save(
    folder: Path,
    *,
    seed: int,
    tokenizer_files: Path,
    text: dict[str, Any],
    unet: dict[str, Any],
    vae: dict[str, Any],
    prediction_type: str,
    has_image_encoder: bool = False,
) -> Path:
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_files)
    num_levels = len(vae["block_out_channels"])
    latent_size = 8
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            tokenizer=tokenizer,
            text_encoder=CLIPTextModel(_text_config(tokenizer, text)).eval(),
            unet=UNet2DConditionModel(
                sample_size=latent_size, cross_attention_dim=24, norm_num_groups=8, **unet
            ).eval(),
            vae=AutoencoderKL(
                sample_size=latent_size * 2 ** (num_levels - 1),
                down_block_types=("DownEncoderBlock2D",) * num_levels,
                up_block_types=("UpDecoderBlock2D",) * num_levels,
                latent_channels=4,
                norm_num_groups=4,
                **vae,
            ).eval(),
            scheduler=DDIMScheduler(**SD_SCHEDULE, prediction_type=prediction_type),
            safety_checker=None,
            feature_extractor=None,
            image_encoder=_image_encoder(num_px=32) if has_image_encoder else None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _text_config(tokenizer: CLIPTokenizer, values: dict[str, Any]) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=48,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **{"projection_dim": 24, **values},
    )


def _image_encoder(num_px: int) -> CLIPVisionModelWithProjection:
    config = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=48,
        projection_dim=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=num_px,
        patch_size=8,
    )
    return CLIPVisionModelWithProjection(config).eval()
