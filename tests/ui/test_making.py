"""What a screen says before anything is tried, and what was typed."""

from dyod_studio.ui.common.controls import training_note
from dyod_studio.ui.common.handlers import guidance_in, seed_in


def test_a_screen_says_what_is_missing_before_it_is_tried(studio, project):
    assert "not learned anything yet" in training_note(studio, project, ("inversion", "vae"))
    studio.projects.learn(project, "inversion")
    assert "One part is still missing" in training_note(studio, project, ("inversion", "vae"))
    assert training_note(studio, project, ("inversion",)) == ""


def test_empty_fields_mean_the_default():
    assert seed_in(None) is seed_in("  ") is guidance_in("") is None
    assert guidance_in("3,5") == 3.5
