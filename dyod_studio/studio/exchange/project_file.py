"""What a whole project looks like as one file: a ZIP whose ``project.json`` lists the rest.

Nothing in it is believed when it comes back: names are keys of the archive and never paths, every
file must have the SHA-256 that is listed, and what can be found out from a file is found out anew.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Literal["dyod-project"] = "dyod-project"
VERSION: Literal[1] = 1
INDEX = "project.json"
MAX_INDEX_BYTES = 256_000_000
"""About 100,000 pictures with all that made them."""
MAX_ROWS = 200_000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Member = Annotated[
    str, Field(pattern=r"^(pictures|artifacts|gallery|inputs|places)/[\w.-]{1,160}$")
]
Pixels = Annotated[int, Field(ge=0, le=100_000)]


class _Entry(BaseModel):
    """Unknown keys are passed over: a later release may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CropEntry(_Entry):
    """A square of the upright original, in its pixels."""

    left: Pixels
    top: Pixels
    side: Annotated[int, Field(ge=1, le=100_000)]


class PictureEntry(_Entry):
    """A picture of the set, as it was given."""

    file: Member
    name: Annotated[str, Field(max_length=1000)]
    sha256: Sha256
    crop: CropEntry
    caption: Annotated[str | None, Field(max_length=100_000)] = None
    is_left_out: bool = False
    repeats_sha256: Sha256 | None = None
    sharpness: Annotated[float | None, Field(ge=0)] = None
    ground: Annotated[str | None, Field(max_length=40)] = None
    created_at: datetime | None = None


class ArtifactEntry(_Entry):
    """A trained part; its kind and settings stand in its own header."""

    file: Member
    sha256: Sha256
    created_at: datetime | None = None


class InputEntry(_Entry):
    """A file that a request began from."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    file: Member
    sha256: Sha256


class ImageEntry(_Entry):
    """A generated picture; ``parameters`` make it again."""

    file: Member
    sha256: Sha256
    position: Annotated[int, Field(ge=0, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    parameters: dict[str, Any]
    is_favorite: bool = False
    created_at: datetime


class RequestEntry(_Entry):
    """What was asked for at once, and what it made."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    parameters: dict[str, Any]
    num_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    created_at: datetime | None = None
    inputs: tuple[InputEntry, ...] = ()
    images: tuple[ImageEntry, ...] = ()


class PlaceEntry(_Entry):
    """A saved place of a VAE; an origin in the project says the SHA-256 of its picture."""

    file: Member
    sha256: Sha256
    name: Annotated[str, Field(min_length=1, max_length=200)]
    vae_sha256: Sha256
    settings: dict[str, Any]
    created_at: datetime | None = None


class TraitEntry(_Entry):
    """What one coordinate of a VAE is called."""

    vae_sha256: Sha256
    rank: Annotated[int, Field(ge=0, le=100_000)]
    name: Annotated[str, Field(min_length=1, max_length=200)]


class ProjectIndex(_Entry):
    """The whole of ``project.json``."""

    format: Literal["dyod-project"]
    version: Literal[1]
    name: Annotated[str, Field(max_length=200)]
    token: Annotated[str, Field(max_length=100)]
    base: Annotated[str, Field(max_length=1000)]
    rights_confirmed_at: datetime | None = None
    pictures: Annotated[tuple[PictureEntry, ...], Field(max_length=MAX_ROWS)] = ()
    artifacts: Annotated[tuple[ArtifactEntry, ...], Field(max_length=MAX_ROWS)] = ()
    requests: Annotated[tuple[RequestEntry, ...], Field(max_length=MAX_ROWS)] = ()
    places: Annotated[tuple[PlaceEntry, ...], Field(max_length=MAX_ROWS)] = ()
    traits: Annotated[tuple[TraitEntry, ...], Field(max_length=MAX_ROWS)] = ()

    def members(self) -> dict[str, str]:
        """Name -> SHA-256 of every file that is listed."""
        rows: list[PictureEntry | ArtifactEntry | InputEntry | ImageEntry | PlaceEntry]
        rows = [*self.pictures, *self.artifacts, *self.places]
        for request in self.requests:
            rows += [*request.inputs, *request.images]
        return {row.file: row.sha256 for row in rows}
