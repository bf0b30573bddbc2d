"""A fake Studio with one project of 24 pictures in it."""

from pathlib import Path
from typing import Any

import pytest

from tests.ui.fakes import build_fake_studio


@pytest.fixture
def studio(tmp_path: Path) -> Any:
    """A fake Studio without any project."""
    return build_fake_studio(tmp_path)


@pytest.fixture
def project(studio: Any) -> int:
    """The id of a project that holds the example pictures."""
    view = studio.projects.create("Toy heads")
    studio.projects.add_examples(view.id)
    return view.id
