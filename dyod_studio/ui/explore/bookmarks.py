"""Places to come back to, and names for the traits."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.explore.views import NUM_TRAITS
from dyod_studio.ui.common.handlers import PRIVATE, SILENT, chosen, shown_to_user
from dyod_studio.ui.common.part_picker import SamplingControls, sampling_control_updates
from dyod_studio.ui.explore.traits import Traits, begin_with, point_in, point_inputs, where_html

if TYPE_CHECKING:
    from dyod_studio.services.studio import Studio

NONE_SAVED = '<p class="quiet">A place that you save is found here again.</p>'


class BookmarkPanel(NamedTuple):
    """The saved places, and the list of traits that can be named."""

    ids: gr.State
    thumbs: gr.Gallery
    empty: gr.HTML
    which: gr.Dropdown

    @property
    def shown(self) -> list[Any]:
        """Components that ``saved_updates`` fills."""
        return [self.ids, self.thumbs, self.empty]


def build_bookmarks(
    studio: "Studio", project: gr.State, traits: Traits, drawn: SamplingControls
) -> BookmarkPanel:
    """Lay out and wire the column under the picture of the place."""
    ids, open_id = gr.State(()), gr.State(None)
    with gr.Row(elem_classes="headed"):
        name = gr.Textbox(
            label="Save this place as",
            placeholder="long hair, smiling",
            max_lines=1,
            elem_id="place-name",
            min_width=160,
        )
        save = gr.Button("Save", variant="primary", elem_id="place-save", scale=0, min_width=90)
    empty, thumbs = _build_saved()
    forget = gr.Button("Forget the open place", size="sm", visible=False, elem_id="place-forget")
    with gr.Accordion("Name the traits", open=False):
        with gr.Row(elem_classes="headed"):
            which = gr.Dropdown([], label="Trait", filterable=False, elem_id="trait-which")
            called = gr.Textbox(
                label="Name", placeholder="hair", max_lines=1, elem_id="trait-name", min_width=120
            )
        rename = gr.Button("Call it so", size="sm", elem_id="trait-rename")
    places = BookmarkPanel(ids, thumbs, empty, which)
    _wire_saving(studio, project, traits, drawn, places, name, save)
    _wire_opening(studio, project, traits, drawn, places, open_id, forget)
    rename.click(
        partial(on_rename, studio),
        [project, which, called],
        [called, which, *traits.boxes, *traits.sliders],
        **SILENT,
    )
    return places


def _build_saved() -> tuple[gr.HTML, gr.Gallery]:
    """The saved bookmarks, or the line that says that there are none."""
    empty = gr.HTML(NONE_SAVED, elem_id="place-empty", padding=False)
    thumbs = gr.Gallery(
        label="Saved places",
        show_label=False,
        columns=4,
        fit_columns=False,
        height="auto",
        object_fit="contain",
        allow_preview=False,
        buttons=[],
        interactive=False,
        visible=False,
        elem_id="places",
        elem_classes=["thumbs", "named"],
    )
    return empty, thumbs


def _wire_saving(
    studio: "Studio",
    project: gr.State,
    traits: Traits,
    drawn: SamplingControls,
    places: BookmarkPanel,
    name: gr.Textbox,
    save: gr.Button,
) -> None:
    inputs = [name, *point_inputs(project, traits, drawn)]
    outputs = [name, *places.shown]
    gr.on([save.click, name.submit], partial(on_save, studio), inputs, outputs, **PRIVATE)


def _wire_opening(
    studio: "Studio",
    project: gr.State,
    traits: Traits,
    drawn: SamplingControls,
    places: BookmarkPanel,
    open_id: gr.State,
    forget: gr.Button,
) -> None:
    def on_select(project: int | None, ids: Sequence[int], event: gr.SelectData) -> tuple[Any, ...]:
        return on_open(studio, project, ids[event.index])

    opened = [open_id, forget, traits.origin, traits.where, *traits.sliders, *drawn]
    places.thumbs.select(on_select, [project, places.ids], opened, **SILENT).success(
        begin_with(studio), point_inputs(project, traits, drawn), traits.shown, **SILENT
    )
    forget.click(
        partial(on_forget, studio), [project, open_id], [open_id, forget, *places.shown], **SILENT
    )


@shown_to_user
def on_save(
    studio: "Studio", name: str | None, project: int | None, origin: str, *values_and_drawn: Any
) -> tuple[Any, ...]:
    """Keep the place under a name; its picture becomes a favourite of the gallery."""
    point = point_in(origin, values_and_drawn)
    view = studio.bookmarks.save(chosen(project), name or "", point)
    gr.Info(f"{view.name} is saved; its picture is among the favourites of the gallery.")
    return "", *saved_updates(studio, project)


@shown_to_user
def on_open(studio: "Studio", project: int | None, bookmark_id: int) -> tuple[Any, ...]:
    """Go back to a place: the sliders and all that draws it stand as they stood."""
    view = studio.bookmarks.get(chosen(project), bookmark_id)
    point = view.point
    values = [point.moved.get(rank, 0.0) for rank in range(NUM_TRAITS)]
    forget = gr.update(visible=True, value=f"Forget {view.name}")
    return (
        bookmark_id,
        forget,
        point.origin,
        where_html(point.origin),
        *values,
        *sampling_control_updates(point),
    )


@shown_to_user
def on_forget(studio: "Studio", project: int | None, bookmark_id: int | None) -> tuple[Any, ...]:
    if bookmark_id is None:
        raise InvalidInputError("Choose a saved place first.")
    studio.bookmarks.delete(chosen(project), bookmark_id)
    return None, gr.update(visible=False), *saved_updates(studio, project)


@shown_to_user
def on_rename(
    studio: "Studio", project: int | None, rank: int | None, name: str | None
) -> tuple[Any, ...]:
    """Call a trait something; an empty name gives it its number back."""
    if rank is None:
        raise InvalidInputError("Choose the trait that you want to name first.")
    studio.bookmarks.name_trait(chosen(project), rank, name or "")
    return "", *traits_updates(studio, project)


def traits_updates(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """The list of traits to name, and a row for each of the first ones."""
    views = []
    if project is not None and "vae" in studio.projects.get(project).artifacts:
        views = studio.bookmarks.traits(project)[:NUM_TRAITS]
    choices = [(view.label, view.rank) for view in views]
    boxes = [gr.update(visible=rank < len(views)) for rank in range(NUM_TRAITS)]
    sliders = [gr.update(label=view.label) for view in views]
    sliders += [gr.skip() for _ in range(NUM_TRAITS - len(views))]
    value = choices[0][1] if choices else None
    return gr.update(choices=choices, value=value), *boxes, *sliders


def saved_updates(studio: "Studio", project: int | None) -> tuple[Any, ...]:
    """The saved places; one of an earlier shape model says so."""
    views = studio.bookmarks.all(project) if project is not None else []
    thumbs = [
        (str(view.thumbnail), view.name if view.is_reachable else f"{view.name} (earlier model)")
        for view in views
    ]
    return (
        tuple(view.id for view in views),
        gr.update(value=thumbs, visible=bool(thumbs), selected_index=None),
        "" if thumbs else NONE_SAVED,
    )
