"""Short work that needs torch: here, or in a process that ends with it, so the page stays light.

The functions import what they need when they are called: naming them loads nothing.
"""

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from dyod_studio.errors import SamplerError
from dyod_studio.settings import Settings

Run = Callable[..., Any]
"""Calls the function that it is given with the arguments that follow, and returns its answer."""


def run_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in this process."""
    return function(*arguments)


def run_in_subprocess(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in a process of its own; its error is raised here.

    Raises:
        SamplerError: the process ended without an answer.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as executor:
        try:
            return executor.submit(function, *arguments).result()
        except BrokenProcessPool as exc:
            raise SamplerError(
                "The process that loads the base model ended unexpectedly, perhaps for lack of "
                "memory: close other programs and try again."
            ) from exc


def convert_part(
    settings: Settings, base: str, source: Path, target: Path, token: str, title: str
) -> Mapping[str, Any]:
    """Write a part made elsewhere to ``target`` as the studio keeps it; returns what it is."""
    from dyod_studio.jobs.inputs import load_base_model
    from dyod_studio.models.artifacts import save_artifact
    from dyod_studio.models.foreign_files import header_for, read_part
    from dyod_studio.models.foreign_headers import read_header

    header = read_header(source)
    model = load_base_model(settings.model_copy(update={"device": "cpu"}), base)
    artifact = read_part(source, header, model, token=token, title=title)
    save_artifact(artifact, target, header_for(artifact, model))
    return {
        "kind": artifact.kind,
        "config": dict(artifact.config),
        "base_fingerprint": artifact.base_fingerprint,
    }


def rare_tokens(
    settings: Settings, base: str, class_noun: str, count: int
) -> list[tuple[str, int, float]]:
    """(text, place in the vocabulary, shift) of the best names for a subject."""
    from dyod_studio.jobs.inputs import load_base_model
    from dyod_studio.models.rare_tokens import find_rare_tokens

    model = load_base_model(settings.model_copy(update={"device": "cpu"}), base)
    found = find_rare_tokens(model, class_noun, count)
    return [(token.text, token.merge_rank, token.shift) for token in found]
