"""What the hand does on the canvases, told without asking them for anything.

While an event of Gradio's canvas is listened to, the canvas uploads all of its layers at every
stroke, whether anybody wants them or not. So the page itself watches the pointer.
"""

import gradio as gr

WATCH = """
const tell = (event, wait) => setTimeout(() => trigger(event), wait);
const isLive = () => document.querySelector('#live input')?.checked;
const inside = (event, place) => event.target.closest?.(place);
let canvas = null;
const heard = {
  pointerdown: event => {
    canvas = inside(event, 'canvas') && inside(event, '#canvas, #region')?.id;
  },
  pointerup: () => {
    if (canvas === 'canvas' && isLive()) tell('select', 60);
    if (canvas === 'region') tell('edit', 60);
    canvas = null;
  },
  click: event => {
    if (inside(event, '#canvas button') && isLive()) tell('select', 200);
  },
  change: event => {
    if (inside(event, '#canvas') && event.target.type === 'file' && isLive()) tell('select', 1000);
  },
  paste: () => { if (document.querySelector('#canvas') && isLive()) tell('select', 1000); },
  drop: event => { if (inside(event, '#canvas') && isLive()) tell('select', 1000); },
};
for (const name in heard) document.addEventListener(name, heard[name], true);
"""
"""Runs in the browser: "select" after a stroke, an undo or a new picture on the canvas while Live
is on, "edit" after a stroke of the region brush."""


def build_hand() -> gr.HTML:
    """A part of the page that is never seen and says what the hand has done."""
    return gr.HTML(elem_id="hand", js_on_load=WATCH, elem_classes="conductor", padding=False)
