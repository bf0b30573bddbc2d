"""Draw many pictures after many others: masked sampling, a batch at a time, each batch the same.

Sec. 3.3 and Table 2 of "Transferring pretrained diffusion probabilistic models" (ANL).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from PIL import Image

from dyod_studio.datasets.images import read_image
from dyod_studio.diffusion.masking import masked_rectangle
from dyod_studio.diffusion.sampling import generators_of
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.jobs.augmentation_plan import AugmentationTarget, AugmentedImage, Recipe
from dyod_studio.jobs.images import encode_png
from dyod_studio.jobs.inputs import load_base_model
from dyod_studio.models.anl import Condition
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.clip import MASK_SALT, Clip
from dyod_studio.models.customised import (
    PIXELS_AT_ONCE,
    CustomisedModel,
    SamplingConfig,
    open_customised,
)
from dyod_studio.settings import Settings


def draw_all(
    settings: Settings,
    recipe: Recipe,
    classes: Sequence[Sequence[AugmentationTarget]],
    is_done: Callable[[AugmentationTarget], bool],
) -> Iterator[AugmentedImage]:
    """Draw every picture that is not done, in order.

    A batch holds the same pictures whatever is done already, so that a picture does not depend on
    where an earlier call was broken off: a batch that is done in part is drawn again whole.

    Args:
        classes: the pictures of each class; no batch holds pictures of two.

    Raises:
        InvalidInputError: a part does not fit, or a source can no longer be read.
    """
    base = load_base_model(settings, recipe.base)
    parts = {kind: load_artifact(path, kind) for kind, path in recipe.parts.items()}
    size = max(1, PIXELS_AT_ONCE // base.resolution**2)
    with ExitStack() as stack:
        model = open_customised(stack, base, parts, recipe.strength)
        assert model.anl is not None  # or the request would have been refused
        clip = model.anl.open_clip()
        model = replace(model, anl=replace(model.anl, open_clip=lambda: clip))
        for target in classes:
            for batch in (target[i : i + size] for i in range(0, len(target), size)):
                if not all(is_done(one) for one in batch):
                    made = _draw(model, clip, recipe, batch)
                    yield from (drawn for drawn in made if not is_done(drawn.target))


def _draw(
    model: CustomisedModel, clip: Clip, recipe: Recipe, batch: Sequence[AugmentationTarget]
) -> list[AugmentedImage]:
    seeds = [one.seed for one in batch]
    reverse = SamplingConfig(
        num_inference_steps=recipe.num_inference_steps,
        guidance_scale=recipe.guidance_scale,
        prompt=recipe.prompt,
        condition=Condition([_read(one.source) for one in batch], mask_rate=recipe.mask_rate),
    )
    images = model.sample("prompt", seeds, reverse)
    made = []
    for one, image in zip(batch, images, strict=True):
        mask = mask_of(one.seed, clip.side_px, recipe.mask_rate)
        metadata = {"seed": one.seed, "mask_rate": recipe.mask_rate, "mask": mask}
        made.append(AugmentedImage(one, encode_png(image, metadata), mask))
    return made


def mask_of(seed: int, side: int, mask_rate: float) -> dict[str, int]:
    """The rectangle that a seed blanks in a condition picture, in cells of a square of ``side``."""
    (generator,) = generators_of([seed ^ MASK_SALT])
    rows, columns = masked_rectangle(side, side, mask_rate, generator)
    return {
        "top": rows.start,
        "left": columns.start,
        "height": rows.stop - rows.start,
        "width": columns.stop - columns.start,
        "side": side,
    }


def _read(path: Path) -> Image.Image:
    try:
        return read_image(path)
    except (RejectedImageError, OSError) as exc:
        raise InvalidInputError(f"{path} can no longer be read: {exc}.") from exc
