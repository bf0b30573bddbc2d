"""The initial VAE: a small generator of the set that the reverse process starts from.

DYOD, sec. 3.2, eq. (9). Works on the base model's latents, or on pixels as in the paper.
B items a step, d coordinates.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from accelerate import Accelerator
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.diffusion.codes import kl_per_coordinate, spread_codes
from dyod_studio.diffusion.losses import negative_elbo
from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel, to_pictures
from dyod_studio.models.initial_vae import (
    InitialVae,
    SetCodes,
    TrainedVae,
    VaeShape,
    draw_codes,
)
from dyod_studio.requests.sampling import DEFAULT_NOVELTY
from dyod_studio.training.data import (
    Cached,
    TrainingSet,
    batch_indices,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import beside
from dyod_studio.training.loop import train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import ArtifactReady, Event, Run
from dyod_studio.training.set_codes import batches, fit_set_codes, posteriors

NUM_PREVIEWS = 4


class VaeConfig(MethodConfig):
    """Settings of the initial VAE."""

    steps: int = Field(600, ge=1, le=100_000, title="Steps")
    """Optimiser updates. 300 pictures have settled after 500; thousands need a few thousand."""
    batch_size: int = Field(32, ge=1, le=1024, title="Batch size")
    """Pictures an update looks at."""
    learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate")
    """Size of one update at the start; it falls to zero along a cosine."""
    checkpoint_every: int = Field(300, ge=1, title="Checkpoint every")
    """Steps between saved states of the run."""
    preview_every: int = Field(150, ge=1, title="Preview every")
    """Steps between preview pictures."""
    space: Literal["latents", "pixels"] = Field("latents", title="Works on")
    """latents needs no detour through the autoencoder; pixels is the paper's."""
    num_coordinates: int = Field(32, ge=1, le=1024, title="Coordinates")
    """Length of a code: how many things can be told apart."""
    beta: float = Field(4.0, gt=0, le=100, title="Beta")
    """Weight of the KL term; 1 is the paper's. With a few hundred pictures 1 learns them by heart
    and draws noise in between; 4 draws soft shapes, which the reverse process sharpens."""
    width: int = Field(32, ge=4, le=256, title="Width")
    """Channels of the first level; each further level has twice as many, up to eight times."""
    side_px: int = Field(64, ge=16, le=256, multiple_of=16, title="Pixels")
    """Side of the pictures when it works on pixels; they are enlarged for the base model."""


class VaeTask:
    """The VAE, its items, and the negative ELBO."""

    def __init__(self, base: BaseModel, items: Cached, config: VaeConfig) -> None:
        self._base, self._items, self._config = base, items, config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.vae = InitialVae(vae_shape(rows_at(items, [0]).shape[1:], config))
        self.vae.shift, self.vae.scale = self._statistics()
        self.vae.to(base.device)

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return list(self.vae.parameters())

    def learning_rate(self, step: int) -> float:
        """Ten steps of warm-up, then a cosine to zero."""
        progress = (step - 1) / self._config.steps
        warm_up = min(1.0, step / 10)
        return self._config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress))

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config, generator = self._config, step_generator(self._config.seed, step)
        rows = batch_indices(len(self._items), config.batch_size, config.seed, step)
        noise = torch.randn(len(rows), config.num_coordinates, generator=generator)
        for part in shares(len(rows), num_parts):
            items = rows_at(self._items, rows[part]).to(self._base.device)
            loss = self._loss_at(items, noise[part].to(self._base.device))
            yield loss * (len(items) / len(rows))

    def _loss_at(self, items: Tensor, noise: Tensor) -> Tensor:
        mean, log_variance = self.vae.posterior(items)
        reconstruction = self.vae.decode_standardised(mean + (0.5 * log_variance).exp() * noise)
        target = self.vae.standardise(items)
        return negative_elbo(reconstruction, target, mean, log_variance, self._config.beta)

    def after_step(self) -> None:
        """Nothing to hold in bounds."""

    def previews(self) -> list[Image.Image]:
        """Pictures of the set, each beside what the VAE alone draws near it (t0 = 0)."""
        base, rows = self._base, range(min(NUM_PREVIEWS, len(self._items)))
        items = rows_at(self._items, rows).to(base.device)
        trained = TrainedVae(self.vae, self._config.space)
        seeds = [row + 1 for row in rows]
        self.vae.eval()
        try:
            drawn = draw_codes(seeds, self._config.num_coordinates, "prior", 0, None)
            codes = spread_codes(self.vae.encode(items).cpu(), drawn, DEFAULT_NOVELTY)
            pictures = [trained.to_latents(items, base), trained.decode(codes, base)]
        finally:
            self.vae.train()
        own, made = (to_pictures(base.decode_latents(latents)) for latents in pictures)
        return [beside(*pair) for pair in zip(own, made, strict=True)]

    def state_dict(self) -> dict[str, Tensor]:
        return self.vae.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.vae.load_state_dict(state)

    def measure_codes(self, captions: Sequence[str] = ()) -> SetCodes:
        """Where the set's codes lie; the mean KL of every coordinate is stored in the VAE."""
        means, log_variances = posteriors(self.vae, self._items, self._base.device)
        self.vae.kl.copy_(kl_per_coordinate(means, log_variances))
        return fit_set_codes(means, log_variances, captions)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the set, streamed: (K, 1, 1) each."""
        moments = torch.zeros(2, rows_at(self._items, [0]).shape[1], dtype=torch.float64)
        for items in batches(self._items, self._base.device):
            values = items.double().cpu()
            moments += torch.stack(
                [values.mean((2, 3)).sum(0), values.square().mean((2, 3)).sum(0)]
            )
        mean, square = moments / len(self._items)
        deviation = (square - mean.square()).clamp(min=1e-6).sqrt()
        return mean.float().view(-1, 1, 1), deviation.float().view(-1, 1, 1)


def vae_shape(item_shape: Sequence[int], config: VaeConfig) -> VaeShape:
    """The network for items of (K, S, S): levels halve the side until 4 cells or fewer are left."""
    channels, side, _ = item_shape
    widths: list[int] = []
    left = side
    while left > 4 and left % 2 == 0:
        widths.append(config.width * min(8, 2 ** len(widths)))
        left //= 2
    return VaeShape(channels, side, config.num_coordinates, tuple(widths))


def run(config: VaeConfig, base: BaseModel, dataset: TrainingSet, run: Run) -> Iterator[Event]:
    """Train the VAE; the last event names the artifact with its weights and statistics."""
    if config.space == "latents":
        items = yield from dataset.prepare_latents(base)
    else:
        items = yield from dataset.prepare_pixels(config.side_px)
    accelerator = Accelerator(cpu=base.device.type == "cpu", mixed_precision="no")
    task = VaeTask(base, items, config)
    done = yield from train(task, config, accelerator, run)
    codes = task.measure_codes([picture.caption for picture in dataset.pictures])
    shape = task.vae.shape
    facts = {
        "channels": shape.channels,
        "side": shape.side,
        "widths": list(shape.widths),
        "steps_done": done,
        "captions": list(codes.captions),
    }
    settings = config.model_dump(mode="json")
    tensors = {**task.state_dict(), **codes.tensors()}
    artifact = Artifact("vae", base.ref, base.fingerprint, settings, facts, tensors)
    yield ArtifactReady("vae", save_artifact(artifact, run.run_dir / "vae.safetensors"))
