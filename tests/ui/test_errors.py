"""Errors on the page: one sentence for hers, silence on timers, a crash for ours."""

import logging

import gradio as gr
import pytest

from dyod_studio.errors import InvalidInputError
from dyod_studio.ui.common.handlers import chosen, quiet_on_timer, shown_to_user


def fail_for_the_user() -> None:
    raise InvalidInputError("t0 must lie in [0, 1], got 1.5.")


def fail_by_a_bug() -> None:
    raise ZeroDivisionError


def test_an_error_written_for_the_user_becomes_a_message_of_the_page():
    with pytest.raises(gr.Error, match=r"t0 must lie in \[0, 1\], got 1.5.") as caught:
        shown_to_user(fail_for_the_user)()
    assert isinstance(caught.value.__cause__, InvalidInputError)


def test_a_bug_is_not_dressed_up_as_the_users_mistake():
    with pytest.raises(ZeroDivisionError):
        shown_to_user(fail_by_a_bug)()


@pytest.mark.parametrize("handler", [fail_for_the_user, fail_by_a_bug])
def test_a_timer_never_raises_and_leaves_the_page_as_it_is(handler, caplog):
    caplog.set_level(logging.INFO)
    assert quiet_on_timer(handler)() == gr.skip()
    assert handler.__name__ in caplog.text


def test_no_project_is_said_in_words():
    with pytest.raises(InvalidInputError, match="Choose a project first"):
        chosen(None)
