"""Training that a test moves by hand: the part of the fake Studio behind the Train screen."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dyod_studio.errors import InvalidInputError, JobStateError
from dyod_studio.services.views import (
    ArtifactView,
    CheckpointView,
    FieldView,
    JobView,
    MethodView,
    PlanView,
    RecommendationView,
)
from tests.ui.drawing import draw_picture

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
NOTHING: Mapping[str, Any] = {}
METHODS = (
    MethodView(
        "inversion",
        "Textual inversion",
        "Learns one word that stands for the whole set.",
        (
            FieldView("steps", "Steps", "Optimiser updates.", "int", 800, 1, 100000, ()),
            FieldView("learning_rate", "Learning rate", "How big a step.", "float", 5e-3, 0, 1, ()),
            FieldView("initializer", "First guess", "A word.", "str", "", None, None, ()),
            FieldView("min_snr", "Weigh the noise", "Min-SNR.", "bool", True, None, None, ()),
        ),
    ),
    MethodView(
        "vae",
        "Initial VAE",
        "Learns the variety of shapes.",
        (
            FieldView("steps", "Steps", "Optimiser updates.", "int", 2000, 1, 100000, ()),
            FieldView(
                "space", "Space", "Where.", "choice", "pixel", None, None, ("pixel", "latent")
            ),
        ),
    ),
    MethodView(
        "dreambooth",
        "DreamBooth",
        "Learns one subject.",
        (FieldView("class_noun", "Class noun", "What it is.", "str", "", None, None, ()),),
    ),
    MethodView(
        "lora",
        "LoRA of the set",
        "Learns how the pictures are drawn.",
        (
            FieldView("steps", "Steps", "Optimiser updates.", "int", 800, 1, 100000, ()),
            FieldView("rank", "Rank", "Width.", "int", 16, 1, 1024, ()),
        ),
    ),
)

CAN = {
    "queued": ("pause", "move", "cancel"),
    "running": ("pause", "save", "sample", "cancel"),
    "paused": ("resume", "move", "choose", "cancel"),
}


def a_job(**values: Any) -> JobView:
    """Run 3 of project 1, a quarter done; what may be asked of it follows from its state."""
    facts: dict[str, Any] = {
        "id": 3, "project_id": 1, "project": "Toy heads", "kind": "vae", "state": "running",
        "step": 50, "num_steps": 200, "loss": 0.25, "seconds_left": 125.0, "error": None,
        "log_tail": "", "previews": (), "artifacts": (), "created_at": NOW,
    }  # fmt: skip
    facts |= values
    facts.setdefault("can", CAN.get(facts["state"], ("retry", "choose")))
    return JobView(**facts)


def trained(job: JobView) -> JobView:
    artifacts = (ArtifactView(job.kind, "ab" * 32, 10),)
    return replace(job, state="succeeded", artifacts=artifacts, can=("retry", "choose"), place=None)


class FakeTraining:
    """Jobs that a test moves by hand; ``pressed`` keeps what was asked of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows: dict[int, JobView] = {}
        self.started: list[tuple[int | str, str, Mapping[str, object]]] = []
        self.pressed: list[tuple[Any, ...]] = []
        self.saved: dict[int, list[CheckpointView]] = {}
        self.measured: set[str] = set()
        self.curve: list[tuple[int, float]] = [(step, 1 / step) for step in range(1, 400)]

    def methods(self) -> list[MethodView]:
        return list(METHODS)

    def recommend(self, ref: int | str) -> RecommendationView:
        return RecommendationView(("inversion", "vae"), ("The word, then the shapes.",))

    def start(self, ref: int | str, method: str, values: Mapping[str, object]) -> JobView:
        if values.get("steps") == 0:
            raise InvalidInputError("steps must be at least 1, got 0.")
        self.started.append((ref, method, values))
        return self._add(project_id=int(ref), kind=method)

    def _add(self, **values: Any) -> JobView:
        number = len(self.rows) + 1
        waiting = len([job for job in self.rows.values() if job.place])
        self.rows[number] = a_job(
            id=number, state="queued", step=0, num_steps=800, loss=None, seconds_left=None,
            place=waiting + 1, **values,
        )  # fmt: skip
        return self.rows[number]

    def plan(
        self, ref: int | str, method: str, values: Mapping[str, Any], *, measure: bool = False
    ) -> PlanView:
        if values.get("steps") == 0:
            raise InvalidInputError("steps must be at least 1, got 0.")
        self.measured |= {method} if measure else set()
        fits = values.get("batch_size", 4) < 100
        return PlanView(
            method=method, device="cpu: Fake x 2", free_mb=6200.0, peak_memory_mb=1120.0,
            seconds=114.0, is_estimate=method not in self.measured, fits=fits,
            measures=() if fits else ("The batch is worked through in halves.",),
            advice="" if fits else "Take a smaller batch: 100 does not fit.",
        )  # fmt: skip

    def jobs(self, ref: int | str | None = None) -> list[JobView]:
        return [job for job in self.rows.values() if ref in (None, job.project_id)]

    def queue(self) -> list[JobView]:
        return [job for job in self.rows.values() if not job.is_final]

    def job(self, job_id: int) -> JobView:
        return self.rows[job_id]

    def change(self, job_id: int, **values: Any) -> JobView:
        """Set a job's facts; what may be asked of it follows its state."""
        state = values.get("state", self.rows[job_id].state)
        values = {"can": CAN.get(state, ("retry", "choose")), **values}
        if state not in ("queued", "paused"):
            values["place"] = None
        self.rows[job_id] = replace(self.rows[job_id], **values)
        return self.rows[job_id]

    def advance(self, job_id: int, step: int) -> JobView:
        """A running job at ``step``, with four preview pictures and a saved state each 100."""
        for saved in range(100, step + 1, 100):
            self.save_state(job_id, saved)
        return self.change(
            job_id, state="running", step=step, loss=0.123, seconds_left=125.0,
            previews=self._pictures(job_id, step), peak_memory_mb=1090.0,
        )  # fmt: skip

    def save_state(self, job_id: int, step: int, *, is_kept: bool = False) -> None:
        states = {state.step: state for state in self.saved.get(job_id, [])}
        states[step] = CheckpointView(
            step, 1 / step, self._pictures(job_id, step), False, is_kept, NOW
        )
        last = max(states)
        self.saved[job_id] = [replace(states[at], is_best=at == last) for at in sorted(states)]

    def _pictures(self, job_id: int, step: int) -> tuple[Path, ...]:
        folder = self._folder / "files" / f"job{job_id}"
        return tuple(
            draw_picture(folder / f"{step}-{i}.png", i / 4 + step / 3000, 64) for i in range(4)
        )

    def fail(self, job_id: int, error: str, remedy: str) -> JobView:
        tail = "\n".join(
            f"00:00:{second:02d} Step {second} of 800, loss nan." for second in range(40)
        )
        return self.change(job_id, state="failed", error=error, remedy=remedy, log_tail=tail)

    def cancel(self, job_id: int) -> JobView:
        return self._asked("cancel", job_id, state="cancelled")

    def pause(self, job_id: int) -> JobView:
        return self._asked("pause", job_id, state="paused", place=1)

    def resume(self, job_id: int) -> JobView:
        return self._asked("resume", job_id, state="running")

    def save_now(self, job_id: int) -> JobView:
        return self._asked("save", job_id, asked=("save",))

    def sample_now(self, job_id: int) -> JobView:
        return self._asked("sample", job_id, asked=("sample",))

    def move(self, job_id: int, place: int) -> JobView:
        return self._asked("move", job_id, place=place)

    def _asked(self, what: str, job_id: int, **values: Any) -> JobView:
        if what not in self.rows[job_id].can:
            raise JobStateError(f"Job {job_id} is {self.rows[job_id].state}; {what} is too late.")
        self.pressed.append((what, job_id))
        return self.change(job_id, **values)

    def checkpoints(self, job_id: int) -> list[CheckpointView]:
        return self.saved.get(job_id, [])

    def retry(
        self, job_id: int, step: int | None = None, *, fresh: bool = False,
        changes: Mapping[str, Any] = NOTHING,
    ) -> JobView:  # fmt: skip
        self.pressed.append(("fresh" if fresh else "retry", job_id, step))
        job = self.rows[job_id]
        return self._add(
            project_id=job.project_id, kind=job.kind, settings={**job.settings, **changes},
            continues_job_id=None if fresh else job_id, start_step=step,
        )  # fmt: skip

    def choose(self, job_id: int, step: int | None = None) -> JobView:
        self.pressed.append(("choose", job_id, step))
        job = self.rows[job_id]
        return self._add(
            project_id=job.project_id, kind=job.kind, continues_job_id=job_id, start_step=step,
            is_finish_only=True,
        )  # fmt: skip

    def losses(self, job_id: int) -> list[tuple[int, float]]:
        return self.curve if self.rows[job_id].step else []

    def report(self, job_id: int, out: Path) -> Path:
        out.write_text(f"<h1>Run {job_id}</h1>")
        return out

    def failure_text(self, job_id: int) -> str:
        return f"DYOD Studio 0\nCause: {self.rows[job_id].error}\nSettings: steps=800"
