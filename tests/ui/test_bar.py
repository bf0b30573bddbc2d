"""What the strip on top tells."""

from dyod_studio.ui.bar import describe_running
from dyod_studio.ui.train.screen import on_train_both


def test_what_trains_is_told_with_its_share_and_the_wait(studio, project):
    assert describe_running(studio, project) == ""
    on_train_both(studio, project, 0)
    studio.training.advance(1, 400)
    text = describe_running(studio, project)
    for word in ("Set style", "50%", "about 2 min left", "1 more", 'data-go="train"'):
        assert word in text
    assert " in " not in text


def test_a_run_that_rests_is_told_as_such(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.change(1, state="paused")
    assert "paused" in describe_running(studio, project)


def test_what_trains_in_another_project_is_told_with_its_name(studio, project):
    studio.training.start(project, "vae", {})
    studio.training.change(1, project="Toy <heads>")
    other = studio.projects.create("Icons").id
    for open_project in (other, None):
        assert "in Toy &lt;heads&gt;" in describe_running(studio, open_project)
