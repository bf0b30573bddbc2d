"""Table of the kinds of trained parts: how each is trained, attached, named and combined. No torch.

A kind is one record. Code that needs torch is given as a reference, ``package.module:function``,
and imported when it is used. Lists of kinds are functions, so that a kind registered later is in
all of them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_records import PartKind, TrainingMethod

IMPORTED_FROM = "imported_from"
"""In the config of a part that was made elsewhere, the name of its file."""
PART_KINDS: dict[str, PartKind] = {}
"""Every kind by its name, in the order in which it is offered."""


def register_part_kind(kind: PartKind) -> PartKind:
    """Add a kind to the table.

    Raises:
        InvalidInputError: there is a kind of that name already.
    """
    if kind.name in PART_KINDS:
        raise InvalidInputError(f"There is a kind {kind.name!r} already: choose another name.")
    PART_KINDS[kind.name] = kind
    return kind


@contextmanager
def registered(kind: PartKind) -> Iterator[PartKind]:
    """The table with one more kind for as long as the block lasts."""
    register_part_kind(kind)
    try:
        yield kind
    finally:
        del PART_KINDS[kind.name]


def load_reference(reference: str) -> Any:
    """Import what ``package.module:name`` refers to."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


for _kind in (
    PartKind(
        "inversion",
        "Style word",
        "dyod_studio.models.placeholder:attach_token",
        attach_order=10,
        teaches_token=True,
        is_default=True,
        file_layout="textual-inversion",
        method=TrainingMethod(
            "dyod_studio.training.textual_inversion:InversionConfig",
            "Learn the word",
            "Finds the word that means your whole set, so that a prompt can say it.",
            num_pictures="5 to many thousands",
            cost="Little: the least memory, a file of a few kilobytes.",
            can_checkpoint_gradients=True,
            can_shrink=True,
            teaches_set=True,
            noun_setting="initializer",
            footprint="dyod_studio.training.footprints:of_inversion",
        ),
    ),
    PartKind(
        "lora",
        "Set style",
        "dyod_studio.models.lora:attach_lora",
        attach_order=50,
        changes_unet=True,
        is_default=True,
        replaces="inversion",
        can_be_imported=True,
        imported_title="LoRA from elsewhere",
        prompt="{facts[prompt]}",
        prompt_priority=2,
        file_layout="lora",
        method=TrainingMethod(
            "dyod_studio.training.lora:LoraConfig",
            "Learn the style",
            "Learns how your pictures are drawn, whatever they show; captions name what they show.",
            num_pictures="5 to 5,000",
            cost="Some: minutes on the starter, an hour on a card; a file of a few megabytes.",
            memory_settings=("batch_size", "layers", "rank", "train_text_encoder"),
            can_checkpoint_gradients=True,
            can_shrink=True,
            footprint="dyod_studio.training.footprints:of_lora",
        ),
    ),
    PartKind(
        "vae",
        "Shape model",
        "dyod_studio.models.initial_vae:attach_vae",
        attach_order=90,
        makes_starts=True,
        is_default=True,
        method=TrainingMethod(
            "dyod_studio.training.initial_vae:VaeConfig",
            "Learn the shapes",
            "Learns a small generator of your set: new pictures from nothing, and the sliders.",
            num_pictures="40 or more",
            cost="Little: the large model only looks on; a file of a few megabytes.",
            memory_settings=("batch_size", "space", "num_coordinates", "width", "side_px"),
            uses_unet=False,
        ),
    ),
    PartKind(
        "dreambooth",
        "One subject",
        "dyod_studio.models.lora:attach_lora",
        attach_order=40,
        changes_unet=True,
        prompt="{facts[prompt]}",
        prompt_priority=3,
        file_layout="lora",
        method=TrainingMethod(
            "dyod_studio.training.dreambooth:DreamboothConfig",
            "Learn one subject",
            "Binds a name to the one thing in 3 to 20 pictures; prompts then put it anywhere.",
            num_pictures="3 to 20",
            cost="Some: it draws pictures of the class first; a file of a few megabytes.",
            memory_settings=("batch_size", "prior_weight", "layers", "rank", "train_text_encoder"),
            can_checkpoint_gradients=True,
            can_shrink=True,
            noun_setting="class_noun",
            footprint="dyod_studio.training.footprints:of_dreambooth",
        ),
    ),
    PartKind(
        "anl",
        "From examples",
        "dyod_studio.models.anl:attach_anl",
        attach_order=60,
        changes_unet=True,
        prompt="{config[prompt]}",
        method=TrainingMethod(
            "dyod_studio.training.anl:AnlConfig",
            "Learn from examples",
            "Adds small modules all through the model: it then draws new pictures of your set "
            "after a reference picture or a text.",
            num_pictures="100 or more",
            cost="Much: the most time and memory of those you would use; a file of up to 1 GB.",
            memory_settings=("batch_size", "variant", "rank", "width"),
            can_checkpoint_gradients=True,
            can_shrink=True,
            footprint="dyod_studio.training.footprints:of_anl",
        ),
    ),
    PartKind(
        "custom-diffusion",
        "One concept",
        "dyod_studio.models.custom_diffusion:attach_custom_diffusion",
        attach_order=20,
        changes_unet=True,
        teaches_token=True,
        prompt="a {config[token]} {config[class_noun]}",
        prompt_priority=1,
        method=TrainingMethod(
            "dyod_studio.training.custom_diffusion:CustomDiffusionConfig",
            "Learn a concept",
            "Tunes how the model reads words for what a few pictures show; small files that join.",
            num_pictures="3 to 50",
            cost="Some: it draws pictures of the class first; a file of up to 80 MB.",
            memory_settings=("batch_size", "prior_weight"),
            can_checkpoint_gradients=True,
            can_shrink=True,
            noun_setting="class_noun",
            footprint="dyod_studio.training.footprints:of_custom_diffusion",
        ),
    ),
    PartKind(
        "control",
        "My lines lead",
        "dyod_studio.models.control:attach_control",
        attach_order=95,
        follows_lines=True,
        can_be_imported=True,
        imported_title="Control net from elsewhere",
        file_layout="control",
        method=TrainingMethod(
            "dyod_studio.training.control:ControlConfig",
            "Learn to read sketches",
            "Learns to keep the lines that you draw, and to colour and finish them in your way.",
            num_pictures="40 or more",
            cost="Some: minutes on the starter, hours on a card; a file of 20 to 700 MB.",
            memory_settings=("batch_size", "network"),
            can_checkpoint_gradients=True,
            can_shrink=True,
            footprint="dyod_studio.training.footprints:of_control",
        ),
    ),
    PartKind(
        "full-finetune",
        "The whole model",
        "dyod_studio.models.whole_unet:attach_unet",
        attach_order=70,
        changes_unet=True,
        is_baseline=True,
        prompt="{config[prompt]}",
        method=TrainingMethod(
            "dyod_studio.training.baselines:FullFinetuneConfig",
            "Tune all layers",
            "Tunes every weight of the model on your set, as the papers do to compare.",
            num_pictures="1000 or more",
            cost="Very much: sixteen bytes of memory a weight, and a file of up to 2 GB.",
            can_checkpoint_gradients=True,
            can_shrink=True,
            footprint="dyod_studio.training.footprints:of_whole_unet",
        ),
    ),
    PartKind(
        "scratch",
        "From scratch",
        "dyod_studio.models.whole_unet:attach_unet",
        attach_order=80,
        changes_unet=True,
        is_baseline=True,
        can_be_partial=False,
        prompt="{config[prompt]}",
        method=TrainingMethod(
            "dyod_studio.training.baselines:ScratchConfig",
            "Train from scratch",
            "Trains the same network from random weights, to show what the base model gives.",
            num_pictures="100,000 or more",
            cost="Very much, and days besides: as much memory as tuning all layers.",
            can_checkpoint_gradients=True,
            can_shrink=True,
            footprint="dyod_studio.training.footprints:of_whole_unet",
        ),
    ),
    PartKind(
        "embedding",
        "Word from elsewhere",
        "dyod_studio.models.placeholder:attach_token",
        attach_order=30,
        teaches_token=True,
        can_be_imported=True,
        file_layout="textual-inversion",
    ),
):
    register_part_kind(_kind)


def title_of(name: str, *, is_imported: bool = False) -> str:
    """The title of a kind on the page, or the name itself."""
    if name not in PART_KINDS:
        return name
    kind = PART_KINDS[name]
    return kind.imported_title or kind.title if is_imported else kind.title


def part_kinds() -> tuple[str, ...]:
    """Names of everything that can be drawn with, in the order in which it is attached."""
    return _names(lambda kind: True)


def unet_kinds() -> tuple[str, ...]:
    """Kinds that change the U-Net or replace it, in the order in which they are attached."""
    return _names(lambda kind: kind.changes_unet)


def token_kinds() -> tuple[str, ...]:
    """Kinds that teach a token, in the order in which they are attached."""
    return _names(lambda kind: kind.teaches_token)


def baseline_kinds() -> tuple[str, ...]:
    """Kinds that are trained to be compared with."""
    return _names(lambda kind: kind.is_baseline)


def selectable_kinds() -> tuple[str, ...]:
    """Kinds that a request may leave out or take: not those that it needs for what it brings."""
    return _names(lambda kind: not (kind.makes_starts or kind.follows_lines))


def default_kinds() -> tuple[str, ...]:
    """Kinds that are used where nothing else is asked for."""
    return _names(lambda kind: kind.is_default)


def standalone_kinds() -> tuple[str, ...]:
    """Kinds that take the place of an inversion, first what comes before the others.

    What was trained here comes before imports and baselines, the narrower prompt before the wider.
    """
    kinds = [
        kind
        for kind in PART_KINDS.values()
        if not kind.follows_lines and (not kind.is_default or kind.can_be_imported)
    ]
    kinds.sort(key=lambda kind: (not kind.changes_unet, kind.is_baseline, kind.can_be_imported,
                                 -kind.prompt_priority))  # fmt: skip
    return tuple(kind.name for kind in kinds)


def training_methods() -> dict[str, TrainingMethod]:
    """How each kind is trained, in the order in which they are offered."""
    return {name: kind.method for name, kind in PART_KINDS.items() if kind.method is not None}


def usual_methods() -> tuple[str, ...]:
    """Methods that a set is trained with where nothing else is chosen."""
    replaced = {PART_KINDS[name].replaces for name in default_kinds()}
    return tuple(name for name in default_kinds() if name not in replaced)


def default_parts(trained: Collection[str], imported: Collection[str] = ()) -> tuple[str, ...]:
    """Parts used where none are named: the lora, else the inversion, and the vae.

    Without either the first of the others takes their place, for a project trained by that alone.

    Args:
        imported: those of ``trained`` that were made elsewhere, and are used when they are named.
    """
    usual = [name for name in default_kinds() if name in trained and name not in imported]
    replaced = {PART_KINDS[name].replaces for name in usual}
    usual = [name for name in usual if name not in replaced]
    if all(PART_KINDS[name].makes_starts for name in usual):
        usual[:0] = [name for name in standalone_kinds() if name in trained][:1]
    return tuple(usual)


def check_known(use: Collection[str]) -> None:
    """Refuse a kind that nothing is drawn with.

    Raises:
        InvalidInputError: one of the names is no kind's.
    """
    for name in use:
        if name not in PART_KINDS:
            known = ", ".join(part_kinds())
            raise InvalidInputError(f"use must name parts among {known}, got {name!r}.")


def check_tokens(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that no token is taught twice, and that none is missing.

    Args:
        configs: what each part was trained with, by its kind.

    Raises:
        InvalidInputError: two parts teach one token, or a part was trained beside the token of an
            inversion that is not among them.
    """
    taught: dict[str, str] = {}
    for name in (name for name in token_kinds() if name in configs):
        token = str(configs[name].get("token"))
        if token in taught:
            raise InvalidInputError(
                f"The {taught[token]} and the {name} both taught {token}: use one of them."
            )
        taught[token] = name
    for name, config in configs.items():
        if config.get("word") and "inversion" not in configs:
            raise InvalidInputError(
                f"The {name} was trained beside the word of an inversion: use the inversion too."
            )


def _names(is_meant: Callable[[PartKind], bool]) -> tuple[str, ...]:
    kinds = sorted(PART_KINDS.values(), key=lambda kind: kind.attach_order)
    return tuple(kind.name for kind in kinds if is_meant(kind))
