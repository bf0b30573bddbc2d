"""Plan of what a run will take on this machine, by what was measured here so far."""

from dataclasses import dataclass
from typing import Any

from dyod_studio.errors import JobStateError
from dyod_studio.jobs.calibration import calibrate, known_for
from dyod_studio.jobs.devices import device_key
from dyod_studio.models.base_size import base_size
from dyod_studio.models.memory import free_memory_mb
from dyod_studio.models.memory_plan import MemoryPlan
from dyod_studio.services.views import PlanView
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.database import Session
from dyod_studio.store.jobs import JobRepository
from dyod_studio.store.records import Job
from dyod_studio.store.storage import Storage
from dyod_studio.training.planning import plan_run
from dyod_studio.training.registry import MethodConfig
from dyod_studio.training.run import UNCHANGED, Adjustments


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what the run has to be told so that it goes as planned."""

    plan: MemoryPlan
    adjustments: Adjustments

    @property
    def changes(self) -> dict[str, Any] | None:
        """For the job's row; None when nothing is changed."""
        return None if self.adjustments == UNCHANGED else self.adjustments.as_dict()

    def view(self, method: str) -> PlanView:
        plan = self.plan
        return PlanView(
            method=method,
            device=plan.device,
            free_mb=plan.free_mb,
            peak_memory_mb=plan.peak_memory_mb,
            seconds=plan.seconds,
            is_estimate=plan.is_estimate,
            fits=plan.fits,
            measures=plan.measures,
            advice=plan.advice,
        )


def plan_for(
    settings: Settings, session: Session, base: str, method: str, config: MethodConfig
) -> Planned:
    """The plan of a run in a project on ``base``.

    Raises:
        BaseModelError: the base model is not there any more.
    """
    size = base_size(base, STARTER_DIR)
    known = known_for(settings, session, base, method, config)
    free_mb = free_for_next(settings, session)
    device = kind_of_device(settings)
    return Planned(*plan_run(method, config, size, device, free_mb, known=known))


def measure_now(
    settings: Settings, storage: Storage, project_id: int, method: str, config: MethodConfig
) -> None:
    """Make a few real steps of a run in a process of its own, and keep what they took.

    Raises:
        JobStateError: a run is training on the device: both would be measured wrongly.
        TrainingError: it does not fit, or it failed; the message says why.
    """
    with storage.database.session() as session:
        running = running_here(settings, session)
    if running:
        raise JobStateError(
            f"Job {running[0].id} is training on this device: measure when it has ended or rests."
        )
    calibrate(settings, storage, project_id, method, config)


def running_here(settings: Settings, session: Session) -> list[Job]:
    """The run that trains on this machine's device, if any does."""
    device = device_key(settings)
    return [job for job in JobRepository(session).running() if job.device == device]


def free_for_next(settings: Settings, session: Session) -> float:
    """Megabytes that are free once the run that trains here now has ended: runs take turns."""
    held = sum(job.peak_memory_mb or 0.0 for job in running_here(settings, session))
    kind, limit = kind_of_device(settings), settings.memory_limit_mb
    free = free_memory_mb(kind) + held
    return free if kind == "cpu" or limit is None else min(free, float(limit))


def kind_of_device(settings: Settings) -> str:
    """``cpu`` or ``cuda``, without loading torch."""
    return "cpu" if device_key(settings).endswith("/cpu") else "cuda"
