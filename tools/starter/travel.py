"""The icons in one small file that travels: SVG text of all that is kept, compressed."""

import io
import json
import lzma
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.starter.names import is_kept
from tools.starter.packs import FILES, Pack


def write_data(packs: Iterable[Pack], packs_dir: Path, path: Path) -> int:
    """Pack the fetched ``packs`` into ``path`` (.tar.xz), without what no stage uses.

    Returns:
        The size in bytes.
    """
    with (
        lzma.open(path, "wb", preset=9) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w") as tar,
    ):
        for pack in packs:
            folder = packs_dir / pack.key
            for name in FILES:
                if (folder / name).exists():
                    _add(tar, f"{pack.key}/{name}", _thinned(folder / name))
    return path.stat().st_size


def read_data(path: Path, packs_dir: Path) -> None:
    """Unpack what :func:`write_data` wrote, as if it had been fetched."""
    with lzma.open(path, "rb") as squeezed, tarfile.open(fileobj=squeezed, mode="r") as tar:
        # Python has the filter from 3.11.4 on; Debian 12 comes with 3.11.2.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        tar.extractall(packs_dir)


def _thinned(path: Path) -> Any:
    document = json.loads(path.read_text())
    if path.name == "icons.json":
        icons = document["icons"]
        document["icons"] = {name: icons[name] for name in icons if is_kept(name, icons.keys())}
        document.pop("aliases", None)
    return document


def _add(tar: tarfile.TarFile, name: str, document: Any) -> None:
    data = json.dumps(document, separators=(",", ":")).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
