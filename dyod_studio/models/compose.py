"""Several trained parts on one base model, each in its place, and all taken away together.

Which kinds there are, and in which order they are attached, is said by ``requests.part_kinds``.
Parts combine as long as no token is taught twice. What brings a whole U-Net (a baseline, a
dreambooth of all layers) combines with tokens and a vae, not with what was trained on the base's
own U-Net.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.attachment import Attachment
from dyod_studio.models.base import BaseModel
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.hooks import check_strength
from dyod_studio.models.whole_unet import has_unet
from dyod_studio.requests.part_kinds import (
    PART_KINDS,
    check_tokens,
    load_reference,
    part_kinds,
    unet_kinds,
)


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
