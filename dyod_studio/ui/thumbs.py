"""Small pictures inside the page's own HTML, as data: they need no address of their own."""

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image


def data_uri(path: Path, side_px: int) -> str:
    """The picture at most ``side_px`` wide and high.

    Raises:
        FileNotFoundError: it has been cleared away meanwhile.
    """
    return _data_uri(path, path.stat().st_mtime_ns, side_px)


@lru_cache(maxsize=1024)
def _data_uri(path: Path, changed_ns: int, side_px: int) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((side_px, side_px))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
