"""The one line from the server to the page: an invisible `gr.HTML` whose value is the latest message.

Handlers return a `payload.Payload` into it; ``store.js`` keeps the newest view and lets the panels draw themselves.
No message text ever passes through a template. It travels as one string of JSON: Gradio looks through every value of a
message that it can see into, on both sides, which takes seconds for a timeline of a thousand turns.
"""

from __future__ import annotations

import json
import time

import gradio as gr

from studio.ui.assets import importing
from studio.ui.payload import Payload

RECEIVE = f"""const main = {importing("main")};
watch('value', () => {{
  const sent = props.value ? JSON.parse(props.value) : null;
  main.then(({{ receive }}) => setTimeout(() => receive(sent)));
}})"""
"""A moment later, when Gradio has filled the fields that the same answer fills: what the page shows of a new turn it
shows when the person can type for it."""


def build() -> gr.HTML:
    """The invisible component; its value is a `payload.Payload`."""
    line = gr.HTML(value=None, html_template="<i></i>", js_on_load=RECEIVE, elem_id="wire", apply_default_css=False)
    line.postprocess = _text  # type: ignore[method-assign, assignment]  # of a subclass Gradio would write a stub file beside us
    return line


def _text(payload: Payload | None) -> str | None:
    if payload is None:
        return None
    # The page hears of a value only when it is another one, and what is refused twice must be told twice.
    return json.dumps({**payload, "at": time.monotonic_ns()})
