"""What was typed into a text field, as the studio wants it."""

from dyod_studio.errors import InvalidInputError

MOST_DIGITS = 40
"""More than any seed has; what is longer was pasted by mistake."""


def any_text(text: str | None) -> str | None:
    """A text field's value, or None when it holds nothing but blanks.

    A field that was never in sight, as in a closed drawer, arrives as None.
    """
    return (text or "").strip() or None


def seed_in(text: str | None) -> int | None:
    """The seed that was typed; None when the field was left empty."""
    typed = any_text(text)
    if typed is not None and not (typed.isascii() and typed.isdecimal()):
        raise InvalidInputError(f"Seed must be a whole number or empty, got {typed!r}.")
    if typed is not None and len(typed) > MOST_DIGITS:
        raise InvalidInputError(f"Seed has up to {MOST_DIGITS} digits, got {len(typed)}.")
    return None if typed is None else int(typed)


def guidance_in(text: str | None) -> float | None:
    """The guidance scale that was typed; None when the field was left empty."""
    typed = any_text(text)
    try:
        return None if typed is None else float(typed.replace(",", "."))
    except ValueError as exc:
        raise InvalidInputError(f"Guidance must be a number or empty, got {typed!r}.") from exc


def whole_in(name: str, value: float | None) -> int:
    """A slider's number field, which lets anything through, as a whole number."""
    if value is None or not float(value).is_integer():
        raise InvalidInputError(f"{name} must be a whole number, got {value!r}.")
    return int(value)
