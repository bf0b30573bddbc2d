import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dyod_studio.store.files import PNG, FileStore


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_named_by_its_bytes(files, tmp_path):
    stored = files.add_bytes(b"a picture", PNG)
    sha256 = hashlib.sha256(b"a picture").hexdigest()
    assert (stored.sha256, stored.bytes) == (sha256, 9)
    assert stored.path == tmp_path / "files" / sha256[:2] / f"{sha256}.png"
    assert stored.path.read_bytes() == b"a picture"


def test_the_same_bytes_are_kept_once_from_memory_and_from_disk(files, tmp_path):
    source = tmp_path / "Ä b.PNG"
    source.write_bytes(b"a picture" * 500_000)
    from_disk = files.add_file(source)
    before = from_disk.path.stat()
    assert files.add_bytes(source.read_bytes(), PNG) == from_disk
    assert files.add_file(source) == from_disk
    assert from_disk.path.stat().st_mtime_ns == before.st_mtime_ns
    assert names(tmp_path / "files") == [from_disk.path.name]


def test_removing_a_missing_file_is_no_error(files):
    stored = files.add_bytes(b"a picture", PNG)
    files.remove(stored.sha256, PNG)
    files.remove(stored.sha256, PNG)
    assert not stored.path.exists()


def test_a_source_that_cannot_be_read_leaves_nothing_behind(files, tmp_path):
    with pytest.raises(FileNotFoundError):
        files.add_file(tmp_path / "missing.png")
    assert names(tmp_path / "files") == []


WRITER = """
import sys
from pathlib import Path
from dyod_studio.store.files import FileStore

FileStore(Path(sys.argv[1])).add_file(Path(sys.argv[2]), ".png")
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_half_written_file_never_stands_under_a_name_that_a_row_could_hold(files, tmp_path):
    """The writer is killed while its source, a pipe, still delivers."""
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", pipe], check=True)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "files", pipe])
    with pipe.open("wb") as source:
        source.write(b"x" * 3_000_000)
        source.flush()
        partial = tmp_path / "files" / "partial"
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size for path in partial.glob("*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        writer.send_signal(signal.SIGKILL)
        writer.wait(30)
    assert not [path for path in (tmp_path / "files").glob("??/*")]
    whole = files.add_bytes(b"x" * 3_000_000, PNG)
    assert whole.path.stat().st_size == 3_000_000


HOLDER = """
import sys, time
from pathlib import Path
from dyod_studio.store.files import FileStore

with FileStore(Path(sys.argv[1])).guard():
    print("held", flush=True)
    time.sleep(0.7)
    print("free", flush=True)
"""


def test_the_guard_excludes_another_process_and_may_be_nested(files, tmp_path):
    command = [sys.executable, "-c", HOLDER, tmp_path / "files"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with files.guard(), files.guard():
            assert holder.stdout.readline() == "free\n"
