"""Several trained parts on one base model, each in its place, and all taken away together.

An inversion, a custom-diffusion and an embedding (made elsewhere) bring words; custom-diffusion,
dreambooth, lora (made elsewhere) and anl change the U-Net; a vae draws starts: they combine as long
as no word is taught twice. What brings a whole U-Net (full-finetune, scratch, a dreambooth of all
layers) combines with words and a vae, not with what was trained on the base's own.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.anl import AnlConditioner, load_anl, with_anl
from dyod_studio.models.artifacts import Artifact
from dyod_studio.models.base import BaseModel
from dyod_studio.models.clip import open_clip
from dyod_studio.models.custom_diffusion import load_custom_diffusion, with_custom_diffusion
from dyod_studio.models.customised import CustomisedModel
from dyod_studio.models.hooks import check_strength
from dyod_studio.models.initial_vae import load_vae
from dyod_studio.models.lora import with_lora
from dyod_studio.models.lora_files import join_loras
from dyod_studio.models.placeholder import with_placeholder
from dyod_studio.models.whole_unet import beside_unet, has_unet, with_unet
from dyod_studio.requests.part_kinds import WITH_WORDS, check_words

WITH_LORA = ("dreambooth", "lora")
UNET_PARTS = ("full-finetune", "scratch", "custom-diffusion", *WITH_LORA, "anl")
"""What changes the U-Net or brings another."""
PROMPTED = ("full-finetune", "scratch", "anl")
"""What is taught beside a prompt of its own."""
KINDS = tuple(dict.fromkeys((*WITH_WORDS, *UNET_PARTS, "vae")))
"""What can be drawn with, in the order in which it is attached."""


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
    words = [part for kind in WITH_WORDS if (part := parts.get(kind)) is not None]
    plain = base
    for part in words:
        vectors = part.tensors["emb_params"]
        base = stack.enter_context(with_placeholder(base, str(part.config["token"]), vectors))
    for part in (parts[kind] for kind in UNET_PARTS if kind in parts):
        if has_unet(part.tensors):
            base = stack.enter_context(with_unet(base, part.tensors, strength))
    if (part := parts.get("custom-diffusion")) is not None:
        change = load_custom_diffusion(part, base)
        stack.enter_context(with_custom_diffusion(base, change, strength))
    loras = [beside_unet(parts[kind].tensors) for kind in WITH_LORA if kind in parts]
    if loras := [lora for lora in loras if lora]:
        stack.enter_context(with_lora(base, join_loras(loras), strength))
    conditioner = None
    if (part := parts.get("anl")) is not None:
        clip = part.config["clip"], part.facts.get("clip_fingerprint")
        conditioner = AnlConditioner(load_anl(part, base), partial(open_clip, plain, *clip))
        stack.enter_context(with_anl(base, conditioner.adapter, strength))
    return CustomisedModel(
        base,
        token=str(words[0].config["token"]) if words else None,
        vae=load_vae(parts["vae"], base) if "vae" in parts else None,
        phrase=_phrase(parts),
        anl=conditioner,
    )


def _phrase(parts: Mapping[str, Artifact]) -> str | None:
    """What the most particular part was taught with; None when it was a word alone."""
    if "dreambooth" in parts:
        return str(parts["dreambooth"].facts["prompt"])
    if "lora" in parts and parts["lora"].facts["prompt"]:
        return str(parts["lora"].facts["prompt"])
    if "custom-diffusion" in parts:
        config = parts["custom-diffusion"].config
        return f"a {config['token']} {config['class_noun']}"
    prompts = [parts[kind].config["prompt"] for kind in PROMPTED if kind in parts]
    return str(prompts[0]) or None if prompts else None


def _check(base: BaseModel, parts: Mapping[str, Artifact], strength: float) -> None:
    check_strength(strength)
    for kind, part in parts.items():
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise InvalidInputError(f"Nothing is drawn with {kind!r}: use one of {known}.")
        if part.base_fingerprint != base.fingerprint:
            raise InvalidInputError(
                f"The {kind} was trained on {part.base_ref}, this base model is another one."
            )
    check_words({kind: part.config for kind, part in parts.items()})
    _check_unets(parts, strength)


def _check_unets(parts: Mapping[str, Artifact], strength: float) -> None:
    changing = [kind for kind in UNET_PARTS if kind in parts]
    whole = [kind for kind in changing if has_unet(parts[kind].tensors)]
    if whole and len(changing) > 1:
        other = next(kind for kind in changing if kind != whole[0])
        raise InvalidInputError(
            f"The {whole[0]} brings a whole U-Net, the {other} was trained on the base's own: use "
            "one of them."
        )
    if "scratch" in parts and 0 < strength < 1:
        raise InvalidInputError(
            f"The scratch shares nothing with the base, so that strength {strength} of it draws "
            "nothing: use strength 1, or leave it out."
        )
