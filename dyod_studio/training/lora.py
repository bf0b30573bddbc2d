"""LoRA of the whole set: how its pictures are drawn, whatever they show.

E || eps - eps_phi(x_t, t, c(caption)) ||^2 over low-rank updates of the U-Net's layers
(arXiv:2106.09685), or over all its weights where the base is small: then the update is the file's.
Each picture is learned with its own caption, so that a word still means what it meant to the base.
B pictures a step, C x h x w latents, L tokens of width D.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import torch
from diffusers.training_utils import EMAModel
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.datasets.captions import tag_frequency
from dyod_studio.diffusion.losses import min_snr_weights
from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel, to_pictures
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.lora import (
    ALL_LAYERS,
    UNET_LAYERS,
    load_lora,
    lora_parameters,
    lora_tensors,
    with_new_lora,
)
from dyod_studio.models.lora_files import lora_header
from dyod_studio.models.whole_unet import (
    SMALL,
    beside_unet,
    load_unet,
    to_store,
    unet_tensors,
    with_own_unet,
)
from dyod_studio.requests.sampling import T0_OF_STYLE
from dyod_studio.training.data import (
    Cached,
    TrainingSet,
    batch_indices,
    rows_at,
    shares,
    step_generator,
)
from dyod_studio.training.denoising import (
    Draw,
    EncodedCaptions,
    beside,
    draw,
    fixed_loss,
    loss_of,
    preview_config,
    steady_end,
)
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import ArtifactReady, Event, Run
from dyod_studio.training.subjects import SD_WIDTH, split_holdout

ALL_WEIGHTS_SHARE = 0.2
"""Of the rate of a LoRA, where all weights are trained."""
AVERAGED = "averaged."
"""Begins the names of a checkpoint's running means."""
NUM_PREVIEWS = 4

log = logging.getLogger(__name__)
MAX_TAGS = 500
"""Tags that a file says it was trained with."""


class LoraConfig(MethodConfig):
    """Settings of the set's own LoRA."""

    steps: int = Field(600, ge=1, le=100_000, title="Steps")
    """Optimiser updates. 600 suit a hundred pictures; with thousands, some more."""
    batch_size: int = Field(8, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more time."""
    learning_rate: float = Field(2e-4, gt=0, le=1, title="Learning rate")
    """Size of one update at the width of Stable Diffusion; narrower models take more, in
    proportion, and all weights a fifth of it."""
    layers: Literal["auto", "attention", "every", "all"] = Field("auto", title="Layers")
    """attention and every put a LoRA on the attention layers or on every layer; all trains the
    weights themselves. auto takes all for a base below 100 million parameters, else attention."""
    rank: int = Field(16, ge=1, le=1024, title="Rank")
    """Width of the update of each layer. More holds more detail, and learns by heart sooner."""
    alpha: float = Field(16.0, gt=0, le=4096, title="Alpha")
    """The update is scaled by alpha / rank; keep it at the rank, or halve it to learn slower."""
    is_rank_stabilised: bool = Field(False, title="Rank-stabilised")
    """Scale by alpha / sqrt(rank) instead, so that high ranks learn as fast (rsLoRA)."""
    train_text_encoder: bool = Field(False, title="Train the text encoder")
    """Ties the captions' words closer to the set; takes more memory."""
    caption_dropout: float = Field(0.1, ge=0, le=1, title="Caption dropout")
    """Share of pictures that are learned without their caption, so that guidance works."""
    min_snr_gamma: float = Field(5.0, ge=0, le=100, title="Min-SNR gamma")
    """Weighs nearly clean pictures down, which steadies the run (arXiv:2303.09556); 0 is off."""
    noise_offset: float = Field(0.0, ge=0, le=0.5, title="Noise offset")
    """Adds to the noise of a channel as a whole, for very dark and very bright sets; try 0.05."""
    averaging: float = Field(0.99, ge=0, lt=1, title="Averaging")
    """Decay of the running mean of the weights, which is what is kept (EMA); 0 is off."""
    held_back: float = Field(0.1, ge=0, le=0.5, title="Held back")
    """Share of the pictures that only tell whether it learns by heart; none below 5 pictures."""

    def layers_for(self, num_unet_parameters: int) -> Literal["attention", "every", "all"]:
        """The layers that are trained on a base of this size."""
        if self.layers == "auto":
            return "all" if num_unet_parameters < SMALL else "attention"
        return self.layers


class LoraTask:
    """Trainable layers of ``base``, and the loss of the set's pictures with their captions."""

    def __init__(
        self, base: BaseModel, latents: Cached, captions: Sequence[str], config: LoraConfig
    ) -> None:
        self._base, self._config = base, config
        self._latents, self._captions = latents, captions
        self.is_whole = config.layers_for(base.num_unet_parameters) == "all"
        self.learned, self.holdout = split_holdout(len(latents), config.held_back, config.seed)
        self._average = EMAModel(
            self.parameters(), decay=config.averaging, use_ema_warmup=False, min_decay=0.0
        )

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        own = list(self._base.unet.parameters()) if self.is_whole else []
        return own + lora_parameters(self._base)

    def learning_rate(self, step: int) -> float:
        share = ALL_WEIGHTS_SHARE if self.is_whole else 1.0
        width = self._base.unet.config.block_out_channels[0]
        warm_up = min(1.0, step / 20)
        return steady_end(self._config, step) * warm_up * share * SD_WIDTH / width

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        config, generator = self._config, step_generator(self._config.seed, step)
        places = batch_indices(len(self.learned), config.batch_size, config.seed, step)
        rows = [self.learned[place] for place in places]
        drawn = draw(rows_at(self._latents, rows), self._base.schedule.num_timesteps, generator)
        if config.noise_offset:
            offset = torch.randn(*drawn.noise.shape[:2], 1, 1, generator=generator)
            drawn = Draw(drawn.clean, drawn.noise + config.noise_offset * offset, drawn.timesteps)
        is_captioned = torch.rand(len(rows), generator=generator) >= config.caption_dropout
        for part in shares(len(rows), num_parts):
            texts = self._texts(rows[part], is_captioned[part].tolist())
            yield self._loss_at(drawn[part], texts) * (len(rows[part]) / len(rows))

    def _loss_at(self, drawn: Draw, texts: Tensor) -> Tensor:
        gamma, schedule = self._config.min_snr_gamma, self._base.schedule
        weights = min_snr_weights(schedule, drawn.timesteps, gamma) if gamma else None
        return loss_of(self._base, drawn, texts, weights)

    def _texts(self, rows: Sequence[int], is_captioned: Sequence[bool]) -> Tensor:
        """(B, L, D): each picture's caption, or the empty prompt."""
        if self._config.train_text_encoder:
            chosen = zip(rows, is_captioned, strict=True)
            return self._base.encode_prompts([self._captions[r] if s else "" for r, s in chosen])
        return self._encoded.rows(rows, is_captioned)

    @cached_property
    def _encoded(self) -> EncodedCaptions:
        return EncodedCaptions(self._base, self._captions)

    def figures(self) -> dict[str, float]:
        """Loss on fixed noises, of what is learned from and of what is held back."""
        with self.averaged():
            found = {"learned_loss": self._fixed_loss(self.learned)}
            return found | (
                {"held_back_loss": self._fixed_loss(self.holdout)} if self.holdout else {}
            )

    @torch.no_grad()
    def _fixed_loss(self, rows: Sequence[int]) -> float:
        def loss_at(drawn: Draw, index: int) -> Tensor:
            return self._loss_at(drawn, self._texts([rows[index]], [True]))

        return fixed_loss(self._base, self._latents[list(rows)], loss_at)

    def after_step(self) -> None:
        """Move the running mean."""
        self._average.step(self.parameters())

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The running mean in the place of the weights, for as long as the block lasts."""
        if not self._config.averaging or not self._average.optimization_step:
            yield
            return
        parameters = list(self.parameters())
        self._average.store(parameters)
        self._average.copy_to(parameters)
        try:
            yield
        finally:
            self._average.restore(parameters)

    def previews(self) -> list[Image.Image]:
        """Pictures of the set, those held back first, each beside what is drawn near it."""
        model, rows = CustomisedModel(self._base), [*self.holdout, *self.learned][:NUM_PREVIEWS]
        with torch.no_grad():
            latents = rows_at(self._latents, rows).to(self._base.device)
            own = to_pictures(self._base.decode_latents(latents))
        with self.averaged():
            drawn = [
                model.sample(
                    "image", [seed], preview_config(self._captions[row], t0=T0_OF_STYLE),
                    images=[picture],
                )[0]
                for seed, (row, picture) in enumerate(zip(rows, own, strict=True), start=1)
            ]  # fmt: skip
        return [beside(*pair) for pair in zip(own, drawn, strict=True)]

    def tensors(self) -> dict[str, Tensor]:
        """The trained weights as an artifact holds them."""
        with self.averaged():
            own = unet_tensors(self._base.unet) if self.is_whole else {}
            return {name: t.clone() for name, t in (own | lora_tensors(self._base)).items()}

    def state_dict(self) -> dict[str, Tensor]:
        own = unet_tensors(self._base.unet) if self.is_whole else {}
        means = {f"{AVERAGED}{i}": mean for i, mean in enumerate(self._average.shadow_params)}
        count = torch.tensor(self._average.optimization_step)
        return {**own, **lora_tensors(self._base), **means, f"{AVERAGED}steps": count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        weights = {name: t for name, t in state.items() if not name.startswith(AVERAGED)}
        if self.is_whole:
            load_unet(self._base.unet, weights)
        if lora := beside_unet(weights):
            load_lora(self._base, lora)
        self._average.optimization_step = int(state[f"{AVERAGED}steps"])
        for index, mean in enumerate(self._average.shadow_params):
            mean.copy_(state[f"{AVERAGED}{index}"])


def run(config: LoraConfig, base: BaseModel, dataset: TrainingSet, run: Run) -> Iterator[Event]:
    """Learn the set; the last event names the artifact.

    It is a LoRA in the layout of ``models.lora_files``, or a U-Net in that of
    ``models.whole_unet``.

    Raises:
        InvalidInputError: a caption is too long for the base model.
    """
    base = base.at_resolution(run.adjustments.resolution)
    latents = yield from dataset.prepare_latents(base)
    captions = [base.cut_prompt(picture.caption) for picture in dataset.pictures]
    with ExitStack() as stack:
        learner = stack.enter_context(learner_of(config, base))
        recompute = run.adjustments.gradient_checkpointing
        stack.enter_context(learner.sparing_memory(recompute=recompute))
        task = LoraTask(learner, latents, captions, config)
        before = task.figures()
        done = yield from train(task, config, accelerator_for(learner), run)
        facts = _facts(task, before, task.figures(), captions) | {"steps_done": done}
        large = 0 if task.is_whole else None
        tensors, stored_as = to_store(task.tensors(), **({} if large is None else {"large": 0}))
        settings, facts = config.model_dump(mode="json"), facts | {"stored_as": stored_as}
        artifact = Artifact("lora", base.ref, base.fingerprint, settings, facts, tensors)
        path = run.run_dir / "lora.safetensors"
        header = {"dyod.stored_as": stored_as}
        if not task.is_whole:
            header = _header(config, base, captions)
        save_artifact(artifact, path, header)
    yield ArtifactReady("lora", path)


@contextmanager
def learner_of(config: LoraConfig, base: BaseModel) -> Iterator[BaseModel]:
    """The base with what is trained attached to it or in its place."""
    layers = config.layers_for(base.num_unet_parameters)
    with ExitStack() as stack:
        if layers == "all":
            base = stack.enter_context(with_own_unet(base))
        if layers != "all" or config.train_text_encoder:
            scale = config.rank**0.5 if config.is_rank_stabilised else 1.0
            lora = with_new_lora(
                base,
                rank=config.rank,
                alpha=config.alpha * scale,
                has_unet=layers != "all",
                unet_layers=ALL_LAYERS if layers == "every" else UNET_LAYERS,
                has_text_encoder=config.train_text_encoder,
                seed=config.seed,
            )
            base = stack.enter_context(lora)
        yield base


def _facts(
    task: LoraTask,
    before: Mapping[str, float],
    after: Mapping[str, float],
    captions: Sequence[str],
) -> dict[str, Any]:
    """Facts about the run, written to the log as well."""
    for name, value in before.items():
        log.info("%s: %.4f before, %.4f after.", name.replace("_", " "), value, after[name])
    return {
        **{f"{name}_before": value for name, value in before.items()},
        **{f"{name}_after": value for name, value in after.items()},
        "prompt": "",
        "num_parameters": sum(weight.numel() for weight in task.parameters()),
        "num_held_back": len(task.holdout),
        "num_captions": sum(bool(caption) for caption in captions),
    }


def _header(config: LoraConfig, base: BaseModel, captions: Sequence[str]) -> dict[str, str]:
    """Header that other tools look for; the tags are what A1111 suggests to draw with."""
    tags = dict(islice(tag_frequency(captions).items(), MAX_TAGS))
    scale = config.rank**0.5 if config.is_rank_stabilised else 1.0
    return lora_header(
        conditioning_width=base.unet.config.cross_attention_dim,
        rank=config.rank,
        alpha=config.alpha * scale,
        title="set style",
        trigger_phrase="",
        resolution=base.resolution,
        prediction_type=base.schedule.prediction_type,
    ) | {"ss_tag_frequency": json.dumps({"set": tags})}
