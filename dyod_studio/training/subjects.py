"""What DreamBooth and Custom Diffusion share: a class, its pictures, and a loss of two terms.

E || eps - eps_phi(x_t, t, c("a {token} {class}")) ||^2
    + lambda E || eps' - eps_phi(x'_t', t', c("a {class}")) ||^2
with x' drawn by the frozen base itself: eq. (2) of arXiv:2208.12242, prior preservation. B pictures
a step, C x h x w latents, L tokens of width D.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from dyod_studio.models.base import BaseModel
from dyod_studio.training.config import PromptedConfig
from dyod_studio.training.data import Cached, batch_indices, rows_at, shares, step_generator
from dyod_studio.training.denoising import Draw, draw, joined, loss_of, steady_end

SD_WIDTH = 320
"""Channels of Stable Diffusion's U-Net at full resolution; learning rates are given for it."""
PRIOR_SALT = 0x9107
"""Keeps the order of the class pictures apart from that of the set's."""


class SubjectConfig(PromptedConfig):
    """Settings of a method that learns one thing and keeps what the base knows of its class."""

    class_noun: str = Field("", max_length=60, validate_default=True, title="Class noun")
    """What the pictures show, in a word or two that the base model knows, such as dog."""
    prior_weight: float = Field(1.0, ge=0, le=100, title="Prior weight")
    """Weight of the class pictures, lambda; at 0, without them, any dog may become this one."""
    num_class_pictures: int = Field(60, ge=2, le=10_000, title="Class pictures")
    """How many pictures of the class the base draws beforehand; 200 where time allows."""

    @field_validator("class_noun")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise PydanticCustomError("empty", "Say what the pictures show, such as dog")
        return " ".join(value.split())


def learning_rate_of(config: SubjectConfig, base: BaseModel, step: int) -> float:
    """The rate of a step: as asked for on a U-Net as wide as Stable Diffusion's.

    A narrower one sums over fewer inputs, so that an update of the same size moves it less: the
    rate grows in inverse proportion to the width, as arXiv:2203.03466 finds for Adam.
    """
    return steady_end(config, step) * SD_WIDTH / base.unet.config.block_out_channels[0]


class TwoTerms:
    """The loss of a step, and of a draw.

    Args:
        instances: latents of the set. learned: which of them are learned from.
        classes: latents of class pictures, by the base as it was.
        encode: the two prompts, (2, L, D): of the one thing, and of its class.
    """

    def __init__(
        self,
        base: BaseModel,
        config: SubjectConfig,
        instances: Cached,
        classes: Cached | None,
        learned: Sequence[int],
        encode: Callable[[], Tensor],
    ) -> None:
        self._base, self._config, self._encode = base, config, encode
        self._instances, self._learned = instances, learned
        self._classes = classes if config.prior_weight else None

    def losses(self, step: int, num_parts: int) -> Iterator[Tensor]:
        """The loss of each share of a step's batch; see ``TrainTask``."""
        config, generator = self._config, step_generator(self._config.seed, step)
        size, num_timesteps = config.batch_size, self._base.schedule.num_timesteps
        places = batch_indices(len(self._learned), size, config.seed, step)
        clean = rows_at(self._instances, [self._learned[place] for place in places])
        instance = draw(clean, num_timesteps, generator)
        prior = None
        if self._classes is not None:
            rows = batch_indices(len(self._classes), size, config.seed ^ PRIOR_SALT, step)
            prior = draw(rows_at(self._classes, rows), num_timesteps, generator)
        for part in shares(size, num_parts):
            loss = self.of(instance[part], None if prior is None else prior[part])
            yield loss * (len(instance[part]) / size)

    def of(self, instance: Draw, prior: Draw | None = None) -> Tensor:
        """Both terms from one call of the denoiser; each is the mean over its own pictures."""
        texts, number = self._encode(), len(instance)
        if prior is None:
            return loss_of(self._base, instance, texts[:1].expand(number, -1, -1))
        weights = 2 * torch.tensor([1.0, self._config.prior_weight]).repeat_interleave(number)
        conditioning = texts.repeat_interleave(number, dim=0)
        return loss_of(self._base, joined(instance, prior), conditioning, weights)
