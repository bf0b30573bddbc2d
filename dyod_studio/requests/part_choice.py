"""Which of a project's trained parts are used, and whether they go together. No torch."""

from collections.abc import Collection, Mapping
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import (
    PART_KINDS,
    default_kinds,
    part_kinds,
    standalone_kinds,
    token_kinds,
)


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
