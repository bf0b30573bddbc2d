"""From a request's parameters to images: which call of the customised model it means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from dyod_studio.datasets.preparing import centre_crop, prepare
from dyod_studio.datasets.reading import read_image
from dyod_studio.diffusion.codes import (
    interpolate,
    interpolate_spherical,
    rank_coordinates,
    spread_codes,
    traverse,
)
from dyod_studio.jobs.parameters import (
    AVERAGE,
    CONDITION,
    ORIGIN,
    REGION,
    SEED_PREFIX,
    AnyParameters,
    InterpolationParameters,
    PlaceParameters,
    SampleParameters,
    TraversalParameters,
)
from dyod_studio.models.customised import CustomisedModel, OnStep, Reverse, Start
from dyod_studio.models.hearing import Condition


def draw(
    model: CustomisedModel,
    kind: str,
    parameters: AnyParameters,
    files: Mapping[str, Path],
    on_step: OnStep,
) -> list[Image.Image]:
    """The images of one request, in their order.

    Args:
        files: the request's input pictures by their names, see ``parameters``.
    """
    reverse = Reverse(
        t0=parameters.t0,
        num_inference_steps=parameters.num_inference_steps,
        guidance_scale=parameters.guidance_scale,
        prompt=parameters.prompt,
        condition=_condition(parameters, files),
    )
    seeds = parameters.seeds()
    if isinstance(parameters, SampleParameters):
        images = [_square(files["image"], model)] if "image" in files else None
        region = _region(files[REGION]) if REGION in files else None
        return model.sample(
            cast(Start, kind), seeds, reverse, images=images, region=region, on_step=on_step
        )
    codes = _codes(model, parameters, files)
    return model.sample_codes(codes, seeds, reverse, on_step=on_step)


def _condition(parameters: AnyParameters, files: Mapping[str, Path]) -> Condition | None:
    """What an ANL draws after; None when neither pictures nor a text are given."""
    names = [name for name in files if name.startswith(CONDITION)]
    names.sort(key=lambda name: (len(name), name))
    if not names and not parameters.condition_text:
        return None
    return Condition(
        images=[read_image(files[name]) for name in names],
        texts=[parameters.condition_text] if parameters.condition_text else [],
        mask_rate=parameters.mask_rate,
        text_weight=parameters.text_weight,
    )


def _codes(
    model: CustomisedModel,
    parameters: InterpolationParameters | TraversalParameters | PlaceParameters,
    files: Mapping[str, Path],
) -> Tensor:
    """The code of each frame: (F, d)."""
    if isinstance(parameters, InterpolationParameters):
        a = _end(model, "a", parameters.a, files)
        b = _end(model, "b", parameters.b, files)
        walk = interpolate_spherical if parameters.is_spherical else interpolate
        codes = walk(a, b, parameters.num_frames)
        return codes if parameters.frames is None else codes[parameters.frames]
    assert model.vae is not None  # or nothing of this kind would have been asked for
    ranking = rank_coordinates(model.vae.network.kl)
    if isinstance(parameters, PlaceParameters):
        return _places(model, parameters, files, ranking)
    (code,) = model.draw_codes([parameters.seed])
    coordinate = ranking[parameters.coordinate]
    return traverse(code, coordinate, parameters.span, parameters.num_frames)


def _places(
    model: CustomisedModel,
    parameters: PlaceParameters,
    files: Mapping[str, Path],
    ranking: Sequence[int],
) -> Tensor:
    if parameters.origin == AVERAGE:
        origin = torch.zeros(1, len(ranking))
    else:
        origin = _end(model, ORIGIN, parameters.origin, files)
    codes = origin.repeat(len(parameters.places), 1)
    if parameters.spread:
        codes = spread_codes(codes, model.draw_codes(parameters.seeds()), parameters.spread)
    for code, place in zip(codes, parameters.places, strict=True):
        for rank, value in place.items():
            code[ranking[rank]] += value
    return codes


def _end(model: CustomisedModel, name: str, told: str, files: Mapping[str, Path]) -> Tensor:
    """The code of one end of an interpolation, or of an origin: (1, d)."""
    if name in files:
        return model.encode_codes([_square(files[name], model)])
    return model.draw_codes([int(told.removeprefix(SEED_PREFIX))])


def _region(path: Path) -> Image.Image:
    """The middle square of a mask; what is transparent in it is not marked."""
    mask = read_image(path, background=(0, 0, 0))
    return mask.crop(centre_crop(mask.size).box)


def _square(path: Path, model: CustomisedModel) -> Image.Image:
    """A picture's middle at the base model's resolution."""
    image = read_image(path)
    return prepare(image, centre_crop(image.size), model.base.resolution)
