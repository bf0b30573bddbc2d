"""Base model to which trained parts are attached, one kind after the other."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dyod_studio.models.base import BaseModel


@dataclass(slots=True)
class Attachment:
    """What the ``attach`` of each kind of part changes; nothing of the base is copied.

    Args:
        stack: takes every part away again when it is closed.
        plain: the base model without any part.
        base: the same with what is attached so far.
        strength: share of what is changed of the U-Net, in [0, 1].
        token: the placeholder token that was attached first.
        vae: the initial generator. conditioner: draws after pictures and texts.
    """

    stack: ExitStack
    plain: BaseModel
    base: BaseModel
    strength: float
    token: str | None = None
    vae: Any = None
    conditioner: Any = None
