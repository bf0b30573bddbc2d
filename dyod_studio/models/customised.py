"""A base model with what was trained for one set: it makes pictures from seeds and settings.

The same seed, settings and parts give the same picture, alone or in any batch. Shapes: B images
of R x R pixels, C x h x w latents, d coordinates of a code, F frames.

Which kinds of parts there are, and in which order they are attached, is said by
``requests.part_kinds``. Parts combine as long as no token is taught twice. What brings a whole
U-Net (a baseline, a dreambooth of all layers) combines with tokens and a vae, not with what was
trained on the base's own U-Net.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from PIL import Image
from torch import Tensor

from dyod_studio.diffusion.sampling import (
    ConditionedPredictor,
    Stepper,
    ancestral_steps,
    ddim_steps,
    generators_of,
    guided,
    randn_per_image,
    reverse_from_start,
)
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.anl import AnlConditioner, Condition
from dyod_studio.models.artifacts import Artifact, Attachment, check_strength
from dyod_studio.models.base import BaseModel, fit, to_pictures, to_tensor
from dyod_studio.models.control import Control, ControlNetwork
from dyod_studio.models.initial_vae import TrainedVae, draw_codes
from dyod_studio.models.region import Region, region_of
from dyod_studio.models.whole_unet import has_unet
from dyod_studio.requests.part_kinds import (
    PART_KINDS,
    check_tokens,
    load_reference,
    part_kinds,
    unet_kinds,
)
from dyod_studio.requests.sampling import DEFAULT_NOVELTY, Codes, Sampler, Spacing, Start

OnStep = Callable[[int, int], None]
"""Called after every denoiser call with (finished, total); raise in it to stop."""


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How the reverse process runs.

    Args:
        t0: share of the timesteps; 0 returns the start through the autoencoder.
        guidance_scale: None for what suits the base model.
        prompt: None for what the trained parts were taught with; ``{token}`` in it stands for that.
        condition: what an ANL draws after; None for nothing.
        codes, novelty: where the codes that seeds draw come from.
        timestep_spacing: how the steps are spread. sampler: what goes down them.
        control: lines that the pictures follow; None for none.
    """

    t0: float = 1.0
    num_inference_steps: int = 50
    guidance_scale: float | None = None
    prompt: str | None = None
    condition: Condition | None = None
    codes: Codes = "near"
    novelty: float = DEFAULT_NOVELTY
    timestep_spacing: Spacing = "trailing"
    sampler: Sampler = "ddim"
    control: Control | None = None


SAMPLER_SALT = 0x5EED_57E9
"""Keeps the noise that is drawn on the way apart from the one that a picture begins with."""
TOKEN = "{token}"
"""Stands in a prompt for the word or phrase that was taught."""
PIXELS_AT_ONCE = 8 * 128 * 128
"""Pictures are made in chunks of about this many pixels, to bound memory."""


@dataclass(frozen=True, slots=True)
class CustomisedModel:
    """Base model with a project's trained parts; those that were not trained are None.

    Args:
        token: the placeholder word whose vectors are attached to ``base``.
        phrase: what another part was taught with, such as "a sks dog".
        anl: the modules that are attached to ``base``.
        control: the network that makes ``base`` follow lines.
    """

    base: BaseModel
    token: str | None = None
    vae: TrainedVae | None = None
    phrase: str | None = None
    anl: AnlConditioner | None = None
    control: ControlNetwork | None = None

    @property
    def default_prompt(self) -> str:
        """The phrase, else c*: the learned word alone; without either, the empty prompt."""
        return self.phrase or self.token or ""

    def prompt_of(self, reverse: SamplingConfig) -> str:
        """Prompt as the text encoder reads it."""
        if reverse.prompt is None:
            return self.default_prompt
        return reverse.prompt.replace(TOKEN, self.default_prompt)

    def prompts(self, start: Start, seeds: Sequence[int], reverse: SamplingConfig) -> list[str]:
        """The prompt of each picture.

        Where none is given and none was taught, a picture near one of the set is said to show the
        same, unless lines say what it shows.
        """
        prompt = self.prompt_of(reverse)
        codes = None if self.vae is None else self.vae.codes
        is_near = start == "distribution" and reverse.codes == "near" and not reverse.control
        if (
            reverse.prompt is not None
            or prompt
            or codes is None
            or not (is_near and codes.captions)
        ):
            return [prompt] * len(seeds)
        captions = [codes.captions[index] for index in codes.pictures_near(seeds)]
        return [self.base.cut_prompt(caption) for caption in captions]

    def sample(
        self,
        start: Start,
        seeds: Sequence[int],
        reverse: SamplingConfig,
        *,
        images: Sequence[Image.Image] | None = None,
        region: Image.Image | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """One picture a seed, by one of the three initialisations of the reverse process.

        Args:
            start: pure noise (``prompt``), the VAE's drawing of the seed's own code
                (``distribution``, eq. 9 of DYOD), or ``images`` (``image``, eq. 11).
            images: square pictures of any size, one for all seeds or one a seed.
            region: a square mask of any size, bright where the one picture in ``images`` is drawn
                again; every other pixel of the results is that picture's own.
        """
        starts = self._starts(start, seeds, images, reverse)
        if region is None:
            prompts = self.prompts(start, seeds, reverse)
            return self._refine(starts, seeds, reverse, on_step, prompts=prompts)
        if start != "image" or not images or len(images) != 1:
            raise InvalidInputError("A region is a part of one picture: give that to start from.")
        part = region_of(region, self.base.resolution)
        drawn = self._refine(starts, seeds, reverse, on_step, part)
        original = fit(images[0], self.base.resolution)
        return [part.put_back(original, image) for image in drawn]

    def sample_codes(
        self,
        codes: Tensor,
        seeds: Sequence[int],
        reverse: SamplingConfig,
        *,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """One picture a code, (F, d): the frames of an interpolation or a traversal.

        Args:
            seeds: noise of each frame; all the same for fixed, all different for free noise.
        """
        starts = self._needed_vae().decode(codes, self.base)
        return self._refine(starts, seeds, reverse, on_step)

    def draw_codes(self, seeds: Sequence[int], reverse: SamplingConfig) -> Tensor:
        """The code of each seed, from where ``reverse.codes`` says: (B, d)."""
        vae = self._needed_vae()
        if reverse.codes == "reference":
            references = () if reverse.condition is None else reverse.condition.images
            return vae.draw_near(references, seeds, reverse.novelty, self.base)
        size = vae.network.shape.num_coordinates
        return draw_codes(seeds, size, reverse.codes, reverse.novelty, vae.codes)

    def timesteps(self, reverse: SamplingConfig) -> list[int]:
        """The timesteps at which the denoiser is called."""
        schedule = self.base.schedule.spaced(reverse.timestep_spacing)
        return schedule.timesteps_from(reverse.t0, reverse.num_inference_steps)

    def encode_codes(self, images: Sequence[Image.Image]) -> Tensor:
        """Mean code of square pictures: -> (B, d)."""
        return self._needed_vae().encode(images, self.base)

    def _needed_vae(self) -> TrainedVae:
        if self.vae is None:
            raise InvalidInputError("This project has no trained vae yet: train 'vae' first.")
        return self.vae

    def _starts(
        self,
        start: Start,
        seeds: Sequence[int],
        images: Sequence[Image.Image] | None,
        reverse: SamplingConfig,
    ) -> Tensor | None:
        if start == "prompt":
            return None
        if start == "distribution":
            return self._needed_vae().decode(self.draw_codes(seeds, reverse), self.base)
        if not images or len(images) not in {1, len(seeds)}:
            raise InvalidInputError("Give one picture to start from, or one for each seed.")
        latents = self.base.encode_images(
            to_tensor([fit(image, self.base.resolution) for image in images])
        )
        return latents.expand(len(seeds), -1, -1, -1)

    def _refine(
        self,
        starts: Tensor | None,
        seeds: Sequence[int],
        reverse: SamplingConfig,
        on_step: OnStep | None,
        region: Region | None = None,
        prompts: Sequence[str] | None = None,
    ) -> list[Image.Image]:
        """The reverse process for any number of seeds, a chunk at a time.

        Args:
            prompts: one a seed; None for the same for all.
        """
        base = self.base
        cells = None if region is None else region.cells(base.latent_shape[-1]).to(base.device)
        each_prompt = [self.prompt_of(reverse)] * len(seeds) if prompts is None else prompts
        conditioned = self._conditioned(seeds, reverse)
        calls = len(self.timesteps(reverse))
        size = max(1, PIXELS_AT_ONCE // base.resolution**2)
        firsts = range(0, len(seeds), size)
        made: list[Image.Image] = []
        with self._steered(reverse):
            for done, first in enumerate(firsts):
                chunk = slice(first, first + size)
                noise = self._noise(seeds[chunk])
                begin = None if starts is None else starts[chunk]
                latents = noise if begin is None else begin
                predict = base.predict_noise if conditioned is None else conditioned(chunk)
                with torch.no_grad():
                    texts = base.encode_prompts(["", *each_prompt[chunk]])
                stepper = sampler_of(reverse.sampler, seeds[chunk])
                steps = self._steps(predict, begin, noise, texts, reverse, cells, stepper)
                for call, newest in enumerate(steps, start=1):
                    latents = newest
                    if on_step:
                        on_step(done * calls + call, len(firsts) * calls)
                made += to_pictures(base.decode_latents(latents))
        return made

    @contextmanager
    def _steered(self, reverse: SamplingConfig) -> Iterator[None]:
        """The U-Net follows the lines, where there are any, for as long as the block lasts."""
        if reverse.control is None:
            yield
            return
        if self.control is None:
            raise InvalidInputError("Nothing here follows lines yet: train 'control' first.")
        last = reverse.control.last_timestep(self.timesteps(reverse))
        with self.control.steering(self.base.unet, reverse.control, last):
            yield

    def _conditioned(
        self, seeds: Sequence[int], reverse: SamplingConfig
    ) -> Callable[[slice], ConditionedPredictor] | None:
        """How the denoiser is conditioned for a chunk of the seeds, when it is."""
        if self.anl is not None:
            return self.anl.predictors(self.base.predict_noise, seeds, reverse.condition)
        if reverse.condition is not None:
            raise InvalidInputError(
                "Only an anl draws after a condition picture or text: train 'anl' first, or use it."
            )
        return None

    def _steps(
        self,
        predict: ConditionedPredictor,
        begin: Tensor | None,
        noise: Tensor,
        texts: Tensor,
        reverse: SamplingConfig,
        cells: Tensor | None,
        stepper: Stepper,
    ) -> Iterator[Tensor]:
        base, scale = self.base, reverse.guidance_scale
        without, with_condition = texts[:1].expand(len(noise), -1, -1), texts[1:]
        if scale is None:
            scale = base.guidance_scale
        if predict == base.predict_noise and torch.equal(without, with_condition):
            scale = 1.0  # nothing is said that could guide: the same noise in half the time
        return reverse_from_start(
            guided(predict, with_condition, without, scale),
            begin,
            noise,
            base.schedule.spaced(reverse.timestep_spacing),
            t0=reverse.t0,
            num_inference_steps=reverse.num_inference_steps,
            region=cells,
            steps=stepper,
        )

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        like = torch.empty(len(seeds), *self.base.latent_shape)
        return randn_per_image(like, generators_of(seeds)).to(self.base.device)


def sampler_of(name: Sampler, seeds: Sequence[int]) -> Stepper:
    """The sampler of that name; what it draws on the way depends on an image's seed alone."""
    if name == "ddim":
        return ddim_steps
    generators = generators_of([seed ^ SAMPLER_SALT for seed in seeds])
    if name == "ddpm":
        return partial(ancestral_steps, generators=generators)
    steps = load_reference("dyod_studio.models.samplers:sampler_steps")
    return partial(steps, name, generators=generators)


def open_customised(
    stack: ExitStack, base: BaseModel, parts: Mapping[str, Artifact], strength: float = 1.0
) -> CustomisedModel:
    """Attach trained parts to a base for as long as ``stack`` is open; nothing is copied.

    Args:
        parts: by their kinds.
        strength: share of what is changed of the U-Net, in [0, 1]; at 0 it is the base's own.

    Raises:
        InvalidInputError: a part cannot be drawn with, was trained on another base model, or does
            not go together with another; or the strength is out of range.
    """
    _check(base, parts, strength)
    attachment = Attachment(stack, plain=base, base=base, strength=strength)
    kinds = [PART_KINDS[name] for name in part_kinds() if name in parts]
    for reference, group in groupby(kinds, key=lambda kind: kind.attach):
        attach = load_reference(reference)
        attach(attachment, [parts[kind.name] for kind in group])
    return CustomisedModel(
        attachment.base,
        token=attachment.token,
        vae=attachment.vae,
        phrase=_phrase(parts),
        anl=attachment.conditioner,
        control=attachment.control,
    )


def _phrase(parts: Mapping[str, Artifact]) -> str | None:
    """The prompt that the narrowest part was taught with; None when it was a token alone."""
    for kind in sorted((PART_KINDS[name] for name in parts), key=lambda k: -k.prompt_priority):
        part = parts[kind.name]
        if prompt := kind.prompt.format(config=part.config, facts=part.facts):
            return prompt
    return None


def _check(base: BaseModel, parts: Mapping[str, Artifact], strength: float) -> None:
    check_strength(strength)
    for kind, part in parts.items():
        if kind not in PART_KINDS:
            known = ", ".join(part_kinds())
            raise InvalidInputError(f"Nothing is drawn with {kind!r}: use one of {known}.")
        if part.base_fingerprint != base.fingerprint:
            raise InvalidInputError(
                f"The {kind} was trained on {part.base_ref}, this base model is another one."
            )
    check_tokens({kind: part.config for kind, part in parts.items()})
    _check_unets(parts, strength)


def _check_unets(parts: Mapping[str, Artifact], strength: float) -> None:
    changing = [kind for kind in unet_kinds() if kind in parts]
    whole = [kind for kind in changing if has_unet(parts[kind].tensors)]
    if whole and len(changing) > 1:
        other = next(kind for kind in changing if kind != whole[0])
        raise InvalidInputError(
            f"The {whole[0]} brings a whole U-Net, the {other} was trained on the base's own: use "
            "one of them."
        )
    for kind in changing:
        if not PART_KINDS[kind].can_be_partial and 0 < strength < 1:
            raise InvalidInputError(
                f"The {kind} shares nothing with the base, so that strength {strength} of it draws "
                "nothing: use strength 1, or leave it out."
            )
