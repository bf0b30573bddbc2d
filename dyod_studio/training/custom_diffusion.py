"""Custom Diffusion: tune K and V of the cross-attention, and the word that names the concept.

The two terms of ``training.subjects`` over W_K, W_V of every cross-attention and the token's
vectors: arXiv:2212.04488, sec. 3. k vectors of width D.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.custom_diffusion import CrossAttentionChange, with_custom_diffusion
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.placeholder import trained_vectors, with_placeholder
from dyod_studio.models.rare_tokens import find_rare_tokens
from dyod_studio.training.data import Cached, TrainingSet
from dyod_studio.training.denoising import fixed_loss, preview_config
from dyod_studio.training.loop import accelerator_for, train
from dyod_studio.training.run import ArtifactReady, Event, Run
from dyod_studio.training.subjects import (
    PriorPreservationLoss,
    SubjectConfig,
    class_latents,
    learning_rate_of,
)
from dyod_studio.training.textual_inversion import initial_vectors

PREVIEW_SEEDS = (1, 2, 3, 4)
VECTORS = "emb_params"


class CustomDiffusionConfig(SubjectConfig):
    """Settings of Custom Diffusion."""

    steps: int = Field(400, ge=1, le=100_000, title="Steps")
    """Optimiser updates; the paper makes 250 for one concept of a few pictures."""
    batch_size: int = Field(2, ge=1, le=64, title="Batch size")
    """Pictures of the concept that an update looks at; as many of the class come on top."""
    learning_rate: float = Field(8e-5, gt=0, le=1, title="Learning rate")
    """Size of one update at the width of Stable Diffusion; narrower models take more, in
    proportion. 8e-5 is the paper's. Halve it when previews lose their shapes."""
    token: str = Field("<concept>", pattern=r"^<[a-z0-9-]{1,40}>$", title="Token")
    """The word that will name the concept, written before the class noun: another than the set's
    own, so that both may stand in one prompt."""
    num_vectors: int = Field(1, ge=1, le=16, title="Vectors")
    """How many words' worth of meaning the token holds; one is the paper's."""
    initializer: str = Field("", max_length=60, title="Initial word")
    """What the token starts from; empty takes the rarest token of the vocabulary, as the paper."""

    @property
    def prompts(self) -> tuple[str, str]:
        """Of the concept, and of its class."""
        return f"a {self.token} {self.class_noun}", f"a {self.class_noun}"


class CustomDiffusionTask:
    """The token and the change that are attached to ``base``, and the two terms of the loss."""

    def __init__(
        self,
        base: BaseModel,
        change: CrossAttentionChange,
        latents: Cached,
        classes: Cached | None,
        config: CustomDiffusionConfig,
    ) -> None:
        self._base, self._change, self._config = base, change, config
        self._latents, self._vectors = latents, trained_vectors(base)
        rows = range(len(latents))
        self._terms = PriorPreservationLoss(base, config, latents, classes, rows, self._encode)

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return [self._vectors, *self._change.parameters()]

    def learning_rate(self, step: int) -> float:
        return learning_rate_of(self._config, self._base, step)

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        return self._terms.losses(step, num_parts)

    def _encode(self) -> Tensor:
        return self._base.encode_prompts(self._config.prompts)

    def fixed_loss(self) -> float:
        """The concept's term on fixed pictures, noises and timesteps."""
        return fixed_loss(self._base, self._latents, lambda drawn, _: self._terms.of(drawn))

    def after_step(self) -> None:
        """The update is all there is."""

    def previews(self) -> list[Image.Image]:
        reverse = preview_config(self._config.prompts[0])
        return CustomisedModel(self._base).sample("prompt", PREVIEW_SEEDS, reverse)

    def state_dict(self) -> dict[str, Tensor]:
        return {VECTORS: self._vectors.detach(), **self._change.tensors()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._vectors.copy_(state[VECTORS])
        self._change.load({name: tensor for name, tensor in state.items() if name != VECTORS})


def run(
    config: CustomDiffusionConfig, base: BaseModel, dataset: TrainingSet, run: Run
) -> Iterator[Event]:
    """Tune; the last event names the artifact: ``emb_params`` (k, D) and dW by layer, float32.

    Raises:
        InvalidInputError: the token or the initial word does not suit the base model.
    """
    base = base.at_resolution(run.adjustments.resolution)
    word = config.initializer.strip() or find_rare_tokens(base, config.class_noun, 1)[0].text
    start = initial_vectors(base, word, config.num_vectors, config.seed)
    latents = yield from dataset.prepare_latents(base)
    classes = None
    if config.prior_weight:
        classes = yield from class_latents(
            base, config.prompts[1], config.num_class_pictures, config.seed, dataset.cache_dir
        )
    change = CrossAttentionChange(base.unet)
    with (
        base.sparing_memory(recompute=run.adjustments.gradient_checkpointing),
        with_placeholder(base, config.token, start) as extended,
        with_custom_diffusion(extended, change),
    ):
        task = CustomDiffusionTask(extended, change, latents, classes, config)
        before = task.fixed_loss()
        done = yield from train(task, config, accelerator_for(base), run)
        facts = _facts(task, before, done) | {"initial_word": word}
        settings = config.model_dump(mode="json")
        artifact = Artifact(
            "custom-diffusion", base.ref, base.fingerprint, settings, facts, task.state_dict()
        )
    path = save_artifact(artifact, run.run_dir / "custom-diffusion.safetensors")
    yield ArtifactReady("custom-diffusion", path)


def _facts(task: CustomDiffusionTask, before: float, done: int) -> dict[str, Any]:
    return {
        "fixed_loss_before": before,
        "fixed_loss_after": task.fixed_loss(),
        "steps_done": done,
        "num_parameters": sum(weight.numel() for weight in task.parameters()),
    }
