"""Attention-NonLinear modules after every residual block of a frozen U-Net: h <- h + ANL(h, c).

Sec. 3.2 of "Transferring pretrained diffusion probabilistic models". c is the CLIP embedding of a
picture, as one token. Beside it stands a second token, learned, that means nothing: over a single
token every softmax is 1, whatever W_Q and W_K are. A cell of the picture can thus heed the
condition or not, and without a condition nothing is all that is heard. Unconditional modules
attend to h itself and need no CLIP (sec. 3.3).

Shapes: B pictures, C x h x w latents, N tokens of P numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from dyod_studio.diffusion.sampling import ConditionedPredictor
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment, Hook, changed_outputs
from dyod_studio.models.base import BaseModel
from dyod_studio.models.clip import Clip, condition_embeddings, open_clip

HEADS = (8, 4, 2, 1)
"""As many heads as divide the width; Stable Diffusion has 8."""


@dataclass(frozen=True, slots=True)
class AnlShape:
    """How large the modules are.

    Args:
        condition_width: P of the CLIP that conditions them; 0 for self-attention.
        rank: inner width of f; 0 for the channels of the block, as in the paper.
        width: d_k of the attention; 0 for the channels of the block.
    """

    condition_width: int = 0
    rank: int = 0
    width: int = 0


class AnlBlock(nn.Module):
    """The module behind one residual block."""

    def __init__(self, channels: int, shape: AnlShape) -> None:
        super().__init__()
        width, inner = shape.width or channels, shape.rank or channels
        attended = shape.condition_width or channels
        self.num_heads = next(count for count in HEADS if width % count == 0)
        self.to_q = nn.Linear(channels, width, bias=False)
        self.to_k = nn.Linear(attended, width, bias=False)
        self.to_v = nn.Linear(attended, width, bias=False)
        last = nn.Linear(inner, channels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mapping = nn.Sequential(nn.Linear(width, inner), nn.SiLU(), last)

    def forward(self, hidden: Tensor, tokens: Tensor | None) -> Tensor:
        """Addend to ``hidden``, (B, C, H, W), conditioned on ``tokens``, (B, N, P).

        The cells are normalised first, as they are for the base's own attention.
        """
        cells = hidden.float().flatten(2).transpose(1, 2)
        cells = functional.layer_norm(cells, cells.shape[-1:])
        attended = cells if tokens is None else tokens
        query, key, value = (
            layer(source).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, source in ((self.to_q, cells), (self.to_k, attended), (self.to_v, attended))
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        change = self.mapping(attended.transpose(1, 2).flatten(2))
        return change.transpose(1, 2).reshape(hidden.shape).to(hidden.dtype)


class AnlAdapter(nn.Module):
    """The modules of a whole U-Net in float32, and the condition that they hear at the moment."""

    def __init__(self, unet: Any, shape: AnlShape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.blocks = nn.ModuleDict(
                {
                    _key(name): AnlBlock(block.out_channels, shape)
                    for name, block in residual_blocks(unet).items()
                }
            )
        self._condition: Tensor | None = None
        self.nothing: nn.Parameter | None = None
        if shape.condition_width:
            self.nothing = nn.Parameter(torch.zeros(shape.condition_width))

    @property
    def num_parameters(self) -> int:
        """All of them are trained."""
        return sum(parameter.numel() for parameter in self.parameters())

    def condition_on(self, embeddings: Tensor | None, is_given: Tensor | None = None) -> None:
        """Condition what the U-Net does from now on; without ``embeddings`` on nothing.

        Args:
            embeddings: (B, P) unit vectors, one for each picture of the next batch.
            is_given: (B,) whether a picture hears its embedding; None for all.

        Raises:
            InvalidInputError: the embeddings are of another CLIP, or none are heard here.
        """
        if self.nothing is None:
            if embeddings is not None:
                raise InvalidInputError(
                    "This ANL was trained without a condition: leave pictures and texts out."
                )
            return
        tokens = self.nothing.expand(1, 2, -1)
        if embeddings is not None:
            self._check_width(embeddings)
            condition = embeddings.to(self.nothing) * embeddings.shape[-1] ** 0.5
            if is_given is not None:
                is_given = is_given.to(condition.device).unsqueeze(-1)
                condition = torch.where(is_given, condition, self.nothing)
            tokens = torch.stack([condition, self.nothing.expand_as(condition)], dim=1)
        self._condition = tokens

    def hook(self, name: str, strength: float) -> Hook:
        """A forward hook for the residual block of that name."""
        block = self.blocks[_key(name)]

        def add(module: nn.Module, inputs: tuple[Any, ...], hidden: Tensor) -> Tensor:
            tokens = self._condition
            if tokens is not None:
                tokens = tokens.expand(len(hidden), -1, -1)
            return hidden + strength * block(hidden, tokens)

        return add

    def _check_width(self, embeddings: Tensor) -> None:
        if embeddings.shape[-1] != self.shape.condition_width:
            raise InvalidInputError(
                f"This ANL hears embeddings of width {self.shape.condition_width}, the CLIP gives "
                f"{embeddings.shape[-1]}: use the CLIP that it was trained with."
            )


@contextmanager
def with_anl(base: BaseModel, adapter: AnlAdapter, strength: float = 1.0) -> Iterator[BaseModel]:
    """The base model with the modules behind its residual blocks for as long as the block lasts.

    Nothing of the base is copied or replaced; the modules begin with no condition.

    Args:
        strength: share of what they add, in [0, 1]; 0 is the base model itself.

    Raises:
        InvalidInputError: the strength is out of range.
    """
    adapter.to(base.device)
    adapter.condition_on(None)
    with changed_outputs(residual_blocks(base.unet), adapter.hook, strength):
        yield base


def conditioned(
    predict: ConditionedPredictor, adapter: AnlAdapter, embeddings: Tensor
) -> ConditionedPredictor:
    """eps_theta(z_t, t, c) of eq. (7): ``predict`` in which the last pictures hear ``embeddings``.

    Pictures in front of them hear nothing: :func:`guided` puts the unconditional half there.

    Args:
        embeddings: (B, P) of B pictures, guided or not.
    """

    def predict_noise(latents: Tensor, t: int, conditioning: Tensor) -> Tensor:
        num_without = len(latents) - len(embeddings)
        padded = functional.pad(embeddings, (0, 0, num_without, 0))
        adapter.condition_on(padded, torch.arange(len(latents)) >= num_without)
        return predict(latents, t, conditioning)

    return predict_noise


def load_anl(artifact: Artifact, base: BaseModel) -> AnlAdapter:
    """The modules that an artifact of the kind ``anl`` holds.

    Raises:
        InvalidInputError: they were made for another base model.
    """
    if artifact.base_fingerprint != base.fingerprint:
        raise InvalidInputError(
            f"The anl was trained on {artifact.base_ref}, this base model is another one."
        )
    nothing = artifact.tensors.get("nothing")
    shape = AnlShape(
        condition_width=0 if nothing is None else len(nothing),
        rank=int(artifact.config["rank"]),
        width=int(artifact.config["width"]),
    )
    adapter = AnlAdapter(base.unet, shape)
    adapter.load_state_dict(dict(artifact.tensors))
    return adapter.requires_grad_(False)


@torch.no_grad()
def start_from_base(adapter: AnlAdapter, unet: Any) -> int:
    """Copy W_Q, W_K, W_V from the base's attention behind a block, where the shapes are the same.

    Modules that hear a CLIP take them from the cross-attention, others from the self-attention.
    Returns how many matrices were copied.
    """
    kind = "attn2" if adapter.shape.condition_width else "attn1"
    modules = dict(unet.named_modules())
    copied = 0
    for name in residual_blocks(unet):
        source = modules.get(f"{name.replace('resnets', 'attentions')}.transformer_blocks.0.{kind}")
        for layer in ("to_q", "to_k", "to_v") if source is not None else ():
            weight = getattr(adapter.blocks[_key(name)], layer).weight
            theirs = getattr(source, layer).weight
            if theirs.shape == weight.shape:
                weight.copy_(theirs)
                copied += 1
    return copied


def residual_blocks(unet: Any) -> Mapping[str, ResnetBlock2D]:
    """Every residual block of a U-Net by its path, in the order of the U-Net's own modules."""
    return {
        name: module for name, module in unet.named_modules() if isinstance(module, ResnetBlock2D)
    }


def _key(name: str) -> str:
    return name.replace(".", "_")


@dataclass(frozen=True, slots=True)
class Condition:
    """Pictures and texts to draw after; seed number i takes picture i and text i, beginning anew.

    Args:
        mask_rate: how freely a picture is read: side ratio of what is blanked in it, in [0, 1).
        text_weight: share of the text where there are pictures as well, in [0, 1].
    """

    images: Sequence[Image.Image] = ()
    texts: Sequence[str] = ()
    mask_rate: float = 0.0
    text_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class AnlConditioner:
    """Modules that are attached to a base.

    Args:
        open_clip: loads the CLIP that they were trained with; only conditions need it.
    """

    adapter: AnlAdapter
    open_clip: Callable[[], Clip]

    def predictors(
        self, predict: ConditionedPredictor, seeds: Sequence[int], condition: Condition | None
    ) -> Callable[[slice], ConditionedPredictor]:
        """``predict`` for any chunk of the seeds, each hearing its own condition.

        Raises:
            InvalidInputError: the condition is empty or out of range, or none is heard here.
        """
        if condition is None:
            self.adapter.condition_on(None)
            return lambda chunk: predict
        if self.adapter.nothing is None:
            raise InvalidInputError(
                "This ANL was trained without a condition: leave pictures and texts out."
            )
        embeddings = condition_embeddings(
            self.open_clip(),
            seeds,
            images=condition.images,
            texts=condition.texts,
            mask_rate=condition.mask_rate,
            text_weight=condition.text_weight,
        )
        return lambda chunk: conditioned(predict, self.adapter, embeddings[chunk])


def attach_anl(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Put the modules that the part holds behind the residual blocks; they hear nothing yet."""
    (part,) = parts
    clip = part.config["clip"], part.facts.get("clip_fingerprint")
    conditioner = AnlConditioner(
        load_anl(part, attachment.base), partial(open_clip, attachment.plain, *clip)
    )
    attachment.stack.enter_context(
        with_anl(attachment.base, conditioner.adapter, attachment.strength)
    )
    attachment.conditioner = conditioner
