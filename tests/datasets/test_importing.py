import shutil
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dyod_studio.datasets.fingerprints import Earlier
from dyod_studio.datasets.images import Crop, read_image
from dyod_studio.datasets.importing import (
    NUM_KEPT,
    Imported,
    PreparedPicture,
    import_pictures,
)
from dyod_studio.datasets.outcomes import DuplicateFile
from dyod_studio.datasets.sources import RejectedFile
from dyod_studio.requests.cropping import CropMode
from tests.datasets.pictures import many, photo, save


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def accepted(outcomes: list[Imported]) -> list[PreparedPicture]:
    return [item for item in outcomes if isinstance(item, PreparedPicture)]


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


def test_each_file_ends_as_picture_duplicate_or_rejection_in_order(tmp_path, work_dir):
    root = tmp_path / "set"
    original = save(photo(1, (120, 80)), root / "1.png")
    save(Image.open(original).resize((60, 40)), root / "2 smaller.jpg")
    (root / "3.png").write_text("no picture")
    save(photo(4, (20, 90)), root / "4.png")
    shutil.copy(original, root / "5 same.png")
    save(photo(6), root / "6.webp")
    first, second, third, fourth, fifth, sixth = import_pictures([root], work_dir)
    assert isinstance(first, PreparedPicture)
    assert (first.name, first.path, first.suffix) == ("set/1.png", original, ".png")
    assert (first.width, first.height, first.crop.side) == (120, 80, 80)
    assert isinstance(second, PreparedPicture)
    assert second.repeats == Earlier("set/1.png", first.sha256)
    assert first.repeats is None
    assert isinstance(third, RejectedFile)
    assert fourth == RejectedFile("set/4.png", "is 20 x 90 pixels; at least 32 x 32 are needed")
    assert fifth == DuplicateFile("set/5 same.png", "set/1.png")
    assert isinstance(sixth, PreparedPicture)
    assert len(list(work_dir.iterdir())) == 0


def test_the_suffix_is_that_of_the_content(tmp_path, work_dir):
    path = save(photo(), tmp_path / "a.png").rename(tmp_path / "a.jpeg")
    (picture,) = accepted(list(import_pictures([path], work_dir)))
    assert picture.suffix == ".png"


def test_one_picture_and_no_picture_are_fine(tmp_path, work_dir):
    assert len(accepted(list(import_pictures([save(photo(), tmp_path / "a.png")], work_dir)))) == 1
    assert list(import_pictures([], work_dir)) == []


def test_pictures_the_project_has_are_duplicates(tmp_path, work_dir):
    root = many(tmp_path / "set", 3)
    known = [(p.name, p.sha256, p.phash) for p in accepted(list(import_pictures([root], work_dir)))]
    again = list(import_pictures([root], work_dir, known))
    assert again == [DuplicateFile(name, name) for name, _, _ in known]


def test_size_and_crop_are_those_of_the_upright_picture(tmp_path, work_dir):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(photo(1, (120, 80)), tmp_path / "a.jpg", exif=exif)
    (picture,) = accepted(list(import_pictures([path], work_dir, crop_mode=CropMode.CONTENT)))
    assert (picture.width, picture.height, picture.crop) == (80, 120, Crop(0, 20, 80))


def test_transparent_places_show_the_background_in_the_thumbnail(tmp_path, work_dir):
    path = save(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), tmp_path / "a.png")
    (picture,) = accepted(list(import_pictures([path], work_dir, background=(0, 0, 255))))
    (tmp_path / "thumb.webp").write_bytes(picture.thumbnail)
    red, green, blue = read_image(tmp_path / "thumb.webp").getpixel((5, 5))
    assert blue > 240 > 20 > max(red, green)


def test_pictures_of_an_archive_can_be_stored_in_portions(tmp_path, work_dir):
    archive = zipped(many(tmp_path / "set", NUM_KEPT + 30))
    outcomes = import_pictures([archive], work_dir)
    portion = [next(outcomes) for _ in range(NUM_KEPT)]
    assert all(item.path.is_file() for item in accepted(portion))
    rest = accepted(list(outcomes))
    assert len(rest) == 30
    assert all(item.path.is_file() for item in rest)
    assert len(list(work_dir.iterdir())) == NUM_KEPT


def test_rejected_and_repeated_members_leave_no_file_behind(tmp_path, work_dir):
    root = tmp_path / "set"
    save(photo(1), root / "1.png")
    shutil.copy(root / "1.png", root / "2.png")
    (root / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more than that")
    outcomes = list(import_pictures([zipped(root)], work_dir))
    assert [type(item) for item in outcomes] == [PreparedPicture, DuplicateFile, RejectedFile]
    assert len(list(work_dir.iterdir())) == 1


def test_progress_counts_every_file_in_folders_and_archives(tmp_path, work_dir):
    root = many(tmp_path / "set", 4)
    (root / "text.png").write_text("no")
    (root / ".DS_Store").write_bytes(b"junk")
    archive = zipped(root)
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    seen: list[tuple[int, int | None]] = []
    paths = [root, archive, tmp_path / "broken.zip", root / "0000.png"]
    list(import_pictures(paths, work_dir, on_progress=lambda *counts: seen.append(counts)))
    assert seen == [(done, 12) for done in range(1, 13)]


def test_an_import_can_be_broken_off(tmp_path, work_dir):
    outcomes = import_pictures([zipped(many(tmp_path / "set", 20))], work_dir)
    next(outcomes)
    outcomes.close()
    assert len(list(work_dir.iterdir())) < 20


def test_nothing_is_written_outside_the_working_folder(tmp_path, work_dir):
    outside = tmp_path / "outside"
    path = zipped(many(outside / "set", 3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(outside / "set" / "0000.png", "../../escaped.png")
    before = {file: file.stat().st_mtime_ns for file in outside.rglob("*")}
    outcomes = list(import_pictures([path, outside / "set"], work_dir))
    assert len(accepted(outcomes)) == 3
    assert {file: file.stat().st_mtime_ns for file in outside.rglob("*")} == before
    assert not list(tmp_path.parent.glob("escaped.png"))


@pytest.mark.slow
def test_thousands_of_pictures_stream_through_bounded_memory(tmp_path, work_dir):
    archive = zipped(many(tmp_path / "set", 3000))

    def peak_after(outcomes: Iterator[Imported], count: int) -> int:
        tracemalloc.reset_peak()
        for _ in range(count):
            assert isinstance(next(outcomes), PreparedPicture)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    outcomes = import_pictures([archive], work_dir)
    early, late = peak_after(outcomes, 500), peak_after(outcomes, 2500)
    tracemalloc.stop()
    assert late - early < 15e6
    assert len(list(work_dir.iterdir())) <= NUM_KEPT + 10
