"""The one line from the server to the page: an invisible `gr.HTML` whose value is the latest message.

Handlers return a `payload.Payload` into it; ``store.js`` keeps the newest view and lets the panels draw themselves.
No message text ever passes through a template.
"""

from __future__ import annotations

import gradio as gr

RECEIVE = "watch('value', () => { const sent = props.value; setTimeout(() => window.palimpsest.receive(sent)); })"
"""A moment later, when Gradio has filled the fields that the same answer fills: what the page shows of a new turn it
shows when the person can type for it."""


def build() -> gr.HTML:
    """The invisible component."""
    return gr.HTML(value=None, html_template="<i></i>", js_on_load=RECEIVE, elem_id="wire", apply_default_css=False)
