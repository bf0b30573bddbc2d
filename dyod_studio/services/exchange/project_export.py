"""The rows of a whole project as the entries of its one file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.images import base_name
from dyod_studio.services.exchange.project_archive import (
    FORMAT,
    INDEX,
    VERSION,
    BookmarkEntry,
    ProjectIndex,
    TraitEntry,
)
from dyod_studio.services.explore.service import MADE_PREFIX, SET_PREFIX
from dyod_studio.services.explore.views import point_from_json
from dyod_studio.services.views import ProjectView
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.bookmarks import BookmarkRepository
from dyod_studio.store.database import Session
from dyod_studio.store.files import PNG, SAFETENSORS
from dyod_studio.store.projects import PictureRepository, ProjectRepository
from dyod_studio.store.records import Artifact, Bookmark, Generation, Picture
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage

Renaming = Mapping[str, str]
"""Origin here to origin in the file, or the other way round."""


def place_name(row: Bookmark) -> str:
    """The member that holds a place's picture."""
    return f"places/{row.id:06d}{PNG}"


def bookmark_entry(row: Bookmark, in_file: Renaming) -> dict[str, Any] | None:
    """A place as it stands in the file; None where what it began at is not in the file."""
    origin = str(row.settings["origin"])
    if origin.startswith((SET_PREFIX, MADE_PREFIX)) and origin not in in_file:
        return None
    return {
        "file": place_name(row),
        "sha256": row.sha256,
        "name": row.name,
        "vae_sha256": row.vae_sha256,
        "settings": {**row.settings, "origin": in_file.get(origin, origin)},
        "created_at": row.created_at,
    }


def trait_entries(session: Session, project_id: int) -> list[dict[str, Any]]:
    """Names of the traits of every VAE of the project."""
    vaes = {
        row.sha256
        for row in ArtifactRepository(session).of_project(project_id)
        if row.kind == "vae"
    }
    return [
        {"vae_sha256": vae, "rank": rank, "name": name}
        for vae in sorted(vaes)
        for rank, name in BookmarkRepository(session).trait_names(project_id, vae).items()
    ]


def origins(session: Session, project_id: int) -> dict[str, str]:
    """Every origin of the project that has a number here, and what stands for it in a file."""
    pictures = PictureRepository(session)
    images = GenerationRepository(session)
    ids = images.ids(project_id)
    return {
        f"{SET_PREFIX}{row.id}": f"{SET_PREFIX}{row.sha256}"
        for row in (*pictures.all(project_id), *pictures.left_out(project_id))
    } | {
        f"{MADE_PREFIX}{row.id}": f"{MADE_PREFIX}{row.sha256}"
        for row in images.of_ids(project_id, ids)
    }


def check_bookmarks(places: Iterable[BookmarkEntry], is_of_project: Callable[[str], bool]) -> None:
    """Check what a stranger's file says of its places.

    Args:
        is_of_project: whether an origin with a SHA-256 is a picture that the file brings.

    Raises:
        InvalidInputError: a place cannot be drawn, or two have one name.
    """
    names = set()
    for place in places:
        try:
            origin = point_from_json(place.settings).origin
        except (TypeError, ValueError, KeyError, AttributeError) as exc:
            raise InvalidInputError(f"The place {place.name!r} is damaged: {exc}.") from exc
        if origin.startswith((SET_PREFIX, MADE_PREFIX)) and not is_of_project(origin):
            raise InvalidInputError(
                f"The place {place.name!r} begins at a picture that the file does not bring."
            )
        if place.name in names:
            raise InvalidInputError(f"Two places are called {place.name!r}: a name is used once.")
        names.add(place.name)


def name_traits(session: Session, project_id: int, traits: Iterable[TraitEntry]) -> None:
    """Call the traits what they are called in the file."""
    for trait in traits:
        BookmarkRepository(session).name_trait(project_id, trait.vae_sha256, trait.rank, trait.name)


Entry = tuple[str, Path | bytes]


def project_entries(storage: Storage, project: ProjectView) -> Iterator[Entry]:
    """Pictures as given, trained parts, places, the gallery; last project.json, the list of all.

    What lies in the bin stays here.
    """
    with storage.database.session() as session:
        rows = _read(session, project)
    files = storage.files
    for picture in rows.pictures:
        yield _picture_name(picture), files.path(picture.sha256, picture.suffix)
    for artifact in rows.artifacts:
        yield _artifact_name(artifact), files.path(artifact.sha256, SAFETENSORS)
    for place, _ in rows.places:
        yield place_name(place), files.path(place.sha256, PNG)
    written = set()
    for _, (inputs, images) in rows.requests:
        for file in inputs:
            if (name := _input_name(file)) not in written:
                written.add(name)
                yield name, files.path(file.sha256, file.suffix)
        for image in images:
            yield _image_name(image), files.path(image.sha256, PNG)
    yield INDEX, rows.index().model_dump_json(indent=1).encode()


@dataclass(frozen=True)
class _Rows:
    """A project's rows; those that are rearranged for the file with their entries."""

    entries: Mapping[str, Any]
    pictures: Sequence[Picture]
    artifacts: Sequence[Artifact]
    requests: Sequence[tuple[dict[str, Any], tuple[list[InputFile], list[Generation]]]]
    places: Sequence[tuple[Bookmark, dict[str, Any]]]

    def index(self) -> ProjectIndex:
        return ProjectIndex.model_validate(
            {
                **self.entries,
                "pictures": [_picture(row) for row in self.pictures],
                "artifacts": [_artifact(row) for row in self.artifacts],
                "requests": [entry for entry, _ in self.requests],
                "places": [entry for _, entry in self.places],
            }
        )


def _read(session: Session, project: ProjectView) -> _Rows:
    kept = ProjectRepository(session).get(project.id)
    entries = {
        "format": FORMAT,
        "version": VERSION,
        "name": project.name,
        "token": project.token,
        "base": base_name(project.base),
        "rights_confirmed_at": kept.rights_confirmed_at,
        "crop_mode": kept.crop_mode,
        "traits": trait_entries(session, project.id),
    }
    in_file = origins(session, project.id)
    pictures = PictureRepository(session)
    places = BookmarkRepository(session).all(project.id)
    return _Rows(
        entries,
        [*pictures.all(project.id), *pictures.left_out(project.id)],
        ArtifactRepository(session).of_project(project.id),
        _requests(session, project.id),
        [(row, entry) for row in places if (entry := bookmark_entry(row, in_file))],
    )


def _requests(
    session: Session, project_id: int
) -> list[tuple[dict[str, Any], tuple[list[InputFile], list[Generation]]]]:
    """Each request that has an image in sight, the oldest first, with its files and images."""
    found = []
    images = GenerationRepository(session)
    visible = set(images.ids(project_id))
    ids = sorted({row.request_id for row in images.of_ids(project_id, sorted(visible))})
    for request_id in ids:
        request = SampleRequestRepository(session).get(request_id)
        inputs = list(SampleRequestRepository(session).inputs(request_id).values())
        made = [row for row in images.of_request(request_id) if row.id in visible]
        entry = {
            "kind": request.kind,
            "parameters": {**request.parameters, "base": base_name(request.parameters["base"])},
            "num_steps": request.num_steps,
            "created_at": request.created_at,
            "inputs": [
                {"name": file.name, "file": _input_name(file), "sha256": file.sha256}
                for file in inputs
            ],
            "images": [_image(row) for row in made],
        }
        found.append((entry, (inputs, made)))
    return found


def _picture_name(row: Picture) -> str:
    return f"pictures/{row.id:06d}{row.suffix}"


def _artifact_name(row: Artifact) -> str:
    return f"artifacts/{row.id:06d}-{row.kind}{SAFETENSORS}"


def _input_name(file: InputFile) -> str:
    return f"inputs/{file.sha256}{file.suffix}"


def _image_name(row: Generation) -> str:
    return f"gallery/{row.id:06d}_{row.kind}_seed{row.seed}{PNG}"


def _picture(row: Picture) -> dict[str, Any]:
    return {
        "file": _picture_name(row),
        "name": row.name,
        "sha256": row.sha256,
        "crop": {"left": row.crop_left, "top": row.crop_top, "side": row.crop_side},
        "caption": row.caption,
        "is_left_out": row.is_left_out,
        "repeats_sha256": row.repeats_sha256,
        "sharpness": row.sharpness,
        "ground": row.ground,
        "created_at": row.created_at,
    }


def _artifact(row: Artifact) -> dict[str, Any]:
    return {"file": _artifact_name(row), "sha256": row.sha256, "created_at": row.created_at}


def _image(row: Generation) -> dict[str, Any]:
    parameters = dict(row.parameters)
    if "base" in parameters:
        parameters["base"] = base_name(parameters["base"])
    return {
        "file": _image_name(row),
        "sha256": row.sha256,
        "position": row.position,
        "seed": row.seed,
        "parameters": parameters,
        "is_favorite": row.is_favorite,
        "created_at": row.created_at,
    }
