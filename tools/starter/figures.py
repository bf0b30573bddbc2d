"""What the finished model can do, in numbers.

Shapes: B pictures, S pixels a side, D the shared width of CLIP.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from dyod_studio.evaluation.distances import kid
from tools.starter.corpus import Sheet
from tools.starter.judge import STEPS, Judge, generate, icon_image, prompt_of
from tools.starter.pictures import Icon

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Icons:
    """The real icons that a model is judged on."""

    held_out: Sequence[Icon]
    """Of the held-out (style, name) pairs."""
    other_styles: Sequence[Icon]
    """One icon in another style for each of ``held_out``, in its order."""
    seen: Sequence[Icon]
    """As many of each style, all trained on."""
    all_seen: Sequence[Icon]
    """Every icon that was trained on."""
    unseen_style: Sequence[Icon]


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


def measure_model(judge: Judge, icons: Icons, steps: int = STEPS) -> Figures:
    """All figures of the card that come from the finished model."""
    pipeline = judge.pipeline
    found: Figures = {
        "num_held_out": len(icons.held_out),
        "num_seen": len(icons.seen),
        "num_unseen_style": len(icons.unseen_style),
        "num_inference_steps": steps,
        "psnr_held_out_db": reconstruction_psnr(pipeline, icons.held_out),
        "psnr_openmoji_db": reconstruction_psnr(pipeline, icons.unseen_style),
        "unet_call_s": unet_call_s(pipeline),
    }
    found |= _text_retrieval(judge, "held_out", icons.held_out, _made(judge, icons.held_out, steps))
    made = _made(judge, icons.seen, steps)
    found |= _text_retrieval(judge, "seen", icons.seen, made)
    found |= _image_retrieval(judge, icons)
    found |= _kid_per_style(judge, icons, made)
    return {name: round(value, 4) for name, value in found.items()}


def pick_icons(icons: Sequence[Icon], count: int, seed: int = 3) -> list[Icon]:
    """The same random choice every time, no name twice."""
    order = torch.randperm(len(icons), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen: dict[str, Icon] = {}
    for k in order:
        sheet: Sheet = icons[k][0]
        chosen.setdefault(sheet.names[icons[k][1]], icons[k])
    return list(chosen.values())[:count]


def pick_per_style(icons: Sequence[Icon], count: int) -> list[Icon]:
    """``count`` of each style."""
    styles = dict.fromkeys(sheet.pack.key for sheet, _ in icons)
    return [
        icon
        for style in styles
        for icon in pick_icons([icon for icon in icons if icon[0].pack.key == style], count)
    ]


def in_other_styles(icons: Sequence[Icon], among: Sequence[Icon]) -> list[Icon]:
    """For each icon the first of ``among`` with its name and another style."""
    return [
        next(
            (other, k)
            for other, k in among
            if other.names[k] == sheet.names[i] and other.pack.key != sheet.pack.key
        )
        for sheet, i in icons
    ]


def _made(judge: Judge, icons: Sequence[Icon], steps: int) -> Tensor:
    prompts = [prompt_of(icon) for icon in icons]
    return judge.embed_images(generate(judge.pipeline, prompts, range(len(prompts)), steps))


def _real(judge: Judge, icons: Sequence[Icon]) -> Tensor:
    return judge.embed_images([icon_image(icon) for icon in icons])


def _text_retrieval(judge: Judge, label: str, icons: Sequence[Icon], made: Tensor) -> Figures:
    texts = judge.embed_texts([prompt_of(icon) for icon in icons])
    return {
        f"{kind}_{label}_top{place}": retrieval(images, texts, place)
        for kind, images in (("real", _real(judge, icons)), ("generated", made))
        for place in (1, 5)
    }


def _image_retrieval(judge: Judge, icons: Icons) -> Figures:
    """Whether an unseen icon's nearest icons of other styles include the one of its own name."""
    queries, gallery = _real(judge, icons.held_out), _real(judge, icons.other_styles)
    return {f"image_to_image_top{place}": retrieval(queries, gallery, place) for place in (1, 5)}


def _kid_per_style(judge: Judge, icons: Icons, made: Tensor) -> Figures:
    """KID x100 from a style's other real icons to its pictures, and to real icons of each kind.

    The icons that the pictures were asked for are left out of what they are measured against:
    pictures of the same names would seem nearer than chance.
    """
    found: Figures = {}
    real = _real(judge, icons.seen)
    for style in dict.fromkeys(sheet.pack.style for sheet, _ in icons.seen):
        rows = [k for k, (sheet, _) in enumerate(icons.seen) if sheet.pack.style == style]
        asked = {icons.seen[k][1] for k in rows}
        rest = [
            (sheet, i)
            for sheet, i in icons.all_seen
            if sheet.pack.style == style and i not in asked
        ]
        if min(len(rest), len(rows)) < 2:
            continue
        others = [k for k in range(len(icons.seen)) if k not in rows]
        against = _whole(_real(judge, rest))
        for label, features in (("", made[rows]), (" real", real[rows]), (" other", real[others])):
            found[f"kid_{style}{label}"] = kid(_whole(features), against).mean
    return found


def _whole(unit_vectors: Tensor) -> Tensor:
    """Unit vectors scaled to the usual size of features, one a coordinate."""
    return unit_vectors * unit_vectors.shape[1] ** 0.5
