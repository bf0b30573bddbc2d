"""The methods that can be trained, by name. Adding one is a line here and a file beside."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict, Field, ValidationError

from dyod_studio.errors import InvalidInputError
from dyod_studio.training import footprints
from dyod_studio.training.run import Event


class MethodConfig(PydanticModel):
    """Settings all methods share; each adds its own and may choose other defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    steps: int = Field(500, ge=1, le=100_000, title="Steps")
    """Optimiser updates. More fits the set closer and takes longer, in proportion."""
    seed: int = Field(0, ge=0, lt=2**31, title="Seed")
    """Decides every random draw; the same seed and settings give the same result."""
    batch_size: int = Field(4, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more memory and time."""
    learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate")
    """Size of one update. Halve it when the loss jumps, double it when nothing moves."""
    checkpoint_every: int = Field(200, ge=1, title="Checkpoint every")
    """Steps between saved states of the run."""
    preview_every: int = Field(100, ge=1, title="Preview every")
    """Steps between preview pictures; previews take time too."""


class PromptedConfig(MethodConfig):
    """Settings of a method that learns beside a prompt, which may say a word learned before."""

    word: str = Field("", pattern=r"^([0-9a-f]{64})?$", title="Learned word")
    """SHA-256 of the trained inversion whose word the prompt says; the studio looks it up."""


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """A method as it is offered; ``module`` and ``config`` are loaded when it is used.

    Args:
        num_pictures, cost: for how many pictures it is, and what it takes, in a person's words.
        memory_settings: the settings that decide how much memory and time a step takes.
        can_checkpoint_gradients: activations can be computed again instead of kept.
        uses_unet: gradients pass through the base model's U-Net.
        can_shrink: it can learn from smaller pictures than the base model draws.
        is_baseline: it is there to be compared with, not to be used.
        teaches_set: its token is the project's own word, which means the whole set.
        footprint: from settings and the base's size to what it adds to the base model.
    """

    name: str
    title: str
    summary: str
    module: str
    config: str
    num_pictures: str = field(kw_only=True)
    cost: str = field(kw_only=True)
    memory_settings: tuple[str, ...] = ("batch_size",)
    uses_unet: bool = True
    can_checkpoint_gradients: bool = False
    can_shrink: bool = False
    is_baseline: bool = False
    teaches_set: bool = False
    footprint: footprints.Formula = footprints.of_nothing


METHODS = {
    info.name: info
    for info in (
        MethodInfo(
            "inversion",
            "Learn the word",
            "Finds the word that means your whole set, so that a prompt can say it.",
            "dyod_studio.training.textual_inversion",
            "InversionConfig",
            num_pictures="5 to many thousands",
            cost="Little: the least memory, a file of a few kilobytes.",
            can_checkpoint_gradients=True,
            can_shrink=True,
            teaches_set=True,
            footprint=footprints.of_inversion,
        ),
        MethodInfo(
            "vae",
            "Learn the shapes",
            "Learns a small generator of your set: new pictures from nothing, and the sliders.",
            "dyod_studio.training.initial_vae",
            "VaeConfig",
            num_pictures="40 or more",
            cost="Little: the large model only looks on; a file of a few megabytes.",
            memory_settings=("batch_size", "space", "num_coordinates", "width", "side_px"),
            uses_unet=False,
        ),
        MethodInfo(
            "dreambooth",
            "Learn one subject",
            "Binds a name to the one thing in 3 to 20 pictures; prompts then put it anywhere.",
            "dyod_studio.training.dreambooth",
            "DreamboothConfig",
            num_pictures="3 to 20",
            cost="Some: it draws pictures of the class first; a file of a few megabytes.",
            memory_settings=("batch_size", "prior_weight", "layers", "rank", "train_text_encoder"),
            footprint=footprints.of_dreambooth,
            can_checkpoint_gradients=True,
            can_shrink=True,
        ),
        MethodInfo(
            "anl",
            "Learn from examples",
            "Adds small modules all through the model: it then draws new pictures of your set "
            "after a reference picture or a text.",
            "dyod_studio.training.anl",
            "AnlConfig",
            num_pictures="100 or more",
            cost="Much: the most time and memory of those you would use; a file of up to 1 GB.",
            memory_settings=("batch_size", "variant", "rank", "width"),
            footprint=footprints.of_anl,
            can_checkpoint_gradients=True,
            can_shrink=True,
        ),
        MethodInfo(
            "custom-diffusion",
            "Learn a concept",
            "Tunes how the model reads words for what a few pictures show; small files that join.",
            "dyod_studio.training.custom_diffusion",
            "CustomDiffusionConfig",
            num_pictures="3 to 50",
            cost="Some: it draws pictures of the class first; a file of up to 80 MB.",
            memory_settings=("batch_size", "prior_weight"),
            footprint=footprints.of_custom_diffusion,
            can_checkpoint_gradients=True,
            can_shrink=True,
        ),
        MethodInfo(
            "full-finetune",
            "Tune all layers",
            "Tunes every weight of the model on your set, as the papers do to compare.",
            "dyod_studio.training.baselines",
            "FullFinetuneConfig",
            footprint=footprints.of_whole_unet,
            num_pictures="1000 or more",
            cost="Very much: sixteen bytes of memory a weight, and a file of up to 2 GB.",
            can_checkpoint_gradients=True,
            can_shrink=True,
            is_baseline=True,
        ),
        MethodInfo(
            "scratch",
            "Train from scratch",
            "Trains the same network from random weights, to show what the base model gives.",
            "dyod_studio.training.baselines",
            "ScratchConfig",
            footprint=footprints.of_whole_unet,
            num_pictures="100,000 or more",
            cost="Very much, and days besides: as much memory as tuning all layers.",
            can_checkpoint_gradients=True,
            can_shrink=True,
            is_baseline=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Method:
    """A loaded method: its settings class and ``run(config, base, dataset, run)``."""

    info: MethodInfo
    config_class: type[MethodConfig]
    run: Callable[..., Iterator[Event]]


def load_method(name: str) -> Method:
    """Import the method's file.

    Raises:
        InvalidInputError: there is no such method.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise InvalidInputError(f"There is no method {name!r}: choose one of {known}.")
    info = METHODS[name]
    module = import_module(info.module)
    return Method(info, getattr(module, info.config), module.run)


def parse_config(name: str, values: Mapping[str, Any]) -> MethodConfig:
    """Check a method's settings, given as numbers or as text.

    Raises:
        InvalidInputError: the first thing that is wrong, with its value and what is allowed.
    """
    config_class = load_method(name).config_class
    unknown = sorted(set(values) - set(config_class.model_fields))
    if unknown:
        known = ", ".join(config_class.model_fields)
        raise InvalidInputError(f"{name} has no setting {unknown[0]!r}: it knows {known}.")
    try:
        return config_class.model_validate(dict(values))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise InvalidInputError(f"{field}: {reason}, got {first['input']!r}.") from exc
