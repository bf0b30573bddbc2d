"""What every listener of the page is given."""

import gradio as gr

PRIVATE = {"api_visibility": "private"}
"""Keeps a handler off the public list of endpoints."""
SILENT = {"api_visibility": "private", "show_progress": "hidden"}
"""For what happens at once: no progress shade over the outputs."""
PROGRESS = gr.Progress()
"""Stands as default where Gradio shall hand in the event's own progress."""
