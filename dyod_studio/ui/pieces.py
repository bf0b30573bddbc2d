"""Small pieces of HTML. Every text that comes from a person or a file is escaped here."""

from collections.abc import Mapping, Sequence
from html import escape

from dyod_studio.studio.views import GenerationView, ImportReport, JobView

METHOD_NAMES = {"inversion": "Style word", "vae": "Shape model"}
"""What the methods are called on the page; a method that is not here goes by its own name."""
STATE_NAMES = {
    "queued": "waiting",
    "running": "training",
    "paused": "paused",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
KIND_NAMES = {
    "prompt": "from the word",
    "distribution": "new picture",
    "image": "from a sketch",
    "interpolation": "between two",
    "traversal": "one trait",
}
MAX_LISTED = 50


def method_name(kind: str) -> str:
    return METHOD_NAMES.get(kind, kind)


def counted(number: int, noun: str) -> str:
    """'1 picture', '3 pictures'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def time_left(seconds: float | None) -> str:
    """A wait as a person would say it; empty when it is not known."""
    if seconds is None:
        return ""
    if seconds < 5:
        return "a moment left"
    if seconds < 90:
        return f"about {5 * round(seconds / 5):.0f} s left"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"


def note(text: str, kind: str = "hint") -> str:
    """A paragraph in a quiet box; ``kind`` is hint, good or bad."""
    return f'<div class="note note-{kind}">{escape(text)}</div>'


def heading(title: str, sub: str) -> str:
    return f'<div class="heading"><h2>{escape(title)}</h2><p>{escape(sub)}</p></div>'


def import_report(report: ImportReport) -> str:
    """What was added, what repeats, what cannot be used and why, each by its name."""
    parts = [note(f"{counted(report.accepted, 'picture')} added.", "good")]
    if report.accepted == 0:
        parts = [note("No new picture was added.", "hint")]
    parts += _listed(
        f"{counted(len(report.rejected), 'file')} could not be used",
        [(entry.file, entry.reason) for entry in report.rejected],
        is_open=True,
    )
    parts += _listed(
        f"{counted(len(report.duplicates), 'repetition')} left out",
        [(entry.file, f"repeats {entry.of}") for entry in report.duplicates],
        is_open=False,
    )
    return "".join(parts)


def _listed(title: str, rows: Sequence[tuple[str, str]], *, is_open: bool) -> list[str]:
    if not rows:
        return []
    items = [
        f"<li><b>{escape(name)}</b> <span>{escape(text)}</span></li>"
        for name, text in rows[:MAX_LISTED]
    ]
    if len(rows) > MAX_LISTED:
        items.append(f"<li>and {len(rows) - MAX_LISTED:,} more</li>")
    opened = " open" if is_open else ""
    return [
        f'<details class="report"{opened}><summary>{escape(title)}</summary>'
        f"<ul>{''.join(items)}</ul></details>"
    ]


def progress_bar(share: float) -> str:
    percent = 100 * min(max(share, 0.0), 1.0)
    return f'<div class="bar"><div style="width:{percent:.1f}%"></div></div>'


def share_done(job: JobView) -> float:
    if job.state == "succeeded":
        return 1.0
    return job.step / job.num_steps if job.num_steps else 0.0


def job_card(job: JobView) -> str:
    """One training run: name, state, bar, and what went wrong with the end of its log."""
    facts = [f"{job.step:,} of {job.num_steps:,} steps"] if job.num_steps else []
    if job.loss is not None:
        facts.append(f"loss {job.loss:.4g}")
    if job.state == "running" and job.seconds_left is not None:
        facts.append(time_left(job.seconds_left))
    percent = f" · {100 * share_done(job):.0f}%" if job.state == "running" else ""
    state = STATE_NAMES.get(job.state, job.state)
    parts = [
        f'<div class="job job-{escape(job.state)}" data-job="{job.id}">',
        f'<div class="job-head"><b>{escape(method_name(job.kind))}</b>',
        f'<span class="chip chip-{escape(job.state)}">{escape(state)}{percent}</span></div>',
        progress_bar(share_done(job)),
        f'<div class="job-facts">{escape(" · ".join(facts))}</div>',
    ]
    if job.error:
        parts.append(f'<div class="job-error">{escape(job.error)}</div>')
        if job.log_tail:
            log = escape(job.log_tail)
            parts.append(
                f"<details><summary>The end of its log</summary><pre>{log}</pre></details>"
            )
    return "".join([*parts, "</div>"])


def parameter_table(view: GenerationView) -> str:
    """Everything that is needed to make this picture again."""
    rows: dict[str, object] = {
        "how": kind_name(view),
        "made": f"{view.created_at:%Y-%m-%d %H:%M} UTC",
        "size": f"{view.width} x {view.height}",
        **view.parameters,
        "seed": view.seed,
        "sha256": view.sha256,
    }
    return f'<table class="facts">{_rows(rows)}</table>'


def _rows(values: Mapping[str, object]) -> str:
    return "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(_said(value))}</td></tr>"
        for name, value in values.items()
        if value not in (None, {}, [])
    )


def _said(value: object) -> str:
    """A parameter's value; of a mapping's long hashes only the beginning."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {str(item)[:8]}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def kind_name(view: GenerationView) -> str:
    return KIND_NAMES.get(view.kind, view.kind)
