"""The frames that walks have drawn: kept beside the gallery, and put into it when she likes one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dyod_studio.errors import NotFoundError
from dyod_studio.services.explore.strips import Step, StripPlan, alone
from dyod_studio.services.gallery.provenance import inputs_of, stored_input
from dyod_studio.services.views import GenerationView, generation_view
from dyod_studio.store.bookmarks import FrameRepository, StoredImage
from dyod_studio.store.cleaning import FileName, remove_unreferenced
from dyod_studio.store.database import Session
from dyod_studio.store.files import PNG, WEBP
from dyod_studio.store.records import Frame, Generation, JobState
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage

MAX_FRAMES = 4096
"""How many frames of a project are kept; the oldest go first."""


class Frames:
    """Frames by their keys, across all projects."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def files(self, project_id: int, keys: Sequence[str]) -> dict[str, Path]:
        """The pictures that are there, by their keys."""
        with self._storage.database.session() as session:
            rows = FrameRepository(session).of_keys(project_id, keys)
        return {key: self._storage.files.path(row.sha256, PNG) for key, row in rows.items()}

    def missing(self, plan: StripPlan) -> list[Step]:
        """Steps that are still to be drawn, in their order."""
        found = self.files(plan.project_id, [step.key for step in plan.steps])
        return [step for step in plan.steps if step.key not in found]

    def picture(self, project_id: int, key: str) -> StoredImage:
        with self._storage.database.session() as session:
            row = _frame(session, project_id, key)
            return StoredImage(row.sha256, row.thumbnail_sha256)

    def take(self, request_id: int, steps: Sequence[Step]) -> None:
        """Keep what a request has made as frames, and the request no longer."""
        with self._storage.files.guard():
            with self._storage.database.session() as session:
                request = SampleRequestRepository(session).get(request_id)
                project_id, frames = request.project_id, FrameRepository(session)
                made = GenerationRepository(session).of_request(request_id)
                for row, step in zip(made, steps, strict=True):
                    frames.add(_frame_of(row, step))
                SampleRequestRepository(session).delete(request_id)
                dropped = frames.drop_oldest(project_id, keep=MAX_FRAMES)
            remove_unreferenced(self._storage, _names(dropped))

    def forget(self, request_id: int) -> None:
        """Delete a request that made nothing; what it began from stays for the next one."""
        with self._storage.database.session() as session:
            SampleRequestRepository(session).delete(request_id)

    def others_wait(self, request_id: int) -> bool:
        """Whether anybody has asked for a picture after this request, and has none yet."""
        with self._storage.database.session() as session:
            return SampleRequestRepository(session).is_followed(request_id)

    def keep(self, project_id: int, key: str, *, is_favorite: bool = False) -> GenerationView:
        """Put a frame into the gallery, where it is made again like any other picture.

        Raises:
            NotFoundError: there is no such frame, or no longer.
        """
        with self._storage.database.session() as session:
            frame = _frame(session, project_id, key)
            requests, gallery = SampleRequestRepository(session), GenerationRepository(session)
            request = requests.add(
                project_id,
                frame.kind,
                frame.parameters,
                num_steps=frame.parameters["num_inference_steps"],
                inputs=self._inputs(frame.parameters),
            )
            for state in (JobState.RUNNING, JobState.SUCCEEDED):
                requests.move(request.id, state)
            row = gallery.add(_generation_of(frame, request.id, is_favorite=is_favorite))
            return generation_view(self._storage, row)

    def _inputs(self, parameters: Mapping[str, Any]) -> tuple[InputFile, ...]:
        found = {
            name: stored_input(self._storage, sha) for name, sha in inputs_of(parameters).items()
        }
        return tuple(
            InputFile(name, path.stem, path.suffix) for name, path in found.items() if path
        )


def _frame(session: Session, project_id: int, key: str) -> Frame:
    rows = FrameRepository(session).of_keys(project_id, [key])
    if key not in rows:
        raise NotFoundError("This picture is not drawn yet: wait until it is there.")
    return rows[key]


def _frame_of(row: Generation, step: Step) -> Frame:
    return Frame(key=step.key, **row.image() | {"parameters": alone(row.parameters, step)})


def _generation_of(frame: Frame, request_id: int, *, is_favorite: bool) -> Generation:
    return Generation(request_id=request_id, position=0, is_favorite=is_favorite, **frame.image())


def _names(pictures: Sequence[StoredImage]) -> list[FileName]:
    names = [FileName(picture.sha256, PNG) for picture in pictures]
    return names + [FileName(picture.thumbnail_sha256, WEBP) for picture in pictures]
