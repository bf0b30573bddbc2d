"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest

from dyod_studio.disk import write_beside_and_rename

PACKAGE = Path(__file__).parents[1] / "dyod_studio"


def test_a_file_takes_the_targets_place_when_it_is_complete(tmp_path: Path):
    target = tmp_path / "new folder" / "file.txt"
    with write_beside_and_rename(target) as beside:
        beside.write_text("half")
        assert not target.exists()
        beside.write_text("whole")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def write_half(target: Path, failure: BaseException) -> None:
    with write_beside_and_rename(target) as beside:
        beside.write_text("half")
        raise failure


@pytest.mark.parametrize("failure", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_target_is_untouched_when_the_writer_raises(tmp_path: Path, failure: BaseException):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(type(failure)):
        write_half(target, failure)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_target_is_untouched_when_the_disk_does_not_take_the_file(tmp_path: Path, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "file.txt"
    target.write_text("old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"), write_beside_and_rename(target) as beside:
        beside.write_text("new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_on_the_disk_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda opened: done.append("fsync") or fsync(opened))
    monkeypatch.setattr(os, "replace", lambda *names: done.append("rename") or replace(*names))
    with write_beside_and_rename(tmp_path / "file.txt") as beside:
        beside.write_text("new")
    assert done[:2] == ["fsync", "rename"]
    assert os.name == "nt" or done[2:] == ["fsync"]


def test_nothing_else_flushes_or_renames_a_finished_file():
    """A checkpoint on its way out is renamed; the manifest of an augmentation is appended to."""
    allowed = {"disk.py", "training/checkpoints.py", "services/augmentation/folder.py"}
    assert {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(call in path.read_text(encoding="utf-8") for call in ("os.replace(", "os.fsync("))
    } <= allowed
