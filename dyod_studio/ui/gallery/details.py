"""One picture of the gallery: how it was made, in words first, then every parameter."""

from html import escape

from dyod_studio.services.views import GenerationView
from dyod_studio.ui.job_pieces import method_name
from dyod_studio.ui.pieces import kind_name, parameter_table

CHOOSE = '<p class="quiet">Click a picture to see how it was made.</p>'


def details_html(view: GenerationView) -> str:
    """What a person wants to know of a picture, and behind it all that a program does."""
    said = view.parameters
    rows = {
        "Made": f"{kind_name(view)}, {view.created_at.astimezone():%d %b %Y, %H:%M}",
        "How much may change": _share(said.get("t0"), "t0"),
        "Seed": str(view.seed),
        "Words": said.get("prompt") or "",
        "Drawn with": ", ".join(method_name(kind) for kind in said.get("artifacts") or {}),
        "Strength": _unless(said.get("adapter_strength"), 1.0),
        "Reference read": _share(said.get("mask_rate") or None, "mask rate"),
        "Guidance": _number(said.get("guidance_scale")),
        "Steps": _number(said.get("num_inference_steps")),
        "Size": f"{view.width} x {view.height}",
        "Number": str(view.id),
    }
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value
    )
    return (
        f'<table class="facts">{cells}</table>'
        f'<details class="more"><summary>Everything</summary>{parameter_table(view)}</details>'
    )


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _share(value: object, term: str) -> str:
    return f"{_number(value)} ({term})" if value is not None else ""


def _unless(value: object, usual: float) -> str:
    return "" if value in (None, usual) else _number(value)
