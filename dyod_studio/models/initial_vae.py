"""The initial generator p_theta: a small convolutional VAE of the user's set.

It works on the base model's latents or, as in the paper, on pixels; both are one interface:
``sample``, ``encode``, ``decode``. Shapes: B items of K channels and S x S cells, d coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.functional import interpolate as resize

from dyod_studio.diffusion.codes import spread_codes
from dyod_studio.diffusion.sampling import generators_of, randn_per_image
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment
from dyod_studio.models.base import BaseModel, fit, to_tensor
from dyod_studio.requests.sampling import Codes

CODES_PREFIX = "codes."
"""Begins the names of an artifact's tensors that tell where the codes of its set lie."""
CODES_TENSORS = ("weights", "means", "deviations", "posterior_means")
CODE_SALT = 0x5EED_C0DE
"""Keeps the code that a seed draws apart from the noise that it draws."""
PICTURE_SALT = 0x5EED_91C7
"""Keeps the picture that a seed's code lies near apart from both."""
NO_CODES = (
    "Where the codes of this set lie is not known, for the shape model holds none and the project "
    "has no pictures: train 'vae' again, or draw codes from the prior."
)


@dataclass(frozen=True, slots=True)
class VaeShape:
    """Shape of the network: input channels and side, code size d, width of each level."""

    channels: int
    side: int
    num_coordinates: int
    widths: tuple[int, ...]


class InitialVae(nn.Module):
    """VAE with strided convolutions (arXiv:1312.6114), every level halving the side.

    Items are standardised by the ``shift`` and ``scale`` of the training set, one per channel.
    """

    shift: Tensor
    scale: Tensor
    kl: Tensor

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.shape = shape
        side = shape.side // 2 ** len(shape.widths)
        features = shape.widths[-1] * side**2
        self.encoder = nn.Sequential(*_down_levels(shape.channels, shape.widths), nn.Flatten())
        self.to_code = nn.Linear(features, 2 * shape.num_coordinates)
        self.from_code = nn.Linear(shape.num_coordinates, features)
        self.unflatten = nn.Unflatten(1, (shape.widths[-1], side, side))
        self.decoder = nn.Sequential(*_up_levels(shape.widths, shape.channels))
        self.register_buffer("shift", torch.zeros(shape.channels, 1, 1))
        self.register_buffer("scale", torch.ones(shape.channels, 1, 1))
        self.register_buffer("kl", torch.zeros(shape.num_coordinates))

    def standardise(self, items: Tensor) -> Tensor:
        """(B, K, S, S) to zero mean and unit variance over the training set."""
        return (items - self.shift) / self.scale

    def posterior(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), both (B, d)."""
        mean, log_variance = self.to_code(self.encoder(self.standardise(items))).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 12)

    def encode(self, items: Tensor) -> Tensor:
        """The mean code of each item: (B, K, S, S) -> (B, d)."""
        return self.posterior(items)[0]

    def decode_standardised(self, codes: Tensor) -> Tensor:
        """(B, d) -> (B, K, S, S) in standardised units, as the loss compares them."""
        return self.decoder(self.unflatten(self.from_code(codes)))

    def decode(self, codes: Tensor) -> Tensor:
        """x' = p_theta(z), eq. (9) of DYOD: (B, d) -> (B, K, S, S)."""
        return self.decode_standardised(codes) * self.scale + self.shift


def _down_levels(channels: int, widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), _norm(width), nn.SiLU()]
        channels = width
    return layers


def _up_levels(widths: Sequence[int], channels: int) -> list[nn.Module]:
    outputs = [*reversed(widths[:-1]), widths[0]]
    layers: list[nn.Module] = []
    for width, output in zip(reversed(widths), outputs, strict=True):
        layers += [nn.ConvTranspose2d(width, output, 4, stride=2, padding=1)]
        layers += [_norm(output), nn.SiLU()]
    return [*layers, nn.Conv2d(widths[0], channels, 3, padding=1)]


def _norm(width: int) -> nn.Module:
    return nn.GroupNorm(min(8, width), width)


@dataclass(frozen=True, slots=True)
class SetCodes:
    """Where the codes of a set lie: a mixture of K diagonal Gaussians, and up to N codes of it.

    Ex-post density estimation, sec. 4 of arXiv:1903.12436.

    Args:
        weights: (K,) shares, which sum to 1. means, deviations: (K, d).
        posterior_means: (N, d), the mean code of each picture.
        captions: what each of these pictures shows, in words or empty; N, or none at all.
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor
    posterior_means: Tensor
    captions: tuple[str, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """The tensors under their names in an artifact."""
        return {f"{CODES_PREFIX}{name}": getattr(self, name) for name in CODES_TENSORS}

    @classmethod
    def find(cls, artifact: Artifact) -> "SetCodes | None":
        """The codes that an artifact holds; None when it was trained before they were kept."""
        stored = {name: artifact.tensors.get(f"{CODES_PREFIX}{name}") for name in CODES_TENSORS}
        found = {name: tensor for name, tensor in stored.items() if tensor is not None}
        if len(found) < len(CODES_TENSORS):
            return None
        return cls(**found, captions=tuple(artifact.facts.get("captions", ())))

    def pictures_near(self, seeds: Sequence[int]) -> list[int]:
        """The picture of the set that the code of each seed lies near."""
        generators = generators_of([seed ^ PICTURE_SALT for seed in seeds])
        number = len(self.posterior_means)
        return [int(torch.randint(number, (), generator=each)) for each in generators]


def draw_codes(
    seeds: Sequence[int], size: int, kind: Codes, novelty: float, known: SetCodes | None
) -> Tensor:
    """A code of each seed, (B, size): z ~ N(0, I), or what that z becomes among the set's codes.

    Args:
        kind: ``prior`` is z itself; ``set`` draws from the mixture; ``near`` is
            sqrt(1 - s^2) m + s z with the mean code m of one picture and ``novelty`` s.

    Raises:
        InvalidInputError: the codes of the set are not known.
    """
    generators = generators_of([seed ^ CODE_SALT for seed in seeds])
    drawn = randn_per_image(torch.empty(len(seeds), size), generators)
    if kind == "prior":
        return drawn
    if known is None:
        raise InvalidInputError(NO_CODES)
    if kind == "near":
        return spread_codes(known.posterior_means[known.pictures_near(seeds)], drawn, novelty)
    chosen = [int(torch.multinomial(known.weights, 1, generator=g)) for g in generators]
    return known.means[chosen] + known.deviations[chosen] * drawn


@dataclass(frozen=True, slots=True)
class TrainedVae:
    """The initial generator, the space it works in, and where the codes of its set lie."""

    network: InitialVae
    space: Literal["latents", "pixels"]
    codes: SetCodes | None = None

    def draw_near(
        self,
        references: Sequence[Image.Image],
        seeds: Sequence[int],
        novelty: float,
        base: BaseModel,
    ) -> Tensor:
        """A code near a reference for each seed, sqrt(1 - s^2) m + s z: (B, d).

        Seed number i lies near picture i, whose middle square is read, beginning anew.

        Raises:
            InvalidInputError: there is no reference.
        """
        if not references:
            raise InvalidInputError("Shapes near a reference need one: give a condition picture.")
        side = (base.resolution, base.resolution)
        means = self.encode([ImageOps.fit(i.convert("RGB"), side) for i in references], base)
        size = self.network.shape.num_coordinates
        drawn = draw_codes(seeds, size, "prior", novelty, None)
        return spread_codes(means[torch.arange(len(seeds)) % len(means)], drawn, novelty)

    @torch.no_grad()
    def decode(self, codes: Tensor, base: BaseModel) -> Tensor:
        """x' of each code as latents of the base model: (B, d) -> (B, C, h, w)."""
        return self.to_latents(self.network.decode(codes.to(base.device)), base)

    def to_latents(self, items: Tensor, base: BaseModel) -> Tensor:
        """Pictures in the space that it works in as latents of the base model: (B, C, h, w)."""
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


def attach_vae(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Let the reverse process start from the generator that the part holds."""
    (part,) = parts
    attachment.vae = load_vae(part, attachment.base)


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
    weights = {n: t for n, t in artifact.tensors.items() if not n.startswith(CODES_PREFIX)}
    network.load_state_dict(weights)
    codes = SetCodes.find(artifact)
    return TrainedVae(network.eval().to(base.device), artifact.config["space"], codes)
