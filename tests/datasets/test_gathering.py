import errno
import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from dyod_studio.datasets import archives
from dyod_studio.datasets.archives import ArchiveLimits, Unpacker
from dyod_studio.datasets.sources import FoundFile, RejectedFile, gather
from tests.datasets.pictures import photo, save


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    photo(seed).save(file, "PNG")
    return file.getvalue()


def zip_of(path: Path, members: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def found(paths: list[Path], work_dir: Path, **limits: int) -> tuple[list[str], dict[str, str]]:
    """Names of the pictures found, and the reasons of what was not."""
    items = list(gather(paths, work_dir, ArchiveLimits(**limits)))
    names = [item.name for item in items if isinstance(item, FoundFile)]
    return names, {i.file: i.reason for i in items if isinstance(i, RejectedFile)}


def everything_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


def test_a_folder_is_searched_to_its_depths_in_the_order_of_names(tmp_path, work_dir):
    root = tmp_path / "shoes"
    for name in ("b.png", "a.png", "red/z.png", "blue/deep/y.png"):
        save(photo(), root / name)
    names, rejected = found([root], work_dir)
    assert names == ["shoes/a.png", "shoes/b.png", "shoes/blue/deep/y.png", "shoes/red/z.png"]
    assert rejected == {}


def test_what_systems_leave_behind_is_passed_over_in_silence(tmp_path, work_dir):
    root = tmp_path / "set"
    save(photo(), root / "a.png")
    for name in (".DS_Store", "._a.png", "Thumbs.db", ".git/b.png", "__MACOSX/c.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"junk")
    assert found([root], work_dir) == (["set/a.png"], {})


def test_a_file_that_is_no_picture_is_rejected_by_name_and_the_others_kept(tmp_path, work_dir):
    root = tmp_path / "set"
    save(photo(), root / "a.png")
    (root / "notes.png").write_text("not a picture")
    (root / "empty.png").touch()
    names, rejected = found([root], work_dir)
    assert names == ["set/a.png"]
    assert rejected["set/notes.png"].startswith("is not an image")
    assert rejected["set/empty.png"] == "is empty"


def test_links_are_named_and_never_followed(tmp_path, work_dir):
    secret = save(photo(), tmp_path / "elsewhere" / "secret.png")
    root = tmp_path / "set"
    save(photo(), root / "a.png")
    (root / "file.png").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    names, rejected = found([root, root / "file.png"], work_dir)
    assert names == ["set/a.png"]
    assert set(rejected) == {"set/file.png", "set/folder", "file.png"}
    assert all(reason.startswith("is a symbolic link") for reason in rejected.values())


def test_a_pipe_is_not_waited_for(tmp_path, work_dir):
    os.mkfifo(tmp_path / "pipe.png")
    assert found([tmp_path / "pipe.png"], work_dir) == (
        [],
        {"pipe.png": "is a pipe or a device, not a file"},
    )


def test_a_missing_path_and_an_empty_folder_are_named(tmp_path, work_dir):
    (tmp_path / "empty").mkdir()
    inside_a_file = save(photo(), tmp_path / "a.png") / "b.png"
    assert found([tmp_path / "gone.png", tmp_path / "empty", inside_a_file], work_dir) == (
        [],
        {
            "gone.png": "does not exist",
            "empty": "holds no pictures",
            "b.png": "cannot be opened (Not a directory)",
        },
    )


def test_the_working_folder_itself_is_not_searched(tmp_path, work_dir):
    save(photo(), work_dir / "leftover.png")
    save(photo(), tmp_path / "a.png")
    assert found([tmp_path], work_dir)[0] == [f"{tmp_path.name}/a.png"]


def test_names_in_any_script_with_spaces_survive(tmp_path, work_dir):
    root = tmp_path / "Möbel"
    save(photo(), root / "roter Stuhl 椅子 🪑.png")
    archive = zip_of(tmp_path / "Zip ü.zip", {"Große Bilder/椅子 1.png": png()})
    names, rejected = found([root, archive], work_dir)
    assert names == ["Möbel/roter Stuhl 椅子 🪑.png", "Zip ü.zip/Große Bilder/椅子 1.png"]
    assert rejected == {}


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path, work_dir):
    name = os.fsdecode(b"caf\xe9.png")
    save(photo(), tmp_path / "set" / name)
    (shown,), _ = found([tmp_path / "set"], work_dir)
    assert shown == "set/caf\N{REPLACEMENT CHARACTER}.png"


def test_utf8_names_that_an_archive_calls_cp437_are_mended(tmp_path, work_dir):
    name = "Schöne Stühle/椅.png"
    mangled = name.encode().decode("cp437")
    path = tmp_path / "a.zip"
    info = zipfile.ZipInfo("x" * len(name.encode()))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, png())
    path.write_bytes(path.read_bytes().replace(b"x" * len(name.encode()), name.encode()))
    assert zipfile.ZipFile(path).namelist() == [mangled]
    assert found([path], work_dir) == ([f"a.zip/{name}"], {})


def test_archives_are_unpacked_one_picture_at_a_time(tmp_path, work_dir):
    path = zip_of(tmp_path / "set.zip", {f"shoes/a {i}.png": png(i) for i in range(5)})
    seen = []
    for item in gather([path], work_dir):
        assert isinstance(item, FoundFile)
        assert item.is_temporary
        assert everything_below(work_dir) == {item.path}
        assert item.path.read_bytes() == png(len(seen))
        item.path.unlink()
        seen.append(item.name)
    assert seen == [f"set.zip/shoes/a {i}.png" for i in range(5)]


def test_archives_inside_archives_are_opened_down_to_a_depth(tmp_path, work_dir):
    data = png()
    for level in range(1, 5):
        inner = zip_of(
            tmp_path / f"{level}.zip", {f"level {level}.png": png(level), "in.zip": data}
        )
        data = inner.read_bytes()
    names, rejected = found([inner], work_dir)
    assert names == [
        "4.zip/in.zip/in.zip/level 2.png",
        "4.zip/in.zip/level 3.png",
        "4.zip/level 4.png",
    ]
    assert list(rejected) == ["4.zip/in.zip/in.zip/in.zip"]
    assert "inside 3 others" in rejected["4.zip/in.zip/in.zip/in.zip"]
    assert all(path.suffix == ".png" for path in everything_below(work_dir))


@pytest.mark.parametrize("name", ["../../x.png", "/etc/x.png", "..\\..\\x.png", "C:\\x.png"])
def test_a_member_that_would_leave_the_archive_is_not_unpacked(tmp_path, work_dir, name):
    before = everything_below(tmp_path)
    path = zip_of(tmp_path / "a.zip", {name: png(), "good.png": png(1)})
    names, rejected = found([path], work_dir)
    assert names == ["a.zip/good.png"]
    (reason,) = rejected.values()
    assert reason == f"would leave the archive ({name.replace(chr(92), '/')})"
    written = everything_below(tmp_path) - before - {path}
    assert {file.parent for file in written} == {work_dir}


def test_a_link_in_an_archive_is_not_made(tmp_path, work_dir):
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.png", png())
    names, rejected = found([path], work_dir)
    assert names == ["a.zip/good.png"]
    assert rejected["a.zip/link.png"].startswith("is a symbolic link")
    assert not any(file.is_symlink() for file in everything_below(work_dir))


def test_an_encrypted_member_is_named_and_the_others_kept(tmp_path, work_dir):
    path = zip_of(tmp_path / "a.zip", {"secret.png": png(), "open.png": png(1)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    names, rejected = found([path], work_dir)
    assert names == ["a.zip/open.png"]
    assert rejected["a.zip/secret.png"].startswith("is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_cannot_be_unpacked_in_small_pieces_is_refused(tmp_path, work_dir, method):
    path = zip_of(tmp_path / "a.zip", {"a.png": png()}, compression=method)
    assert "method other than the usual" in found([path], work_dir)[1]["a.zip/a.png"]


@pytest.mark.parametrize("members", [{}, {"readme.txt": b"hello"}, {"folder/": b""}])
def test_an_archive_without_a_picture_says_so(tmp_path, work_dir, members):
    _, rejected = found([zip_of(tmp_path / "a.zip", members)], work_dir)
    assert rejected["a.zip"] == "holds no pictures"


def test_a_file_that_is_no_archive_and_half_an_archive_are_named(tmp_path, work_dir):
    (tmp_path / "no.zip").write_text("no archive")
    whole = zip_of(tmp_path / "half.zip", {f"{i}.png": png(i) for i in range(4)}).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    reason = "is not a readable ZIP archive"
    assert found([tmp_path / "no.zip", tmp_path / "half.zip"], work_dir) == (
        [],
        {"no.zip": reason, "half.zip": reason},
    )


def test_a_damaged_member_is_named_and_the_others_kept(tmp_path, work_dir):
    path = zip_of(tmp_path / "a.zip", {"bad.png": png(), "good.png": png(1)})
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    assert found([path], work_dir) == (
        ["a.zip/good.png"],
        {"a.zip/bad.png": "is damaged in the archive"},
    )
    assert len(everything_below(work_dir)) == 1


def bomb(path: Path, num_bytes: int, declared_bytes: int) -> Path:
    """A small archive of one member, a PNG signature and ``num_bytes`` zeros, built by hand."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = press.compress(b"\x89PNG\r\n\x1a\n" + bytes(8)) + press.flush(zlib.Z_FULL_FLUSH)
    megabyte = press.compress(bytes(10**6)) + press.flush(zlib.Z_FULL_FLUSH)
    packed = start + megabyte * (num_bytes // 10**6) + press.flush()
    name, huge = b"bomb.png", 0xFFFFFFFF
    extra = struct.pack("<HHQQ", 1, 16, declared_bytes, len(packed))
    common = struct.pack("<HHHHHLLLHH", 45, 0, 8, 0, 33, 0, huge, huge, len(name), len(extra))
    local = b"PK\x03\x04" + common + name + extra + packed
    central = b"PK\x01\x02" + struct.pack("<H", 45) + common + bytes(14) + name + extra
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


def test_a_bomb_of_ten_gigabytes_is_refused_by_what_it_declares(tmp_path, work_dir):
    path = bomb(tmp_path / "a.zip", 10 * 10**9, 10 * 10**9)
    assert path.stat().st_size < 12e6
    _, rejected = found([path], work_dir)
    assert rejected["a.zip/bomb.png"] == "unpacks to 10,000 MB; at most 200 MB are read"
    assert everything_below(work_dir) == set()


def test_a_bomb_that_lies_about_its_size_is_stopped_where_it_said(tmp_path, work_dir):
    path = bomb(tmp_path / "a.zip", 10 * 10**9, 9_000_000)
    _, rejected = found([path], work_dir)
    assert rejected["a.zip/bomb.png"] == "is damaged in the archive"
    assert everything_below(work_dir) == set()


def test_a_bomb_within_the_size_limit_is_refused_by_its_ratio(tmp_path, work_dir):
    path = bomb(tmp_path / "a.zip", 150 * 10**6, 150 * 10**6)
    _, rejected = found([path], work_dir)
    assert "times its size" in rejected["a.zip/bomb.png"]
    assert everything_below(work_dir) == set()


def test_the_archives_of_one_import_share_a_budget_of_bytes(tmp_path, work_dir):
    size = len(png())
    path = zip_of(tmp_path / "a.zip", {"1.png": png(), "2.png": png(), "3.png": png()})
    names, rejected = found([path], work_dir, max_total_bytes=2 * size + 10)
    assert names == ["a.zip/1.png", "a.zip/2.png"]
    assert "too much data" in rejected["a.zip/3.png"]
    assert len(everything_below(work_dir)) == 2


def test_an_archive_of_too_many_files_is_refused_whole(tmp_path, work_dir):
    path = zip_of(tmp_path / "a.zip", {f"{i}.png": png() for i in range(6)})
    assert found([path], work_dir, max_files=5) == (
        [],
        {"a.zip": "holds 6 files; at most 5 are read"},
    )


def test_an_endless_table_of_contents_is_not_read_into_memory(tmp_path, work_dir, monkeypatch):
    path = zip_of(tmp_path / "a.zip", {f"{i:0200}.png": b"x" for i in range(500)})
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 100_000)
    assert found([path], work_dir) == ([], {"a.zip": "is not a readable ZIP archive"})


def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path, work_dir, monkeypatch):
    path = zip_of(tmp_path / "a.zip", {"1.png": png()})
    real_open = Path.open

    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_full(self: Path, mode: str = "r", **options: object) -> object:
        return FullDisk() if "x" in mode else real_open(self, mode, **options)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left"):
        list(Unpacker(work_dir, ArchiveLimits()).unpack(path, "a.zip"))
