"""Saved places and names of traits as entries of a project's file, and back.

A place may begin at a picture of the set or of the gallery. Here those have numbers, in the file
the SHA-256 of the picture stands for them: the numbers are others on another machine.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from dyod_studio.errors import InvalidInputError
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import PNG
from dyod_studio.store.generations import GenerationRepository
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.places import Place, PlaceRepository
from dyod_studio.studio.exchange.project_file import PlaceEntry, TraitEntry
from dyod_studio.studio.exploring.origins import MADE_PREFIX, SET_PREFIX
from dyod_studio.studio.exploring.requests import PlaceSettings

Renaming = Mapping[str, str]
"""Origin here to origin in the file, or the other way round."""


def place_name(row: Place) -> str:
    """The member that holds a place's picture."""
    return f"places/{row.id:06d}{PNG}"


def place_entry(row: Place, in_file: Renaming) -> dict[str, Any] | None:
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
    """What the traits of every VAE of the project are called."""
    vaes = {
        row.sha256
        for row in ArtifactRepository(session).of_project(project_id)
        if row.kind == "vae"
    }
    return [
        {"vae_sha256": vae, "rank": rank, "name": name}
        for vae in sorted(vaes)
        for rank, name in PlaceRepository(session).trait_names(project_id, vae).items()
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


def check_places(places: Iterable[PlaceEntry], is_of_project: Callable[[str], bool]) -> None:
    """Check what a stranger's file says of its places.

    Args:
        is_of_project: whether an origin with a SHA-256 is a picture that the file brings.

    Raises:
        InvalidInputError: a place cannot be drawn, or two have one name.
    """
    names = set()
    for place in places:
        try:
            origin = PlaceSettings.from_json(place.settings).origin
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
        PlaceRepository(session).name_trait(project_id, trait.vae_sha256, trait.rank, trait.name)
