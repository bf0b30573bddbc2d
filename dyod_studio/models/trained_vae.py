"""The initial generator next to its base model: codes to latents, pictures to codes.

Shapes: B items, d coordinates of a code, C x h x w latents of the base model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate as resize

from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.initial_vae import InitialVae, VaeShape
from dyod_studio.models.pixels import fit, to_tensor


@dataclass(frozen=True, slots=True)
class TrainedVae:
    """The initial generator and the space it works in."""

    network: InitialVae
    space: Literal["latents", "pixels"]

    @torch.no_grad()
    def decode(self, codes: Tensor, base: BaseModel) -> Tensor:
        """x' of each code as latents of the base model: (B, d) -> (B, C, h, w)."""
        items = self.network.decode(codes.to(base.device))
        if self.space == "latents":
            return items
        size = (base.resolution, base.resolution)
        return base.encode_images(resize(items.clamp(-1, 1), size, mode="bicubic").clamp(-1, 1))

    @torch.no_grad()
    def encode(self, images: Sequence[Image.Image], base: BaseModel) -> Tensor:
        """Mean code of square pictures: -> (B, d) float32 on the CPU."""
        if self.space == "latents":
            items = base.encode_images(to_tensor([fit(image, base.resolution) for image in images]))
        else:
            side = self.network.shape.side
            items = to_tensor([fit(image, side) for image in images]).to(base.device)
        return self.network.encode(items).cpu()


def load_vae(artifact: Artifact, base: BaseModel) -> TrainedVae:
    """The generator that an artifact of kind ``vae`` holds, on the base model's device."""
    facts = artifact.facts
    shape = VaeShape(
        channels=facts["channels"],
        side=facts["side"],
        num_coordinates=artifact.config["num_coordinates"],
        widths=tuple(facts["widths"]),
    )
    network = InitialVae(shape)
    network.load_state_dict(dict(artifact.tensors))
    return TrainedVae(network.eval().to(base.device), artifact.config["space"])
