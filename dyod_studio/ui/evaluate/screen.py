"""The Evaluate screen: how close the pictures are to the set, and where they are closest."""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.evaluation.views import (
    METRICS,
    SWEEPS,
    EvaluationSettings,
    EvaluationView,
)
from dyod_studio.ui.common.controls import Slider
from dyod_studio.ui.common.handlers import PRIVATE, SILENT, chosen, quiet_on_timer, shown_to_user
from dyod_studio.ui.common.html import heading
from dyod_studio.ui.evaluate.html import evaluation_body, evaluation_card, evaluation_name

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

EMPTY = """
<div class="empty"><h3>Nothing measured yet</h3><p>Press Measure. New pictures are made at several
settings and compared with your set; in the end you know which setting suits it best.</p></div>
"""
CHOICES = [(title, name) for name, (title, _) in SWEEPS.items()]
TITLES = [(metric.title, metric.name) for metric in METRICS.values()]
FETCH = "() => document.querySelector('#evaluation-file').click()"
Seen = Mapping[str, str]
"""What the page shows already, part by part."""
PARTS = ("picked", "card", "metric", "buttons", "stop", "again", "body")


def build_evaluate(
    studio: "Studio", scratch: Path, project: gr.State, timer: gr.Timer
) -> list[Any]:
    """Lay out the screen and wire it; returns what ``show_evaluate`` fills."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            asked = _build_question()
            start = gr.Button("Measure", variant="primary", elem_id="evaluate-start")
        with gr.Column(scale=5, min_width=420):
            picked = gr.Dropdown(
                [], label="Measured before", visible=False, elem_id="evaluate-picked"
            )
            card = gr.HTML(EMPTY, elem_id="evaluate-card", padding=False)
            with gr.Row(visible=False, elem_id="evaluate-ways") as buttons:
                stop = gr.Button("Stop", size="sm", min_width=90, elem_id="evaluate-stop")
                again = gr.Button("Go on measuring", size="sm", elem_id="evaluate-again")
                html = gr.Button("Report to read", size="sm", elem_id="evaluate-html")
                pdf = gr.Button("Report to print", size="sm", elem_id="evaluate-pdf")
                file = gr.DownloadButton(elem_id="evaluation-file")
            metric = gr.Dropdown(
                TITLES, value="kid", label="Figure to draw", visible=False,
                elem_id="evaluate-metric", info="How pictures and set are compared.",
            )  # fmt: skip
            body = gr.HTML(elem_id="evaluate-body", padding=False)
    seen = gr.State({})
    outputs = [picked, card, metric, buttons, stop, again, body, seen]
    start.click(partial(on_measure, studio), [project, *asked], picked, **PRIVATE)
    stop.click(partial(on_stop, studio), picked, None, **PRIVATE)
    again.click(partial(on_again, studio), [project, picked], picked, **PRIVATE)
    for button, suffix in ((html, "html"), (pdf, "pdf")):
        button.click(partial(on_report, studio, scratch, suffix), picked, file, **PRIVATE).success(
            None, None, None, js=FETCH
        )
    gr.on(
        [timer.tick, picked.change, metric.change],
        partial(describe_evaluation, studio), [project, picked, metric, seen], outputs, **SILENT,
    )  # fmt: skip
    return outputs


def _build_question() -> list[Any]:
    gr.HTML(heading("How close is it to your set?", "New pictures, compared with yours."))
    sweep = gr.Radio(
        CHOICES, value="t0", label="What to try out", elem_id="evaluate-sweep",
        info="One thing is varied, all else stays as it is.",
    )  # fmt: skip
    num = Slider(
        8, 500, value=60, step=1, label="Pictures at each setting", elem_id="evaluate-num",
        info="More take longer and tell smaller differences; 50 or more are good.",
    )  # fmt: skip
    with gr.Accordion("Fine controls", open=False):
        steps = Slider(
            5, 100, value=25, step=1, label="Steps", elem_id="evaluate-steps",
            info="Of the whole way, for each picture (inference steps).",
        )  # fmt: skip
        extractor = gr.Textbox(
            label="Compared by", placeholder="the base model's own eye", max_lines=1,
            elem_id="evaluate-extractor",
            info="Folder or hub id of a CLIP or DINOv2, or inception (feature extractor).",
        )  # fmt: skip
        text = gr.Textbox(
            label="What they should show", max_lines=1, elem_id="evaluate-text",
            info="In words, to measure whether the pictures show it (CLIP-T).",
        )  # fmt: skip
    return [sweep, num, steps, extractor, text]


@shown_to_user
def on_measure(
    studio: "Studio", project: int | None, sweep: Any, num: float, steps: float,
    extractor: str | None, text: str | None,
) -> Any:  # fmt: skip
    """Queue an evaluation and look at it."""
    named = (extractor or "").strip()
    settings = EvaluationSettings(
        sweep=sweep, num=int(num), num_inference_steps=int(steps), text=(text or "").strip(),
        extractors=("base", named) if named else ("base",),
    )  # fmt: skip
    job = studio.evaluation.start(chosen(project), settings)
    gr.Info("It is in the queue. You can leave this screen meanwhile.")
    views = studio.evaluation.all(chosen(project))
    return gr.update(choices=_choices(views), value=job.id, visible=True)


@shown_to_user
def on_stop(studio: "Studio", picked: int | None) -> None:
    """Stop an evaluation; what is measured stays."""
    studio.training.cancel(_needed(picked))
    gr.Info("It stops after the step it is in.")


@shown_to_user
def on_again(studio: "Studio", project: int | None, picked: int | None) -> Any:
    """Queue an evaluation that failed or was stopped again, and look at it."""
    job = studio.evaluation.retry(_needed(picked))
    gr.Info("It is in the queue again. What is measured is kept.")
    views = studio.evaluation.all(chosen(project))
    return gr.update(choices=_choices(views), value=job.id)


@shown_to_user
def on_report(studio: "Studio", scratch: Path, suffix: str, picked: int | None) -> Any:
    """Write the report and hand over the file with this suffix."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="evaluation-"))
    files = studio.evaluation.report(_needed(picked), folder)
    return gr.update(value=str(next(path for path in files if path.suffix == f".{suffix}")))


def show_evaluate(studio: "Studio", project: int | None) -> Any:
    """Everything again, for another project or a screen that comes into sight."""
    updates = describe_evaluation(studio, project, None, None, {})
    return updates if isinstance(updates, tuple) else (gr.skip(),) * (len(PARTS) + 1)


@quiet_on_timer
def describe_evaluation(
    studio: "Studio", project: int | None, picked: int | None, metric: str | None, seen: Seen
) -> Any:
    """The evaluation that is looked at; no part is sent again that the page has ``seen``."""
    if project is None:
        return gr.skip()
    views = studio.evaluation.all(project)
    view = next((view for view in views if view.job.id == picked), views[0] if views else None)
    parts = _described(studio, views, view, metric)
    now = {name: repr(value) for name, value in parts.items()}
    if now == seen:
        return gr.skip()
    changed = [parts[name] if now[name] != seen.get(name) else gr.skip() for name in PARTS]
    return *changed, now


def _described(
    studio: "Studio", views: list[EvaluationView], view: EvaluationView | None, metric: str | None
) -> dict[str, Any]:
    if view is None:
        hidden = gr.update(visible=False)
        return {
            "picked": gr.update(choices=[], value=None, visible=False), "card": EMPTY,
            "metric": hidden, "buttons": hidden, "stop": hidden, "again": hidden, "body": "",
        }  # fmt: skip
    names = view.metrics
    drawn = metric if metric in names else next(iter(names), None)
    originals = studio.evaluation.originals(view)
    return {
        "picked": gr.update(choices=_choices(views), value=view.job.id, visible=True),
        "card": evaluation_card(view),
        "metric": gr.update(
            choices=[(METRICS[name].title, name) for name in names], value=drawn,
            visible=bool(names),
        ),
        "buttons": gr.update(visible=True),
        "stop": gr.update(visible=not view.job.is_final),
        "again": gr.update(visible="retry" in view.job.can),
        "body": evaluation_body(view, drawn or "", lambda row: originals.get(row or 0)),
    }  # fmt: skip


def _choices(views: list[EvaluationView]) -> list[tuple[str, int]]:
    return [(evaluation_name(view), view.job.id) for view in views]


def _needed(picked: int | None) -> int:
    if picked is None:
        raise InvalidInputError("Nothing is measured yet: press Measure first.")
    return picked
