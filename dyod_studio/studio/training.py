"""Start training, watch it, stop it."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.metrics import read_losses
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.projects import ProjectRepository
from dyod_studio.store.storage import Storage
from dyod_studio.studio.mapping import job_view
from dyod_studio.studio.views import FieldKind, FieldView, JobView, MethodView
from dyod_studio.training.registry import METHODS, load_method, parse_config

POLL_S = 0.3
HIDDEN_FIELDS = {"token", "templates"}
"""Settings that the page does not ask for: the project gives the token."""


class Training:
    """What the Train screen and ``train`` can ask for."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def methods(self) -> list[MethodView]:
        """Every method with its settings, for forms."""
        return [
            MethodView(
                info.name, info.title, info.summary, _fields(load_method(info.name).config_class)
            )
            for info in METHODS.values()
        ]

    def start(self, ref: int | str, method: str, values: Mapping[str, Any]) -> JobView:
        """Queue a run; a worker takes it up.

        Raises:
            InvalidInputError: unknown method, wrong setting, or a project without pictures.
        """
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            known = load_method(method).config_class.model_fields
            token = {"token": project.token} if "token" in known else {}
            config = parse_config(method, {**token, **values})
            if not PictureRepository(session).count(project.id):
                raise InvalidInputError(
                    f"Project {project.name!r} has no pictures yet: add some first."
                )
            settings = config.model_dump(mode="json")
            row = JobRepository(session).add(project.id, method, settings, config.steps)
            return job_view(self._storage, session, row)

    def jobs(self, ref: int | str) -> list[JobView]:
        """The project's runs, newest first."""
        with self._storage.database.session() as session:
            project = ProjectRepository(session).find(ref)
            rows = JobRepository(session).of_project(project.id)
            return [job_view(self._storage, session, row) for row in rows]

    def job(self, job_id: int) -> JobView:
        """One run as it stands now.

        Raises:
            NotFoundError: there is no such job.
        """
        with self._storage.database.session() as session:
            return job_view(self._storage, session, JobRepository(session).get(job_id))

    def cancel(self, job_id: int) -> JobView:
        """Ask a run to stop: at once while it is queued, within a step while it runs.

        Raises:
            JobStateError: it has come to an end already.
        """
        with self._storage.database.session() as session:
            row = JobRepository(session).request_cancel(job_id)
            return job_view(self._storage, session, row)

    def losses(self, job_id: int) -> list[tuple[int, float]]:
        """(step, loss) of every finished update."""
        return read_losses(self._storage.metrics_path(job_id))

    def wait(self, job_id: int, on_progress: Callable[[JobView], None]) -> JobView:
        """Return when the run has come to an end, whichever."""
        job = self.job(job_id)
        while not job.is_final:
            on_progress(job)
            time.sleep(POLL_S)
            job = self.job(job_id)
        on_progress(job)
        return job


def _fields(config_class: Any) -> tuple[FieldView, ...]:
    fields: dict[str, FieldInfo] = config_class.model_fields
    return tuple(
        _field_view(name, field) for name, field in fields.items() if name not in HIDDEN_FIELDS
    )


def _field_view(name: str, field: FieldInfo) -> FieldView:
    bounds = {key: getattr(rule, key) for rule in field.metadata for key in _bounds_of(rule)}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return FieldView(
        name=name,
        title=field.title or name,
        help=" ".join((field.description or "").split()),
        kind="choice" if choices else _kind(field.annotation),
        default=field.default,
        minimum=bounds.get("ge", bounds.get("gt")),
        maximum=bounds.get("le", bounds.get("lt")),
        choices=tuple(str(choice) for choice in choices),
    )


def _bounds_of(rule: Any) -> list[str]:
    return [key for key in ("ge", "gt", "le", "lt") if hasattr(rule, key)]


def _kind(annotation: Any) -> FieldKind:
    kinds: dict[Any, FieldKind] = {int: "int", float: "float", bool: "bool"}
    return kinds.get(annotation, "str")
