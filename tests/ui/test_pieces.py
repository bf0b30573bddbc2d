"""HTML pieces: what they say, and that nothing a person typed becomes markup."""

from datetime import UTC, datetime
from pathlib import Path

from dyod_studio.datasets.outcomes import DuplicateFile, RejectedFile
from dyod_studio.services.views import (
    GenerationView,
    ImportReport,
)
from dyod_studio.ui.common.html import counted, import_report, parameter_table

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EVIL = '<img src=x onerror="alert(1)">'


def test_the_report_names_every_file_and_its_reason():
    report = ImportReport(
        3, (RejectedFile("a b.png", "is not an image"),), (DuplicateFile("c.png", "d.png"),)
    )
    html = import_report(report)
    for text in ("3 pictures added", "1 file could not be used", "a b.png", "is not an image"):
        assert text in html
    assert "repeats d.png" in html


def test_a_long_report_says_how_many_it_leaves_out():
    rejected = tuple(RejectedFile(f"{i}.txt", "is not an image") for i in range(60))
    assert "and 10 more" in import_report(ImportReport(0, rejected, ()))


def test_file_names_and_parameters_never_become_markup():
    report = import_report(
        ImportReport(0, (RejectedFile(EVIL, EVIL),), (DuplicateFile(EVIL, EVIL),))
    )
    table = parameter_table(
        GenerationView(
            1, "image", Path("a"), Path("b"), 1, "ff", {"prompt": EVIL}, 8, 8, NOW, False
        )
    )
    for html in (report, table):
        assert "<img" not in html
        assert "&lt;img" in html


def test_one_is_not_written_as_many():
    assert counted(1, "picture") == "1 picture"
    assert counted(1200, "picture") == "1,200 pictures"


def test_the_table_holds_every_parameter():
    parameters = {"t0": 0.5, "free_noise": False, "artifacts": {"vae": "ab" * 32}, "prompt": None}
    view = GenerationView(
        7, "image", Path("a"), Path("b"), 11, "cd" * 32, parameters, 128, 128, NOW, False
    )
    table = parameter_table(view)
    for text in ("from a sketch", "128 x 128", ">11<", ">0.5<", "free noise", "vae abababab"):
        assert text in table
    assert "prompt" not in table
