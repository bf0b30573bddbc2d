"""From what a picture says of itself back to the request that made it."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import PART_KINDS
from dyod_studio.requests.sampling import CONDITION, CONTROL, AnyRequest, read_request
from dyod_studio.services.views import Provenance, Screen, Source
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.database import Session
from dyod_studio.store.records import Artifact
from dyod_studio.store.storage import Storage

INPUT_SUFFIX = "_sha256"
"""What a picture says of a file it began from: ``image_sha256``, ``a_sha256``, ..."""
SHA256 = re.compile(r"[0-9a-f]{64}")
NAMES = {
    "image": "the sketch",
    "a": "end A",
    "b": "end B",
    "origin": "the picture of the place",
    "region": "the region",
    "control": "the drawing whose lines lead",
}


def request_of(
    metadata: Mapping[str, Any], kind: str, inputs: Mapping[str, Path] | None = None
) -> AnyRequest:
    """The request that made a picture of this metadata.

    Raises:
        InvalidInputError: no request is of this kind or has such values.
    """
    try:
        return read_request(kind, metadata, inputs)
    except InvalidInputError as exc:
        raise InvalidInputError(f"What the picture says of itself cannot be used: {exc}") from exc


def inputs_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Name -> SHA-256 of the files that the request began from."""
    names = [name for name in metadata if name.endswith(INPUT_SUFFIX) and name != "mask_sha256"]
    found = {name.removesuffix(INPUT_SUFFIX): metadata[name] for name in sorted(names)}
    for name, sha256 in found.items():
        if not (isinstance(sha256, str) and SHA256.fullmatch(sha256)):
            raise InvalidInputError(f"What the picture says of {called(name)} is no SHA-256.")
    return found


def stored_input(storage: Storage, sha256: str) -> Path | None:
    """The stored file of this content, whatever its suffix; None when it is gone."""
    folder = storage.files.path(sha256, "").parent
    return next((path for path in sorted(folder.glob(f"{sha256}.*")) if path.is_file()), None)


def called(name: str) -> str:
    """An input as a person calls it."""
    if name.startswith("condition"):
        number = name.removeprefix("condition").lstrip("_") or "1"
        return f"reference picture {number}"
    return NAMES.get(name, f"the picture {name!r}")


def provenance_of(
    storage: Storage,
    session: Session,
    project_id: int,
    metadata: Mapping[str, Any],
    *,
    generation_id: int | None = None,
    source: Source = "dyod",
    unused: tuple[str, ...] = (),
) -> Provenance:
    """All that the screen which made the picture needs, and what it lacks now.

    Args:
        said: what the picture says of itself, its ``kind`` among it.
        unused: what else it says that has no meaning here.
    """
    kind = str(metadata.get("kind"))
    inputs: dict[str, Path] = {}
    notes = [f"Not used here: {', '.join(unused)}."] if unused else []
    for name, sha256 in inputs_of(metadata).items():
        path = stored_input(storage, sha256)
        if path is None:
            notes.append(f"{_sentence(called(name))} is no longer in this storage.")
        else:
            inputs[name] = path
    request = request_of(metadata, kind, inputs)
    return Provenance(
        project_id=project_id,
        request=request.replace(use=_used(request.artifacts)),
        screen=screen_of(kind, inputs),
        picture_seed=whole_number(metadata, "seed", request.first_seed()),
        generation_id=generation_id,
        source=source,
        notes=(*notes, *_changed_parts(session, project_id, request.artifacts)),
    )


def _used(parts: Mapping[str, str]) -> tuple[str, ...]:
    """The kinds that a request takes by name; what follows lines is taken with a drawing."""
    led = [name for name, kind in PART_KINDS.items() if kind.follows_lines]
    return tuple(kind for kind in parts if kind not in led)


def whole_number(metadata: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number that is not negative, as the picture says it.

    Raises:
        InvalidInputError: it is something else.
    """
    value = metadata.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInputError(f"What the picture says of its {name} is no whole number.")
    return value


def screen_of(kind: str, inputs: Collection[str] = ()) -> Screen:
    """The screen that makes such pictures: after a drawing or examples the Studio screen."""
    is_after = any(name.startswith((CONTROL, CONDITION)) for name in inputs)
    return "studio" if kind == "image" or is_after else "explore"


def find_part(session: Session, project_id: int, sha256: str) -> Artifact | None:
    """The project's trained part of this content."""
    parts = ArtifactRepository(session).of_project(project_id)
    return next((part for part in reversed(parts) if part.sha256 == sha256), None)


def _changed_parts(session: Session, project_id: int, parts: Mapping[str, str]) -> list[str]:
    """A sentence for each part that is gone, or that a newer one has taken the place of."""
    notes = []
    for kind, sha256 in parts.items():
        newest = ArtifactRepository(session).latest(project_id, kind)
        if newest is None:
            notes.append(f"The {kind} it was drawn with is not in this project.")
        elif newest.sha256 != sha256:
            gone = find_part(session, project_id, sha256) is None
            what = "is not in this project" if gone else "is an earlier one"
            notes.append(f"The {kind} it was drawn with {what}; the newest draws now.")
    return notes


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
