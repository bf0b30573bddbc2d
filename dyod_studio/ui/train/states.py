"""The saved states of a run, each with its pictures, so that a person can choose by looking."""

from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

from dyod_studio.services.views import CheckpointView, JobView
from dyod_studio.ui.job_pieces import press
from dyod_studio.ui.thumbs import data_uri

THUMBNAIL_PX = 112
HEAD = """<div class="heading"><h3>Saved states</h3><p>The same four seeds in each, so that they
compare. {hint}</p></div>"""
HINT_FINAL = "Take the one that you like best, the last is not always it."
HINT_OPEN = "Once the run rests or has ended you can choose one."


def states_html(job: JobView, states: Sequence[CheckpointView]) -> str:
    """Every saved state, the newest first; empty when there is none."""
    if not states:
        return ""
    hint = HINT_FINAL if "choose" in job.can else HINT_OPEN
    rows = "".join(_state(job, state) for state in reversed(states))
    return f'{HEAD.format(hint=hint)}<div class="states">{rows}</div>'


def _state(job: JobView, state: CheckpointView) -> str:
    loss = "" if state.loss is None else f"loss {state.loss:.4g}"
    marks = {"lowest loss": state.is_best, "kept": state.is_kept}
    chips = "".join(
        f'<span class="chip chip-mark">{name}</span>' for name, is_set in marks.items() if is_set
    )
    pictures = "".join(
        f'<img alt="" width="{THUMBNAIL_PX}" src="{uri}">' for uri in _thumbnails(state.previews)
    )
    if not pictures:
        loss += " · saved without pictures"
    return (
        f'<div class="state" data-step="{state.step}"><div class="state-pictures">{pictures}</div>'
        f'<div class="state-words"><b>Step {state.step:,}</b><span>{escape(loss)}</span>{chips}'
        f'<span class="presses">{_ways(job, state)}</span></div></div>'
    )


def _ways(job: JobView, state: CheckpointView) -> str:
    ways = ""
    if "choose" in job.can:
        ways += press(
            "choose", job, "Use this one", "Draw with the model as it was here.", step=state.step
        )
    if "retry" in job.can and state.step < job.num_steps:
        ways += press(
            "retry", job, "Go on from here", "A new run from this state.", step=state.step
        )
    return ways


def _thumbnails(paths: Sequence[Path]) -> list[str]:
    """The pictures as data; one that a running job has cleared away meanwhile is left out."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append(data_uri(path, 2 * THUMBNAIL_PX))
    return found
