"""Trained parts of a project that a request draws with.

Refuses before anything is written what ``models.customised`` would refuse after the base is loaded.
"""

from collections.abc import Mapping, Sequence

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import PART_KINDS, check_tokens, default_parts, part_kinds
from dyod_studio.services.views import ProjectView
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.database import Session
from dyod_studio.store.records import Artifact


def choose_parts(
    session: Session, project: ProjectView, use: Sequence[str] | None, *, needs_vae: bool
) -> dict[str, Artifact]:
    """The newest of each part that is used, by its kind.

    Args:
        use: their kinds; None for what is usual.
        needs_vae: the start is drawn by the vae, whether it is named or not.

    Raises:
        InvalidInputError: one of them is not trained, or they do not go together.
    """
    asked = default_parts(project.artifacts) if use is None else use
    kinds = [kind for kind in part_kinds() if kind in asked or (needs_vae and kind == "vae")]
    repository, chosen = ArtifactRepository(session), {}
    for kind in kinds:
        row = repository.latest(project.id, kind)
        if row is None:
            lack = f"imported {kind} yet: import a file"
            if not PART_KINDS[kind].is_imported:
                lack = f"trained {kind} yet: train {kind!r}"
            raise InvalidInputError(f"Project {project.name!r} has no {lack} first.")
        chosen[kind] = row
    check_tokens({kind: row.config for kind, row in chosen.items()})
    return chosen


def check_conditionable(parts: Mapping[str, Artifact]) -> None:
    """Refuse condition pictures and texts where nothing in use draws after them."""
    if "anl" not in parts:
        raise InvalidInputError(
            "Only an anl draws after condition pictures or a condition text: "
            "train 'anl' first, and name it among the parts to use."
        )
    if parts["anl"].config.get("variant") == "unconditional":
        raise InvalidInputError(
            "The anl of this project was trained without a condition: "
            "leave condition pictures and texts out."
        )
