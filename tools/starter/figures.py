"""What the finished model can do, in numbers and on one sheet.

Shapes: B pictures, S pixels a side, D the shared width of CLIP.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from tools.starter.captions import article, plain_names
from tools.starter.corpus import Sheet
from tools.starter.export import read_text_projection
from tools.starter.pictures import Icon, on_background

PROMPTS = (
    "red apple",
    "a cat",
    "sailboat",
    "house",
    "running shoe",
    "green car",
    "slice of pizza",
    "tree",
    "smiling face with sunglasses",
    "blue heart",
    "teapot",
    "an apple on the left and an orange on the right",
)
"""The sheet; the rows are not chosen for how they come out."""
STEPS = 25
GUIDANCE = 4.0


@dataclass(frozen=True, slots=True)
class Judge:
    """The small CLIP of an exported model."""

    pipeline: StableDiffusionPipeline
    text_projection: Tensor

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """(B, D) unit vectors."""
        tokens = self.pipeline.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        )
        pooled = self.pipeline.text_encoder(tokens.input_ids).pooler_output
        return F.normalize(pooled @ self.text_projection.T, dim=-1)

    @torch.no_grad()
    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """(B, D) unit vectors."""
        pixels = self.pipeline.feature_extractor(list(images), return_tensors="pt").pixel_values
        return F.normalize(self.pipeline.image_encoder(pixels).image_embeds, dim=-1)


def open_judge(folder: Path) -> Judge:
    """Load an exported model in single precision."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, local_files_only=True, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    return Judge(pipeline, read_text_projection(folder))


def icon_image(icon: Icon) -> Image.Image:
    """The real icon on white."""
    sheet, i = icon
    return Image.fromarray(on_background(np.array(sheet.pixels[i])))


def prompt_of(icon: Icon) -> str:
    """The plainest caption that names thing and style."""
    sheet, i = icon
    words = plain_names(sheet.names[i])[0]
    return f"{article(words)} {words}, {sheet.pack.style}"


@torch.no_grad()
def reconstruction_psnr(pipeline: StableDiffusionPipeline, icons: Sequence[Icon]) -> float:
    """Mean PSNR in dB of the icons on white through the autoencoder."""
    values = []
    for start in range(0, len(icons), 16):
        arrays = [np.asarray(icon_image(icon)) for icon in icons[start : start + 16]]
        image = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = pipeline.vae.encode(image).latent_dist.mean
        difference = (pipeline.vae.decode(latents).sample.clamp(-1, 1) - image) / 2
        values.append(-10 * difference.square().mean((1, 2, 3)).log10())
    return float(torch.cat(values).mean())


def retrieval(images: Tensor, texts: Tensor, place: int) -> float:
    """Share of the images whose own text is among the ``place`` nearest of all the texts."""
    similarity = images @ texts.T
    own = similarity.diagonal()[:, None]
    return float(((similarity > own).sum(1) < place).float().mean())


@torch.no_grad()
def generate(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    steps: int = STEPS,
) -> list[Image.Image]:
    """One picture for each prompt and seed."""
    images: list[Image.Image] = []
    for start in range(0, len(prompts), 8):
        part = slice(start, start + 8)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
        images += pipeline(
            list(prompts[part]), num_inference_steps=steps, guidance_scale=GUIDANCE,
            generator=generators,
        ).images  # fmt: skip
    return images


def draw_sheet(
    pipeline: StableDiffusionPipeline, seeds: Sequence[int] = (0, 1, 2, 3), steps: int = STEPS
) -> Image.Image:
    """The prompts in reading order, their seeds side by side, three prompts a row."""
    prompts = [prompt for prompt in PROMPTS for _ in seeds]
    images = generate(pipeline, prompts, list(seeds) * len(PROMPTS), steps)
    side = images[0].width
    columns = 3 * len(seeds)
    sheet = Image.new("RGB", (columns * side, -(-len(images) // columns) * side), "white")
    for k, image in enumerate(images):
        sheet.paste(image, (k % columns * side, k // columns * side))
    return sheet


@torch.no_grad()
def unet_call_s(pipeline: StableDiffusionPipeline, repeats: int = 20) -> float:
    """Median seconds of one denoiser call at batch 1, in single precision."""
    unet = pipeline.unet
    side = unet.config.sample_size
    latents = torch.zeros(1, 4, side, side)
    length, width = pipeline.tokenizer.model_max_length, unet.config.cross_attention_dim
    conditioning = torch.zeros(1, length, width)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        unet(latents, 500, conditioning)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[repeats // 2]


def measure_model(
    judge: Judge,
    held_out: Sequence[Icon],
    seen: Sequence[Icon],
    unseen_style: Sequence[Icon],
    steps: int = STEPS,
) -> dict[str, float]:
    """All figures of the card that come from the finished model."""
    pipeline = judge.pipeline
    found: dict[str, float] = {
        "num_icons": len(held_out),
        "num_inference_steps": steps,
        "psnr_held_out_db": reconstruction_psnr(pipeline, held_out),
        "psnr_openmoji_db": reconstruction_psnr(pipeline, unseen_style),
        "unet_call_s": unet_call_s(pipeline),
    }
    for label, icons in (("held_out", held_out), ("seen", seen)):
        prompts = [prompt_of(icon) for icon in icons]
        texts = judge.embed_texts(prompts)
        real = judge.embed_images([icon_image(icon) for icon in icons])
        made = judge.embed_images(generate(pipeline, prompts, range(len(prompts)), steps))
        for kind, images in (("real", real), ("generated", made)):
            for place in (1, 5):
                found[f"{kind}_{label}_top{place}"] = retrieval(images, texts, place)
    return {name: round(value, 4) for name, value in found.items()}


def pick_icons(icons: Sequence[Icon], count: int, seed: int = 3) -> list[Icon]:
    """The same random choice every time, no name twice."""
    order = torch.randperm(len(icons), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen: dict[str, Icon] = {}
    for k in order:
        sheet: Sheet = icons[k][0]
        chosen.setdefault(sheet.names[icons[k][1]], icons[k])
    return list(chosen.values())[:count]
