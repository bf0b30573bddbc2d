"""Every way to fail has a cause and a remedy, a sentence each."""

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from dyod_studio.errors import (
    BaseModelError,
    DeviceError,
    InvalidInputError,
    NotFoundError,
    OutOfMemoryError,
    RejectedImageError,
    StorageFullError,
    TrainingDivergedError,
    TrainingError,
)
from dyod_studio.jobs.failures import FAULT, describe_end, explain

OWN = [
    (StorageFullError("The disk is full."), "Make room on the disk"),
    (OutOfMemoryError("Step 3 did not fit.", 3), "Close other programs or choose a smaller batch"),
    (TrainingDivergedError("Loss became nan."), "Halve the learning rate"),
    (BaseModelError("There is no base model 'x'."), "Put the base model back"),
    (DeviceError("No kernels."), "Run `python -m dyod_studio doctor`"),
    (InvalidInputError("No pictures yet."), "Change what the message names"),
    (NotFoundError("There is no project 3."), "It was deleted meanwhile"),
    (TrainingError("Something else."), FAULT),
]


def test_a_stored_picture_that_cannot_be_read_becomes_a_whole_sentence():
    failure = explain(RejectedImageError("cannot be read from the disk"))
    assert failure.cause == "A picture of the set cannot be read from the disk."
    assert failure.remedy.endswith("train again with these settings.")


@pytest.mark.parametrize(("exc", "remedy"), OWN, ids=lambda value: type(value).__name__)
def test_an_error_made_for_the_user_keeps_its_sentence_and_gets_a_remedy(exc, remedy):
    failure = explain(exc)
    assert failure.cause == str(exc)
    assert failure.remedy.startswith(remedy)
    assert failure.remedy.endswith(".")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_known_wherever_it_shows(code):
    failure = explain(OSError(code, os.strerror(code), "/somewhere/log.txt"))
    assert failure.cause.startswith("The disk is full: ")
    assert failure.remedy.startswith("Make room on the disk")


def test_a_full_disk_is_known_by_what_safetensors_says():
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert explain(SafetensorError(said)).cause == f"The disk is full: SafetensorError: {said}."


def test_a_full_memory_is_known_by_what_the_allocator_says():
    said = "[enforce fail at alloc_cpu.cpp:98] DefaultCPUAllocator: can't allocate memory"
    failure = explain(RuntimeError(said))
    assert failure.cause.startswith("The memory is full: RuntimeError: [enforce fail")
    assert failure.remedy.startswith("Close other programs")


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError) as caught:
        Path("/no/such picture.png").read_bytes()
    failure = explain(caught.value)
    assert failure.cause == "A file is missing: /no/such picture.png."
    assert failure.remedy.startswith(
        "Put the file back, or add the pictures again to a new project"
    )


def test_a_bug_is_told_by_its_type_and_first_line():
    assert explain(ZeroDivisionError("no steps\nsecond line")).cause == (
        "ZeroDivisionError: no steps"
    )
    assert explain(KeyError()).cause == "KeyError"
    assert explain(KeyError()).remedy == FAULT


@pytest.mark.parametrize(
    ("exit_code", "sentence"),
    [
        (None, "The training process ended after 3 of 7 steps while no worker watched it."),
        (1, "The training process ended with exit code 1 after 3 of 7 steps."),
        (
            -9,
            "The training process was ended by SIGKILL after 3 of 7 steps: the machine may have "
            "run out of memory.",
        ),
        (-11, "The training process was ended by SIGSEGV after 3 of 7 steps."),
    ],
)
def test_the_end_of_a_process_is_told_by_how_it_ended(exit_code, sentence):
    assert describe_end(exit_code, 3, 7) == sentence
