"""How an image was made, as other tools write it: A1111's text and InvokeAI's JSON."""

import json
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

SAMPLER = "DDIM"
NEEDS_QUOTES = (",", ":", "\n", '"')
MODES = {"image": "img2img"}
"""What InvokeAI calls the ways that begin from a picture; all others begin from noise."""


def base_name(base: str) -> str:
    """A base model's name without the folder it lies in, which is nobody's business elsewhere."""
    path = PureWindowsPath(base) if "\\" in base else PurePath(base)
    return path.name if path.is_absolute() else base


def a1111_text(said: Mapping[str, Any], size: tuple[int, int]) -> str:
    """The ``parameters`` text: the prompt, then one line of ``Key: value`` pairs.

    Keys of this studio begin with DYOD, which other readers pass over.
    """
    pairs: dict[str, Any] = {
        "Steps": said.get("num_inference_steps"),
        "Sampler": SAMPLER,
        "CFG scale": said.get("guidance_scale"),
        "Seed": said.get("seed"),
        "Size": f"{size[0]}x{size[1]}",
        "Model hash": said.get("base_fingerprint"),
        "Model": base_name(str(said.get("base", ""))),
        "Denoising strength": said.get("t0"),
        "DYOD kind": said.get("kind"),
        "DYOD t0": said.get("t0"),
        "DYOD mask": said.get("mask_rate") or None,
        "DYOD parts": _parts(said),
    }
    line = ", ".join(
        f"{key}: {_quoted(value)}" for key, value in pairs.items() if value not in (None, "")
    )
    return f"{said.get('prompt') or ''}\n{line}".lstrip("\n")


def invokeai_metadata(said: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """The dictionary of InvokeAI's ``invokeai_metadata``."""
    return {
        "generation_mode": MODES.get(str(said.get("kind")), "txt2img"),
        "positive_prompt": said.get("prompt") or "",
        "negative_prompt": "",
        "width": size[0],
        "height": size[1],
        "seed": said.get("seed"),
        "rand_device": "cpu",
        "cfg_scale": said.get("guidance_scale"),
        "steps": said.get("num_inference_steps"),
        "scheduler": SAMPLER.lower(),
        "strength": said.get("t0"),
        "model": {
            "key": said.get("base_fingerprint"),
            "hash": said.get("base_fingerprint"),
            "name": base_name(str(said.get("base", ""))),
            "base": "any",
            "type": "main",
        },
    }


def _parts(said: Mapping[str, Any]) -> str:
    parts = dict(said.get("artifacts") or {})
    return "; ".join(f"{kind} {sha256[:10]}" for kind, sha256 in sorted(parts.items()))


def _quoted(value: Any) -> str:
    """A value as it stands in the line; one that would break it is a JSON string."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return json.dumps(text) if any(mark in text for mark in NEEDS_QUOTES) else text
