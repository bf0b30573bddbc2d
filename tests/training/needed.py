"""The settings that a method cannot run without, so that a test may run any method."""

from collections.abc import Mapping
from typing import Any

from dyod_studio.settings import STARTER_DIR

NEEDED: Mapping[str, Mapping[str, Any]] = {
    "anl": {"clip": str(STARTER_DIR)},
    "custom-diffusion": {"class_noun": "dog", "num_class_pictures": 3},
    "dreambooth": {"class_noun": "dog", "num_class_pictures": 3},
}


def with_needed(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and what the method asks for besides."""
    return {**NEEDED.get(method, {}), **values}
