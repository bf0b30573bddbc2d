"""Pictures to cached latents, and captions to cached text embeddings.

Shapes: N pictures, T distinct captions, L tokens, latents (N, C, h, w).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from tools.starter.clip import tokenize
from tools.starter.loop import autocast
from tools.starter.pictures import Row
from tools.starter.render import Pixels


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and deviation of each latent channel over the corpus, each (C,)."""

    mean: Tensor
    std: Tensor


@torch.no_grad()
def encode_pictures(
    autoencoder: AutoencoderKL, images: Pixels, device: torch.device, chunk: int = 64
) -> Tensor:
    """(N, S, S, 3) bytes to (N, C, h, w) latent means in half precision, on the CPU."""
    parts = []
    for start in range(0, len(images), chunk):
        part = torch.from_numpy(images[start : start + chunk].copy()).to(device)
        image = part.permute(0, 3, 1, 2).float() / 127.5 - 1
        with autocast(device):
            mean = autoencoder.encode(
                image.contiguous(memory_format=torch.channels_last)
            ).latent_dist.mean
        parts.append(mean.half().cpu().contiguous())
    return torch.cat(parts)


def measure(latents: Tensor) -> Moments:
    """Mean and deviation of each channel."""
    by_channel = latents.float().transpose(0, 1).flatten(1)
    return Moments(by_channel.mean(1), by_channel.std(1))


@torch.no_grad()
def fold_whitening(autoencoder: AutoencoderKL, moments: Moments) -> None:
    """Make the latents of ``autoencoder`` have mean 0 and deviation 1, exactly.

    The affine map goes into ``quant_conv`` (log variances shift by -2 log std) and its inverse into
    ``post_quant_conv``, so every picture decodes as before.
    """
    channels = len(moments.mean)
    device = autoencoder.quant_conv.weight.device
    mean, std = moments.mean.to(device), moments.std.to(device)
    weight, bias = autoencoder.quant_conv.weight, autoencoder.quant_conv.bias
    weight[:channels] /= std.view(-1, 1, 1, 1)
    bias[:channels] = (bias[:channels] - mean) / std
    bias[channels:] -= 2 * std.log()
    weight, bias = autoencoder.post_quant_conv.weight, autoencoder.post_quant_conv.bias
    bias += weight.flatten(1) @ mean
    weight *= std.view(1, -1, 1, 1)


@torch.no_grad()
def encode_texts(
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    texts: Sequence[str],
    device: torch.device,
    chunk: int = 256,
) -> Tensor:
    """(T, L, D) hidden states of the texts, in half precision, on the CPU."""
    parts = []
    for start in range(0, len(texts), chunk):
        ids = tokenize(tokenizer, texts[start : start + chunk]).to(device)
        with autocast(device):
            parts.append(encoder(ids).last_hidden_state.half().cpu())
    return torch.cat(parts)


@dataclass(frozen=True, slots=True)
class TextTable:
    """Every caption once, and which of them belong to which picture."""

    texts: Sequence[str]
    """The empty caption first."""
    caption_rows: Tensor
    """Rows of ``texts``, picture after picture."""
    first: Tensor
    """(N,): where a picture's captions begin in ``caption_rows``."""
    count: Tensor
    """(N,): how many captions a picture has."""


def tabulate(rows: Sequence[Row]) -> TextTable:
    """Number the distinct captions."""
    texts = list(dict.fromkeys(["", *(text for row in rows for text in row.captions)]))
    number = {text: i for i, text in enumerate(texts)}
    flat = torch.tensor([number[text] for row in rows for text in row.captions])
    count = torch.tensor([len(row.captions) for row in rows])
    return TextTable(texts, flat, count.cumsum(0) - count, count)
