"""A finished model opened to be judged: its pictures, and what its own CLIP sees in them.

Shapes: B pictures, S pixels a side, D the shared width of CLIP.
"""

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
