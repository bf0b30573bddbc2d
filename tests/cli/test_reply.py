"""What programs and people read."""

import io
import json
from pathlib import Path

from dyod_studio.cli.output import Reply, plural, table
from dyod_studio.services.views import ExportReport


def test_the_document_is_json_of_the_view_with_paths_as_text():
    stream = io.StringIO()
    report = ExportReport(file=Path("a b.zip"), num_files=2, bytes=10)
    Reply(report, "Wrote it.").write(stream, as_json=True)
    assert json.loads(stream.getvalue()) == {"file": "a b.zip", "num_files": 2, "bytes": 10}


def test_people_read_the_text_only():
    stream = io.StringIO()
    Reply({"a": 1}, "One.").write(stream, as_json=False)
    assert stream.getvalue() == "One.\n"


def test_a_name_that_the_terminal_cannot_show_is_escaped():
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="cp1252", newline="\n")
    Reply({}, "Ж\udcff").write(terminal, as_json=False)
    assert raw.getvalue() == b"\\u0416\\udcff\n"


def test_columns_are_as_wide_as_their_widest_cell():
    assert table(("id", "name"), [(1, "shoes"), (10, "x")]) == "id  name\n1   shoes\n10  x"


def test_one_picture_is_not_one_pictures():
    assert [plural(0, "picture"), plural(1, "picture")] == ["0 pictures", "1 picture"]
