"""A set looked over: the advice, and what stands out with a button for each picture."""

from collections.abc import Iterable
from contextlib import suppress
from html import escape

from dyod_studio.services.pictures import CheckView, PictureDetails
from dyod_studio.ui.thumbs import data_uri

SIDE_PX = 192
MAX_SHOWN = 12
KEEP = ("keep", "Keep it", "Take it into the set.")
DROP = ("drop", "Leave it out", "It stays with the project, but nothing learns from it.")


def check_html(view: CheckView) -> str:
    """What a colleague would say, and below it what she would point at."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in view.advice)
    parts = [f'<ul class="advice">{lines}</ul>']
    pairs = [
        f'<div class="pair">{_card(copy, KEEP)}{_original(original)}</div>'
        for copy, original in view.repeats
    ]
    parts += _group("Shown twice: left out unless you keep it", pairs, "pairs")
    for title, pictures, press in (
        ("Looks blurred", view.soft, DROP),
        ("Much smaller than the others", view.small, DROP),
        ("Left out by you", view.left_out, KEEP),
    ):
        parts += _group(title, [_card(picture, press) for picture in pictures], "cards")
    return f'<div class="check">{"".join(parts)}</div>'


def picture_press(what: str, picture: PictureDetails, label: str, help_text: str) -> str:
    name, said = escape(picture.name), escape(label)
    return (
        f'<button type="button" class="press" data-press="{what}" data-picture="{picture.id}"'
        f' title="{escape(help_text)}" aria-label="{said}: {name}">{said}</button>'
    )


def _group(title: str, cards: list[str], kind: str) -> Iterable[str]:
    if not cards:
        return []
    more = len(cards) - MAX_SHOWN
    rest = f'<p class="quiet">and {more:,} more</p>' if more > 0 else ""
    shown = "".join(cards[:MAX_SHOWN])
    return [
        f'<section class="stands-out"><h3>{escape(title)} <span class="quiet">{len(cards):,}</span>'
        f'</h3><div class="{kind}">{shown}</div>{rest}</section>'
    ]


def _card(picture: PictureDetails, press: tuple[str, str, str]) -> str:
    what, label, help_text = press
    return (
        f"<figure>{_image(picture)}<figcaption>{_named(picture)}"
        f"{picture_press(what, picture, label, help_text)}</figcaption></figure>"
    )


def _original(picture: PictureDetails | None) -> str:
    if picture is None:
        return '<figure><figcaption class="quiet">The first one is gone.</figcaption></figure>'
    return f"<figure>{_image(picture)}<figcaption>{_named(picture)}</figcaption></figure>"


def _named(picture: PictureDetails) -> str:
    size = f"{picture.width} x {picture.height}"
    return f'<b>{escape(picture.name)}</b><span class="quiet">{size}</span>'


def _image(picture: PictureDetails) -> str:
    with suppress(FileNotFoundError):
        return f'<img alt="" src="{data_uri(picture.thumbnail, SIDE_PX)}">'
    return ""
