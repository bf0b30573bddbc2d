"""Which trained parts teach a word, and which of them go together. No torch here."""

from collections.abc import Mapping
from typing import Any

from dyod_studio.errors import InvalidInputError

WITH_WORDS = ("inversion", "custom-diffusion", "embedding")
"""Parts that teach a word, in the order in which they are attached."""


def check_words(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that no word is taught twice, and that none is missing.

    Args:
        configs: what each part was trained with, by its kind.

    Raises:
        InvalidInputError: two parts teach one word, or a part was trained beside the word of an
            inversion that is not among them.
    """
    taught: dict[str, str] = {}
    for kind in (kind for kind in WITH_WORDS if kind in configs):
        token = str(configs[kind].get("token"))
        if token in taught:
            raise InvalidInputError(
                f"The {taught[token]} and the {kind} both taught {token}: use one of them."
            )
        taught[token] = kind
    for kind, config in configs.items():
        if config.get("word") and "inversion" not in configs:
            raise InvalidInputError(
                f"The {kind} was trained beside the word of an inversion: use the inversion too."
            )
