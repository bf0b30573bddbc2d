"""The prepared pictures: made once, by whoever comes first, whole or not at all."""

import os

import numpy as np
import pytest

from dyod_studio.errors import StorageFullError
from dyod_studio.training import data
from dyod_studio.training.data import shares
from dyod_studio.training.run import PicturesPrepared


def finish(generator):
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def test_two_processes_may_prepare_the_same_pictures_at_once(dataset):
    one, other = dataset.prepare_pixels(16), dataset.prepare_pixels(16)
    assert next(one) == next(other) == PicturesPrepared(4, 4)
    first, second = finish(one), finish(other)
    assert np.array_equal(first, second)
    assert len(list(dataset.cache_dir.iterdir())) == 1


def test_pictures_that_were_being_prepared_when_a_run_ended_leave_no_half_file(dataset):
    preparing = dataset.prepare_pixels(16)
    next(preparing)
    preparing.close()
    assert list(dataset.cache_dir.iterdir()) == []


def test_what_a_killed_process_left_is_removed_a_day_later(dataset):
    path = str(finish(dataset.prepare_pixels(16)).filename)
    os.unlink(path)
    old, new = (f"{path[:-4]}.{name}.partial" for name in ("old", "new"))
    for leftover in (old, new):
        with open(leftover, "wb") as file:
            file.write(b"half")
    os.utime(old, (0, 0))
    finish(dataset.prepare_pixels(16))
    assert not os.path.exists(old)
    assert os.path.exists(new)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be asked for")
def test_a_full_disk_is_told_before_the_pictures_are_prepared(dataset, monkeypatch):
    def refuse(descriptor, offset, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data.os, "posix_fallocate", refuse)
    with pytest.raises(StorageFullError, match="The disk is full"):
        next(dataset.prepare_pixels(16))
    assert list(dataset.cache_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("batch", "parts", "sizes"),
    [(4, 1, [4]), (4, 2, [2, 2]), (5, 2, [3, 2]), (5, 4, [2, 2, 1]), (3, 3, [1, 1, 1])],
)
def test_the_shares_of_a_batch_are_all_of_it(batch, parts, sizes):
    rows = list(range(batch))
    found = [rows[part] for part in shares(batch, parts)]
    assert [len(share) for share in found] == sizes
    assert sum(found, []) == rows
