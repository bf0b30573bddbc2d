"""The small CLIP: a text and an image encoder that share a space.

Shapes: B pairs, L tokens, D the shared width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from tools.starter.loop import Schedule, Stage, autocast, fingerprint
from tools.starter.pictures import Row
from tools.starter.render import Pixels
from tools.starter.tokenizer import MAX_TOKENS

IMAGE_PX = 64
OUTLINE_SPREAD = 0.3
"""Change of brightness, of 2, between neighbours that counts as an edge."""


@dataclass(frozen=True, slots=True)
class ClipSize:
    """Widths and depths."""

    width: int = 160
    text_layers: int = 3
    image_layers: int = 4
    heads: int = 5
    projection: int = 128
    patch: int = 8


class SmallClip(nn.Module):
    """Both encoders and the temperature of arXiv:2103.00020."""

    def __init__(self, size: ClipSize, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        common = {
            "hidden_size": size.width,
            "intermediate_size": 4 * size.width,
            "num_attention_heads": size.heads,
            "projection_dim": size.projection,
        }
        self.text = CLIPTextModelWithProjection(
            CLIPTextConfig(
                **common, num_hidden_layers=size.text_layers, vocab_size=len(tokenizer),
                max_position_embeddings=MAX_TOKENS, bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            )
        )  # fmt: skip
        self.image = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                **common, num_hidden_layers=size.image_layers, image_size=IMAGE_PX,
                patch_size=size.patch,
            )
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(2.65))

    def embed_texts(self, ids: Tensor) -> Tensor:
        """(B, L) token ids to (B, D) unit vectors."""
        return F.normalize(self.text(ids).text_embeds.float(), dim=-1)

    def embed_images(self, images: Tensor) -> Tensor:
        """(B, 3, 64, 64) in [-1, 1] to (B, D) unit vectors."""
        return F.normalize(self.image(images).image_embeds.float(), dim=-1)


def contrastive_loss(image: Tensor, text: Tensor, log_scale: Tensor, is_same: Tensor) -> Tensor:
    """Symmetric InfoNCE; pairs that are the same thing are no negatives.

    Args:
        is_same: (B, B), true where text j also describes picture i; the diagonal is ignored.
    """
    logits = log_scale.clamp(max=4.6).exp() * image @ text.T
    eye = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(is_same & ~eye, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def tokenize(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """(B, 40) padded token ids."""
    ids: Tensor = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=MAX_TOKENS,
        return_tensors="pt",
    ).input_ids  # fmt: skip
    return ids


def shrink_images(images: Pixels, size_px: int = IMAGE_PX, chunk: int = 512) -> Tensor:
    """(N, S, S, 3) bytes to (N, 3, 64, 64) bytes."""
    parts = []
    for start in range(0, len(images), chunk):
        part = torch.from_numpy(images[start : start + chunk].copy()).permute(0, 3, 1, 2)
        small = F.interpolate(part.float(), (size_px, size_px), mode="area")
        parts.append(small.round().byte())
    return torch.cat(parts)


def train_clip(
    model: SmallClip,
    tokenizer: CLIPTokenizer,
    rows: Sequence[Row],
    images: Pixels,
    schedule: Schedule,
    work_dir: Path,
    device: torch.device,
    *,
    is_image_side: bool = False,
) -> SmallClip:
    """Train both encoders on the pictures and their captions.

    Args:
        is_image_side: go on with the image encoder and both projections alone, after
            arXiv:2111.07991: what the denoiser reads of a text stays as it is. Some pictures then
            get dark outlines, a style that no pack of the corpus has.
    """
    stands_on = ""
    if is_image_side:
        model.text.requires_grad_(False)
        model.text.text_projection.requires_grad_(True)
        stands_on = fingerprint(model.text.text_model)
    model = model.to(device).train()
    small = shrink_images(images).to(device)
    draw = _batches(tokenizer, rows, small, schedule.batch_size, device, is_image_side)

    def loss_of(copy: nn.Module, step: int) -> Tensor:
        clip = cast(SmallClip, copy)
        image, ids, is_same = draw(step)
        with autocast(device):
            image_embeds, text_embeds = clip.embed_images(image), clip.embed_texts(ids)
        return contrastive_loss(image_embeds, text_embeds, clip.log_scale, is_same)

    Stage(model, schedule, work_dir, stands_on).run(loss_of)
    return model.eval()


Batch = tuple[Tensor, Tensor, Tensor]


def _batches(
    tokenizer: CLIPTokenizer,
    rows: Sequence[Row],
    images: Tensor,
    batch_size: int,
    device: torch.device,
    is_outlined: bool,
) -> Callable[[int], Batch]:
    texts = [text for row in rows for text in row.captions]
    ids = tokenize(tokenizer, texts)
    longest = int((ids != tokenizer.eos_token_id).sum(1).max()) + 1
    ids = ids[:, :longest].to(device)
    counts = torch.tensor([len(row.captions) for row in rows])
    first = counts.cumsum(0) - counts
    names = {name: i for i, name in enumerate(dict.fromkeys(row.name for row in rows))}
    name_of = torch.tensor([names[row.name] for row in rows])
    says_style = torch.tensor(["style" in text for text in texts])
    weights = torch.tensor([row.weight for row in rows]).sqrt()

    def batch(step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        picked = torch.multinomial(weights, batch_size, generator=generator)
        said = first[picked] + (torch.rand(batch_size, generator=generator) * counts[picked]).long()
        is_same = (name_of[picked][:, None] == name_of[picked]) & ~says_style[said][None]
        image = images[picked.to(device)].float() / 127.5 - 1
        image = _blank_some(image, generator)
        if is_outlined:
            image[::3] = outlined(image[::3])
        return image, ids[said.to(device)], is_same.to(device)

    return batch


def outlined(images: Tensor) -> Tensor:
    """(B, 3, S, S) in [-1, 1] with a dark line wherever the brightness changes much."""
    grey = images.mean(1, keepdim=True)
    spread = F.max_pool2d(grey, 3, 1, 1) + F.max_pool2d(-grey, 3, 1, 1)
    return torch.where(spread > OUTLINE_SPREAD, -1.0, images)


def _blank_some(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift all, and blank a rectangle in a fifth: masked pictures must stay readable."""
    dy, dx = torch.randint(-3, 4, (2,), generator=generator).tolist()
    images = images.roll((dy, dx), (-2, -1))
    size = images.shape[-1]
    fifth = len(images) // 5
    side = int(torch.randint(size // 8, size // 2, (), generator=generator))
    top, left = torch.randint(0, size - side, (2,), generator=generator).tolist()
    images[:fifth, :, top : top + side, left : left + side] = 0
    return images
