"""A press of Make pictures keeps to few files, and the tool that counts them sees them all."""

from tests.services.trained import opened_studio, train_everything
from tools.press_files import trace_press

MAX_FILES = 25


def test_a_press_of_make_pictures_runs_through_few_files(base_folders, tmp_path):
    train_everything(tmp_path / "storage", base_folders["starter"])
    with opened_studio(tmp_path / "storage") as (studio, _):
        trace = trace_press(studio, studio.projects.all()[0].id, tmp_path)
    assert {"ui/draw/actions.py", "services/sampling/service.py", "jobs/sampler.py"} <= set(
        trace.functions
    )
    assert trace.num_files <= MAX_FILES, sorted(trace.functions)
    assert trace.num_changes > trace.num_files
