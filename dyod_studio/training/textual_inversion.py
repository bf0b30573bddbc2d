"""Textual inversion of a whole set: learn the k vectors of a pseudo-word, nothing else.

min over v of E || eps - eps_phi(x_t, t, c(v)) ||^2 with the base model frozen: eq. (7) of DYOD,
after arXiv:2208.01618. B pictures a step, k vectors of width D.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.diffusion.losses import (
    denoising_loss,
    min_snr_weights,
    noise_error_weights,
)
from dyod_studio.diffusion.sampling import generators_of, randn_per_image
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.placeholder import inversion_header, trained_vectors, with_placeholder
from dyod_studio.training.data import (
    Cached,
    TrainingSet,
    batch_indices,
    cached_rows,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import Draw, fixed_loss, preview_config
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import ArtifactReady, Event, Note, PicturesPrepared, Run

WORDS = (
    "face", "person", "hand", "animal", "dog", "cat", "bird", "fish", "insect", "flower",
    "tree", "leaf", "fruit", "food", "bread", "cake", "drink", "bottle", "cup", "plate",
    "house", "building", "room", "chair", "table", "lamp", "clock", "car", "bicycle", "boat",
    "plane", "train", "shoe", "hat", "shirt", "dress", "bag", "ring", "glasses", "tool",
    "knife", "toy", "doll", "ball", "book", "paper", "phone", "machine", "symbol", "sign",
    "icon", "pattern", "texture", "drawing", "painting", "photo", "landscape", "water", "stone",
    "star",
)  # fmt: skip
"""Nouns for what sets are of; those that are one token of a base's vocabulary are tried."""
NUM_DRAWS = 24
"""Pictures that the words are tried on; the order of the best few settles at about a dozen."""
LEAST_NOISE = 0.2
"""Share of the timesteps that is left out: nearly clean pictures need no words."""
CELLS_AT_ONCE = 32 * 16 * 16
"""Latent cells of a batch of words, to bound memory."""


def first_word(
    base: BaseModel,
    latents: Cached,
    cache_dir: Path,
    *,
    nouns: Sequence[str] = WORDS,
    cells_at_once: int = CELLS_AT_ONCE,
) -> Generator[PicturesPrepared, None, str]:
    """The noun that suits the set best; empty where the base knows none of them.

    Every word is tried once for the same pictures and base, then its losses are read from disk.

    Args:
        base: frozen, with nothing attached to it.
        latents: (N, C, h, w) of the set.
        cells_at_once: words are tried in batches of about this many latent cells.
    """
    words = known_words(base, nouns)
    if not words:
        return ""
    shown = hashlib.sha256(latents.tobytes()).hexdigest()
    key = json.dumps(["words", base.fingerprint, base.resolution, words, NUM_DRAWS, shown])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    empty = partial(open_memmap, dtype=np.float32, shape=(NUM_DRAWS, len(words)))
    rows = _losses(base, latents, words, cells_at_once)
    path = cache_dir / f"{name}.npy"
    losses = yield from cached_rows(path, NUM_DRAWS, empty, rows, "trials of first words")
    return words[int(losses.mean(axis=0).argmin())]


def known_words(base: BaseModel, words: Sequence[str]) -> list[str]:
    """Those of the words that the base reads as one token."""
    ids = base.tokenizer(list(words), add_special_tokens=False).input_ids
    return [word for word, tokens in zip(words, ids, strict=True) if len(tokens) == 1]


@torch.no_grad()
def _losses(
    base: BaseModel, latents: Cached, words: Sequence[str], cells_at_once: int
) -> Iterator[tuple[int, Cached]]:
    """One row (1, W) a draw: a picture, a noise and a timestep, the same for every word."""
    conditioning = base.encode_prompts(words)
    size = max(1, cells_at_once // (base.latent_shape[1] * base.latent_shape[2]))
    for number in range(NUM_DRAWS):
        clean = rows_at(latents, [number * len(latents) // NUM_DRAWS])
        noise = randn_per_image(clean, generators_of([number])).to(base.device)
        share = LEAST_NOISE + (1 - LEAST_NOISE) * (number + 0.5) / NUM_DRAWS
        t = torch.tensor([int(share * base.schedule.num_timesteps)], device=base.device)
        clean = clean.to(base.device)
        noisy = base.schedule.add_noise(clean, noise, t)
        target = base.schedule.target(clean, noise, t)
        errors = [
            _errors(base.denoise(*_repeated(noisy, t, len(part)), part), target)
            for part in conditioning.split(size)
        ]
        yield number, torch.cat(errors).unsqueeze(0).cpu().numpy()


def _repeated(noisy: Tensor, t: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return noisy.expand(count, -1, -1, -1), t.expand(count)


def _errors(output: Tensor, target: Tensor) -> Tensor:
    """(W,) mean squared errors."""
    return (output.float() - target).square().flatten(1).mean(dim=1)


TOKEN = "{token}"
PREVIEW_SEEDS = (1, 2, 3, 4)
START_NOTE = "It begins from “{}”, the everyday word under which the base model draws the set best."
MEAN_NOTE = (
    "It begins from the mean of the vocabulary: no everyday word is known to the base model."
)
CLEAN_SHARE = 0.2
"""Of the clean picture's error on a base that predicts v: with all of it, which is greatest where
next to nothing of the picture is left, the word learns no detail; with none, the word alone cannot
begin a picture (docs/methods.md)."""
TEMPLATES = (
    "{token}",
    "a photo of {token}",
    "a rendering of {token}",
    "a picture of {token}",
    "a close-up photo of {token}",
    "a photo of one {token}",
    "a good photo of {token}",
    "an illustration of {token}",
)
"""Contexts c(v): what all have in common is left to the vectors (arXiv:2208.01618, sec. 4)."""


class InversionConfig(MethodConfig):
    """Settings of textual inversion."""

    steps: int = Field(400, ge=1, le=100_000, title="Steps")
    """Optimiser updates. On the starter most of the gain is made in the first 300."""
    batch_size: int = Field(4, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more memory and time."""
    learning_rate: float = Field(5e-3, gt=0, le=1, title="Learning rate")
    """Size of one update, at batch 4; the vectors alone move, so it may be large."""
    token: str = Field("<set>", pattern=r"^<[a-z0-9-]{1,40}>$", title="Token")
    """The pseudo-word that will stand for the set in prompts, such as <toy-heads>."""
    num_vectors: int = Field(2, ge=1, le=16, title="Vectors")
    """k: how many words' worth of meaning the token holds. More fits closer, obeys prompts less."""
    initializer: str = Field("", max_length=60, title="Initial word")
    """A word to start from, such as shoe; empty takes the everyday word that suits the set best."""
    templates: tuple[str, ...] = Field(TEMPLATES, min_length=1, title="Templates")
    """Sentences around {token} that the vectors are learned in."""
    min_snr_gamma: float = Field(0, ge=0, le=100, title="Min-SNR gamma")
    """Above 0, noise levels are weighted as in arXiv:2303.09556 (5 is usual); at 0 the error of
    the noise counts, as in the paper, and on bases that predict v a fifth of the picture's."""
    max_norm: float = Field(2.0, gt=0, le=100, title="Longest vector")
    """Bound on a vector's length, as a multiple of the longest in the vocabulary: beyond it
    prompts around the token lose their say."""


class InversionTask:
    """The k vectors that are attached to ``base`` and the loss that moves them."""

    def __init__(self, base: BaseModel, latents: Cached, config: InversionConfig) -> None:
        self._base, self._latents, self._config = base, latents, config
        self._vectors = trained_vectors(base)
        longest = base.text_encoder.get_input_embeddings().table.weight.norm(dim=1).max()
        self._max_norm = config.max_norm * float(longest)
        self._prompts = [text.replace(TOKEN, config.token) for text in config.templates]

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return [self._vectors]

    def learning_rate(self, step: int) -> float:
        """Constant, then linear to a tenth over the last fifth, so that the end is steady."""
        left = (self._config.steps - step) / max(1, 0.2 * self._config.steps)
        return self._config.learning_rate * (0.1 + 0.9 * min(1.0, left))

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config, generator = self._config, step_generator(self._config.seed, step)
        rows = batch_indices(len(self._latents), config.batch_size, config.seed, step)
        clean = rows_at(self._latents, rows)
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = torch.randint(
            self._base.schedule.num_timesteps, (len(rows),), generator=generator
        )
        chosen = torch.randint(len(self._prompts), (len(rows),), generator=generator)
        prompts = [self._prompts[i] for i in chosen]
        for part in shares(len(rows), num_parts):
            loss = self._loss_at(clean[part], noise[part], timesteps[part], prompts[part])
            yield loss * (len(prompts[part]) / len(rows))

    def _loss_at(
        self, clean: Tensor, noise: Tensor, timesteps: Tensor, prompts: list[str]
    ) -> Tensor:
        base = self._base
        clean, noise, timesteps = (x.to(base.device) for x in (clean, noise, timesteps))
        noisy = base.schedule.add_noise(clean, noise, timesteps)
        output = base.denoise(noisy, timesteps, base.encode_prompts(prompts))
        target = base.schedule.target(clean, noise, timesteps)
        return denoising_loss(output, target, self._weights(timesteps))

    def _weights(self, timesteps: Tensor) -> Tensor:
        """How much each noise level counts: as in the paper on every base, or as was asked for."""
        schedule, gamma = self._base.schedule, self._config.min_snr_gamma
        if gamma:
            return min_snr_weights(schedule, timesteps, gamma)
        return noise_error_weights(schedule, timesteps, CLEAN_SHARE)

    @torch.no_grad()
    def fixed_loss(self) -> float:
        """Loss on a fixed set of pictures, noises and timesteps, to compare states of a run."""

        def loss_at(drawn: Draw, _: int) -> Tensor:
            return self._loss_at(drawn.clean, drawn.noise, drawn.timesteps, self._prompts[:1])

        return fixed_loss(self._base, self._latents, loss_at)

    @torch.no_grad()
    def after_step(self) -> None:
        self._vectors.copy_(self._vectors.renorm(2, 0, self._max_norm))

    def previews(self) -> list[Image.Image]:
        model = CustomisedModel(self._base, token=self._config.token)
        return model.sample("prompt", PREVIEW_SEEDS, preview_config())

    def state_dict(self) -> dict[str, Tensor]:
        return {"emb_params": self._vectors.detach()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._vectors.copy_(state["emb_params"])


def run(
    config: InversionConfig, base: BaseModel, dataset: TrainingSet, run: Run
) -> Iterator[Event]:
    """Invert the set; the last event names the artifact, one tensor ``emb_params`` (k, D) float32.

    Raises:
        InvalidInputError: the token or the initial word does not suit the base model.
    """
    if TOKEN not in config.templates[0]:
        raise InvalidInputError(f"Every template must hold {TOKEN}, got {config.templates[0]!r}.")
    base = base.at_resolution(run.adjustments.resolution)
    latents = yield from dataset.prepare_latents(base)
    word = config.initializer.strip()
    if not word:
        word = yield from first_word(base, latents, dataset.cache_dir)
        if run.resume_from is None:
            yield Note(START_NOTE.format(word) if word else MEAN_NOTE)
    start = initial_vectors(base, word, config.num_vectors, config.seed)
    with (
        base.sparing_memory(recompute=run.adjustments.gradient_checkpointing),
        with_placeholder(base, config.token, start) as extended,
    ):
        task = InversionTask(extended, latents, config)
        before = task.fixed_loss()
        done = yield from train(task, config, accelerator_for(base), run)
        facts = {
            "first_word": word,
            "fixed_loss_before": before,
            "fixed_loss_after": task.fixed_loss(),
            "steps_done": done,
        }
        settings = config.model_dump(mode="json")
        artifact = Artifact(
            "inversion", base.ref, base.fingerprint, settings, facts, task.state_dict()
        )
    header = inversion_header(artifact.tensors["emb_params"].shape[-1], config.token)
    path = save_artifact(artifact, run.run_dir / "inversion.safetensors", header)
    yield ArtifactReady("inversion", path)


@torch.no_grad()
def initial_vectors(base: BaseModel, word: str, num_vectors: int, seed: int) -> Tensor:
    """(k, D) start: the mean of the word's tokens, or of the vocabulary where it is empty.

    Further vectors get a little seeded noise, without which all k would move as one.
    """
    tokens = base.text_encoder.get_input_embeddings()
    table = tokens(torch.arange(tokens.num_embeddings, device=base.device)).float().cpu()
    ids = base.tokenizer(word, add_special_tokens=False).input_ids if word else slice(None)
    mean = table[ids].mean(dim=0)
    spread = torch.randn(num_vectors, len(mean), generator=step_generator(seed, 0))
    spread[0] = 0
    return mean + 0.1 * table.std() * spread
