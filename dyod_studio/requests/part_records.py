"""The records of a kind of trained part: what is said of it, and how it is trained. No torch."""

from dataclasses import dataclass, field
from typing import Literal

FileLayout = Literal["", "textual-inversion", "lora", "control"]
"""Layout of a part's file that other tools read too."""


@dataclass(frozen=True, slots=True)
class TrainingMethod:
    """How a kind is trained, and how that is offered.

    Args:
        config: reference to its settings class; beside that stands ``run(config, base, dataset,
            run)``, which yields the events of a training run.
        task: what it does, in two or three words.
        num_pictures, cost: for how many pictures it is, and what it takes, in a person's words.
        memory_settings: the settings that decide how much memory and time a step takes.
        can_checkpoint_gradients: activations can be computed again instead of kept.
        uses_unet: gradients pass through the base model's U-Net.
        can_shrink: it can learn from smaller pictures than the base model draws.
        teaches_set: its token is the project's own word, which means the whole set.
        noun_setting: the setting that names what the pictures show, if it has one.
        footprint: reference from settings and the base's size to what it adds to the base model.
    """

    config: str
    task: str
    summary: str
    num_pictures: str = field(kw_only=True)
    cost: str = field(kw_only=True)
    memory_settings: tuple[str, ...] = ("batch_size",)
    uses_unet: bool = True
    can_checkpoint_gradients: bool = False
    can_shrink: bool = False
    teaches_set: bool = False
    noun_setting: str = ""
    footprint: str = "dyod_studio.training.footprints:of_nothing"


@dataclass(frozen=True, slots=True)
class PartKind:
    """A kind of trained part. Parts combine unless they teach one token, or one is a whole U-Net.

    Args:
        name: in rows, files and on the command line. title: on the page.
        attach: reference to ``attach(attachment, parts)``, which puts parts on a base model.
        attach_order: lower is attached first; neighbours that share ``attach`` come in one call.
        changes_unet: it changes the U-Net or replaces it, by the share ``adapter_strength``.
        teaches_token: its file holds vectors of a placeholder token.
        makes_starts: it makes what the reverse process starts from.
        follows_lines: it is used where a request brings lines, and nowhere else.
        is_default: it is used where nothing else is asked for.
        is_baseline: it is trained to be compared with.
        replaces: a default kind that is not used where this one was trained.
        can_be_imported: it may be read from a file that was made elsewhere.
        imported_title: on the page, of one that was.
        can_be_partial: a strength between 0 and 1 makes sense.
        prompt: template of the prompt it was taught with, of ``config`` and ``facts``.
        prompt_priority: of the prompts of several parts, the highest is the default prompt.
        file_layout: the layout that other tools know its file by.
        method: how it is trained; None for a kind that is only imported.
    """

    name: str
    title: str
    attach: str
    attach_order: int = 100
    changes_unet: bool = False
    teaches_token: bool = False
    makes_starts: bool = False
    follows_lines: bool = False
    is_default: bool = False
    is_baseline: bool = False
    replaces: str = ""
    can_be_imported: bool = False
    imported_title: str = ""
    can_be_partial: bool = True
    prompt: str = ""
    prompt_priority: int = 0
    file_layout: FileLayout = ""
    method: TrainingMethod | None = None
