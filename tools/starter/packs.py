"""The icon packs: which, under which licence, and how to get them."""

import json
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Use(StrEnum):
    """What a pack may be used for."""

    EVERYTHING = "everything"
    """Autoencoder, CLIP and UNet."""
    AUTOENCODER = "autoencoder"
    """The autoencoder alone: outlined art, so that thin lines survive."""
    TEST = "test"
    """Never trained on."""


@dataclass(frozen=True, slots=True)
class Pack:
    """One icon pack in the iconify JSON layout."""

    key: str
    """Folder and file name."""
    version: str
    """Pinned version of the npm package ``@iconify-json/KEY``."""
    style: str
    """The words that name the style in captions."""
    use: Use
    title: str
    author: str
    licence: str
    """SPDX identifier."""
    url: str
    is_painted: bool = False
    """Mere strokes, to be painted (see ``lines``) before they are rendered."""


FILES = ("icons.json", "metadata.json", "info.json")
"""What is kept of a package."""

PACKS = (
    Pack(
        "noto", "1.2.9", "noto style", Use.EVERYTHING,
        "Noto Emoji", "Google Inc", "Apache-2.0",
        "https://github.com/googlefonts/noto-emoji",
    ),
    Pack(
        "twemoji", "1.2.5", "twemoji style", Use.EVERYTHING,
        "Twemoji", "Twitter, Inc and other contributors", "CC-BY-4.0",
        "https://github.com/jdecked/twemoji",
    ),
    Pack(
        "fluent-emoji-flat", "1.2.6", "flat style", Use.EVERYTHING,
        "Fluent Emoji Flat", "Microsoft Corporation", "MIT",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    Pack(
        "fluent-emoji", "1.2.7", "glossy style", Use.EVERYTHING,
        "Fluent Emoji", "Microsoft Corporation", "MIT",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    Pack(
        "streamline-emojis", "1.2.4", "line style", Use.AUTOENCODER,
        "Streamline Emojis", "Streamline", "CC-BY-4.0",
        "https://github.com/webalys-hq/streamline-vectors",
    ),
    Pack(
        "streamline-ultimate-color", "1.2.2", "line style", Use.AUTOENCODER,
        "Streamline Ultimate Color", "Streamline", "CC-BY-4.0",
        "https://github.com/webalys-hq/streamline-vectors",
    ),
    Pack(
        "lucide", "1.2.137", "line style", Use.AUTOENCODER,
        "Lucide", "Lucide Contributors", "ISC",
        "https://github.com/lucide-icons/lucide", is_painted=True,
    ),
    Pack(
        "tabler", "1.2.41", "line style", Use.AUTOENCODER,
        "Tabler Icons", "Pawel Kuna", "MIT",
        "https://github.com/tabler/tabler-icons", is_painted=True,
    ),
    Pack(
        "openmoji", "1.2.29", "openmoji style", Use.TEST,
        "OpenMoji", "OpenMoji, HfG Schwaebisch Gmuend, and contributors", "CC-BY-SA-4.0",
        "https://github.com/hfg-gmuend/openmoji",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class IconSet:
    """The opened pack: SVG text and category of every icon."""

    icons: dict[str, str]
    """Name to SVG document, in the order of the pack."""
    categories: dict[str, str]
    """Name to category; not every pack has them."""


def find_pack(key: str) -> Pack:
    """The pack called ``key``."""
    found = [pack for pack in PACKS if pack.key == key]
    if not found:
        raise ValueError(f"There is no pack {key!r}. Known: {', '.join(p.key for p in PACKS)}.")
    return found[0]


def fetch(packs: Iterable[Pack], packs_dir: Path) -> None:
    """Download the packs that are not there yet, at their pinned versions, with npm."""
    for pack in packs:
        target = packs_dir / pack.key
        if (target / "icons.json").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        spec = f"@iconify-json/{pack.key}@{pack.version}"
        subprocess.run(["npm", "pack", "--silent", spec], cwd=target, check=True)
        (archive,) = target.glob("*.tgz")
        _unpack(archive, target, FILES)
        archive.unlink()


def read_pack(folder: Path) -> IconSet:
    """Read a pack folder: ``icons.json`` and, where it exists, ``metadata.json``."""
    pack = json.loads((folder / "icons.json").read_text())
    icons = {
        name: _svg(icon, pack) for name, icon in pack["icons"].items() if not icon.get("hidden")
    }
    metadata_path = folder / "metadata.json"
    groups = json.loads(metadata_path.read_text()) if metadata_path.exists() else {}
    categories = {
        name: category.replace(" & ", " ")
        for category, names in groups.get("categories", {}).items()
        for name in names
    }
    return IconSet(icons, categories)


def _unpack(archive: Path, target: Path, names: tuple[str, ...]) -> None:
    with tarfile.open(archive) as tar:
        for name in names:
            member = tar.extractfile(f"package/{name}")
            if member is not None:
                (target / name).write_bytes(member.read())


def _svg(icon: dict[str, Any], pack: dict[str, Any]) -> str:
    left, top = icon.get("left", 0), icon.get("top", 0)
    width = icon.get("width", pack.get("width", 16))
    height = icon.get("height", pack.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">'
        f"{icon['body']}</svg>"
    )
