"""A set with its captions, as sd-scripts, diffusers and the studio itself read a folder.

Pictures lie in ``1_WORD`` (sd-scripts' repeats and name) with a text of the same name beside each;
``metadata.jsonl`` says the same as Hugging Face's image folders do, and ``tags.csv`` how many
pictures bear each tag.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dyod_studio.datasets.caption_files import TAG_COUNTS
from dyod_studio.datasets.captions import caption_of, tag_frequency
from dyod_studio.services.views import ProjectView
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.storage import Storage

MAX_STEM = 80
"""Characters of a file's name that are kept."""


def dataset_entries(storage: Storage, project: ProjectView) -> Iterator[tuple[str, Path | bytes]]:
    """Name and content of each file; none where the set is empty."""
    with storage.database.session() as session:
        rows = PictureRepository(session).all(project.id)
    captioned: list[tuple[str, str]] = []
    for number, row in enumerate(rows, start=1):
        stem = re.sub(r"[^\w -]+", "-", PurePosixPath(row.name).stem)[:MAX_STEM].strip("- ")
        name = f"{folder_of(project.token)}/{number:04d} {stem}".rstrip()
        caption = caption_of(row.caption, row.name)
        yield f"{name}{row.suffix}", storage.files.path(row.sha256, row.suffix)
        yield f"{name}.txt", caption.encode()
        captioned.append((f"{name}{row.suffix}", caption))
    if captioned:
        yield "metadata.jsonl", "".join(map(_line, captioned)).encode()
        yield TAG_COUNTS, _tags([caption for _, caption in captioned])


def folder_of(token: str) -> str:
    """``<toy-heads>`` is ``1_toy-heads``: every picture once in an epoch."""
    return f"1_{token.strip('<>')}"


def _line(captioned: tuple[str, str]) -> str:
    name, caption = captioned
    return json.dumps({"file_name": name, "text": caption}, ensure_ascii=False) + "\n"


def _tags(captions: list[str]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("tag", "pictures"))
    writer.writerows(tag_frequency(captions).items())
    return file.getvalue().encode()
