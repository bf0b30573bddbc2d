"""DreamBooth: bind a rare token to one subject, and keep what the base knows of its class.

The two terms of ``training.subjects``, eq. (2) of arXiv:2208.12242. What is trained is a LoRA on
the attention layers, or all layers of a copy of the U-Net, as in the paper, where memory allows.
B pictures, C x h x w latents, L tokens of width D.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any, Literal

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.lora import load_lora, lora_parameters, lora_tensors, with_new_lora
from dyod_studio.models.lora_files import lora_header
from dyod_studio.models.rare_tokens import Subject, name_subject
from dyod_studio.models.whole_unet import (
    beside_unet,
    load_unet,
    to_store,
    unet_tensors,
    with_own_unet,
)
from dyod_studio.training.data import Cached, TrainingSet, rows_at
from dyod_studio.training.denoising import NUM_DRAWS, fixed_loss, preview_config
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.run import ArtifactReady, Event, Run
from dyod_studio.training.subjects import (
    PriorPreservationLoss,
    SubjectConfig,
    class_latents,
    diversity,
    draw_class,
    learning_rate_of,
    split_holdout,
)

PREVIEW_SEEDS = (1, 2, 3, 4)
NUM_COMPARED = 12
"""Pictures of the class that diversity is measured on, before and after."""

log = logging.getLogger(__name__)


class DreamboothConfig(SubjectConfig):
    """Settings of DreamBooth."""

    steps: int = Field(600, ge=1, le=100_000, title="Steps")
    """Optimiser updates: about 100 for each picture of the subject, 400 to 1200 in all."""
    batch_size: int = Field(1, ge=1, le=64, title="Batch size")
    """Pictures of the subject that an update looks at; as many of the class come on top."""
    learning_rate: float = Field(2e-4, gt=0, le=1, title="Learning rate")
    """Size of one update at the width of Stable Diffusion; narrower models take more, in
    proportion. Halve it when previews turn to noise; all layers bear a fiftieth."""
    rare_token: str = Field("", pattern=r"^\S*$", max_length=40, title="Rare token")
    """The name that the subject gets; empty takes the best that the vocabulary offers."""
    layers: Literal["attention", "all"] = Field("attention", title="Layers")
    """Attention trains a small LoRA; all trains the whole U-Net, as the paper does, for sixteen
    bytes of memory a weight, and gives a file of gigabytes that combines with less."""
    rank: int = Field(8, ge=1, le=1024, title="Rank")
    """Width of the update of each layer. More holds more detail and more of the background."""
    alpha: float = Field(8.0, gt=0, le=4096, title="Alpha")
    """The update is scaled by alpha / rank; keep it at the rank, or halve it to learn slower."""
    train_text_encoder: bool = Field(False, title="Train the text encoder")
    """Fits the subject closer, forgets the class sooner, takes more memory."""
    held_back: float = Field(0.15, ge=0, le=0.5, title="Held back")
    """Share of the pictures that only tell whether it learns by heart; none below 5 pictures."""

    @property
    def has_lora(self) -> bool:
        return self.layers == "attention" or self.train_text_encoder


class DreamboothTask:
    """Trainable layers of ``base``, and the two terms of the loss.

    Args:
        instances: latents of the set. classes: of class pictures by the base as it was.
    """

    def __init__(
        self,
        base: BaseModel,
        subject: Subject,
        instances: Cached,
        classes: Cached,
        config: DreamboothConfig,
    ) -> None:
        self._base, self._config, self._subject = base, config, subject
        self._instances = instances
        self.learned, self.holdout = split_holdout(len(instances), config.held_back, config.seed)
        self.compared = range(min(NUM_COMPARED, len(classes)))
        with torch.no_grad():
            self._frozen_texts = self._read_texts()
        self.terms = PriorPreservationLoss(
            base, config, instances, classes, self.learned, self._encode
        )

    @property
    def about(self) -> dict[str, Any]:
        """Facts of an artifact: the subject, and what was trained."""
        return {
            **asdict(self._subject),
            "num_parameters": sum(weight.numel() for weight in self.parameters()),
            "num_held_back": len(self.holdout),
        }

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        own = list(self._base.unet.parameters()) if self._config.layers == "all" else []
        return own + lora_parameters(self._base)

    def learning_rate(self, step: int) -> float:
        return learning_rate_of(self._config, self._base, step)

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        return self.terms.losses(step, num_parts)

    def _encode(self) -> Tensor:
        return self._read_texts() if self._config.train_text_encoder else self._frozen_texts

    def _read_texts(self) -> Tensor:
        return self._base.encode_prompts([self._subject.prompt, self._subject.class_prompt])

    def figures(self, class_latents: Tensor) -> dict[str, float]:
        """Overfitting and language drift, the two dangers that the paper warns of, in figures.

        Args:
            class_latents: what the model draws of the class at this moment.
        """
        varied = diversity(self._base, class_latents)
        figures = {
            "instance_loss": self.fixed_loss(self.learned),
            f"diversity_by_{varied.measured_by}": varied.distance,
        }
        return figures | ({"held_back_loss": self.fixed_loss(self.holdout)} if self.holdout else {})

    @torch.no_grad()
    def fixed_loss(self, rows: Sequence[int]) -> float:
        """The instance term on fixed noises and timesteps, over at most 32 of these pictures."""
        latents = self._instances[list(rows[:NUM_DRAWS])]
        return fixed_loss(self._base, latents, lambda drawn, _: self.terms.of(drawn))

    def after_step(self) -> None:
        """The update is all there is."""

    def previews(self) -> list[Image.Image]:
        reverse = preview_config(self._subject.prompt)
        return CustomisedModel(self._base).sample("prompt", PREVIEW_SEEDS, reverse)

    def state_dict(self) -> dict[str, Tensor]:
        own = unet_tensors(self._base.unet) if self._config.layers == "all" else {}
        return own | lora_tensors(self._base)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if self._config.layers == "all":
            load_unet(self._base.unet, state)
        if self._config.has_lora:
            load_lora(self._base, beside_unet(state))


def run(
    config: DreamboothConfig, base: BaseModel, dataset: TrainingSet, run: Run
) -> Iterator[Event]:
    """Bind the token; the last event names the artifact.

    It is a LoRA in the layout of ``models.kohya``, or a U-Net in that of ``models.whole_unet``.

    Raises:
        InvalidInputError: the vocabulary has no rare token, or the class noun is too long.
    """
    base = base.at_resolution(run.adjustments.resolution)
    subject = name_subject(base, config.class_noun, config.rare_token)
    log.info("The subject is %r, its class %r.", subject.prompt, subject.class_prompt)
    instances = yield from dataset.prepare_latents(base)
    number = config.num_class_pictures if config.prior_weight else NUM_COMPARED
    classes = yield from class_latents(
        base, subject.class_prompt, number, config.seed, dataset.cache_dir
    )
    with ExitStack() as stack:
        learner = stack.enter_context(learner_of(config, base))
        recompute = run.adjustments.gradient_checkpointing
        stack.enter_context(learner.sparing_memory(recompute=recompute))
        task = DreamboothTask(learner, subject, instances, classes, config)
        before = task.figures(rows_at(classes, task.compared))
        done = yield from train(task, config, accelerator_for(learner), run)
        drawn = draw_class(learner, subject.class_prompt, task.compared, config.seed)
        facts = _facts(task, before, task.figures(drawn)) | {"steps_done": done}
        tensors, stored_as = to_store(task.state_dict())
        settings, facts = config.model_dump(mode="json"), facts | {"stored_as": stored_as}
        artifact = Artifact("dreambooth", base.ref, base.fingerprint, settings, facts, tensors)
        path = run.run_dir / "dreambooth.safetensors"
        save_artifact(artifact, path, _header(config, base, subject, stored_as))
    yield ArtifactReady("dreambooth", path)


@contextmanager
def learner_of(config: DreamboothConfig, base: BaseModel) -> Iterator[BaseModel]:
    """The base with what is trained attached to it or in its place."""
    with ExitStack() as stack:
        if config.layers == "all":
            base = stack.enter_context(with_own_unet(base))
        lora = with_new_lora(
            base,
            rank=config.rank,
            alpha=config.alpha,
            has_unet=config.layers == "attention",
            has_text_encoder=config.train_text_encoder,
            seed=config.seed,
        )
        yield stack.enter_context(lora)


def _facts(
    task: DreamboothTask, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, Any]:
    """Facts about the run, written to the log as well."""
    for name, value in before.items():
        log.info("%s: %.4f before, %.4f after.", name.replace("_", " "), value, after[name])
    return {
        **{f"{name}_before": value for name, value in before.items()},
        **{f"{name}_after": value for name, value in after.items()},
        **task.about,
    }


def _header(
    config: DreamboothConfig, base: BaseModel, subject: Subject, stored_as: str
) -> dict[str, str]:
    """Header that other tools look for; a whole U-Net is read by the studio alone."""
    if config.layers == "all":
        return {"dyod.stored_as": stored_as, "modelspec.trigger_phrase": subject.prompt}
    return lora_header(
        conditioning_width=base.unet.config.cross_attention_dim,
        rank=config.rank,
        alpha=config.alpha,
        title=subject.prompt,
        trigger_phrase=subject.prompt,
        resolution=base.resolution,
        prediction_type=base.schedule.prediction_type,
    )
