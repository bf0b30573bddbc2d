"""How fast a gallery of thousands is beside one of fifty: ``python -m tools.gallery_speed``.

Makes two projects in a folder of its own, asks each for its first page, for filtered pages and for
a page deep down, and prints the middle of many times with their ratio.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from dyod_studio.bootstrap import build_studio
from dyod_studio.services.gallery.views import GalleryFilter
from dyod_studio.services.studio import Studio
from dyod_studio.settings import Settings
from dyod_studio.store.records import Generation
from dyod_studio.store.requests import GenerationRepository, SampleRequestRepository
from dyod_studio.store.storage import Storage, open_storage

FEW, MANY = 50, 5_000
ROUNDS = 41
PAGE = 60
SUBJECTS = ("apple", "heartbeat", "face", "cat", "tree", "shoe", "hat", "star", "moon", "boat")
KINDS = ("prompt", "distribution", "image", "interpolation", "traversal")
BEGIN = datetime(2026, 1, 1, 12).astimezone()


@dataclass(frozen=True)
class Timing:
    """Milliseconds in the middle, for few and for many."""

    name: str
    few_ms: float
    many_ms: float

    @property
    def ratio(self) -> float:
        return self.many_ms / self.few_ms


def fill(storage: Storage, project_id: int, count: int) -> None:
    """Rows as the sampler leaves them; the files they name are not looked at here."""
    parts = {"inversion": "a" * 64, "vae": "b" * 64}
    with storage.database.session() as session:
        request = SampleRequestRepository(session).add(project_id, "image", {}, num_steps=1)
        images = GenerationRepository(session)
        for number in range(count):
            images.add(_image(project_id, request.id, number, parts))


def _image(project_id: int, request_id: int, number: int, parts: dict[str, str]) -> Generation:
    kind, subject = KINDS[number % len(KINDS)], SUBJECTS[number * 7 % len(SUBJECTS)]
    said = {
        "kind": kind, "base": "starter", "artifacts": parts, "t0": 0.5, "seed": number,
        "first_seed": number, "position": 0, "num_images": 1, "num_inference_steps": 50,
        "guidance_scale": 3.0, "prompt": f"a drawing of a {subject} in <style>, number {number}",
        "adapter_strength": 1.0, "condition_text": None, "mask_rate": 0.0, "text_weight": 0.5,
        "base_fingerprint": "f" * 16, "device": "cpu", "dtype": "float32", "torch": "2.13.0",
        "diffusers": "0.35.1", "image_sha256": f"{number:064x}",
    }  # fmt: skip
    return Generation(
        project_id=project_id, request_id=request_id, kind=kind, position=0, parameters=said,
        seed=number, sha256=f"{number:064x}", thumbnail_sha256=f"{number:064x}", width=128,
        height=128, is_favorite=number % 25 == 0, created_at=BEGIN + timedelta(minutes=number),
    )  # fmt: skip


def questions(count: int) -> dict[str, Callable[[Studio, int], int]]:
    """What the screen asks for: a count and a page, as it shows them."""
    last = BEGIN.date() + timedelta(minutes=count)
    filters = {
        "first page": GalleryFilter(),
        "kind": GalleryFilter(kinds=("image",)),
        "trained part": GalleryFilter(part="b" * 64),
        "favourites": GalleryFilter(only_favorites=True),
        "words": GalleryFilter(text="HEART in <style>"),
        "words found nowhere": GalleryFilter(text="zebra"),
        "seed": GalleryFilter(text="7"),
        "days": GalleryFilter(since=date(2026, 1, 1), until=last),
        "all together": GalleryFilter(
            kinds=("image",), part="b" * 64, only_favorites=True, text="a", until=last
        ),
    }
    asked = {name: _asking(asked, 0) for name, asked in filters.items()}
    return {**asked, "oldest page": _asking(GalleryFilter(), max(0, count - PAGE))}


def _asking(asked: GalleryFilter, offset: int) -> Callable[[Studio, int], int]:
    def ask(studio: Studio, project_id: int) -> int:
        count = studio.gallery.count(project_id, asked)
        studio.gallery.page(project_id, offset, PAGE, asked)
        return count

    return ask


def measure(
    studio: Studio, few: int, many: int, num_few: int, num_many: int, rounds: int
) -> list[Timing]:
    """Time each question of both projects in turn, so that a slow moment hits both."""
    timings = []
    for name in questions(1):
        times: dict[int, list[float]] = {few: [], many: []}
        for _ in range(rounds):
            for project_id, count in ((few, num_few), (many, num_many)):
                started = time.perf_counter()
                questions(count)[name](studio, project_id)
                times[project_id].append(1000 * (time.perf_counter() - started))
        timings.append(Timing(name, statistics.median(times[few]), statistics.median(times[many])))
    return timings


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--many", type=int, default=MANY)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(storage=Path(folder) / "storage", device="cpu")
        with open_storage(
            settings.storage, settings.resolved_database_url, migrate=True
        ) as storage:
            studio = build_studio(settings, storage, lambda request_id: None)
            few, many = (studio.projects.create(name).id for name in ("few", "many"))
            fill(storage, few, told.few)
            fill(storage, many, told.many)
            timings = measure(studio, few, many, told.few, told.many, told.rounds)
    print(f"{'':22}{told.few:>10,}{told.many:>12,}   ratio")
    for timing in timings:
        print(
            f"{timing.name:22}{timing.few_ms:>7.2f} ms{timing.many_ms:>9.2f} ms{timing.ratio:>8.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
