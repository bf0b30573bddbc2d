"""Projects: the switcher on top of every screen, making a new one, deleting one."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import NotFoundError, StudioError
from dyod_studio.settings import ASSETS_DIR
from dyod_studio.ui.bar import Bar
from dyod_studio.ui.common.handlers import (
    PRIVATE,
    PROGRESS,
    SILENT,
    any_text,
    chosen,
    shown_to_user,
)
from dyod_studio.ui.common.html import counted, data_uri, note
from dyod_studio.ui.common.switcher import show_switcher, switcher_html
from dyod_studio.ui.links import project_in, screen_in

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

WELCOME = """
<div class="welcome"><div class="welcome-strip">{pictures}</div><h1>Make it yours</h1>
<p>Give the studio a set of pictures in one style: icons, shoes, toys, patterns.
It learns the style, and then draws with you: from nothing, from your sketch,
or on the way between two pictures. Everything stays on this computer.</p></div>
"""
SHOWN_EXAMPLES = ("grinning-face", "winking-face", "star-struck", "sleeping-face", "nerd-face",
                  "pleading-face", "zany-face")  # fmt: skip
EXAMPLE_PX = 96
GUIDE = "guide"
"""The screen where a new project begins."""


class Start(NamedTuple):
    """The form that makes a project."""

    panel: gr.Column
    name: gr.Textbox
    base: gr.Textbox
    create: gr.Button
    example: gr.Button
    back: gr.Button


class Question(NamedTuple):
    """Asks before a project is deleted."""

    panel: gr.Row
    text: gr.HTML
    yes: gr.Button
    no: gr.Button


class Shell(NamedTuple):
    """Components that change when another project is opened."""

    project: gr.State
    remembered: gr.BrowserState
    bar: Bar
    start: Start
    question: Question
    workspace: gr.Column

    @property
    def outputs(self) -> list[Any]:
        """The components that ``opened`` gives new values to, in its order."""
        return [
            self.project, self.remembered, self.bar.switcher, self.start.panel,
            self.start.back, self.question.panel, self.workspace,
        ]  # fmt: skip


def build_start() -> Start:
    with gr.Column(visible=False, elem_id="start") as panel:
        gr.HTML(welcome(), padding=False)
        with gr.Group():
            name = gr.Textbox(
                label="What is the project called?", placeholder="Toy heads", max_lines=1,
                elem_id="project-name",
            )  # fmt: skip
            with gr.Accordion("Base model", open=False):
                base = gr.Textbox(
                    label="Base model", placeholder="starter", max_lines=1, elem_id="project-base",
                    info="Empty takes the small model that ships with the studio. Or give a"
                    " folder, a .safetensors file or a hub id of Stable Diffusion 1.x or 2.x.",
                )  # fmt: skip
        create = gr.Button("Make the project", variant="primary", elem_id="create-project")
        example = gr.Button("Try it with the example pictures", elem_id="create-example")
        back = gr.Button("Back", size="sm", visible=False, elem_id="start-back")
    return Start(panel, name, base, create, example, back)


def welcome() -> str:
    faces = (ASSETS_DIR / "examples" / "faces" / f"{name}.png" for name in SHOWN_EXAMPLES)
    pictures = "".join(f'<img alt="" src="{data_uri(face, EXAMPLE_PX)}">' for face in faces)
    return WELCOME.format(pictures=pictures)


def build_question() -> Question:
    with gr.Row(visible=False, elem_id="question", equal_height=True) as panel:
        text = gr.HTML(padding=False)
        yes = gr.Button("Delete for good", variant="stop", size="sm", scale=0, min_width=140)
        no = gr.Button("Keep it", size="sm", scale=0, min_width=100)
    return Question(panel, text, yes, no)


def wire_projects(studio: "Studio", page: gr.Blocks, shell: Shell, tabs: gr.Tabs) -> None:
    """Connect the strip on top, the form and the question."""
    switcher, start, question = shell.bar.switcher, shell.start, shell.question
    outputs, screens = shell.outputs, [tab.id for tab in tabs.children]

    def on_load(remembered: int | None, request: gr.Request) -> tuple[Any, ...]:
        return on_open(studio, screens, remembered, request.query_params)

    def on_choice(event: gr.EventData) -> tuple[Any, ...]:
        return on_choose(studio, int(event.values["project"]))

    page.load(on_load, shell.remembered, [*outputs, tabs], **PRIVATE)
    switcher.select(on_choice, None, outputs, **PRIVATE)
    switcher.edit(on_new, None, [start.panel, shell.workspace], **SILENT)
    switcher.delete(
        partial(on_ask, studio), shell.project, [question.panel, question.text], **SILENT
    )
    start.back.click(on_back, None, [start.panel, shell.workspace], **SILENT)
    form = [start.name, start.base]
    for trigger, make in (
        (start.create.click, on_create),
        (start.name.submit, on_create),
        (start.example.click, on_create_example),
    ):
        trigger(partial(make, studio), form, [*outputs, *form], **PRIVATE).success(
            partial(gr.Tabs, selected=GUIDE), None, tabs, **SILENT
        )
    tabs.change(partial(show_switcher, studio), shell.project, switcher, **SILENT)
    question.no.click(on_keep, None, question.panel, **SILENT)
    question.yes.click(partial(on_delete, studio), shell.project, outputs, **PRIVATE)


def opened(studio: "Studio", project: int | None, *, is_shown: bool) -> tuple[Any, ...]:
    """The page with this project open; without one, the form that makes the first.

    With ``is_shown`` the screens are in sight already and are left so: when Gradio changes
    whether they are visible, it asks every component in them for its value, and the canvas
    answers by uploading its pictures.
    """
    views = studio.projects.all()
    known = [view.id for view in views]
    if project not in known:
        project = max(known, default=None)
    is_open = project is not None
    start, workspace = gr.update(visible=not is_open), gr.update(visible=is_open)
    if is_shown and is_open:
        start, workspace = gr.update(), gr.update()
    return (
        project,
        project,
        switcher_html(views, project),
        start,
        gr.update(visible=is_open),
        gr.update(visible=False),
        workspace,
    )


def on_open(
    studio: "Studio", screens: Sequence[str], remembered: int | None, query: Mapping[str, str]
) -> tuple[Any, ...]:
    """Open what the address asks for, else the project this browser had last, else the newest.

    An address that leads nowhere is said in a sentence, and the page opens all the same.
    """
    project, screen = remembered, None
    try:
        screen = screen_in(query, screens)
        asked = project_in(query)
        project = remembered if asked is None else studio.projects.get(asked).id
    except StudioError as exc:
        gr.Warning(str(exc))
    selected = gr.update() if screen is None else gr.Tabs(selected=screen)
    return *opened(studio, project, is_shown=True), selected


@shown_to_user
def on_choose(studio: "Studio", project: int) -> tuple[Any, ...]:
    """Open another project; one that is gone meanwhile is said so."""
    return opened(studio, studio.projects.get(project).id, is_shown=True)


def on_new() -> tuple[Any, Any]:
    return gr.update(visible=True), gr.update(visible=False)


def on_back() -> tuple[Any, Any]:
    return gr.update(visible=False), gr.update(visible=True)


@shown_to_user
def on_create(studio: "Studio", name: str | None, base: str | None) -> tuple[Any, ...]:
    view = studio.projects.create(any_text(name) or "", any_text(base))
    return *opened(studio, view.id, is_shown=False), "", ""


@shown_to_user
def on_create_example(
    studio: "Studio", name: str | None, base: str | None, progress: gr.Progress = PROGRESS
) -> tuple[Any, ...]:
    """Make a project of the pictures that ship with the studio."""
    progress(0, desc="Reading the example pictures")
    view = studio.projects.create(any_text(name) or free_name(studio, "Example"), any_text(base))
    studio.projects.add_examples(view.id)
    return *opened(studio, view.id, is_shown=False), "", ""


def free_name(studio: "Studio", stem: str) -> str:
    """``stem``, or ``stem 2``, ``stem 3`` ... when that is taken."""
    taken = {view.name for view in studio.projects.all()}
    number = 1
    name = stem
    while name in taken:
        number += 1
        name = f"{stem} {number}"
    return name


@shown_to_user
def on_ask(studio: "Studio", project: int | None) -> tuple[Any, str]:
    view = studio.projects.get(chosen(project))
    return gr.update(visible=True), note(
        f"Delete {view.name} with its {counted(view.num_pictures, 'picture')}, everything it has"
        " learned and everything made with it? This cannot be undone.",
        "bad",
    )


def on_keep() -> Any:
    return gr.update(visible=False)


@shown_to_user
def on_delete(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    try:
        studio.projects.delete(chosen(project))
    except NotFoundError:
        gr.Info("The project was already gone.")
    return opened(studio, None, is_shown=True)
