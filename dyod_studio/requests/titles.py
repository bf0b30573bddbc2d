"""Title of a request's field wherever the page names it."""

from dyod_studio.requests.sampling import SampleRequest

TERMS = {"t0": "t0", "mask_rate": "mask rate"}


def field_title(name: str) -> str:
    """Title of a field, with the trade's term beside it."""
    title = SampleRequest.model_fields[name].title or name
    return f"{title} ({TERMS[name]})" if name in TERMS else title


SAMPLERS: dict[str, str] = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "dpm++": "DPM++ 2M",
    "unipc": "UniPC",
    "euler": "Euler",
    "euler-a": "Euler a",
    "lcm": "LCM",
}
"""Samplers as the trade and A1111 call them."""
