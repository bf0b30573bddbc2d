"""From a request's parameters to images: which call of the customised model it means."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from PIL import Image
from torch import Tensor

from dyod_studio.datasets.preparing import centre_crop, prepare
from dyod_studio.datasets.reading import read_image
from dyod_studio.diffusion.codes import (
    interpolate,
    interpolate_spherical,
    rank_coordinates,
    traverse,
)
from dyod_studio.jobs.parameters import (
    SEED_PREFIX,
    AnyParameters,
    InterpolationParameters,
    SampleParameters,
    TraversalParameters,
)
from dyod_studio.models.customised import CustomisedModel, OnStep, Reverse, Start


def draw(
    model: CustomisedModel,
    kind: str,
    parameters: AnyParameters,
    files: Mapping[str, Path],
    on_step: OnStep,
) -> list[Image.Image]:
    """The images of one request, in their order.

    Args:
        files: the request's input pictures by their names: ``image``, ``a``, ``b``.
    """
    reverse = Reverse(
        t0=parameters.t0,
        num_inference_steps=parameters.num_inference_steps,
        guidance_scale=parameters.guidance_scale,
        prompt=parameters.prompt,
    )
    seeds = parameters.seeds()
    if isinstance(parameters, SampleParameters):
        images = [_square(files["image"], model)] if "image" in files else None
        return model.sample(cast(Start, kind), seeds, reverse, images=images, on_step=on_step)
    codes = _codes(model, parameters, files)
    return model.sample_codes(codes, seeds, reverse, on_step=on_step)


def _codes(
    model: CustomisedModel,
    parameters: InterpolationParameters | TraversalParameters,
    files: Mapping[str, Path],
) -> Tensor:
    """The code of each frame: (F, d)."""
    if isinstance(parameters, InterpolationParameters):
        a = _end(model, "a", parameters.a, files)
        b = _end(model, "b", parameters.b, files)
        walk = interpolate_spherical if parameters.is_spherical else interpolate
        return walk(a, b, parameters.num_frames)
    (code,) = model.draw_codes([parameters.seed])
    assert model.vae is not None  # or no code could have been drawn
    coordinate = rank_coordinates(model.vae.network.kl)[parameters.coordinate]
    return traverse(code, coordinate, parameters.span, parameters.num_frames)


def _end(model: CustomisedModel, name: str, told: str, files: Mapping[str, Path]) -> Tensor:
    """The code of one end of an interpolation: (1, d)."""
    if name in files:
        return model.encode_codes([_square(files[name], model)])
    return model.draw_codes([int(told.removeprefix(SEED_PREFIX))])


def _square(path: Path, model: CustomisedModel) -> Image.Image:
    """A picture's middle at the base model's resolution."""
    image = read_image(path)
    return prepare(image, centre_crop(image.size), model.base.resolution)
